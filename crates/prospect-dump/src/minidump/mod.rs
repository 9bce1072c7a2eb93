//! Minidumps: what Windows, and the crash reporters of Breakpad and Crashpad on all systems, write of a process.
//!
//! The format is that of `minidumpapiset.h` (Windows SDK), with the streams of Breakpad
//! (`google_breakpad/common/minidump_format.h`), Crashpad (`minidump/minidump_extensions.h`) and Mozilla.
//!
//! [`Minidump::open`] reads what there is of threads, modules and the system; memory is read from the file when it is asked
//! for. What a minidump does not have, or has damaged, is told by [`Minidump::notices`], and all else is used. [`write()`] writes one of any process.

pub(crate) mod contexts;
mod crashpad;
mod dump;
mod error;
mod layout;
mod read;
mod stream;
mod write;

pub use crashpad::{AnnotationObject, CrashpadInfo, CrashpadModule, Uuid};
pub use dump::Minidump;
pub use error::{MinidumpError, MinidumpNotice};
pub use read::{Assertion, Facts, Handle, ModuleVersion, SystemDetails, UnloadedModule};
pub use stream::{MinidumpStream, kinds};
pub use write::{
    CrashContext, OpenHandle, Options, SoftError, Text, UserMapping, UserStream, Written, write,
};

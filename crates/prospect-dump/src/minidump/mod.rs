//! Minidumps: what Windows, and the crash reporters of Breakpad and Crashpad on all systems, write of a process.
//!
//! The format is that of `minidumpapiset.h` (Windows SDK), with the streams of
//! `google_breakpad/common/minidump_format.h` and Crashpad's `minidump/minidump_extensions.h`.

pub(crate) mod contexts;

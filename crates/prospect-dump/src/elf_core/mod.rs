//! ELF cores: what the kernel writes of a process that crashed (`fs/binfmt_elf.c`), and what debuggers write in its form.
//!
//! [`ElfCore::open`] reads the headers and the notes; memory is read from the file when it is asked for. What a core does not
//! have, or has damaged, is told by [`ElfCore::notices`], and all else is used. [`write()`] writes one of any process.

mod core;
mod delve;
mod dump_note;
mod error;
mod file;
mod header;
mod inventory;
mod layout;
mod link_map;
mod mappings;
mod memory;
mod notes;
mod stream;
mod write;

pub use self::core::ElfCore;
pub use dump_note::DumpNote;
pub use error::{CoreError, CoreNotice};
pub use inventory::{CoreNote, CoreSegment, NoteContent};
pub use memory::{CoreMemory, CoreSegments};
pub use stream::read_head;
pub(crate) use write::{Bounds, Piece, cut, is_zero_until_touched, page_bytes, pieces};
pub use write::{
    CoreFilter, Cut, GatheredFile, Output, Progress, ProgressState, Selection, SparseFile, Stillness, Stream,
    UnreadMemory, WriteError, WriteOptions, Written, write,
};
pub(crate) use {
    file::CoreFile,
    header::Segment,
    layout::MappedFile,
    mappings::{Landmarks, mappings as memory_map},
};

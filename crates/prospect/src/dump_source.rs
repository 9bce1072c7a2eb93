//! The file of a dump, unpacked where it is compressed, and read as what its first bytes say that it is.

use std::{fmt, fs::File, path::Path, sync::Arc};

use prospect_dump::{
    Compression, UnpackProgress,
    elf_core::{CoreError, CoreNotice, ElfCore},
    minidump::{Minidump, MinidumpNotice},
    unpack,
};
use prospect_live::free_bytes;

use crate::OpenError;

/// Who is told how far the unpacking has come.
#[derive(Clone)]
pub(crate) struct UnpackListener(pub(crate) Arc<dyn Fn(UnpackProgress) + Send + Sync>);

impl fmt::Debug for UnpackListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnpackListener")
    }
}

/// A part of what is free is left to others: one of so many.
const LEFT_FREE: u64 = 16;

/// What a file is.
pub(crate) enum Dump {
    Core(Box<ElfCore>),
    Minidump(Box<Minidump>),
}

/// Opens a dump.
pub(crate) fn open(path: &Path, listener: Option<&UnpackListener>) -> Result<Dump, OpenError> {
    let of_file = |error: CoreError| OpenError::Core { path: path.to_owned(), error };
    // Opening a FIFO would block: what it is comes before.
    if !std::fs::metadata(path).map_err(|error| of_file(error.into()))?.is_file() {
        return Err(of_file(CoreError::NotRegular));
    }
    let file = File::open(path).map_err(|error| of_file(error.into()))?;
    let Some(compression) = Compression::of_file(&file).map_err(|error| of_file(error.into()))? else {
        return read(path, file, None);
    };
    let directory = std::env::temp_dir();
    let limit = free_bytes(&directory).map_or(u64::MAX, |free| free - free / LEFT_FREE);
    let mut tell = |progress| {
        if let Some(UnpackListener(listener)) = listener {
            listener(progress);
        }
    };
    let unpacked = unpack(&file, compression, &directory, limit, &mut tell)
        .map_err(|error| OpenError::Unpack { path: path.to_owned(), error })?;
    read(path, unpacked.file, unpacked.damage.map(|damage| damage.to_string()))
}

fn read(path: &Path, file: File, damage: Option<String>) -> Result<Dump, OpenError> {
    if Minidump::is_minidump(&file) {
        let dump = Minidump::from_file(file)
            .map_err(|error| OpenError::Minidump { path: path.to_owned(), error })?;
        return Ok(Dump::Minidump(Box::new(match damage {
            Some(damage) => dump.with_notice(MinidumpNotice::Damaged(damage)),
            None => dump,
        })));
    }
    let core = ElfCore::from_file(file).map_err(|error| OpenError::Core { path: path.to_owned(), error })?;
    Ok(Dump::Core(Box::new(match damage {
        Some(damage) => core.with_notice(CoreNotice::Damaged(damage)),
        None => core,
    })))
}

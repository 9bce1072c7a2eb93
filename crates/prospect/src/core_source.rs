//! The file of a core, unpacked where it is compressed.

use std::{fmt, fs::File, path::Path, sync::Arc};

use prospect_dump::{
    Compression, UnpackProgress,
    elf_core::{CoreError, CoreNotice, ElfCore},
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

/// Opens a core.
pub(crate) fn open(path: &Path, listener: Option<&UnpackListener>) -> Result<ElfCore, OpenError> {
    let of_core = |error: CoreError| OpenError::Core { path: path.to_owned(), error };
    // Opening a FIFO would block: what it is comes before.
    if !std::fs::metadata(path).map_err(|error| of_core(error.into()))?.is_file() {
        return Err(of_core(CoreError::NotRegular));
    }
    let file = File::open(path).map_err(|error| of_core(error.into()))?;
    let Some(compression) = Compression::of_file(&file).map_err(|error| of_core(error.into()))? else {
        return ElfCore::from_file(file).map_err(of_core);
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
    let core = ElfCore::from_file(unpacked.file).map_err(of_core)?;
    Ok(match unpacked.damage {
        Some(damage) => core.with_notice(CoreNotice::Damaged(damage.to_string())),
        None => core,
    })
}

//! `Exception`.

use prospect_process::{Addr, Exception, OperatingSystem, ThreadId};

use super::{directory::Directory, reader::Reader, threads::MOST_CONTEXT_BYTES};
use crate::minidump::{MinidumpNotice, kinds};

/// The most parameters (`EXCEPTION_MAXIMUM_PARAMETERS`).
const MOST_PARAMETERS: u32 = 15;

/// What happened, and the `CONTEXT` of the thread when it did.
pub(in super::super) fn exception(
    reader: &Reader<'_>,
    directory: &Directory,
    system: OperatingSystem,
    notices: &mut Vec<MinidumpNotice>,
) -> Option<(Exception, Vec<u8>)> {
    let bytes = directory.bytes(reader, kinds::EXCEPTION)?;
    let view = reader.view(&bytes);
    let record = || {
        let count = view.u32(32)?.min(MOST_PARAMETERS) as usize;
        let (code, flags, address) = (view.u32(8)?, view.u32(12)?, view.u64(24)?);
        let parameters = (0..count).map_while(|index| view.u64(40 + 8 * index)).collect();
        // Breakpad's writers have an address for a signal only where the signal has one, and no word for that.
        let address = Some(Addr(address));
        Some(Exception { thread: ThreadId(view.u32(0)?), system, code, flags, address, parameters })
    };
    let exception = record();
    if exception.is_none() {
        notices.push(MinidumpNotice::BadStream(kinds::EXCEPTION));
    }
    let context = reader.located(view, 160, MOST_CONTEXT_BYTES).unwrap_or_default();
    exception.map(|exception| (exception, context))
}

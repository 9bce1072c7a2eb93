//! One's own memory, read so that a bad pointer is an error.

use prospect_process::{Addr, Memory, MemoryError, Unreadable};

use super::system::{self, KeptErrno};

/// The smallest page of all processors: what can be read at one address can be up to the next multiple of it.
const PAGE_BYTES: usize = 4096;

/// The memory of the calling process, as it is at the time of each read. A bad pointer is an error, also when another
/// thread unmaps it at that moment: the kernel copies, with `process_vm_readv`.
///
/// Safe in a signal handler: it allocates nothing, takes no lock, keeps no state and leaves `errno` as it was.
/// Right in a child of `fork` too.
///
/// Where the call is refused (a seccomp filter that answers with an error, a kernel without it), each page
/// is first tried with a call that only looks whether it can be read, and then read from `/proc/self/mem`, opened
/// for that one read. Where that is refused too, every read is [`Unreadable::Denied`]. A filter that ends the
/// program instead of answering does so here as well.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnMemory;

impl OwnMemory {
    fn read_page(at: usize, buffer: &mut [u8]) -> Result<usize, Unreadable> {
        // The file gives the bytes of pages that cannot be read, too. Neither may a read go on into the next page.
        if !system::is_readable(at & !7) {
            return Err(Unreadable::Unmapped);
        }
        let length = buffer.len().min(PAGE_BYTES - at % PAGE_BYTES);
        match system::read_file(c"/proc/self/mem", at, &mut buffer[..length]) {
            Ok(0) | Err(libc::EIO | libc::EFAULT | libc::EINVAL) => Err(Unreadable::Unmapped),
            Ok(read) => Ok(read),
            Err(_) => Err(Unreadable::Denied),
        }
    }
}

impl Memory for OwnMemory {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let failed = |why| MemoryError { at, why };
        let start = usize::try_from(at.0).map_err(|_| failed(Unreadable::Unmapped))?;
        let _errno = KeptErrno::new();
        match system::read_call(start, buffer) {
            Ok(0) | Err(libc::EFAULT) => Err(failed(Unreadable::Unmapped)),
            Ok(read) => Ok(read),
            Err(_) => Self::read_page(start, buffer).map_err(failed),
        }
    }
}

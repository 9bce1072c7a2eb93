//! The memory of a live process.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use prospect_process::{
    Addr, Content, Memory, MemoryError, ProcessId, ThreadId, Unreadable, memory::ReadRequest,
};

use super::{identity::Identity, pagemap::PageMap, procfs, ptrace};

/// The memory of a process as it is at the time of each read: while the process runs, two reads may be of
/// two moments.
#[derive(Debug)]
pub struct LiveMemory {
    process: ProcessId,
    /// Which process that is, where its number may be given away while this lives.
    identity: Option<Arc<Identity>>,
    /// The thread through which it is read. When the first thread of a process has ended, the memory is
    /// reached through any other.
    thread: AtomicU32,
    /// `/proc/PID/mem`, for systems that forbid the system call and not the file (a seccomp filter, a kernel without
    /// `CONFIG_CROSS_MEMORY_ATTACH`).
    file: OnceLock<Option<File>>,
    /// Whether it is read through the file first.
    prefers_file: bool,
    /// Which pages are there; `None` where the system does not say.
    pages: OnceLock<Option<PageMap>>,
}

impl LiveMemory {
    /// The memory of a process, which need not be stopped.
    #[must_use]
    pub fn new(process: ProcessId) -> Self {
        Self {
            process,
            identity: None,
            thread: AtomicU32::new(process.0),
            file: OnceLock::new(),
            prefers_file: false,
            pages: OnceLock::new(),
        }
    }

    /// The memory of a process that shares its pages with its parent until one of them writes. The system call gives it a page
    /// of its own for each that is read (`gup_must_unshare` in the kernel's `mm/internal.h`), which takes time and doubles
    /// the memory; the file does not.
    pub(crate) fn of_copy(process: ProcessId) -> Self {
        Self { prefers_file: true, ..Self::new(process) }
    }

    /// The memory of this process and of none that gets its number later.
    pub(crate) fn of(identity: Arc<Identity>) -> Self {
        Self { identity: Some(identity.clone()), ..Self::new(identity.process()) }
    }

    /// What came of a read by number, unless the number belongs to another process by now.
    fn checked(&self, read: io::Result<usize>) -> io::Result<usize> {
        let is_other =
            read.is_ok() && self.identity.as_ref().is_some_and(|identity| identity.check().is_err());
        if is_other { Err(io::Error::from_raw_os_error(libc::ESRCH)) } else { read }
    }

    fn thread(&self) -> ThreadId {
        ThreadId(self.thread.load(Ordering::Relaxed))
    }

    /// Runs a read, and runs it again through a thread that lives when the one in use has ended.
    fn through_a_live_thread(
        &self,
        mut read: impl FnMut(ThreadId) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let error = match read(self.thread()) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => error,
            result => return result,
        };
        for thread in procfs::task_ids(self.process).unwrap_or_default() {
            match read(thread) {
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                result => {
                    self.thread.store(thread.0, Ordering::Relaxed);
                    return result;
                }
            }
        }
        Err(error)
    }
}

impl LiveMemory {
    fn read_call(&self, at: Addr, buffer: &mut [u8]) -> io::Result<usize> {
        self.through_a_live_thread(|thread| ptrace::read_memory_at(thread, at.0, buffer))
    }

    /// The same through the file. The kernel reads from it what the call may not: pages that the process
    /// itself cannot read.
    fn read_file(&self, at: Addr, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        let path = || format!("/proc/{}/mem", procfs::memory_view(self.process));
        let file = self.file.get_or_init(|| File::open(path()).ok());
        file.as_ref().map(|file| file.read_at(buffer, at.0))
    }
}

impl Memory for LiveMemory {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let unreadable = |why| MemoryError { at, why };
        if self.prefers_file
            && let Some(Ok(read @ 1..)) = self.read_file(at, buffer)
        {
            return Ok(read);
        }
        // Of a process that has ended, the call says so, and the file only that there is nothing.
        let mut read = self.read_call(at, buffer);
        if let Err(libc::EPERM | libc::ENOSYS | libc::EFAULT) = code(&read) {
            read = self.read_file(at, buffer).unwrap_or(read);
        }
        match self.checked(read) {
            Ok(0) => Err(unreadable(Unreadable::Unmapped)),
            Ok(read) => Ok(read),
            Err(error) => Err(unreadable(match error.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => Unreadable::Denied,
                Some(libc::ESRCH) => Unreadable::Gone,
                _ => Unreadable::Unmapped,
            })),
        }
    }

    fn contents(&self, range: Range<Addr>) -> Vec<(Range<Addr>, Content)> {
        let open = || PageMap::open(procfs::memory_view(self.process)).ok();
        let pages = self.pages.get_or_init(open).as_ref();
        let known = pages.and_then(|pages| pages.contents(range.clone()).ok());
        let is_its_own = || self.identity.as_ref().is_none_or(|identity| identity.check().is_ok());
        known.filter(|_| is_its_own()).unwrap_or_else(|| vec![(range, Content::Own)])
    }

    fn read_many(&self, requests: &mut [ReadRequest<'_>]) {
        if self.prefers_file {
            for request in requests {
                request.done = self.read_available(request.at, request.buffer);
            }
            return;
        }
        let mut next = 0;
        while next < requests.len() {
            let rest = &mut requests[next..];
            let mut reads: Vec<ptrace::RemoteRead<'_>> = rest
                .iter_mut()
                .take(ptrace::MOST_READS)
                .map(|request| ptrace::RemoteRead { at: request.at.0, buffer: request.buffer })
                .collect();
            let read = self.through_a_live_thread(|thread| ptrace::read_memory(thread, &mut reads));
            let read = self.checked(read);
            let count = reads.len();
            let (complete, partial) = share_out(&mut rest[..count], read.unwrap_or(0));
            next += complete;
            if complete < count {
                // This one broke the series: what there is of it, then on with the one after it.
                let request = &mut requests[next];
                let more = request.at.wrapping_add(partial as u64);
                request.done = partial + self.read_available(more, &mut request.buffer[partial..]);
                next += 1;
            }
        }
    }
}

/// The system's number for what went wrong, as the error of a result.
fn code(result: &io::Result<usize>) -> Result<(), i32> {
    result.as_ref().map_or_else(|error| Err(error.raw_os_error().unwrap_or(0)), |_| Ok(()))
}

/// Says of each request how much of `read` bytes is its own: how many are complete, and how much the
/// next one has.
fn share_out(requests: &mut [ReadRequest<'_>], mut read: usize) -> (usize, usize) {
    for (index, request) in requests.iter_mut().enumerate() {
        if read < request.buffer.len() {
            return (index, read);
        }
        request.done = request.buffer.len();
        read -= request.done;
    }
    (requests.len(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> LiveMemory {
        LiveMemory::new(ProcessId(std::process::id()))
    }

    #[test]
    fn a_read_over_the_end_of_a_mapping_gives_what_there_is() {
        let page = vec![7u8; 4096];
        let mut buffer = [0; 16];
        assert_eq!(own().read_up_to(Addr(page.as_ptr() as u64), &mut buffer), Ok(16));
        assert_eq!(buffer, [7; 16]);
        let error = own().read_up_to(Addr(8), &mut buffer).unwrap_err();
        assert_eq!(error, MemoryError { at: Addr(8), why: Unreadable::Unmapped });
    }

    #[test]
    fn a_bad_request_among_many_does_not_hurt_the_others() {
        let source: Vec<u8> = (0..=255).collect();
        let at = Addr(source.as_ptr() as u64);
        let mut buffers = vec![[0u8; 64]; 3000];
        let mut requests: Vec<ReadRequest<'_>> = buffers
            .iter_mut()
            .enumerate()
            .map(|(index, buffer)| ReadRequest {
                at: if index % 100 == 50 { Addr(16) } else { at },
                buffer,
                done: 0,
            })
            .collect();
        own().read_many(&mut requests);
        for (index, request) in requests.iter().enumerate() {
            assert_eq!(request.done, if index % 100 == 50 { 0 } else { 64 }, "{index}");
        }
        assert!(buffers[0][..] == source[..64] && buffers[2999][..] == source[..64]);
    }

    #[test]
    fn the_file_does_what_the_call_does() {
        let source: Vec<u8> = (0..64).collect();
        let mut buffer = [0; 64];
        let at = Addr(source.as_ptr() as u64);
        assert_eq!(own().read_file(at, &mut buffer).unwrap().unwrap(), 64);
        assert_eq!(buffer[..], source);
        assert!(own().read_file(Addr(8), &mut buffer).unwrap().is_err());
    }

    #[test]
    fn a_process_that_has_ended_is_said_to_be_gone() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let memory = LiveMemory::new(ProcessId(child.id()));
        child.wait().unwrap();
        let error = memory.read_up_to(Addr(0x1000), &mut [0; 4]).unwrap_err();
        assert_eq!(error.why, Unreadable::Gone);
    }
}

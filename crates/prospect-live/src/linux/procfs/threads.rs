//! `/proc/PID/task`: the threads of a process.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use prospect_process::{Arch, NoRegisters, ProcessId, Registers, Thread, ThreadId, ThreadState};

use super::{
    ProcError, Stat, cursor::whole_number, file::read_once, host_arch, info::executable_arch, process_stat,
    stat, syscall, wait_channel,
};

/// Room for `/proc/4294967295/task/4294967295/` and a file name.
const PATH_BYTES: usize = 64;

/// Room for a `wchan` or `syscall` line.
const SHORT_LINE_BYTES: usize = 512;

/// What `/proc` says of a thread.
#[derive(Clone, Debug)]
pub struct ThreadFacts {
    /// What is known of it. [`Thread::not_stopped`] is set where stopping it is out of the question: it has
    /// ended, is a zombie, or belongs to the kernel.
    pub thread: Thread,
    /// Whether it belongs to the kernel.
    pub kernel: bool,
    /// Program counter and stack pointer of a thread that waits, where they were asked for and are known.
    pub registers: Option<Registers>,
}

/// The directory of a process's threads.
///
/// It keeps no handle: safe Rust has no `openat`, and the detour through `/proc/self/fd` costs a fifth more
/// than the whole path does. If the process has ended and its number was given away, this is the directory
/// of the new one.
#[derive(Clone, Debug)]
pub struct TaskDirectory {
    pid: ProcessId,
    /// `/proc/PID/task/`, made once for thousands of reads.
    prefix: Vec<u8>,
    /// What the process runs as, once somebody wanted to know.
    arch: OnceLock<Arch>,
}

impl TaskDirectory {
    /// The threads of a process.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn open(pid: ProcessId) -> Result<Self, ProcError> {
        let prefix = format!("/proc/{pid}/task/").into_bytes();
        let directory = Self { pid, prefix, arch: OnceLock::new() };
        directory.expected_count()?;
        Ok(directory)
    }

    /// The process whose threads these are.
    #[must_use]
    pub fn process(&self) -> ProcessId {
        self.pid
    }

    /// The threads that there are now. The first thread of the process comes first, also after it has ended
    /// while others live on; the rest in the order of their start.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn task_ids(&self) -> Result<Vec<ThreadId>, ProcError> {
        let failed = |error| ProcError::of_process(self.pid, self.path(), error);
        let mut found = Vec::new();
        for entry in fs::read_dir(self.path()).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let number = whole_number(name.as_bytes()).and_then(|number| u32::try_from(number).ok());
            found.extend(number.map(ThreadId));
        }
        if found.is_empty() {
            return Err(ProcError::NoSuchProcess(self.pid));
        }
        Ok(found)
    }

    /// How many threads there are now, with one cheap system call: the kernel counts them among the links
    /// of the directory (`proc_task_getattr` in `fs/proc/base.c`).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn expected_count(&self) -> Result<u64, ProcError> {
        let metadata = fs::metadata(self.path());
        let metadata = metadata.map_err(|error| ProcError::of_process(self.pid, self.path(), error))?;
        Ok(metadata.nlink().saturating_sub(2))
    }

    /// The `stat` line of a thread, read into `buffer`, which is best kept for the next one.
    ///
    /// # Errors
    /// When the thread is gone.
    pub fn stat<'a>(&self, tid: ThreadId, buffer: &'a mut Vec<u8>) -> Result<Stat<'a>, ProcError> {
        buffer.resize(stat::LINE_BYTES, 0);
        self.stat_in(tid, buffer)
    }

    /// The kernel function that a thread waits in; `None` when it does not wait, or the kernel does not say.
    ///
    /// # Errors
    /// When the thread is gone or the kernel does not let us look.
    pub fn wait_channel(&self, tid: ThreadId) -> Result<Option<String>, ProcError> {
        let mut buffer = [0; SHORT_LINE_BYTES];
        self.read(tid, "wchan", &mut buffer).map(wait_channel::parse)
    }

    /// The system call that a thread is in. The kernel asks for the same right as to trace it.
    ///
    /// # Errors
    /// When the thread is gone or the kernel does not let us look.
    pub fn syscall(&self, tid: ThreadId) -> Result<syscall::SyscallState, ProcError> {
        let mut buffer = [0; SHORT_LINE_BYTES];
        let line = self.read(tid, "syscall", &mut buffer)?;
        syscall::parse(line).ok_or_else(|| self.malformed(tid, "syscall", "a system call"))
    }

    /// Name, state and processor time of a thread.
    ///
    /// # Errors
    /// When the thread is gone.
    pub fn thread(&self, tid: ThreadId) -> Result<ThreadFacts, ProcError> {
        let mut buffer = [0; stat::LINE_BYTES];
        let stat = self.stat_in(tid, &mut buffer)?;
        let kernel = stat.is_kernel_thread();
        let mut thread = Thread::new(tid);
        thread.name = Some(stat.name_text());
        thread.state = stat.state;
        thread.cpu_time = Some(stat.cpu_time());
        thread.kernel_time = Some(stat.kernel_time());
        thread.not_stopped = match stat.state {
            _ if kernel => Some(NoRegisters::KernelThread),
            ThreadState::Zombie => Some(NoRegisters::Zombie),
            ThreadState::Dead => Some(NoRegisters::Exited),
            _ => None,
        };
        Ok(ThreadFacts { thread, kernel, registers: None })
    }

    /// The same, and where the thread waits: the wait channel, the system call, and the program counter, the
    /// stack pointer and the arguments that it left user mode with. That takes two or three more files, and for all but the
    /// wait channel the right to trace the process; what the kernel does not say is missing.
    ///
    /// # Errors
    /// When the thread is gone.
    pub fn thread_in_detail(&self, tid: ThreadId) -> Result<ThreadFacts, ProcError> {
        let mut facts = self.thread(tid)?;
        facts.thread.wait_channel = self.wait_channel(tid).ok().flatten();
        if let Ok(state) = self.syscall(tid) {
            facts.thread.syscall = Some(state.to_string());
            if !facts.kernel {
                let of_thread = || executable_arch(ProcessId(tid.0)).unwrap_or_else(host_arch);
                facts.registers = state.registers(*self.arch.get_or_init(of_thread));
            }
        }
        Ok(facts)
    }

    fn stat_in<'a>(&self, tid: ThreadId, buffer: &'a mut [u8]) -> Result<Stat<'a>, ProcError> {
        let line = self.read(tid, "stat", buffer)?;
        stat::parse(line).ok_or_else(|| self.malformed(tid, "stat", "fields up to the start time"))
    }

    fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.prefix))
    }

    fn file_path(&self, tid: ThreadId, name: &str) -> PathBuf {
        self.path().join(tid.to_string()).join(name)
    }

    fn malformed(&self, tid: ThreadId, name: &str, what: &'static str) -> ProcError {
        ProcError::Malformed { path: self.file_path(tid, name), what }
    }

    fn read<'a>(&self, tid: ThreadId, name: &str, buffer: &'a mut [u8]) -> Result<&'a [u8], ProcError> {
        use io::Write as _;
        let mut path = [0; PATH_BYTES];
        let mut rest = &mut path[..];
        let written = rest.write_all(&self.prefix).and_then(|()| write!(rest, "{tid}/{name}"));
        let length = PATH_BYTES - rest.len();
        let path = Path::new(OsStr::from_bytes(&path[..length]));
        written
            .and_then(|()| read_once(path, buffer))
            .map_err(|error| ProcError::of_thread(self.pid, tid, path, error))
    }
}

/// The threads of a process; see [`TaskDirectory::task_ids`].
///
/// # Errors
/// When the process is gone.
pub fn task_ids(pid: ProcessId) -> Result<Vec<ThreadId>, ProcError> {
    TaskDirectory::open(pid)?.task_ids()
}

/// What a thread is doing, whatever process it is of; `None` when it is gone.
#[must_use]
pub fn thread_state(tid: ThreadId) -> Option<ThreadState> {
    // No listing shows it, but a thread has a directory beside the processes too.
    process_stat(ProcessId(tid.0), &mut Vec::new()).ok().map(|stat| stat.state)
}

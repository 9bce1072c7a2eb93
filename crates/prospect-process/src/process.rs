//! The narrow waist: a process that can be read.

use std::{path::PathBuf, time::SystemTime};

use crate::{
    Arch, Exception, Mappings, Memory, Modules, ProcessId, RegisterSet, Registers, Thread, ThreadId,
    ThreadState,
};

/// What is known of a process as a whole.
#[derive(Clone, Debug)]
pub struct ProcessInfo {
    /// Its number.
    pub id: ProcessId,
    /// The process that started it, or took it over.
    pub parent: Option<ProcessId>,
    /// The architecture that it runs as.
    pub arch: Arch,
    /// The system that it runs on.
    pub system: OperatingSystem,
    /// What happened that it was dumped for; `None` when nothing did, or it is alive.
    pub exception: Option<Exception>,
    /// Its short name (Linux: `comm`).
    pub name: String,
    /// The path of its executable, as its own mount namespace has it.
    pub executable: Option<Vec<u8>>,
    /// Its arguments as bytes, the empty ones too.
    pub command_line: Vec<Vec<u8>>,
    /// The directory it is in.
    pub working_directory: Option<Vec<u8>>,
    /// When it started.
    pub started: Option<SystemTime>,
    /// The bits of a return address in which pointer authentication keeps its code, as the kernel tells it
    /// (`NT_ARM_PAC_MASK`, `insn_mask`); `None` where it was not asked, and those of the architecture's table
    /// count.
    pub authentication_mask: Option<u64>,
    /// What the kernel keeps of it besides.
    pub kernel: KernelFacts,
    /// How to reach the files that it has mapped.
    pub files: FileAccess,
}

/// What the kernel keeps of a process: all that notes of a core say of it as a whole and that is nowhere else in
/// [`ProcessInfo`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KernelFacts {
    /// What it was told when it started (`NT_AUXV`, `/proc/PID/auxv`): the bytes, in words of its architecture. Read with
    /// [`Auxv::parse`](crate::auxv::Auxv::parse).
    pub auxiliary_vector: Vec<u8>,
    /// What it was doing as a whole.
    pub state: ThreadState,
    /// Its real user and group.
    pub user_and_group: Option<(u32, u32)>,
    /// Its process group.
    pub process_group: Option<ProcessId>,
    /// Its session.
    pub session: Option<ProcessId>,
    /// Its nice value, -20 to 19.
    pub nice: i8,
    /// `PF_…` of `include/linux/sched.h`.
    pub flags: u64,
    /// Which kinds of mappings belong into its cores, a bit for each kind (`/proc/PID/coredump_filter`, `man 5 core`).
    pub core_filter: Option<u32>,
    /// Where the parts of [`RegisterSet::X86_EXTENDED`] lie on its processor (`NT_X86_XSAVE_LAYOUT`): four numbers of 32 bits for
    /// each, its number, size, offset and flags. Empty on other architectures, and where it is not known.
    pub extended_layout: Vec<u8>,
}

impl ProcessInfo {
    /// A process of which only number and architecture are known, on Linux.
    #[must_use]
    pub fn new(id: ProcessId, arch: Arch) -> Self {
        Self {
            id,
            parent: None,
            arch,
            system: OperatingSystem::default(),
            exception: None,
            name: String::new(),
            executable: None,
            command_line: Vec::new(),
            working_directory: None,
            started: None,
            authentication_mask: None,
            kernel: KernelFacts::default(),
            files: FileAccess::default(),
        }
    }

    /// The bits in which pointer authentication keeps its code: those that the kernel tells, else the
    /// architecture's.
    #[must_use]
    pub fn authentication_mask(&self) -> u64 {
        self.authentication_mask.unwrap_or(self.arch.info().authentication_mask)
    }

    /// The address of code in a return address that is signed, or may be: see
    /// [`ArchInfo::code_address`](crate::ArchInfo::code_address).
    #[must_use]
    pub fn code_address(&self, word: u64) -> u64 {
        self.arch.info().authenticated_address(word, self.authentication_mask())
    }
}

/// The system that a process runs on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum OperatingSystem {
    /// Linux, with any C library but Android's.
    #[default]
    Linux,
    /// Android, which is Linux too.
    Android,
    /// Windows.
    Windows,
    /// macOS.
    MacOs,
    /// iOS.
    Ios,
    /// Another one.
    Other,
}

impl OperatingSystem {
    /// The word for it in output; part of the JSON schema.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Android => "android",
            Self::Windows => "windows",
            Self::MacOs => "macos",
            Self::Ios => "ios",
            Self::Other => "other",
        }
    }
}

/// How this host reaches the files of a process, which may live in another mount namespace, or have
/// no name any more.
#[derive(Clone, Debug, Default)]
pub struct FileAccess {
    /// The directory that is the process's root (`/proc/PID/root`, or a sysroot); `None` when the
    /// process sees the same files as we do.
    pub root: Option<PathBuf>,
    /// A directory with one entry per file mapping, named `START-END` (`/proc/PID/map_files`): opens the
    /// very file that is mapped, even when it has been deleted or replaced.
    pub by_mapping: Option<PathBuf>,
    /// The running executable itself (`/proc/PID/exe`), under whatever name.
    pub executable: Option<PathBuf>,
}

/// One process that stands still: stopped, frozen, or in a dump.
///
/// All of it is plain data but the memory, so that it can be read from several threads at once.
pub trait Process: Sync {
    /// What is known of it as a whole.
    fn info(&self) -> &ProcessInfo;

    /// Its threads; the first is the one that the process began with, where it still exists. In a dump it is the one that the
    /// dump was made for: that crashed.
    fn threads(&self) -> &[Thread];

    /// A thread's general registers at the moment that this view is of. `None` when it was not held
    /// still ([`Thread::not_stopped`] says why), or is not of this process.
    ///
    /// They can be incomplete: of a thread in state `D` only pc and sp are known.
    fn registers(&self, thread: ThreadId) -> Option<Registers>;

    /// The bytes of another set of a thread's registers, where they were asked for and are there.
    fn register_set(&self, _thread: ThreadId, _set: RegisterSet) -> Option<&[u8]> {
        None
    }

    /// Its memory.
    fn memory(&self) -> &dyn Memory;

    /// Its memory map at that moment.
    fn mappings(&self) -> &Mappings;

    /// The executable and the libraries that it has loaded.
    fn modules(&self) -> &Modules;
}

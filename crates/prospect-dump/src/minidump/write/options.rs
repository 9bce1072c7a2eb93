//! What a minidump is to have.

use std::{ops::Range, time::Instant};

use prospect_process::{Addr, RegisterSet, RegisterSets, Registers, SignalInfo, ThreadId};

use crate::{
    elf_core::Selection,
    minidump::{CrashpadInfo, kinds},
    redact::Redaction,
    writing::Progress,
};

/// How a minidump is written. Without a word: all threads with their registers and stacks, the code around each thread's
/// program counter, and all streams but the environment and the command line.
///
/// Where `minidump-writer` has the same option, it has the same name.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options<'a> {
    /// All memory of these kinds, as an ELF core would have it, besides stacks. See [`full`](Self::full()).
    pub full: Option<Selection>,
    /// What can be reached from registers and stacks in so many steps. See [`depth`](Self::depth()).
    pub depth: Option<u32>,
    /// The file is to be no longer, in bytes. See [`minidump_size_limit`](Self::minidump_size_limit()).
    pub minidump_size_limit: Option<u64>,
    /// At most so many bytes of stacks. See [`stack_bytes`](Self::stack_bytes()).
    pub stack_bytes: u64,
    /// Whether values are replaced. See [`sanitize_stack`](Self::sanitize_stack()).
    pub sanitize_stack: bool,
    /// Whether the environment is in it. See [`environment`](Self::environment()).
    pub environment: bool,
    /// Whether the command line is in it. See [`command_line`](Self::command_line()).
    pub command_line: bool,
    /// Whether only stacks are in it that refer to the principal mapping. See [`skip_stacks_if_mapping_unreferenced`](Self::skip_stacks_if_mapping_unreferenced()).
    pub skip_stacks_if_mapping_unreferenced: bool,
    /// An address in the module that matters. See [`principal_mapping_address`](Self::principal_mapping_address()).
    pub principal_mapping_address: Option<Addr>,
    /// The thread that it is made for. See [`blamed_thread`](Self::blamed_thread()).
    pub blamed_thread: Option<ThreadId>,
    /// What is known of a crash. See [`crash_context`](Self::crash_context()).
    pub crash_context: Option<&'a CrashContext>,
    /// Memory that is to be in it as it is. See [`app_memory`](Self::app_memory()).
    pub app_memory: &'a [Range<Addr>],
    /// Modules that the memory map does not show. See [`user_mapping_list`](Self::user_mapping_list()).
    pub user_mapping_list: &'a [UserMapping],
    /// The auxiliary vector, where the process does not have it. See [`auxiliary_vector`](Self::auxiliary_vector()).
    pub auxiliary_vector: Option<&'a [u8]>,
    /// Streams as they are. See [`streams`](Self::streams()).
    pub streams: &'a [UserStream],
    /// What Crashpad's stream has. See [`crashpad_info`](Self::crashpad_info()).
    pub crashpad_info: Option<&'a CrashpadInfo>,
    /// File descriptors. See [`handles`](Self::handles()).
    pub handles: &'a [OpenHandle],
    /// The system. See [`os_version`](Self::os_version()).
    pub os_version: &'a str,
    /// What is known to be missing already. See [`soft_errors`](Self::soft_errors()).
    pub soft_errors: &'a [SoftError],
    /// What of the memory is zeroed. See [`redaction`](Self::redaction()).
    pub redaction: Option<&'a Redaction>,
    /// Where to say how far it is. See [`progress`](Self::progress()).
    pub progress: Option<&'a Progress>,
    /// Until when the memory has to be read. See [`deadline`](Self::deadline()).
    pub deadline: Option<Instant>,
}

/// What is known of a crash by the one who reported it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CrashContext {
    /// The thread that crashed.
    pub thread: ThreadId,
    /// Its signal, where there was one: else the dump was asked for.
    pub signal: Option<SignalInfo>,
    /// Its registers when it crashed (`ucontext_t`). By now it is in its signal handler.
    pub registers: Option<Registers>,
    /// Its other registers then.
    pub register_sets: RegisterSets,
}

impl CrashContext {
    /// A crash of which only the thread is known.
    #[must_use]
    pub fn new(thread: ThreadId) -> Self {
        Self { thread, signal: None, registers: None, register_sets: Vec::new() }
    }

    /// The same with its signal.
    #[must_use]
    pub fn with_signal(mut self, signal: SignalInfo) -> Self {
        self.signal = Some(signal);
        self
    }

    /// The same with the registers that it had.
    #[must_use]
    pub fn with_registers(mut self, registers: Registers, sets: RegisterSets) -> Self {
        (self.registers, self.register_sets) = (Some(registers), sets);
        self
    }

    pub(super) fn set(&self, wanted: RegisterSet) -> Option<&[u8]> {
        self.register_sets.iter().find(|(set, _)| *set == wanted).map(|(_, bytes)| &**bytes)
    }
}

/// A stream as it is, by its number (`MINIDUMP_STREAM_TYPE`; numbers from `0x10000` on are free for all).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserStream {
    /// Its number.
    pub kind: u32,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// A file of `/proc`, or of the system, that has a stream of its own: what a stream's number is made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Text {
    /// `/proc/cpuinfo`.
    CpuInfo,
    /// `/proc/PID/status`.
    Status,
    /// `/etc/lsb-release`, or else `/etc/os-release`.
    Release,
    /// `/proc/PID/cmdline`.
    CommandLine,
    /// `/proc/PID/environ`.
    Environment,
    /// `/proc/PID/auxv`.
    AuxiliaryVector,
    /// `/proc/PID/maps`.
    Maps,
    /// `/proc/PID/limits`.
    Limits,
}

impl Text {
    /// What it is called in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CpuInfo => "/proc/cpuinfo",
            Self::Status => "status",
            Self::Release => "lsb-release",
            Self::CommandLine => "command line",
            Self::Environment => "environment",
            Self::AuxiliaryVector => "auxiliary vector",
            Self::Maps => "memory map",
            Self::Limits => "limits",
        }
    }

    /// The number of its stream.
    #[must_use]
    pub fn kind(self) -> u32 {
        match self {
            Self::CpuInfo => kinds::LINUX_CPU_INFO,
            Self::Status => kinds::LINUX_STATUS,
            Self::Release => kinds::LINUX_RELEASE,
            Self::CommandLine => kinds::LINUX_COMMAND_LINE,
            Self::Environment => kinds::LINUX_ENVIRONMENT,
            Self::AuxiliaryVector => kinds::LINUX_AUXV,
            Self::Maps => kinds::LINUX_MAPS,
            Self::Limits => kinds::LINUX_LIMITS,
        }
    }
}

/// A file descriptor of the process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenHandle {
    /// Its number.
    pub number: u64,
    /// What it is: `file`, `directory`, `socket`, `pipe` …
    pub kind: String,
    /// Where it leads to (`/proc/PID/fd/NUMBER`).
    pub name: String,
    /// Its kind and permissions as `stat` tells them (`st_mode`).
    pub attributes: u32,
}

/// Memory that is to be listed as a module, in the place of modules that it overlaps: code of a loader of one's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserMapping {
    /// Where it is.
    pub range: Range<Addr>,
    /// Its path.
    pub name: String,
    /// What its symbols are found by.
    pub build_id: Vec<u8>,
}

/// Something that a minidump does not have, and why. All of them are in a stream of their own, as JSON.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SoftError {
    /// A thread was not held still.
    #[error("thread {thread}: {why}")]
    ThreadNotStopped {
        /// Which.
        thread: ThreadId,
        /// Why.
        why: String,
    },
    /// Memory could not be read.
    #[error("{bytes} bytes of memory at {start} could not be read")]
    MemoryNotRead {
        /// From where on.
        start: Addr,
        /// How many.
        bytes: u64,
    },
    /// Stacks are in it that were cut.
    #[error("{count} stacks are cut: {bytes} bytes of them had no room")]
    StacksCut {
        /// How many.
        count: u64,
        /// How many bytes of them.
        bytes: u64,
    },
    /// No stacks are in it, since no mapping is at the address that they were to refer to.
    #[error("nothing is mapped at the principal address {0}")]
    PrincipalMappingNotFound(
        /// The address.
        Addr,
    ),
    /// The thread that crashed does not refer to the principal mapping.
    #[error("the crashing thread does not refer to the principal mapping")]
    PrincipalMappingNotReferenced,
    /// What was to have a stream of its own could not be had.
    #[error("{what}: {why}")]
    StreamFailed {
        /// What.
        what: String,
        /// Why.
        why: String,
    },
}

impl<'a> Options<'a> {
    /// What stacks get together where nothing else is said.
    pub const STACK_BYTES: u64 = 4 << 20;

    /// Registers and stacks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All memory of these kinds besides, as an ELF core would have it. The list of it is one of 64 bits: `Memory64List`.
    #[must_use]
    pub fn full(mut self, selection: Option<Selection>) -> Self {
        self.full = selection;
        self
    }

    /// Also what can be reached from registers and stacks in so many steps: see [`reach`](crate::reachable::reach).
    #[must_use]
    pub fn depth(mut self, depth: Option<u32>) -> Self {
        self.depth = depth;
        self
    }

    /// The file is to be no longer, in bytes. The thread that crashed keeps its stack for as long as any, then the others get less
    /// each, and what is reached in steps is left out. Lists of threads and modules are there in any case.
    #[must_use]
    pub fn minidump_size_limit(mut self, bytes: Option<u64>) -> Self {
        self.minidump_size_limit = bytes;
        self
    }

    /// At most so many bytes of stacks, over all threads. Where there is too little, the thread that crashed comes first, and a
    /// deep one gets what shallow ones leave.
    #[must_use]
    pub fn stack_bytes(mut self, bytes: u64) -> Self {
        self.stack_bytes = bytes;
        self
    }

    /// Whether words that are no addresses of mapped memory and no small numbers are replaced, on stacks and in registers
    /// ([`SANITIZED`](Self::SANITIZED)). Registers for floating point and vectors, which strings are copied by, are left out then.
    #[must_use]
    pub fn sanitize_stack(mut self, sanitize: bool) -> Self {
        self.sanitize_stack = sanitize;
        self
    }

    /// Whether the environment is in it: its stream, and the strings above the first thread's stack.
    #[must_use]
    pub fn environment(mut self, there: bool) -> Self {
        self.environment = there;
        self
    }

    /// Whether the command line has its stream.
    #[must_use]
    pub fn command_line(mut self, there: bool) -> Self {
        self.command_line = there;
        self
    }

    /// Whether only stacks are in it that refer to the module or mapping at
    /// [`principal_mapping_address`](Self::principal_mapping_address).
    #[must_use]
    pub fn skip_stacks_if_mapping_unreferenced(mut self, skip: bool) -> Self {
        self.skip_stacks_if_mapping_unreferenced = skip;
        self
    }

    /// An address in the module that matters.
    #[must_use]
    pub fn principal_mapping_address(mut self, address: Option<Addr>) -> Self {
        self.principal_mapping_address = address;
        self
    }

    /// The thread that the dump is made for, where none crashed. Without it, the first one.
    #[must_use]
    pub fn blamed_thread(mut self, thread: Option<ThreadId>) -> Self {
        self.blamed_thread = thread;
        self
    }

    /// What is known of a crash.
    #[must_use]
    pub fn crash_context(mut self, context: Option<&'a CrashContext>) -> Self {
        self.crash_context = context;
        self
    }

    /// Memory that is to be in it as it is, whatever else is said.
    #[must_use]
    pub fn app_memory(mut self, ranges: &'a [Range<Addr>]) -> Self {
        self.app_memory = ranges;
        self
    }

    /// Modules that the memory map does not show as such.
    #[must_use]
    pub fn user_mapping_list(mut self, mappings: &'a [UserMapping]) -> Self {
        self.user_mapping_list = mappings;
        self
    }

    /// The auxiliary vector, where the process does not have it: `direct_auxv_dump_info` of `minidump-writer`.
    #[must_use]
    pub fn auxiliary_vector(mut self, bytes: Option<&'a [u8]>) -> Self {
        self.auxiliary_vector = bytes;
        self
    }

    /// Streams as they are: [texts](Text) of the process, and one's own. Maps, auxiliary vector and command line that are not
    /// given are made from what the process knows.
    #[must_use]
    pub fn streams(mut self, streams: &'a [UserStream]) -> Self {
        self.streams = streams;
        self
    }

    /// Numbers of the report, and annotations: Crashpad's stream, which readers of crash reports know.
    #[must_use]
    pub fn crashpad_info(mut self, info: Option<&'a CrashpadInfo>) -> Self {
        self.crashpad_info = info;
        self
    }

    /// Its file descriptors.
    #[must_use]
    pub fn handles(mut self, handles: &'a [OpenHandle]) -> Self {
        self.handles = handles;
        self
    }

    /// The system, as `uname -srvm` says it: `Linux 6.1.0 #1 SMP … x86_64`.
    #[must_use]
    pub fn os_version(mut self, text: &'a str) -> Self {
        self.os_version = text;
        self
    }

    /// What is known to be missing already.
    #[must_use]
    pub fn soft_errors(mut self, errors: &'a [SoftError]) -> Self {
        self.soft_errors = errors;
        self
    }

    /// What of the memory is zeroed before it is written.
    #[must_use]
    pub fn redaction(mut self, redaction: Option<&'a Redaction>) -> Self {
        self.redaction = redaction;
        self
    }

    /// Where to say how far it is, and to be told to end.
    #[must_use]
    pub fn progress(mut self, progress: &'a Progress) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Until when the memory has to be read. What takes longer is given up.
    #[must_use]
    pub fn deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// Whether more than registers and stacks is wanted, so that the process has to stand still, or to be copied, for longer than
    /// it takes to copy these.
    #[must_use]
    pub fn wants_memory(&self) -> bool {
        self.full.is_some() || self.depth.is_some()
    }

    /// Whether it has no registers for floating point and vectors: what is to be hidden is copied by them.
    #[must_use]
    pub fn hides_values(&self) -> bool {
        self.sanitize_stack || self.redaction.is_some()
    }
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            full: None,
            depth: None,
            minidump_size_limit: None,
            stack_bytes: Self::STACK_BYTES,
            sanitize_stack: false,
            environment: false,
            command_line: false,
            skip_stacks_if_mapping_unreferenced: false,
            principal_mapping_address: None,
            blamed_thread: None,
            crash_context: None,
            app_memory: &[],
            user_mapping_list: &[],
            auxiliary_vector: None,
            streams: &[],
            crashpad_info: None,
            handles: &[],
            os_version: "",
            soft_errors: &[],
            redaction: None,
            progress: None,
            deadline: None,
        }
    }
}

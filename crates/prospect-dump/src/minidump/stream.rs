//! The streams of a minidump, by their numbers.

/// A stream: an entry of the directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MinidumpStream {
    /// What it is: see [`kinds`].
    pub kind: u32,
    /// Where it begins in the file. In one that is stored compressed: in the unpacked one.
    pub offset: u64,
    /// How many bytes it is to have.
    pub bytes: u64,
}

impl MinidumpStream {
    /// The name of its kind, where it is known.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        name(self.kind)
    }
}

/// Makes a constant of each kind, and the table of their names.
macro_rules! kinds {
    ($($(#[$doc:meta])* $constant:ident = $number:literal $name:literal,)*) => {
        /// The numbers of streams: Microsoft's (`MINIDUMP_STREAM_TYPE`), Crashpad's, Breakpad's, Mozilla's.
        pub mod kinds {
            $($(#[$doc])* pub const $constant: u32 = $number;)*
        }

        /// The name of a kind, where it is known.
        pub(super) fn name(kind: u32) -> Option<&'static str> {
            match kind {
                $($number => Some($name),)*
                _ => None,
            }
        }
    };
}

kinds! {
    /// An entry of the directory that is not used.
    UNUSED = 0 "Unused",
    /// The threads.
    THREADS = 3 "ThreadList",
    /// The modules.
    MODULES = 4 "ModuleList",
    /// Memory, and where it is in the file.
    MEMORY = 5 "MemoryList",
    /// What happened.
    EXCEPTION = 6 "Exception",
    /// The machine and its system.
    SYSTEM = 7 "SystemInfo",
    /// The threads, of machines with a second stack.
    THREADS_EX = 8 "ThreadExList",
    /// All memory, one range behind the other.
    MEMORY_64 = 9 "Memory64List",
    /// A comment.
    COMMENT = 10 "CommentA",
    /// A comment, in UTF-16.
    COMMENT_WIDE = 11 "CommentW",
    /// The handles that are open.
    HANDLES = 12 "HandleData",
    /// Unwind information of code that was made at run time.
    FUNCTION_TABLE = 13 "FunctionTable",
    /// Modules that were there before.
    UNLOADED_MODULES = 14 "UnloadedModuleList",
    /// The process and its times.
    MISC = 15 "MiscInfo",
    /// The memory map.
    MEMORY_INFO = 16 "MemoryInfoList",
    /// When threads started, and what they used.
    THREAD_INFO = 17 "ThreadInfoList",
    /// What was done with handles.
    HANDLE_OPERATIONS = 18 "HandleOperationList",
    /// Security tokens.
    TOKEN = 19 "Token",
    /// Of JavaScript.
    JAVASCRIPT = 20 "JavaScriptData",
    /// The memory of the machine.
    SYSTEM_MEMORY = 21 "SystemMemoryInfo",
    /// The memory of the process.
    PROCESS_COUNTERS = 22 "ProcessVmCounters",
    /// Traces of the processor.
    TRACE = 23 "IptTrace",
    /// The names of the threads.
    THREAD_NAMES = 24 "ThreadNames",
    /// Crashpad: annotations.
    CRASHPAD = 0x4350_0001 "CrashpadInfo",
    /// Breakpad: which thread asked for the dump, and which one wrote it.
    BREAKPAD = 0x4767_0001 "BreakpadInfo",
    /// Breakpad: an assertion that failed.
    ASSERTION = 0x4767_0002 "AssertionInfo",
    /// `/proc/cpuinfo`.
    LINUX_CPU_INFO = 0x4767_0003 "LinuxCpuInfo",
    /// `/proc/PID/status`.
    LINUX_STATUS = 0x4767_0004 "LinuxProcStatus",
    /// `/etc/lsb-release`.
    LINUX_RELEASE = 0x4767_0005 "LinuxLsbRelease",
    /// `/proc/PID/cmdline`.
    LINUX_COMMAND_LINE = 0x4767_0006 "LinuxCmdLine",
    /// `/proc/PID/environ`.
    LINUX_ENVIRONMENT = 0x4767_0007 "LinuxEnviron",
    /// `/proc/PID/auxv`.
    LINUX_AUXV = 0x4767_0008 "LinuxAuxv",
    /// `/proc/PID/maps`.
    LINUX_MAPS = 0x4767_0009 "LinuxMaps",
    /// What the dynamic linker tells debuggers.
    LINUX_DSO = 0x4767_000a "LinuxDsoDebug",
    /// macOS: what libraries said before they ended the process.
    MAC_CRASH_INFO = 0x4d7a_0001 "MacosCrashInfo",
    /// macOS: the arguments of the kernel.
    MAC_BOOT_ARGUMENTS = 0x4d7a_0002 "MacosBootargs",
    /// `/proc/PID/limits`.
    LINUX_LIMITS = 0x4d7a_0003 "LinuxLimits",
    /// What the writer could not do, as JSON.
    SOFT_ERRORS = 0x4d7a_0004 "SoftErrors",
}

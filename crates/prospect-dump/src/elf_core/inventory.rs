//! What is in the file of a core: its notes and its segments, one by one, as they stand there.

use std::ops::Range;

use prospect_process::{
    Addr, Arch, Permissions, ProcessId, RegisterSet, Registers, SignalInfo, ThreadId, auxv::Auxv,
};

use super::{
    DumpNote, delve,
    dump_note::{NT_DUMP, PROSPECT},
    header::{self, Note, Segment},
    layout::{
        CORE, LINUX, MappedFiles, NT_AUXV, NT_EXTENDED_LAYOUT, NT_FILE, NT_PRPSINFO, NT_PRSTATUS, NT_SIGINFO,
        ProcessStatus, ThreadStatus,
    },
};

/// A note of a core.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CoreNote<'a> {
    /// Who defines what its type means: `CORE`, `LINUX`; delve gives none.
    pub owner: &'a [u8],
    /// Its type.
    pub kind: u32,
    /// What it has, as many bytes as are there.
    pub bytes: &'a [u8],
    /// The thread whose notes it stands among. Those of the process stand among those of the first one.
    pub thread: Option<ThreadId>,
    /// What it says.
    pub content: NoteContent,
}

/// What a note says.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum NoteContent {
    /// `NT_PRSTATUS`, or delve's of a thread: it begins the notes of the thread.
    Thread {
        /// Its number.
        id: ThreadId,
        /// The signal that it was stopped by, or 0.
        signal: u16,
        /// Where it runs.
        pc: Option<Addr>,
    },
    /// `NT_PRPSINFO`.
    Process {
        /// Its number.
        id: ProcessId,
        /// Its name.
        name: Vec<u8>,
        /// The beginning of its arguments.
        arguments: Vec<u8>,
    },
    /// `NT_AUXV`.
    AuxiliaryVector(Auxv),
    /// `NT_FILE`.
    Files {
        /// How many ranges of files it has.
        ranges: usize,
        /// Of how many files.
        files: usize,
    },
    /// `NT_SIGINFO`.
    Signal(SignalInfo),
    /// Registers that are understood.
    Registers(RegisterSet),
    /// How the core was made.
    Dump(DumpNote),
    /// delve's of the process.
    Delve {
        /// Its number.
        process: Option<ProcessId>,
        /// Where it began to run.
        entry: Option<Addr>,
    },
    /// It is not known what it means.
    Unknown,
    /// It makes no sense.
    Bad,
}

impl CoreNote<'_> {
    /// The name of its type in `<elf.h>`, where it has one.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        if self.owner == PROSPECT {
            return (self.kind == NT_DUMP).then_some("PROSPECT");
        }
        if matches!(self.kind, delve::HEADER | delve::THREAD) {
            return Some(if self.kind == delve::HEADER { "DELVE_HEADER" } else { "DELVE_THREAD" });
        }
        let is_known = matches!(self.owner, CORE | LINUX | b"");
        NAMES.iter().find(|(kind, _)| is_known && *kind == self.kind).map(|(_, name)| *name)
    }
}

/// `include/uapi/linux/elf.h`.
const NAMES: &[(u32, &str)] = &[
    (NT_PRSTATUS, "NT_PRSTATUS"),
    (2, "NT_PRFPREG"),
    (NT_PRPSINFO, "NT_PRPSINFO"),
    (4, "NT_TASKSTRUCT"),
    (NT_AUXV, "NT_AUXV"),
    (NT_SIGINFO, "NT_SIGINFO"),
    (NT_FILE, "NT_FILE"),
    (0x46e6_2b7f, "NT_PRXFPREG"),
    (0x100, "NT_PPC_VMX"),
    (0x101, "NT_PPC_SPE"),
    (0x102, "NT_PPC_VSX"),
    (0x103, "NT_PPC_TAR"),
    (0x104, "NT_PPC_PPR"),
    (0x105, "NT_PPC_DSCR"),
    (0x106, "NT_PPC_EBB"),
    (0x107, "NT_PPC_PMU"),
    (0x108, "NT_PPC_TM_CGPR"),
    (0x109, "NT_PPC_TM_CFPR"),
    (0x10a, "NT_PPC_TM_CVMX"),
    (0x10b, "NT_PPC_TM_CVSX"),
    (0x10c, "NT_PPC_TM_SPR"),
    (0x10d, "NT_PPC_TM_CTAR"),
    (0x10e, "NT_PPC_TM_CPPR"),
    (0x10f, "NT_PPC_TM_CDSCR"),
    (0x110, "NT_PPC_PKEY"),
    (0x200, "NT_386_TLS"),
    (0x201, "NT_386_IOPERM"),
    (0x202, "NT_X86_XSTATE"),
    (0x204, "NT_X86_SHSTK"),
    (NT_EXTENDED_LAYOUT, "NT_X86_XSAVE_LAYOUT"),
    (0x300, "NT_S390_HIGH_GPRS"),
    (0x301, "NT_S390_TIMER"),
    (0x302, "NT_S390_TODCMP"),
    (0x303, "NT_S390_TODPREG"),
    (0x304, "NT_S390_CTRS"),
    (0x305, "NT_S390_PREFIX"),
    (0x306, "NT_S390_LAST_BREAK"),
    (0x307, "NT_S390_SYSTEM_CALL"),
    (0x308, "NT_S390_TDB"),
    (0x309, "NT_S390_VXRS_LOW"),
    (0x30a, "NT_S390_VXRS_HIGH"),
    (0x30b, "NT_S390_GS_CB"),
    (0x30c, "NT_S390_GS_BC"),
    (0x30d, "NT_S390_RI_CB"),
    (0x30e, "NT_S390_PV_CPU_DATA"),
    (0x400, "NT_ARM_VFP"),
    (0x401, "NT_ARM_TLS"),
    (0x402, "NT_ARM_HW_BREAK"),
    (0x403, "NT_ARM_HW_WATCH"),
    (0x404, "NT_ARM_SYSTEM_CALL"),
    (0x405, "NT_ARM_SVE"),
    (0x406, "NT_ARM_PAC_MASK"),
    (0x407, "NT_ARM_PACA_KEYS"),
    (0x408, "NT_ARM_PACG_KEYS"),
    (0x409, "NT_ARM_TAGGED_ADDR_CTRL"),
    (0x40a, "NT_ARM_PAC_ENABLED_KEYS"),
    (0x40b, "NT_ARM_SSVE"),
    (0x40c, "NT_ARM_ZA"),
    (0x40d, "NT_ARM_ZT"),
    (0x40e, "NT_ARM_FPMR"),
    (0x40f, "NT_ARM_POE"),
    (0x410, "NT_ARM_GCS"),
    (0x900, "NT_RISCV_CSR"),
    (0x901, "NT_RISCV_VECTOR"),
    (0x902, "NT_RISCV_TAGGED_ADDR_CTRL"),
];

/// A segment of a core: a range of memory, and how much of it is in the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CoreSegment {
    /// The addresses.
    pub range: Range<Addr>,
    /// What the process could do there.
    pub permissions: Permissions,
    /// Where its bytes begin in the file. In one that is stored compressed: in the unpacked one.
    pub offset: u64,
    /// How many bytes of the range were dumped, from its start on; what follows was left out.
    pub dumped: u64,
    /// How many of them the file has: fewer where it is truncated.
    pub present: u64,
}

impl CoreSegment {
    /// How many bytes of the range were left out of the dump.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        (self.range.end.0 - self.range.start.0).saturating_sub(self.dumped)
    }

    /// How many bytes should be there, and are not.
    #[must_use]
    pub fn truncated(&self) -> u64 {
        self.dumped.saturating_sub(self.present)
    }
}

impl From<&Segment> for CoreSegment {
    fn from(segment: &Segment) -> Self {
        let Segment { range, permissions, offset, dumped, present } = segment.clone();
        Self { range, permissions, offset, dumped, present }
    }
}

/// The notes in `bytes`, in their order.
pub(super) fn notes(arch: Arch, bytes: &[u8]) -> impl Iterator<Item = CoreNote<'_>> {
    header::notes(arch.info(), bytes).scan(None, move |thread, note| {
        let content = content(arch, &note).unwrap_or(NoteContent::Bad);
        match content {
            NoteContent::Thread { id, .. } => *thread = Some(id),
            // Ours is of no thread; neither is what the kernel says of all of them.
            NoteContent::Dump(_) => *thread = None,
            _ if note.name == LINUX && note.kind == NT_EXTENDED_LAYOUT => *thread = None,
            _ => {}
        }
        Some(CoreNote { owner: note.name, kind: note.kind, bytes: note.contents, thread: *thread, content })
    })
}

/// `None` when it makes no sense.
fn content(arch: Arch, note: &Note<'_>) -> Option<NoteContent> {
    let (info, bytes) = (arch.info(), note.contents);
    // delve gives its notes no name.
    let is_core = note.name == CORE || note.name.is_empty();
    Some(match note.kind {
        NT_DUMP if note.name == PROSPECT => NoteContent::Dump(DumpNote::parse(bytes)?),
        NT_PRSTATUS if is_core => {
            let status = ThreadStatus::decode(info, bytes)?;
            let pc = Registers::from_regset(arch, &status.registers).pc();
            NoteContent::Thread { id: ThreadId(status.ids[0]), signal: status.current, pc }
        }
        NT_PRPSINFO if is_core => {
            let ProcessStatus { ids, name, arguments, .. } = ProcessStatus::decode(arch, bytes)?;
            NoteContent::Process { id: ProcessId(ids[0]), name, arguments }
        }
        NT_AUXV if is_core => {
            NoteContent::AuxiliaryVector(Auxv::parse(bytes, info.word_bytes, info.big_endian))
        }
        NT_FILE if is_core => {
            let files = MappedFiles::decode(info, bytes)?.files;
            let mut paths: Vec<&[u8]> = files.iter().map(|file| &*file.path).collect();
            paths.sort_unstable();
            paths.dedup();
            NoteContent::Files { ranges: files.len(), files: paths.len() }
        }
        NT_SIGINFO if is_core => NoteContent::Signal(SignalInfo::decode(arch, bytes)?),
        delve::HEADER => {
            let header = delve::Header::decode(bytes)?;
            NoteContent::Delve { process: header.process.map(ProcessId), entry: header.entry }
        }
        delve::THREAD => {
            let (thread, registers) = delve::thread(arch, bytes)?;
            NoteContent::Thread { id: thread.id, signal: 0, pc: registers.pc() }
        }
        kind if (is_core || note.name == LINUX) && info.other_sets.contains(&RegisterSet(kind)) => {
            NoteContent::Registers(RegisterSet(kind))
        }
        _ => NoteContent::Unknown,
    })
}

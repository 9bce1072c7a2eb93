//! What the notes of a core say, note by note.

use std::{collections::HashSet, ops::Range, time::Duration};

use prospect_process::{
    Addr, Arch, NoRegisters, ProcessId, ProcessInfo, RegisterSet, Registers, Signals, Thread, ThreadId,
    ThreadState,
    auxv::{self, Auxv},
};

use super::{
    CoreNotice, delve,
    header::{self, Note},
    layout::{
        CORE, LINUX, MappedFiles, NT_AUXV, NT_EXTENDED_LAYOUT, NT_FILE, NT_PRPSINFO, NT_PRSTATUS, NT_SIGINFO,
        ProcessStatus, SIGINFO_BYTES, ThreadStatus,
    },
};

/// All that the notes say.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) threads: Vec<CoreThread>,
    pub(crate) process: Option<ProcessStatus>,
    pub(crate) auxiliary_vector: Vec<u8>,
    /// `NT_X86_XSAVE_LAYOUT`.
    pub(crate) extended_layout: Vec<u8>,
    /// `None` when there is no such note.
    pub(crate) files: Option<MappedFiles>,
    /// What delve says of the process as a whole.
    pub(crate) delve: Option<delve::Header>,
}

/// What they say of a thread.
#[derive(Debug)]
pub(crate) struct CoreThread {
    pub(crate) thread: Thread,
    pub(crate) registers: Option<Registers>,
    /// Number of the set, and where its bytes are among those of the notes.
    pub(crate) register_sets: Vec<(RegisterSet, Range<usize>)>,
    /// Its parent, its process group, its session, as its own note says.
    pub(crate) ids: [u32; 4],
}

impl Facts {
    /// Reads the notes in `bytes`. What makes no sense is noted and left out.
    pub(crate) fn read(arch: Arch, bytes: &[u8], notices: &mut Vec<CoreNotice>) -> Self {
        let mut facts = Self::default();
        let mut reader = Reader { arch, known: HashSet::new(), skips_thread: false, notices };
        for note in header::notes(arch.info(), bytes) {
            let thread = facts.threads.last().map(|one| one.thread.id);
            if reader.note(&mut facts, &note).is_none() {
                reader.notices.push(CoreNotice::BadNote { kind: note.kind, thread });
            }
        }
        facts
    }
}

struct Reader<'a> {
    arch: Arch,
    known: HashSet<ThreadId>,
    /// Whether the notes that follow are of a thread that is left out.
    skips_thread: bool,
    notices: &'a mut Vec<CoreNotice>,
}

impl Reader<'_> {
    /// `None` when the note makes no sense. Notes that are not known are passed over.
    fn note(&mut self, facts: &mut Facts, note: &Note<'_>) -> Option<()> {
        // delve gives its notes no name.
        let (info, is_core) = (self.arch.info(), note.name == CORE || note.name.is_empty());
        match note.kind {
            NT_PRSTATUS if is_core => {
                let Some(status) = ThreadStatus::decode(info, note.contents) else {
                    // What follows is of no thread before.
                    self.skips_thread = true;
                    return None;
                };
                self.add(facts, thread(self.arch, status));
            }
            NT_PRPSINFO if is_core => facts.process = Some(ProcessStatus::decode(self.arch, note.contents)?),
            NT_AUXV if is_core => facts.auxiliary_vector = note.contents.to_vec(),
            NT_FILE if is_core => {
                let files = MappedFiles::decode(info, note.contents)?;
                let is_whole = files.count == files.files.len() as u64;
                facts.files = Some(files);
                return is_whole.then_some(());
            }
            NT_SIGINFO if is_core => {
                if let Some(thread) = facts.threads.last_mut().filter(|_| !self.skips_thread) {
                    let bytes = note.contents.get(..note.contents.len().min(SIGINFO_BYTES))?;
                    thread.thread.signals.info = Some(bytes.into());
                }
            }
            NT_EXTENDED_LAYOUT if note.name == LINUX => facts.extended_layout = note.contents.to_vec(),
            delve::HEADER => facts.delve = Some(delve::Header::decode(note.contents)?),
            delve::THREAD => {
                let (thread, registers) = delve::thread(self.arch, note.contents)?;
                let registers = Some(registers);
                self.add(facts, CoreThread { thread, registers, register_sets: Vec::new(), ids: [0; 4] });
            }
            kind if is_core || note.name == LINUX => {
                let set = RegisterSet(kind);
                let thread = facts.threads.last_mut().filter(|_| !self.skips_thread);
                if let Some(thread) = thread.filter(|_| info.other_sets.contains(&set)) {
                    thread.register_sets.push((set, note.at..note.at + note.contents.len()));
                }
            }
            _ => {}
        }
        Some(())
    }

    fn add(&mut self, facts: &mut Facts, thread: CoreThread) {
        self.skips_thread = !self.known.insert(thread.thread.id);
        if self.skips_thread {
            self.notices.push(CoreNotice::DuplicateThread(thread.thread.id));
        } else {
            facts.threads.push(thread);
        }
    }
}

fn thread(arch: Arch, status: ThreadStatus) -> CoreThread {
    let registers = Registers::from_regset(arch, &status.registers);
    let is_known = registers.pc().is_some() && registers.sp().is_some();
    let [user, kernel, ..] = status.times;
    let mut thread = Thread::new(ThreadId(status.ids[0]));
    thread.cpu_time = Some(user.saturating_add(kernel)).filter(|time| *time > Duration::ZERO);
    thread.signals = Signals {
        current: status.current as u8,
        pending: status.pending,
        blocked: status.blocked,
        info: None,
    };
    thread.not_stopped = (!is_known).then_some(NoRegisters::NotInDump);
    CoreThread {
        thread,
        registers: (registers.known().next().is_some()).then_some(registers),
        register_sets: Vec::new(),
        ids: status.ids,
    }
}

/// Words of the process as a whole.
impl Facts {
    /// What is known of the process.
    pub(crate) fn info(&self, arch: Arch) -> ProcessInfo {
        let mut info = ProcessInfo::new(self.process_id(), arch);
        let [parent, process_group, session] = self.relatives();
        info.parent = parent;
        (info.kernel.process_group, info.kernel.session) = (process_group, session);
        if let Some(process) = &self.process {
            info.name = String::from_utf8_lossy(&process.name).into_owned();
            let words = process.arguments.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
            info.command_line = words.map(<[u8]>::to_vec).collect();
            info.kernel.state = ThreadState::from_code(process.state);
            info.kernel.user_and_group = Some(process.user_and_group);
            (info.kernel.nice, info.kernel.flags) = (process.nice, process.flags);
        }
        info.kernel.auxiliary_vector.clone_from(&self.auxiliary_vector);
        info.kernel.extended_layout.clone_from(&self.extended_layout);
        info
    }

    /// The auxiliary vector, read.
    pub(crate) fn vector(&self, arch: Arch) -> Auxv {
        Auxv::parse(&self.auxiliary_vector, arch.info().word_bytes, arch.info().big_endian)
    }

    /// Where the program begins to run, where that is known.
    pub(crate) fn entry(&self, arch: Arch) -> Option<Addr> {
        let of_delve = self.delve.as_ref().and_then(|header| header.entry);
        self.vector(arch).get(auxv::ENTRY).map(Addr).or(of_delve)
    }

    /// Its number: that of the first thread where no note says it.
    fn process_id(&self) -> ProcessId {
        let of_process = self.process.as_ref().map(|process| process.ids[0]);
        let of_delve = self.delve.as_ref().and_then(|header| header.process);
        let of_thread = self.threads.first().map(|thread| thread.thread.id.0);
        ProcessId(of_process.filter(|id| *id > 0).or(of_delve).or(of_thread).unwrap_or(0))
    }

    /// Parent, process group and session.
    fn relatives(&self) -> [Option<ProcessId>; 3] {
        let of_process = self.process.as_ref().map(|process| process.ids);
        let ids = of_process.or(self.threads.first().map(|thread| thread.ids)).unwrap_or_default();
        [ids[1], ids[2], ids[3]].map(|id| (id > 0).then_some(ProcessId(id)))
    }
}

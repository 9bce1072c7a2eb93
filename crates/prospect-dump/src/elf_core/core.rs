//! A core as a process.

use std::{
    collections::HashMap,
    fs::File,
    ops::Range,
    path::Path,
    sync::{Arc, OnceLock},
};

use prospect_process::{
    Addr, Exception, Mappings, Memory, Modules, Process, ProcessId, ProcessInfo, RegisterSet, Registers,
    SignalInfo, Target, TargetError, Thread, ThreadId, auxv,
};

use super::{
    CoreError, CoreMemory, CoreNote, CoreNotice, CoreSegment, CoreSegments, DumpNote, NoteContent,
    file::CoreFile,
    header::Headers,
    inventory,
    layout::MappedFile,
    link_map,
    mappings::{self, Landmarks},
    notes::{CoreThread, Facts},
};

/// More bytes of notes than processes have: 20,000 threads with the largest register sets.
pub(super) const MOST_NOTE_BYTES: u64 = 256 << 20;

/// A process in an ELF core.
#[derive(Debug)]
pub struct ElfCore {
    info: ProcessInfo,
    threads: Vec<Thread>,
    registers: HashMap<ThreadId, Registers>,
    /// Where each is in `notes`.
    register_sets: HashMap<(ThreadId, RegisterSet), Range<usize>>,
    notes: Vec<u8>,
    memory: CoreMemory,
    mappings: Mappings,
    modules: OnceLock<Modules>,
    notices: Vec<CoreNotice>,
    entry: Option<Addr>,
    processes: [ProcessId; 1],
}

impl ElfCore {
    /// Opens a core.
    ///
    /// # Errors
    /// When it is no core of a machine that is known, or cannot be read.
    pub fn open(path: &Path) -> Result<Self, CoreError> {
        Self::read(CoreFile::open(path)?)
    }

    /// Whether a file begins as a core does. Whether it can be read is another question.
    #[must_use]
    pub fn is_core(file: &File) -> bool {
        let mut start = [0; 18];
        let read = std::os::unix::fs::FileExt::read_at(file, &mut start, 0);
        let is_elf = matches!(read, Ok(18)) && start.starts_with(b"\x7fELF");
        is_elf && start[16..] == (if start[5] == 2 { [0, 4] } else { [4, 0] })
    }

    /// The core in a file that is open.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn from_file(file: File) -> Result<Self, CoreError> {
        Self::read(CoreFile::new(file)?)
    }

    /// The core in these bytes.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, CoreError> {
        Self::read(CoreFile::Bytes(bytes))
    }

    pub(super) fn read(file: CoreFile) -> Result<Self, CoreError> {
        let mut notices = Vec::new();
        let headers = Headers::read(&file, &mut notices)?;
        if file.length() < headers.expected_length {
            notices.insert(
                0,
                CoreNotice::Truncated { length: file.length(), expected: headers.expected_length },
            );
        }
        let (notes, are_cut) = read_notes(&file, &headers, &mut notices)?;
        let arch = headers.arch;
        let facts = Facts::read(arch, &notes, &mut notices);
        if are_cut {
            notices.push(CoreNotice::MissingNotes { threads: facts.threads.len() });
        } else if facts.threads.is_empty() {
            notices.push(CoreNotice::NoThreads);
        }
        let segments = Arc::new(CoreSegments::new(file, headers.segments));
        missing_memory(&segments, &facts.threads, &mut notices);
        let (vector, entry) = (facts.vector(arch), facts.entry(arch));
        let of_memory;
        let files: &[MappedFile] = match &facts.files {
            Some(files) => &files.files,
            None => {
                notices.push(CoreNotice::NoFileNote);
                of_memory = link_map::files(arch, &vector, entry, &*segments, segments.segments());
                &of_memory
            }
        };
        let landmark = |kind: u64| vector.get(kind).map(Addr);
        let landmarks = Landmarks { vdso: landmark(auxv::VDSO), stack: landmark(auxv::RANDOM) };
        let mappings = mappings::mappings(segments.segments(), files, landmarks);
        let mut in_program = landmark(auxv::PROGRAM_HEADERS).into_iter().chain(entry);
        let mut info = facts.info(arch);
        info.executable = in_program
            .find_map(|at| mappings.at(at).filter(|mapping| mapping.file.is_some()))
            .map(|mapping| mapping.name.clone());
        let (mut threads, mut registers, mut register_sets) = (Vec::new(), HashMap::new(), HashMap::new());
        for CoreThread { thread, registers: general, register_sets: sets, .. } in facts.threads {
            registers.extend(general.map(|general| (thread.id, general)));
            register_sets.extend(sets.into_iter().map(|(set, range)| ((thread.id, set), range)));
            threads.push(thread);
        }
        let mut core = Self {
            processes: [info.id],
            info,
            threads,
            registers,
            register_sets,
            notes,
            memory: CoreMemory::new(segments),
            mappings,
            modules: OnceLock::new(),
            notices,
            entry,
        };
        core.info.authentication_mask = core.authentication_mask();
        core.info.exception = core.signal().map(|(thread, signal)| Exception::of_signal(thread, &signal));
        Ok(core)
    }

    /// The bits of a return address that are its code of authentication: the second of the two words of the note.
    fn authentication_mask(&self) -> Option<u64> {
        let set = |thread: &Thread| self.register_set(thread.id, RegisterSet::ARM_PAC_MASK);
        let masks = self.threads.iter().find_map(set)?;
        self.info.arch.info().unsigned(masks.get(8..16)?)
    }

    /// What is not as it should be with this core.
    #[must_use]
    pub fn notices(&self) -> &[CoreNotice] {
        &self.notices
    }

    /// The thread that the core was written for, and the signal that it died of, or was stopped by. `None` where
    /// there was no signal.
    #[must_use]
    pub fn signal(&self) -> Option<(ThreadId, SignalInfo)> {
        // It comes first; in cores of the kernel, all others have the same number.
        let first = self.threads.first()?;
        Some((first.id, first.signals.decoded(self.info.arch)?))
    }

    /// The memory that the core itself has.
    #[must_use]
    pub fn segments(&self) -> &Arc<CoreSegments> {
        self.memory.segments()
    }

    /// Its notes, in the order of the file.
    pub fn notes(&self) -> impl Iterator<Item = CoreNote<'_>> {
        inventory::notes(self.info.arch, &self.notes)
    }

    /// How it was made, where it is one of ours.
    #[must_use]
    pub fn dump_note(&self) -> Option<DumpNote> {
        self.notes().find_map(|note| match note.content {
            NoteContent::Dump(note) => Some(note),
            _ => None,
        })
    }

    /// Its segments by address, without overlap.
    pub fn list_segments(&self) -> impl Iterator<Item = CoreSegment> {
        self.segments().segments().iter().map(CoreSegment::from)
    }

    /// How long its file is, unpacked.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.segments().file_bytes()
    }

    /// Reads what was left out of the dump from `files`: the files that were mapped. It says itself
    /// ([`Memory::contents`]) where it has something. What a truncated core should have is not read from it.
    #[must_use]
    pub fn over(mut self, files: Box<dyn Memory + Send>) -> Self {
        self.memory.over(files);
        self
    }

    /// The same process with these modules, instead of those that its memory shows.
    #[must_use]
    pub fn with_modules(mut self, modules: Modules) -> Self {
        self.modules = OnceLock::from(modules);
        self
    }

    /// Where the program begins to run, as far as it is known.
    #[must_use]
    pub fn entry(&self) -> Option<Addr> {
        self.entry
    }

    /// The same, with one more notice.
    #[must_use]
    pub fn with_notice(mut self, notice: CoreNotice) -> Self {
        self.notices.push(notice);
        self
    }
}

/// The notes, one after the other, and whether the file ends within them.
fn read_notes(
    file: &CoreFile,
    headers: &Headers,
    notices: &mut Vec<CoreNotice>,
) -> Result<(Vec<u8>, bool), CoreError> {
    let (mut notes, mut are_cut) = (Vec::new(), false);
    for (index, range) in headers.notes.iter().enumerate() {
        let length = range.end - range.start;
        let room = MOST_NOTE_BYTES - notes.len() as u64;
        let bytes = file.read(range.start, length.min(room))?;
        match (bytes.len() as u64) < length.min(room) {
            true if index > 0 => notices.push(CoreNotice::MissingLaterNotes),
            is_cut => are_cut |= is_cut,
        }
        // Each begins at a multiple of four.
        notes.resize(notes.len().next_multiple_of(4), 0);
        notes.extend(bytes);
        if length > room {
            notices.push(CoreNotice::TooManyNotes { bytes: MOST_NOTE_BYTES });
            break;
        }
    }
    Ok((notes, are_cut))
}

fn missing_memory(segments: &CoreSegments, threads: &[CoreThread], notices: &mut Vec<CoreNotice>) {
    let cut = || segments.segments().iter().filter(|segment| segment.present < segment.dumped);
    let Some(first) = cut().next().map(super::header::Segment::present_end) else { return };
    let bytes = cut().fold(0u64, |sum, one| sum.saturating_add(one.dumped - one.present));
    notices.push(CoreNotice::MissingMemory { bytes, ranges: cut().count(), first });
    for thread in threads {
        let Some(sp) = thread.registers.as_ref().and_then(Registers::sp) else { continue };
        if cut().any(|segment| segment.range.contains(&sp) && sp >= segment.present_end()) {
            notices.push(CoreNotice::MissingStack(thread.thread.id));
        }
    }
}

impl Process for ElfCore {
    fn info(&self) -> &ProcessInfo {
        &self.info
    }

    fn threads(&self) -> &[Thread] {
        &self.threads
    }

    fn registers(&self, thread: ThreadId) -> Option<Registers> {
        self.registers.get(&thread).copied()
    }

    fn register_set(&self, thread: ThreadId, set: RegisterSet) -> Option<&[u8]> {
        self.notes.get(self.register_sets.get(&(thread, set))?.clone())
    }

    fn memory(&self) -> &dyn Memory {
        &self.memory
    }

    fn mappings(&self) -> &Mappings {
        &self.mappings
    }

    fn modules(&self) -> &Modules {
        self.modules
            .get_or_init(|| Modules::find(&self.mappings, &self.memory, self.info.executable.as_deref()))
    }
}

impl Target for ElfCore {
    fn processes(&self) -> &[ProcessId] {
        &self.processes
    }

    fn process(&self, id: ProcessId) -> Result<&dyn Process, TargetError> {
        if id == self.info.id { Ok(self) } else { Err(TargetError::NoSuchProcess(id)) }
    }
}

//! The notes of a core, in the order of the kernel's (`fs/binfmt_elf.c`): those of the thread that comes first with those of the
//! process among them, then those of the others.

use std::time::Duration;

use prospect_process::{
    ArchInfo, Process, ProcessId, RegisterSet, Signals, Thread, ThreadId,
    auxv::{self, Auxv},
};

use super::encode;
use crate::elf_core::layout::{
    CORE, LINUX, MappedFile, NT_AUXV, NT_EXTENDED_LAYOUT, NT_FILE, NT_PRPSINFO, NT_PRSTATUS, NT_SIGINFO,
    ProcessStatus, SIGINFO_BYTES, ThreadStatus,
};
use crate::redact::Prepared;

/// Signals that end a process with a core (`man 7 signal`).
const FATAL: [u8; 10] = [3, 4, 5, 6, 7, 8, 11, 24, 25, 31];

/// What the notes are made of.
pub(super) struct Notes<'a> {
    process: &'a dyn Process,
    info: &'static ArchInfo,
    /// In the order of the core.
    threads: Vec<&'a Thread>,
    page_bytes: u64,
    /// What must not be in them.
    redaction: Option<&'a Prepared<'a>>,
}

impl<'a> Notes<'a> {
    pub(super) fn of(process: &'a dyn Process, redaction: Option<&'a Prepared<'a>>) -> Self {
        let mut threads: Vec<&Thread> =
            process.threads().iter().filter(|thread| process.registers(thread.id).is_some()).collect();
        // Who reads a core takes the first thread for the one that the signal belongs to.
        let died =
            |thread: &&Thread| thread.signals.info.is_some() && FATAL.contains(&thread.signals.current);
        if let Some(place) = threads.iter().position(died) {
            threads[..=place].rotate_right(1);
        }
        Self {
            process,
            info: process.info().arch.info(),
            threads,
            page_bytes: page_bytes(process),
            redaction,
        }
    }

    /// How many threads have notes.
    pub(super) fn thread_count(&self) -> usize {
        self.threads.len()
    }

    /// In what offsets of mapped files are counted, in bytes.
    pub(super) fn page_bytes(&self) -> u64 {
        self.page_bytes
    }

    /// Gives all notes to `take`, thread by thread; at the end come those of no thread.
    pub(super) fn each<E>(&self, mut take: impl FnMut(&[u8], bool) -> Result<(), E>) -> Result<(), E> {
        for (index, thread) in self.threads.iter().enumerate() {
            let mut notes = Vec::new();
            self.add(&mut notes, CORE, NT_PRSTATUS, &self.status(thread));
            if index == 0 {
                self.add_process(&mut notes, &thread.signals);
            } else if let Some(info) = &thread.signals.info {
                self.add(&mut notes, CORE, NT_SIGINFO, info);
            }
            for set in self.info.other_sets {
                if let Some(bytes) = self.register_set(thread.id, *set) {
                    let name = if *set == RegisterSet::FLOAT { CORE } else { LINUX };
                    self.add(&mut notes, name, set.0, bytes);
                }
            }
            take(&notes, true)?;
        }
        let mut last = Vec::new();
        if self.threads.is_empty() {
            self.add_process(&mut last, &Signals::default());
        }
        let layout = &self.process.info().kernel.extended_layout;
        if !layout.is_empty() {
            self.add(&mut last, LINUX, NT_EXTENDED_LAYOUT, layout);
        }
        take(&last, false)
    }

    fn add_process(&self, notes: &mut Vec<u8>, signals: &Signals) {
        let info = self.process.info();
        self.add(notes, CORE, NT_PRPSINFO, &encode::process_status(info.arch, &self.process_status()));
        let no_signal = [0; SIGINFO_BYTES];
        self.add(notes, CORE, NT_SIGINFO, signals.info.as_deref().unwrap_or(&no_signal));
        let vector = &info.kernel.auxiliary_vector;
        if !vector.is_empty() {
            self.add(notes, CORE, NT_AUXV, vector);
        }
        let files = mapped_files(self.process);
        self.add(notes, CORE, NT_FILE, &encode::mapped_files(self.info, self.page_bytes, files.iter()));
    }

    /// One note (gABI, chapter 5, "Note Section"): all parts begin at multiples of four bytes, also in files of 64 bits.
    fn add(&self, notes: &mut Vec<u8>, name: &[u8], kind: u32, bytes: &[u8]) {
        notes.extend(note(self.info, name, kind, bytes));
    }

    fn status(&self, thread: &Thread) -> Vec<u8> {
        let Signals { current, pending, blocked, .. } = thread.signals;
        let times = |thread: &Thread| {
            let kernel = thread.kernel_time.unwrap_or_default();
            [thread.cpu_time.unwrap_or_default().saturating_sub(kernel), kernel]
        };
        // The first thread of a process stands for all of them there (`fill_prstatus`).
        let is_leader = thread.id.0 == self.process.info().id.0;
        let [user, kernel] = if is_leader {
            let all = self.process.threads().iter().map(times);
            all.fold([Duration::ZERO; 2], |[user, kernel], more| {
                [user.saturating_add(more[0]), kernel.saturating_add(more[1])]
            })
        } else {
            times(thread)
        };
        let [_, rest @ ..] = self.ids();
        let [parent, group, session] = rest;
        encode::thread_status(
            self.info,
            &ThreadStatus {
                signal: [current.into(), 0, 0],
                current: current.into(),
                pending,
                blocked,
                ids: [thread.id.0, parent, group, session],
                times: [user, kernel, Duration::ZERO, Duration::ZERO],
                registers: self
                    .process
                    .registers(thread.id)
                    .map(|registers| registers.to_regset())
                    .unwrap_or_default(),
                float_valid: self.register_set(thread.id, RegisterSet::FLOAT).is_some(),
            },
        )
    }

    /// A set of registers that may be in the core: strings are copied by vector registers, and parts of them stay there.
    fn register_set(&self, thread: ThreadId, set: RegisterSet) -> Option<&[u8]> {
        const WITHOUT_DATA: [RegisterSet; 5] = [
            RegisterSet::X86_SEGMENTS,
            RegisterSet::X86_PORTS,
            RegisterSet::X86_SHADOW_STACK,
            RegisterSet::ARM_TLS,
            RegisterSet::ARM_PAC_MASK,
        ];
        let may_be_there = self.redaction.is_none() || WITHOUT_DATA.contains(&set);
        self.process.register_set(thread, set).filter(|_| may_be_there)
    }

    fn process_status(&self) -> ProcessStatus {
        let info = self.process.info();
        let mut arguments = Vec::new();
        for argument in &info.command_line {
            arguments.extend(argument);
            arguments.push(b' ');
        }
        if let Some(redaction) = self.redaction {
            redaction.clean_arguments(&mut arguments);
        }
        ProcessStatus {
            state: info.kernel.state.code(),
            nice: info.kernel.nice,
            flags: info.kernel.flags,
            user_and_group: info.kernel.user_and_group.unwrap_or_default(),
            ids: self.ids(),
            name: info.name.clone().into_bytes(),
            arguments,
        }
    }

    /// The numbers of the process, its parent, its group and its session.
    fn ids(&self) -> [u32; 4] {
        let info = self.process.info();
        let number = |id: Option<ProcessId>| id.map_or(0, |id| id.0);
        [info.id.0, number(info.parent), number(info.kernel.process_group), number(info.kernel.session)]
    }
}

/// A note as bytes.
pub(super) fn note(info: &ArchInfo, name: &[u8], kind: u32, bytes: &[u8]) -> Vec<u8> {
    let mut record = encode::Record::new(info, 0);
    record.push(4, name.len() as u64 + 1);
    record.push(4, bytes.len() as u64);
    record.push(4, kind.into());
    let mut note = record.into_bytes();
    note.extend(name);
    note.push(0);
    note.resize(note.len().next_multiple_of(4), 0);
    note.extend(bytes);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

/// The size of a page in the process: what it was told when it started.
pub(crate) fn page_bytes(process: &dyn Process) -> u64 {
    let info = process.info().arch.info();
    let told = Auxv::parse(&process.info().kernel.auxiliary_vector, info.word_bytes, info.big_endian);
    told.get(auxv::PAGE_BYTES).filter(|bytes| bytes.is_power_of_two() && *bytes <= 1 << 20).unwrap_or(4096)
}

fn mapped_files(process: &dyn Process) -> Vec<MappedFile> {
    let of_files = process.mappings().iter().filter(|mapping| mapping.file.is_some());
    of_files
        .map(|mapping| {
            let mut path = mapping.name.clone();
            // As the kernel writes it.
            if mapping.deleted {
                path.extend(b" (deleted)");
            }
            MappedFile { range: mapping.range.clone(), offset: mapping.offset, path }
        })
        .collect()
}

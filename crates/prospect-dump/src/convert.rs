//! One kind of dump made of another: an ELF core of a minidump, a minidump of a core.
//!
//! Each keeps what it has a place for. What is lost on the way is found by comparing what was written with what it was made of
//! ([`losses`]).

use std::{collections::BTreeMap, fmt};

use prospect_process::{
    Addr, Content, Mapping, OperatingSystem, Process, RegisterSet, Registers, Thread, ThreadId,
};

use crate::{
    elf_core::{self, ElfCore, Output, Progress, Selection, WriteOptions},
    minidump::{self, Minidump, MinidumpStream, kinds},
    writing::WriteError,
};

/// A kind of dump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DumpFormat {
    /// An ELF core.
    Core,
    /// A minidump.
    Minidump,
}

impl DumpFormat {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Minidump => "minidump",
        }
    }
}

/// Writes a dump of what is in another one: all threads, all memory that the other one has itself, all that is known besides and
/// that there is a place for. What names a module in a core is the first page of its file: where a minidump does not have it, it is
/// taken from the file, if the process [has](Content::File) it.
///
/// # Errors
/// When the format cannot hold such a process ([`WriteError::NoContext`], [`WriteError::NotLinux`]), or it cannot be written.
pub fn convert(
    process: &dyn Process,
    to: DumpFormat,
    progress: &Progress,
    output: &mut dyn Output,
) -> Result<(), WriteError> {
    let system = process.info().system;
    match to {
        DumpFormat::Core
            if matches!(system, OperatingSystem::Windows | OperatingSystem::MacOs | OperatingSystem::Ios) =>
        {
            Err(WriteError::NotLinux(system.as_str()))
        }
        DumpFormat::Core => {
            let options = WriteOptions::new().selection(Selection::Dumped).progress(progress);
            elf_core::write(process, &options, output).map(drop)
        }
        DumpFormat::Minidump => {
            let options = minidump::Options::new()
                .full(Some(Selection::Dumped))
                .stack_bytes(u64::MAX)
                .environment(true)
                .command_line(true)
                .progress(progress);
            minidump::write(process, &options, output).map(drop)
        }
    }
}

/// Something that a dump has and the one that was made of it has not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Loss {
    /// Of what kind it is: `register`, `register set`, `thread`, `thread name`, `signals`, `processor time`, `mapping`, `module`,
    /// `memory`, `stream`, `note`, `fact`.
    pub kind: &'static str,
    /// Which: the name of the register, of the stream, of the fact; empty where the kind says it all.
    pub name: String,
    /// How many: threads, mappings, modules, or bytes.
    pub count: u64,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, count } = self;
        let plural = if *count == 1 { "" } else { "s" };
        match *kind {
            "register" | "register set" => write!(f, "{kind} {name} of {count} thread{plural}"),
            "thread" | "module" => write!(f, "{count} {kind}{plural}"),
            "mapping" => write!(f, "{name} of {count} mapping{plural}"),
            "memory" => write!(f, "{count} byte{plural} of memory that are in no mapping"),
            "thread name" | "signals" | "processor time" => write!(f, "{kind} of {count} thread{plural}"),
            "stream" | "note" => write!(f, "{kind} {name}"),
            _ => f.write_str(name),
        }
    }
}

/// Counts losses of each kind.
#[derive(Default)]
struct Losses(BTreeMap<(&'static str, String), u64>);

impl Losses {
    fn add(&mut self, kind: &'static str, name: impl Into<String>, count: u64) {
        if count > 0 {
            *self.0.entry((kind, name.into())).or_default() += count;
        }
    }
}

/// What `before` has and `after`, which was made of it, has not; by kind and name.
#[must_use]
pub fn losses(before: &dyn Process, after: &dyn Process) -> Vec<Loss> {
    let mut losses = Losses::default();
    for thread in before.threads() {
        let Some(other) = after.threads().iter().find(|other| other.id == thread.id) else {
            losses.add("thread", "", 1);
            continue;
        };
        thread_losses(&mut losses, thread, other, before);
        register_losses(&mut losses, thread.id, before, after);
    }
    fact_losses(&mut losses, before, after);
    mapping_losses(&mut losses, before, after);
    for module in before.modules().iter() {
        let other = after.modules().at(module.range.start);
        let is_there =
            other.is_some_and(|other| other.path == module.path && other.build_id == module.build_id);
        losses.add("module", "", (!is_there).into());
    }
    losses.add("memory", "", dumped_bytes(before).saturating_sub(dumped_bytes(after)));
    losses.0.into_iter().map(|((kind, name), count)| Loss { kind, name, count }).collect()
}

fn thread_losses(losses: &mut Losses, thread: &Thread, other: &Thread, before: &dyn Process) {
    let arch = before.info().arch;
    losses.add("thread name", "", (thread.name.is_some() && thread.name != other.name).into());
    let signals =
        |thread: &Thread| (thread.signals.decoded(arch), thread.signals.pending, thread.signals.blocked);
    losses.add("signals", "", (signals(thread) != signals(other)).into());
    let times =
        |thread: &Thread| (thread.cpu_time.unwrap_or_default(), thread.kernel_time.unwrap_or_default());
    // Of the first thread, cores have the time of all.
    let is_first = thread.id.0 == before.info().id.0;
    losses.add("processor time", "", (!is_first && times(thread) != times(other)).into());
}

fn register_losses(losses: &mut Losses, thread: ThreadId, before: &dyn Process, after: &dyn Process) {
    let arch = before.info().arch;
    let registers =
        |process: &dyn Process| process.registers(thread).unwrap_or_else(|| Registers::unknown(arch));
    let [own, other] = [registers(before), registers(after)];
    for (row, value) in own.known() {
        let id = arch.info().by_name(row.name);
        // What is not known is zero in dumps.
        let is_there = id.and_then(|id| other.get(id)).unwrap_or(0) == value;
        losses.add("register", row.name, (!is_there).into());
    }
    for set in arch.info().other_sets {
        let bytes = before.register_set(thread, *set);
        if bytes.is_some() && bytes != after.register_set(thread, *set) {
            losses.add("register set", set_name(*set), 1);
        }
    }
}

/// As `<elf.h>` has it, without `NT_`.
fn set_name(set: RegisterSet) -> String {
    match set {
        RegisterSet::FLOAT => "PRFPREG".into(),
        RegisterSet::X86_FXSAVE => "PRXFPREG".into(),
        RegisterSet::X86_SEGMENTS => "386_TLS".into(),
        RegisterSet::X86_PORTS => "386_IOPERM".into(),
        RegisterSet::X86_EXTENDED => "X86_XSTATE".into(),
        RegisterSet::X86_SHADOW_STACK => "X86_SHSTK".into(),
        RegisterSet::ARM_VFP => "ARM_VFP".into(),
        RegisterSet::ARM_TLS => "ARM_TLS".into(),
        RegisterSet::ARM_PAC_MASK => "ARM_PAC_MASK".into(),
        other => format!("{:#x}", other.0),
    }
}

fn fact_losses(losses: &mut Losses, before: &dyn Process, after: &dyn Process) {
    let [own, other] = [before.info(), after.info()];
    let mut fact = |name: &str, is_kept: bool| losses.add("fact", name, (!is_kept).into());
    fact("the name of the process", own.name == other.name);
    // Cores have one text of 80 bytes.
    fact("the command line", own.command_line == other.command_line);
    fact("the parent", own.parent.is_none() || own.parent == other.parent);
    fact("the time of the start", own.started.is_none() || own.started == other.started);
    let [mine, theirs] = [&own.kernel, &other.kernel];
    fact("the auxiliary vector", mine.auxiliary_vector == theirs.auxiliary_vector);
    fact("user and group", mine.user_and_group.is_none() || mine.user_and_group == theirs.user_and_group);
    fact("the process group", mine.process_group.is_none() || mine.process_group == theirs.process_group);
    fact("the session", mine.session.is_none() || mine.session == theirs.session);
    fact("the nice value", mine.nice == theirs.nice);
    fact("the kernel's flags", mine.flags == theirs.flags);
    fact("the layout of the vector registers", mine.extended_layout == theirs.extended_layout);
    let exception = own.exception.as_ref().filter(|exception| !exception.is_request());
    let words = exception.map(ToString::to_string);
    fact("what happened", words.is_none() || words == other.exception.as_ref().map(ToString::to_string));
}

fn mapping_losses(losses: &mut Losses, before: &dyn Process, after: &dyn Process) {
    let names = ["place", "permissions", "sharing", "file or its offset", "name"];
    for mapping in before.mappings() {
        let is_kept = match after.mappings().at(mapping.range.start) {
            Some(other) => compare(mapping, other, after),
            None => [false, true, true, true, true],
        };
        for (name, is_kept) in names.into_iter().zip(is_kept) {
            losses.add("mapping", name, (!is_kept).into());
        }
    }
}

fn compare(own: &Mapping, other: &Mapping, after: &dyn Process) -> [bool; 5] {
    let last = after.mappings().at(Addr(own.range.end.0.saturating_sub(1)));
    let rights = |mapping: &Mapping| {
        let permissions = mapping.permissions;
        (permissions.read, permissions.write, permissions.execute)
    };
    let file = |mapping: &Mapping| mapping.file.is_some().then_some((mapping.offset, mapping.deleted));
    let skipped = own.range.start.0 - other.range.start.0;
    let offset = file(other).map(|(offset, deleted)| (offset.saturating_add(skipped), deleted));
    [
        last.is_some(),
        rights(own) == rights(other),
        own.permissions.shared == other.permissions.shared,
        own.file.is_none() || file(own) == offset,
        own.name.is_empty() || own.name == other.name,
    ]
}

/// How many bytes of memory a dump has.
fn dumped_bytes(process: &dyn Process) -> u64 {
    let contents = process.memory().contents(Addr(0)..Addr(u64::MAX));
    let there = contents.iter().filter(|(_, content)| matches!(content, Content::Own | Content::Untouched));
    there.map(|(part, _)| part.end.0 - part.start.0).fold(0, u64::saturating_add)
}

/// The streams of a minidump that a core has no place for.
pub fn lost_streams(dump: &Minidump) -> impl Iterator<Item = Loss> {
    const HELD: [u32; 14] = [
        kinds::THREADS,
        kinds::THREADS_EX,
        kinds::THREAD_NAMES,
        kinds::THREAD_INFO,
        kinds::MODULES,
        kinds::MEMORY,
        kinds::MEMORY_64,
        kinds::MEMORY_INFO,
        kinds::EXCEPTION,
        kinds::MISC,
        kinds::LINUX_AUXV,
        kinds::LINUX_MAPS,
        kinds::LINUX_COMMAND_LINE,
        kinds::LINUX_DSO,
    ];
    let is_lost = |stream: &&MinidumpStream| !HELD.contains(&stream.kind);
    dump.streams().iter().filter(is_lost).map(|stream| {
        let name = stream.name().map_or_else(|| format!("{:#x}", stream.kind), ToOwned::to_owned);
        Loss { kind: "stream", name, count: 1 }
    })
}

/// The notes of a core that a minidump has no place for, beside those that [`losses`] finds.
pub fn lost_notes(core: &ElfCore) -> impl Iterator<Item = Loss> {
    let note =
        core.dump_note().map(|_| Loss { kind: "note", name: "of how the core was made".into(), count: 1 });
    note.into_iter()
}

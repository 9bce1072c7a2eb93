//! A minidump as a process.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use prospect_process::{
    Addr, Arch, Exception, Mappings, Memory, Module, Modules, NoRegisters, OperatingSystem, Process,
    ProcessId, ProcessInfo, RegisterSet, Registers, Target, TargetError, Thread, ThreadId,
    auxv::{self, Auxv},
};

use super::{
    Facts, MinidumpError, MinidumpNotice, MinidumpStream, ModuleVersion, SystemDetails, UnloadedModule,
    contexts, kinds,
    read::{self, Directory, LinuxFacts, MiscInfo, RawThread, Reader, System},
};
use crate::{
    elf_core::{CoreError, CoreFile, CoreMemory, CoreSegments},
    minidump::{layout, read::MemoryRange},
};

/// A process in a minidump.
///
/// The thread that the dump is for comes first, with the registers that it had when that happened.
#[derive(Debug)]
pub struct Minidump {
    info: ProcessInfo,
    threads: Vec<Thread>,
    registers: HashMap<ThreadId, Registers>,
    register_sets: HashMap<(ThreadId, RegisterSet), Vec<u8>>,
    /// Of the thread that something happened in: its registers when it was dumped.
    at_dump: Option<(ThreadId, Registers)>,
    memory: CoreMemory,
    mappings: Mappings,
    modules: Modules,
    versions: HashMap<Addr, ModuleVersion>,
    unloaded: Vec<UnloadedModule>,
    details: SystemDetails,
    facts: Facts,
    written: Option<SystemTime>,
    flags: u64,
    streams: Vec<MinidumpStream>,
    times: Option<(Duration, Duration)>,
    notices: Vec<MinidumpNotice>,
    processes: [ProcessId; 1],
}

impl Minidump {
    /// Opens a minidump.
    ///
    /// # Errors
    /// When it is no minidump of a machine that is known, or cannot be read.
    pub fn open(path: &Path) -> Result<Self, MinidumpError> {
        CoreFile::open(path).map_err(of_file).and_then(Self::read)
    }

    /// Whether a file begins as a minidump does, in either byte order. Whether it can be read is another question.
    #[must_use]
    pub fn is_minidump(file: &File) -> bool {
        let mut start = [0; 4];
        let read = std::os::unix::fs::FileExt::read_at(file, &mut start, 0);
        matches!(read, Ok(4)) && matches!(&start, b"MDMP" | b"PMDM")
    }

    /// The minidump in a file that is open.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn from_file(file: File) -> Result<Self, MinidumpError> {
        CoreFile::new(file).map_err(of_file).and_then(Self::read)
    }

    /// The minidump in these bytes.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, MinidumpError> {
        Self::read(CoreFile::Bytes(bytes))
    }

    fn read(file: CoreFile) -> Result<Self, MinidumpError> {
        let mut notices = Vec::new();
        let directory = Directory::read(&file, &mut notices)?;
        let reader = Reader::new(&file, directory.big_endian);
        let system = directory.bytes(&reader, kinds::SYSTEM).ok_or(MinidumpError::NoSystem)?;
        let System { arch, system, mut details } = System::read(&reader, &system)?;
        // What stacks are made of comes before what can be done without, should there be too much.
        let exception = read::exception(&reader, &directory, system, &mut notices);
        let raw_threads = read::threads(&reader, &directory, &mut notices);
        let raw_modules = read::modules(&reader, &directory, system, &mut notices);
        let mut ranges = read::memory(&reader, &directory, &mut notices);
        let linux = LinuxFacts::read(&reader, &directory);
        let memory_info = read::memory_map(&reader, &directory, &mut notices);
        let names = read::names(&reader, &directory, &mut notices);
        let times = read::times(&reader, &directory, &mut notices);
        let misc = directory.bytes(&reader, kinds::MISC);
        let misc = misc.map_or_else(MiscInfo::default, |bytes| MiscInfo::read(&reader, &bytes));
        let unloaded = read::unloaded(&reader, &directory, &mut notices);
        let facts = Facts::read(&reader, &directory, &mut notices);
        if let Some(cpu_info) = directory.bytes(&reader, kinds::LINUX_CPU_INFO) {
            details.processor = read::model(&cpu_info).or(details.processor);
        }
        details.build = misc.build;
        if reader.is_exhausted() {
            notices.push(MinidumpNotice::TooMuch);
        }
        notices.extend(soft_errors(&facts).map(MinidumpNotice::Writer));

        let mut process = Threads::default();
        process.read(arch, system, raw_threads, &mut ranges, &mut notices);
        let at_dump =
            exception.as_ref().and_then(|(exception, context)| process.happened(arch, exception, context));
        // `/proc/PID/status` is that of the first thread.
        if let Some(first) = process.threads.iter_mut().find(|thread| Some(thread.id.0) == linux.process) {
            (first.signals.pending, first.signals.blocked) = (linux.pending, linux.blocked);
        }
        for thread in &mut process.threads {
            thread.name = names.get(&thread.id).filter(|name| !name.is_empty()).cloned();
            if let Some(times) = times.get(&thread.id) {
                (thread.kernel_time, thread.cpu_time) = (Some(times.kernel), Some(times.kernel + times.user));
            }
        }
        if process.threads.is_empty() {
            notices.push(MinidumpNotice::NoThreads);
        }
        if raw_modules.is_empty() {
            notices.push(MinidumpNotice::NoModules);
        }

        let vector = Auxv::parse(&linux.auxiliary_vector, arch.info().word_bytes, arch.info().big_endian);
        let pcs: Vec<Addr> = process.registers.values().filter_map(Registers::pc).collect();
        let known = linux.mappings.filter(|mappings| !mappings.is_empty()).or(memory_info);
        let (segments, mappings) = layout::lay_out(&file, ranges, known, &raw_modules, &vector, &pcs);
        let segments = Arc::new(CoreSegments::new(file, segments));
        let landmark =
            [auxv::PROGRAM_HEADERS, auxv::ENTRY].into_iter().find_map(|kind| vector.get(kind).map(Addr));
        let modules = layout::modules(&raw_modules, system, &mappings, &segments, landmark);
        layout::missing_memory(&segments, &process, &mut notices);

        let executable = modules.executable();
        let mut info = ProcessInfo::new(ProcessId(misc.process.or(linux.process).unwrap_or(0)), arch);
        info.system = system;
        info.parent = linux.parent.map(ProcessId);
        info.executable = executable.map(|module| module.path.clone());
        let file_name = || executable.map(|module| module.file_name().into_owned());
        info.name = linux.name.or_else(file_name).unwrap_or_default();
        info.command_line = linux.command_line;
        info.started = misc.started;
        info.kernel.auxiliary_vector = linux.auxiliary_vector;
        info.kernel.state = linux.state;
        info.kernel.user_and_group = linux.user_and_group;
        info.kernel.process_group = linux.process_group.map(ProcessId);
        info.kernel.session = linux.session.map(ProcessId);
        info.exception = exception.map(|(exception, _)| exception);
        let versions = raw_modules.iter().filter_map(|module| Some((module.range.start, module.version?)));
        Ok(Self {
            processes: [info.id],
            info,
            threads: process.threads,
            registers: process.registers,
            register_sets: process.sets,
            at_dump,
            versions: versions.collect(),
            memory: CoreMemory::new(segments),
            mappings,
            modules,
            unloaded,
            details,
            facts,
            written: (directory.time != 0)
                .then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(directory.time.into())),
            flags: directory.flags,
            streams: directory.streams,
            times: misc.times,
            notices,
        })
    }

    /// What is not as it should be with this minidump.
    #[must_use]
    pub fn notices(&self) -> &[MinidumpNotice] {
        &self.notices
    }

    /// Its streams, in the order of the file.
    #[must_use]
    pub fn streams(&self) -> &[MinidumpStream] {
        &self.streams
    }

    /// The bytes of a stream, as many as there are.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn stream_bytes(&self, stream: &MinidumpStream) -> io::Result<Vec<u8>> {
        self.segments().file().read(stream.offset, stream.bytes)
    }

    /// The registers that a thread had when the dump was written. They are other ones than those of the
    /// [process](Process::registers) for the thread that something happened in, which was in a handler by then.
    #[must_use]
    pub fn registers_at_dump(&self, thread: ThreadId) -> Option<Registers> {
        let at_dump = self.at_dump.filter(|(of, _)| *of == thread).map(|(_, registers)| registers);
        at_dump.or_else(|| self.registers(thread))
    }

    /// The system that it ran on.
    #[must_use]
    pub fn system(&self) -> &SystemDetails {
        &self.details
    }

    /// What it says besides.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The version of a module's file, where it has one.
    #[must_use]
    pub fn module_version(&self, module: &Module) -> Option<ModuleVersion> {
        self.versions.get(&module.range.start).copied()
    }

    /// Modules that were there before.
    #[must_use]
    pub fn unloaded_modules(&self) -> &[UnloadedModule] {
        &self.unloaded
    }

    /// When it was written, where that is said.
    #[must_use]
    pub fn written(&self) -> Option<SystemTime> {
        self.written
    }

    /// What was to be in it (`MINIDUMP_TYPE`).
    #[must_use]
    pub fn flags(&self) -> u64 {
        self.flags
    }

    /// The processor time of the process in user mode and in the kernel, where that is said.
    #[must_use]
    pub fn cpu_times(&self) -> Option<(Duration, Duration)> {
        self.times
    }

    /// The memory that the minidump itself has.
    #[must_use]
    pub fn segments(&self) -> &Arc<CoreSegments> {
        self.memory.segments()
    }

    /// How long its file is, unpacked.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.segments().file_bytes()
    }

    /// Reads what was left out of the dump from `files`: the files that were mapped. It says itself
    /// ([`Memory::contents`]) where it has something.
    #[must_use]
    pub fn over(mut self, files: Box<dyn Memory + Send>) -> Self {
        self.memory.over(files);
        self
    }

    /// The same process with these modules.
    #[must_use]
    pub fn with_modules(mut self, modules: Modules) -> Self {
        self.modules = modules;
        self
    }

    /// Where the program begins to run, as far as it is known.
    #[must_use]
    pub fn entry(&self) -> Option<Addr> {
        let info = self.info.arch.info();
        Auxv::parse(&self.info.kernel.auxiliary_vector, info.word_bytes, info.big_endian)
            .get(auxv::ENTRY)
            .map(Addr)
    }

    /// The same, with one more notice.
    #[must_use]
    pub fn with_notice(mut self, notice: MinidumpNotice) -> Self {
        self.notices.push(notice);
        self
    }
}

fn of_file(error: CoreError) -> MinidumpError {
    match error {
        CoreError::Read(error) => MinidumpError::Read(error),
        _ => MinidumpError::NotRegular,
    }
}

/// The writer's own notices: a list in JSON, empty where all went well.
fn soft_errors(facts: &Facts) -> impl Iterator<Item = String> + use<> {
    let text = facts.soft_errors.clone().filter(|text| !matches!(text.trim(), "" | "[]" | "{}" | "null"));
    text.into_iter()
}

/// Threads, and their registers.
#[derive(Default)]
pub(super) struct Threads {
    pub(super) threads: Vec<Thread>,
    pub(super) registers: HashMap<ThreadId, Registers>,
    sets: HashMap<(ThreadId, RegisterSet), Vec<u8>>,
}

impl Threads {
    /// Takes the threads of the list, in its order, and adds their stacks to `ranges`.
    fn read(
        &mut self,
        arch: Arch,
        system: OperatingSystem,
        threads: Vec<RawThread>,
        ranges: &mut Vec<MemoryRange>,
        notices: &mut Vec<MinidumpNotice>,
    ) {
        let mut seen = HashSet::new();
        for RawThread { id, block, stack, context } in threads {
            if !seen.insert(id) {
                notices.push(MinidumpNotice::DuplicateThread(id));
                continue;
            }
            ranges.extend(stack);
            let mut thread = Thread::new(id);
            if !self.take(arch, id, &context) {
                thread.not_stopped = Some(NoRegisters::NotInDump);
                notices.push(MinidumpNotice::NoRegisters(id));
            }
            self.thread_pointer(arch, system, id, block);
            self.threads.push(thread);
        }
    }

    /// Takes a `CONTEXT` for the registers of a thread.
    fn take(&mut self, arch: Arch, id: ThreadId, context: &[u8]) -> bool {
        let Some(context) = contexts::decode(arch, context) else { return false };
        self.registers.insert(id, context.registers);
        self.sets.extend(context.sets.into_iter().map(|(set, bytes)| ((id, set), bytes)));
        true
    }

    /// No `CONTEXT` has the thread pointer: it is where the thread has its block.
    fn thread_pointer(&mut self, arch: Arch, system: OperatingSystem, id: ThreadId, block: u64) {
        if block == 0 {
            return;
        }
        let is_windows = system == OperatingSystem::Windows;
        match arch {
            Arch::X86_64 => {
                let name = if is_windows { "gs_base" } else { "fs_base" };
                if let (Some(registers), Some(register)) =
                    (self.registers.get_mut(&id), arch.info().by_name(name))
                {
                    registers.set(register, block);
                }
            }
            Arch::Aarch64 if !is_windows => {
                self.sets.insert((id, RegisterSet::ARM_TLS), block.to_le_bytes().to_vec());
            }
            Arch::Arm if !is_windows => {
                self.sets.insert((id, RegisterSet::ARM_TLS), block.to_le_bytes()[..4].to_vec());
            }
            Arch::I386 if !is_windows => {
                let gs = arch.info().by_name("gs").and_then(|gs| self.registers.get(&id)?.get(gs));
                let Some(index) = gs.map(|selector| selector >> 3) else { return };
                // A `struct user_desc` (<asm/ldt.h>): of 32 bits, its limit in pages, in use.
                const FLAGS: u32 = 0x51;
                let descriptor = [index as u32, block as u32, 0xf_ffff, FLAGS];
                let bytes = descriptor.into_iter().flat_map(u32::to_le_bytes).collect();
                self.sets.insert((id, RegisterSet::X86_SEGMENTS), bytes);
            }
            _ => {}
        }
    }

    /// Puts the thread first that something happened in, with the registers that it had then, and gives those back that it
    /// had when the dump was written.
    fn happened(
        &mut self,
        arch: Arch,
        exception: &Exception,
        context: &[u8],
    ) -> Option<(ThreadId, Registers)> {
        let id = exception.thread;
        match self.threads.iter().position(|thread| thread.id == id) {
            Some(index) => self.threads[..=index].rotate_right(1),
            None => self.threads.insert(0, Thread::new(id)),
        }
        let before = self.registers.get(&id).copied();
        let is_there = self.take(arch, id, context) || before.is_some();
        let thread = &mut self.threads[0];
        thread.not_stopped = (!is_there).then_some(NoRegisters::NotInDump);
        if let Some(signal) = exception.signal().filter(|_| !exception.is_request()) {
            thread.signals.current = u8::try_from(signal.number).unwrap_or(0);
            thread.signals.info = Some(signal.encode(arch));
        }
        // What the exception's context does not have, the thread's own does.
        let bases = ["fs_base", "gs_base"].into_iter().filter_map(|name| arch.info().by_name(name));
        if let (Some(before), Some(registers)) = (before, self.registers.get_mut(&id)) {
            for register in bases {
                if let (None, Some(value)) = (registers.get(register), before.get(register)) {
                    registers.set(register, value);
                }
            }
        }
        before.map(|before| (id, before))
    }
}

impl Process for Minidump {
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
        self.register_sets.get(&(thread, set)).map(Vec::as_slice)
    }

    fn memory(&self) -> &dyn Memory {
        &self.memory
    }

    fn mappings(&self) -> &Mappings {
        &self.mappings
    }

    fn modules(&self) -> &Modules {
        &self.modules
    }
}

impl Target for Minidump {
    fn processes(&self) -> &[ProcessId] {
        &self.processes
    }

    fn process(&self, id: ProcessId) -> Result<&dyn Process, TargetError> {
        if id == self.info.id { Ok(self) } else { Err(TargetError::NoSuchProcess(id)) }
    }
}

//! Minidumps of processes that are anything: written, and read again.

use prospect_dump::{
    elf_core::{Selection, Stream},
    minidump::{CrashContext, Minidump, OpenHandle, Options, UserMapping, UserStream, write},
};
use prospect_process::{
    Addr, Advice, Arch, CapturedMemory, FileId, FrozenProcess, FrozenThread, Mapping, Mappings, NoRegisters,
    Permissions, Process, ProcessId, ProcessInfo, RegisterId, Registers, SignalInfo, Thread, ThreadId,
};
use prospect_testing::Random;

/// More of anything only takes time.
const MOST: usize = 12;
/// A mapping is no longer: in a dump into memory there are no holes.
const LONGEST: u64 = 0x8000;

/// Takes numbers from the data, and zeros behind its end.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = usize::from(self.byte()).min(most).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken.to_vec()
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit.max(1)
    }

    /// An address or a number: often one of a few places, at times anything.
    fn word(&mut self) -> u64 {
        match self.byte() % 8 {
            0 => u64::MAX - u64::from(self.byte()),
            1 => {
                let mut word = [0; 8];
                word.fill_with(|| self.byte());
                u64::from_le_bytes(word)
            }
            2 => u64::from(self.byte()),
            place => u64::from(place) << 20 | u64::from(self.byte()) << 8 | u64::from(self.byte() & 0xf8),
        }
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes(20)).into_owned()
    }
}

/// A process that is `data`, written as `data` says.
pub fn minidump_write(data: &[u8]) {
    let mut source = Source(data);
    let process = process(&mut source);
    let options = |source: &mut Source<'_>| {
        Options::new()
            .full(source.flag().then_some(Selection::All))
            .depth(source.flag().then(|| u32::from(source.byte() % 4)))
            .minidump_size_limit(source.flag().then(|| u64::from(source.byte()) << 6))
            .stack_bytes(u64::from(source.byte()) << 8)
            .sanitize_stack(source.flag())
            .environment(source.flag())
            .command_line(source.flag())
            .skip_stacks_if_mapping_unreferenced(source.flag())
            .principal_mapping_address(source.flag().then(|| Addr(source.word())))
    };
    let options = options(&mut source);
    let start = source.word() & !7;
    let memory = [Addr(start)..Addr(start.saturating_add(u64::from(source.byte())))];
    let streams = [UserStream { kind: source.word() as u32, bytes: source.bytes(64) }];
    let handles = [OpenHandle { number: 1, kind: source.text(), name: source.text(), attributes: 0 }];
    let module = [UserMapping {
        range: Addr(start)..Addr(source.word()),
        name: source.text(),
        build_id: source.bytes(20),
    }];
    let mut context = CrashContext::new(ThreadId(u32::from(source.byte() % 4)));
    if source.flag() {
        let (number, code) = (i32::from(source.byte()), i32::from(source.byte()));
        let address = source.flag().then(|| Addr(source.word()));
        context = context.with_signal(SignalInfo { number, code, address, sender: None });
    }
    let auxiliary = source.bytes(128);
    let options = options
        .app_memory(&memory)
        .streams(&streams)
        .handles(&handles)
        .user_mapping_list(&module)
        .crash_context(source.flag().then_some(&context))
        .auxiliary_vector(source.flag().then_some(&auxiliary));

    let mut output = Stream(Vec::new());
    let Ok(written) = write(&process, &options, &mut output) else {
        assert_eq!(process.info().arch, Arch::S390x, "all others have a form");
        return;
    };
    assert_eq!(written.bytes, output.0.len() as u64);
    // A stream of one's own can take the number of another one, and be anything.
    if !(0x1_0000..0x4000_0000).contains(&streams[0].kind) {
        let _ = Minidump::from_bytes(output.0);
        return;
    }
    let minidump = Minidump::from_bytes(output.0).expect("what was written is read");
    assert_eq!(minidump.info().arch, process.info().arch);
    for thread in process.threads() {
        let (own, back) = (process.registers(thread.id), minidump.registers(thread.id));
        // The crash has the one that it names.
        if thread.id != context.thread {
            assert_eq!(own.and_then(|one| one.pc()), back.and_then(|one| one.pc()), "{thread:?}");
        }
    }
}

fn process(source: &mut Source<'_>) -> FrozenProcess {
    let arch = Arch::ALL[source.below(Arch::ALL.len())];
    let info = arch.info();
    let mut mappings = Vec::new();
    let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
    for _ in 0..source.below(MOST) {
        let start = source.word() & !0xfff & info.word_mask();
        let end = start.saturating_add((u64::from(source.byte()) << 8).min(LONGEST)).min(info.word_mask());
        let bits = source.byte();
        let flag = |bit: u8| bits >> bit & 1 == 1;
        let (read, write, execute, shared) = (flag(0), flag(1), flag(2), flag(3));
        mappings.push(Mapping {
            range: Addr(start)..Addr(end),
            permissions: Permissions { read, write, execute, shared },
            offset: if flag(4) { 0 } else { source.word() },
            file: flag(5).then_some(FileId { device: (1, 2), inode: 3 }),
            name: source.bytes(20),
            deleted: flag(6),
            advice: Advice { dont_dump: flag(7), ..Advice::default() },
        });
        let content = source.bytes(255);
        let there = (content.len() as u64).min(end.saturating_sub(start));
        if there > 0 {
            ranges.push((Addr(start), there as usize, bytes.len()));
            bytes.extend(content);
        }
    }
    let threads = (0..source.below(MOST)).map(|index| {
        let mut thread = Thread::new(ThreadId(index as u32));
        thread.name = source.flag().then(|| source.text());
        thread.signals.current = source.byte() % 32;
        thread.signals.info = source.flag().then(|| source.bytes(128).into());
        let registers = source.flag().then(|| {
            let mut registers = Registers::unknown(arch);
            for row in [info.pc, info.sp, RegisterId(source.below(info.registers.len()) as u8)] {
                registers.set(row, source.word());
            }
            registers
        });
        thread.not_stopped = registers.is_none().then_some(NoRegisters::Uninterruptible);
        let sets = info.other_sets.iter().filter(|_| source.flag()).copied().collect::<Vec<_>>();
        let register_sets = sets.into_iter().map(|set| (set, source.bytes(255).into())).collect();
        FrozenThread { thread, registers, register_sets }
    });
    let threads = threads.collect();
    let mut about = ProcessInfo::new(ProcessId(source.word() as u32), arch);
    about.command_line = vec![source.bytes(20)];
    about.executable = source.flag().then(|| source.bytes(20));
    about.kernel.auxiliary_vector = source.bytes(255);
    ranges.sort_unstable();
    ranges.dedup_by_key(|range| range.0);
    FrozenProcess::new(about, threads, CapturedMemory::new(bytes, ranges), Mappings::new(mappings))
}

/// Anything, of some length: it is taken as a process, whatever it is.
pub(crate) fn seed(random: &mut Random) -> Vec<u8> {
    (0..random.below(4096)).map(|_| random.number() as u8).collect()
}

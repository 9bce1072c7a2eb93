//! Cores of processes that are made up.

use std::io;

use prospect_process::{
    Addr, Advice, Arch, CapturedMemory, Content, FrozenProcess, FrozenThread, KernelFacts, Mapping, Mappings,
    Memory, MemoryError, Permissions, ProcessId, ProcessInfo, Registers, Thread, ThreadId, Unreadable,
};

use super::*;
use crate::elf_core::ElfCore;

const PAGE: u64 = 4096;

fn mapping(start: u64, bytes: u64) -> Mapping {
    Mapping {
        range: Addr(start)..Addr(start + bytes),
        permissions: Permissions { read: true, write: true, ..Permissions::default() },
        offset: 0,
        file: None,
        name: Vec::new(),
        deleted: false,
        advice: Advice::default(),
    }
}

fn process(arch: Arch, mappings: Vec<Mapping>, memory: CapturedMemory) -> FrozenProcess {
    let mut info = ProcessInfo::new(ProcessId(7), arch);
    info.kernel = KernelFacts { core_filter: Some(1), ..KernelFacts::default() };
    let mut registers = Registers::unknown(arch);
    registers.set(arch.info().pc, 0x1234);
    let thread = FrozenThread {
        thread: Thread::new(ThreadId(7)),
        registers: Some(registers),
        register_sets: Vec::new(),
    };
    FrozenProcess::new(info, vec![thread], memory, Mappings::new(mappings))
}

/// A core in memory; fails when it has `room` bytes.
struct Buffer {
    bytes: Vec<u8>,
    room: usize,
}

impl Output for Buffer {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.bytes.len() + bytes.len() > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend(bytes);
        Ok(())
    }

    fn zeros(&mut self, count: u64) -> io::Result<()> {
        self.bytes(&vec![0; count as usize])
    }

    fn has_holes(&self) -> bool {
        true
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn core(process: &FrozenProcess) -> (Vec<u8>, Written) {
    let mut buffer = Buffer { bytes: Vec::new(), room: usize::MAX };
    let written = write(process, &WriteOptions::new(), &mut buffer).unwrap();
    assert_eq!(buffer.bytes.len() as u64, written.bytes);
    (buffer.bytes, written)
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().unwrap())
}

#[test]
fn more_mappings_than_the_header_can_count_are_counted_in_a_section() {
    const COUNT: u64 = 70_000;
    let mappings = (0..COUNT).map(|index| mapping(0x10_0000 + 2 * PAGE * index, PAGE)).collect();
    let (core, written) = core(&process(Arch::X86_64, mappings, CapturedMemory::default()));
    assert_eq!(written.segments as u64, COUNT);
    assert_eq!(core[56..58], [0xff, 0xff]);
    let section = word(&core, 40) as usize;
    assert_eq!(core[section + 44..][..4], (COUNT as u32 + 2).to_le_bytes());
    assert_eq!(section as u64, 64 + 56 * (COUNT + 2));
    // The last one is our note.
    let last = section - 56;
    assert_eq!(core[last], 4);
    let note = word(&core, last + 8) as usize;
    assert_eq!(&core[note + 12..note + 20], b"PROSPECT");
}

#[test]
fn what_is_missing_is_zero_and_said() {
    let bytes: Vec<u8> = (0..4 * PAGE).map(|index| (index % 251) as u8).collect();
    let at = 0x10_0000;
    for arch in Arch::ALL {
        let memory = CapturedMemory::default().over(Box::new(Rest(bytes.clone())));
        let (core, written) = core(&process(arch, vec![mapping(at, 4 * PAGE)], memory));
        assert_eq!(written.unread.ranges, [Addr(at + PAGE)..Addr(at + 3 * PAGE)], "{arch:?}");
        // A note has twelve bytes and its name before what it says.
        let end = core.len() - DUMP_BYTES - 24;
        let found = &core[end - 4 * PAGE as usize..end];
        assert_eq!(found[..PAGE as usize], bytes[..PAGE as usize], "{arch:?}");
        assert!(found[PAGE as usize..3 * PAGE as usize].iter().all(|byte| *byte == 0));
        assert_eq!(found[3 * PAGE as usize..], bytes[3 * PAGE as usize..]);
        let note = DumpNote::parse(&core[core.len() - DUMP_BYTES..]).unwrap();
        assert_eq!(note.unread, written.unread.ranges);
    }
}

/// Pages of which the middle two cannot be read.
struct Rest(Vec<u8>);

impl Memory for Rest {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        let offset = at.0 - 0x10_0000;
        if (PAGE..3 * PAGE).contains(&offset) {
            return Err(MemoryError { at, why: Unreadable::Unmapped });
        }
        let length = buffer.len().min((PAGE - offset % PAGE) as usize);
        buffer[..length].copy_from_slice(&self.0[offset as usize..][..length]);
        Ok(length)
    }
}

/// A process that ends while it is read.
struct Dying;

impl Memory for Dying {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        if at.0 < 0x10_0000 + (8 << 20) {
            Ok(buffer.len())
        } else {
            Err(MemoryError { at, why: Unreadable::Gone })
        }
    }
}

#[test]
fn every_end_but_a_whole_core_is_an_error() {
    let make = || {
        let memory = CapturedMemory::default().over(Box::new(Dying));
        process(Arch::X86_64, vec![mapping(0x10_0000, 16 << 20)], memory)
    };
    let options = WriteOptions::new();
    let mut buffer = Buffer { bytes: Vec::new(), room: usize::MAX };
    assert!(matches!(write(&make(), &options, &mut buffer), Err(WriteError::Gone)));
    for room in [0, 100, 6000, 1 << 20] {
        let mut full = Buffer { bytes: Vec::new(), room };
        let progress = Progress::new();
        let result = write(&make(), &options.progress(&progress), &mut full);
        assert!(matches!(result, Err(WriteError::Output(_))), "{room}");
        assert!(progress.state().ended.unwrap().is_err());
    }
    let progress = Progress::new();
    progress.cancel();
    assert!(matches!(write(&make(), &options.progress(&progress), &mut buffer), Err(WriteError::Cancelled)));
}

/// Memory that nobody may ask anything of.
struct Untouchable;

impl Memory for Untouchable {
    fn read_up_to(&self, at: Addr, _: &mut [u8]) -> Result<usize, MemoryError> {
        panic!("{at} was read")
    }

    fn contents(&self, range: Range<Addr>) -> Vec<(Range<Addr>, Content)> {
        panic!("{range:?} was looked at")
    }
}

#[test]
fn nothing_is_planned_when_it_is_late() {
    let memory = CapturedMemory::default().over(Box::new(Untouchable));
    let process = process(Arch::X86_64, vec![mapping(0x10_0000, 16 << 20)], memory);
    let mut buffer = Buffer { bytes: Vec::new(), room: usize::MAX };
    let options = WriteOptions::new().deadline(Some(Instant::now()));
    for limit in [None, Some(1 << 20)] {
        let result = write(&process, &options.limit(limit), &mut buffer);
        assert!(matches!(result, Err(WriteError::Late)), "{limit:?}");
    }
    let progress = Progress::new();
    progress.cancel();
    let result = write(&process, &WriteOptions::new().progress(&progress), &mut buffer);
    assert!(matches!(result, Err(WriteError::Cancelled)));
}

#[test]
fn progress_ends_where_it_says() {
    let memory = CapturedMemory::new(vec![1; 1 << 20], [(Addr(0x10_0000), 1 << 20, 0)]);
    let progress = Progress::new();
    let process = process(Arch::S390x, vec![mapping(0x10_0000, 1 << 20)], memory);
    let mut buffer = Buffer { bytes: Vec::new(), room: usize::MAX };
    write(&process, &WriteOptions::new().progress(&progress), &mut buffer).unwrap();
    let state = progress.state();
    assert_eq!((state.bytes_done, state.bytes_total), (1 << 20, 1 << 20));
    assert_eq!((state.threads_done, state.threads_total, state.ended), (1, 1, Some(Ok(()))));
}

#[test]
fn what_is_written_is_read_again() {
    for arch in Arch::ALL {
        let info = arch.info();
        let mut facts = ProcessInfo::new(ProcessId(7), arch);
        facts.parent = Some(ProcessId(1));
        facts.name = "name".into();
        facts.kernel.nice = -5;
        facts.kernel.flags = 0x40_0040;
        facts.kernel.user_and_group = Some((1000, 100));
        facts.kernel.process_group = Some(ProcessId(6));
        facts.kernel.session = Some(ProcessId(5));
        let thread = |id: u32, current: u8| {
            let regset: Vec<u8> = (0..info.regset_bytes).map(|byte| byte as u8 ^ id as u8).collect();
            let mut thread = Thread::new(ThreadId(id));
            thread.signals.current = current;
            thread.signals.blocked = 0x5;
            thread.signals.info = (current > 0).then(|| vec![current; 128].into());
            let register_sets = info.other_sets.iter().map(|set| (*set, vec![id as u8; 64].into())).collect();
            FrozenThread { thread, registers: Some(Registers::from_regset(arch, &regset)), register_sets }
        };
        let threads = vec![thread(7, 0), thread(8, 11), thread(9, 0)];
        let (at, bytes) = (0x10_0000, (0..2 * PAGE).map(|byte| (byte % 249) as u8).collect::<Vec<u8>>());
        let memory = CapturedMemory::new(bytes.clone(), [(Addr(at), bytes.len(), 0)]);
        let mappings = Mappings::new(vec![mapping(at, 2 * PAGE), mapping(0x20_0000, PAGE)]);
        let process = FrozenProcess::new(facts, threads, memory, mappings);
        let (written, _) = core(&process);

        let read = ElfCore::from_bytes(written).unwrap();
        assert_eq!(read.info().arch, arch);
        let ids: Vec<u32> = read.threads().iter().map(|thread| thread.id.0).collect();
        assert_eq!(ids, [8, 7, 9], "who died comes first: {arch:?}");
        for thread in process.threads() {
            assert_eq!(read.registers(thread.id), process.registers(thread.id), "{arch:?}");
            for set in info.other_sets {
                assert_eq!(
                    read.register_set(thread.id, *set),
                    process.register_set(thread.id, *set),
                    "{arch:?} {set:?}"
                );
            }
            let again = read.threads().iter().find(|other| other.id == thread.id).unwrap();
            assert_eq!(again.signals.blocked, 0x5);
            assert_eq!(again.signals.current, thread.signals.current);
        }
        let (before, after) = (&process.info().kernel, &read.info().kernel);
        assert_eq!(
            (after.nice, after.flags, after.user_and_group),
            (before.nice, before.flags, before.user_and_group)
        );
        assert_eq!((after.process_group, after.session), (before.process_group, before.session));
        let mut again = vec![0; bytes.len()];
        read.memory().read(Addr(at), &mut again).unwrap();
        assert_eq!(again, bytes, "{arch:?}");
        assert!(
            read.memory().read(Addr(0x20_0000), &mut [0]).is_err(),
            "what was not there is not there again"
        );
    }
}

//! Dumps made of dumps of the other kind, of all systems that are read.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs::File;

use prospect_dump::{
    convert::{DumpFormat, Loss, convert, losses, lost_streams},
    elf_core::{ElfCore, Progress, Selection, SparseFile, WriteError, WriteOptions, write},
    minidump::Minidump,
};
use prospect_process::{
    Addr, Advice, Arch, CapturedMemory, FrozenProcess, FrozenThread, Mapping, Mappings, OperatingSystem,
    Permissions, Process, ProcessId, ProcessInfo, Registers, SignalInfo, Thread, ThreadId,
};
use prospect_testing::{SAMPLES, Scratch, sample_minidump};

const STACK: u64 = 0x10_0000;

/// A process that died, of one thread, with a page of stack.
fn process(arch: Arch, nice: i8) -> FrozenProcess {
    let info = arch.info();
    let mut registers = Registers::unknown(arch);
    registers.set(info.pc, 0x1234_5678);
    registers.set(info.sp, STACK + 0x800);
    let mut thread = Thread::new(ThreadId(7));
    let signal = SignalInfo { number: 11, code: 1, address: Some(Addr(0x10)), sender: None };
    thread.signals.current = 11;
    thread.signals.info = Some(signal.encode(arch));
    thread.signals.blocked = 0x1234;
    let thread = FrozenThread { thread, registers: Some(registers), register_sets: Vec::new() };
    let mapping = Mapping {
        range: Addr(STACK)..Addr(STACK + 0x1000),
        permissions: Permissions { read: true, write: true, ..Permissions::default() },
        offset: 0,
        file: None,
        name: Vec::new(),
        deleted: false,
        advice: Advice::default(),
    };
    let memory = CapturedMemory::new(vec![0x5a; 0x1000], [(Addr(STACK), 0x1000, 0)]);
    let mut info = ProcessInfo::new(ProcessId(7), arch);
    info.name = "program".into();
    info.parent = Some(ProcessId(3));
    info.kernel.process_group = Some(ProcessId(5));
    info.kernel.session = Some(ProcessId(4));
    info.kernel.user_and_group = Some((1000, 100));
    info.kernel.nice = nice;
    FrozenProcess::new(info, vec![thread], memory, Mappings::new(vec![mapping]))
}

fn core_of(process: &dyn Process, scratch: &Scratch) -> ElfCore {
    let path = scratch.path().join("core");
    let mut output = SparseFile::new(File::create(&path).unwrap()).unwrap();
    write(process, &WriteOptions::new().selection(Selection::Dumped), &mut output).unwrap();
    ElfCore::open(&path).unwrap()
}

fn to_minidump(process: &dyn Process, scratch: &Scratch) -> Result<Minidump, WriteError> {
    let path = scratch.path().join("dmp");
    let mut output = SparseFile::new(File::create(&path)?)?;
    convert(process, DumpFormat::Minidump, &Progress::new(), &mut output)?;
    Ok(Minidump::open(&path).unwrap())
}

fn to_core(process: &dyn Process, scratch: &Scratch) -> Result<ElfCore, WriteError> {
    let path = scratch.path().join("core");
    let mut output = SparseFile::new(File::create(&path)?)?;
    convert(process, DumpFormat::Core, &Progress::new(), &mut output)?;
    Ok(ElfCore::open(&path).unwrap())
}

fn words(losses: &[Loss]) -> Vec<String> {
    losses.iter().map(ToString::to_string).collect()
}

#[test]
fn a_core_comes_back_whole_on_every_architecture() {
    for arch in Arch::ALL {
        let scratch = Scratch::new("convert");
        let core = core_of(&process(arch, 0), &scratch);
        let dump = match to_minidump(&core, &scratch) {
            Err(WriteError::NoContext("s390x")) => continue,
            dump => dump.unwrap(),
        };
        assert_ne!(arch, Arch::S390x);
        let lost = losses(&core, &dump);
        assert!(lost.is_empty(), "{arch:?}: {:?}", words(&lost));
        let back = to_core(&dump, &scratch).unwrap();
        let lost = losses(&dump, &back);
        assert!(lost.is_empty(), "{arch:?}: {:?}", words(&lost));
        let (_, signal) = back.signal().unwrap();
        assert_eq!(signal.to_string(), "SIGSEGV, address not mapped, at 0x10");
        let mut bytes = [0; 0x1000];
        back.memory().read(Addr(STACK), &mut bytes).unwrap();
        assert_eq!(bytes, [0x5a; 0x1000]);
    }
}

#[test]
fn what_is_lost_is_found() {
    let scratch = Scratch::new("convert-lost");
    let core = core_of(&process(Arch::X86_64, 5), &scratch);
    let dump = to_minidump(&core, &scratch).unwrap();
    assert_eq!(words(&losses(&core, &dump)), ["the nice value"]);
}

#[test]
fn minidumps_of_linux_become_cores_and_others_are_refused() {
    for sample in SAMPLES {
        let scratch = Scratch::new("convert-samples");
        let dump = Minidump::from_bytes(sample_minidump(sample)).unwrap();
        match dump.info().system {
            OperatingSystem::Linux | OperatingSystem::Android => {
                let core = to_core(&dump, &scratch).unwrap();
                assert_eq!(core.threads().len(), dump.threads().len());
                let lost = words(&losses(&dump, &core));
                assert!(lost.iter().all(|one| !one.contains("memory")), "{lost:?}");
                assert!(lost_streams(&dump).any(|one| one.name == "SystemInfo"));
            }
            system => {
                let error = to_core(&dump, &scratch).unwrap_err();
                assert!(error.to_string().contains(system.as_str()), "{error}");
            }
        }
    }
}

//! Minidumps of processes that are made up, read again.

use prospect_process::{
    Advice, Arch, CapturedMemory, FrozenProcess, FrozenThread, Mapping, Mappings, NoRegisters, Permissions,
    ProcessId, ProcessInfo, RegisterSet, SignalInfo, Thread, ThreadId, auxv,
};

use prospect_process::Addr;

use super::*;
use crate::{
    elf_core::{Selection, Stream},
    minidump::{AnnotationObject, CrashpadInfo, CrashpadModule, Minidump, MinidumpNotice, Uuid, kinds},
};

const STACK: u64 = 0x7000_0000;
const STACK_BYTES: u64 = 0x1_0000;
const CODE: u64 = 0x40_0000;
const HEAP: u64 = 0x50_0000;
/// Where the strings above the first thread's stack begin.
const STRINGS: u64 = STACK + STACK_BYTES - 0x800;

fn mapping(start: u64, bytes: u64, execute: bool) -> Mapping {
    Mapping {
        range: Addr(start)..Addr(start + bytes),
        permissions: Permissions { read: true, write: !execute, execute, shared: false },
        offset: 0,
        file: None,
        name: Vec::new(),
        deleted: false,
        advice: Advice::default(),
    }
}

/// Two threads with stacks in one mapping, the second one half a stack below, and a third one that did not stop. On the first one's
/// stack lie an address, a secret and a small number, in this order.
fn process(arch: Arch) -> FrozenProcess {
    let info = arch.info();
    let word = |number: u64| {
        if info.big_endian {
            number.to_be_bytes()[8 - usize::from(info.word_bytes)..].to_vec()
        } else {
            number.to_le_bytes()[..usize::from(info.word_bytes)].to_vec()
        }
    };
    let mut stack = vec![0; STACK_BYTES as usize];
    let at = (sp(0) - STACK) as usize;
    let words = [word(CODE + 8), b"hunter22"[..usize::from(info.word_bytes)].to_vec(), word(77)].concat();
    stack[at..at + words.len()].copy_from_slice(&words);
    stack[(STRINGS - STACK) as usize + 64..][..12].copy_from_slice(b"PASS=planted");
    let mut bytes = stack;
    let heap_at = bytes.len();
    bytes.extend([3; 0x2000]);
    let code_at = bytes.len();
    bytes.extend([0x90; 0x1000]);
    let memory = CapturedMemory::new(
        bytes,
        [
            (Addr(CODE), 0x1000, code_at),
            (Addr(HEAP), 0x2000, heap_at),
            (Addr(STACK), STACK_BYTES as usize, 0),
        ],
    );
    let threads = (0..3).map(|index| {
        let mut registers = Registers::unknown(arch);
        for row in 0..info.registers.len() {
            registers.set(prospect_process::RegisterId(row as u8), 0x1000 + row as u64);
        }
        registers.set(info.pc, CODE + 0x200);
        registers.set(info.sp, sp(index));
        let stopped = index < 2;
        let mut thread = Thread::new(ThreadId(100 + index));
        thread.name = Some(format!("näme-{index}"));
        thread.not_stopped = (!stopped).then_some(NoRegisters::Uninterruptible);
        FrozenThread { thread, registers: stopped.then_some(registers), register_sets: Vec::new() }
    });
    let mut about = ProcessInfo::new(ProcessId(100), arch);
    about.command_line = vec![b"./server".to_vec(), b"--key=planted".to_vec()];
    let entries = [auxv::RANDOM, STRINGS, 0, 0];
    about.kernel.auxiliary_vector = entries.into_iter().flat_map(word).collect();
    about.kernel.core_filter = Some(1);
    let mappings =
        [mapping(CODE, 0x1000, true), mapping(HEAP, 0x2000, false), mapping(STACK, STACK_BYTES, false)];
    FrozenProcess::new(about, threads.collect(), memory, Mappings::new(mappings.to_vec()))
}

fn sp(thread: u32) -> u64 {
    STACK + if thread == 0 { 0xe000 } else { 0x8000 }
}

fn written(process: &FrozenProcess, options: &Options<'_>) -> (Vec<u8>, Written) {
    let mut stream = Stream(Vec::new());
    let written = write(process, options, &mut stream).unwrap();
    assert_eq!(written.bytes, stream.0.len() as u64);
    (stream.0, written)
}

fn has(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|part| part == text)
}

fn read(minidump: &Minidump, at: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    minidump.memory().read(Addr(at), &mut bytes).ok().map(|()| bytes)
}

fn stream(minidump: &Minidump, kind: u32) -> Option<Vec<u8>> {
    let stream = minidump.streams().iter().find(|stream| stream.kind == kind)?;
    minidump.stream_bytes(stream).ok()
}

#[test]
fn what_is_written_is_read_on_every_architecture() {
    for arch in Arch::ALL {
        let process = process(arch);
        if arch == Arch::S390x {
            let error = write(&process, &Options::new(), &mut Stream(Vec::new())).unwrap_err();
            assert!(error.to_string().contains("s390x"), "{error}");
            continue;
        }
        let (bytes, written) = written(&process, &Options::new());
        assert_eq!((written.threads, written.stacks), (3, 2), "{arch:?}");
        let minidump = Minidump::from_bytes(bytes.clone()).unwrap();
        assert_eq!((minidump.info().arch, minidump.info().id), (arch, ProcessId(100)));
        let threads = minidump.threads();
        let names: Vec<_> = threads.iter().map(|thread| (thread.id.0, thread.name.as_deref())).collect();
        assert_eq!(names, [(100, Some("näme-0")), (101, Some("näme-1")), (102, Some("näme-2"))]);
        for thread in process.threads() {
            let (own, back) = (process.registers(thread.id), minidump.registers(thread.id));
            let place = |registers: Option<Registers>| registers.map(|one| (one.pc(), one.sp()));
            assert_eq!(place(own), place(back), "{arch:?}");
        }
        let red_zone = u64::from(arch.info().red_zone_bytes);
        for thread in 0..2 {
            let start = sp(thread) - red_zone;
            let length = (STRINGS - start) as usize;
            let mut own = vec![0; length];
            process.memory().read(Addr(start), &mut own).unwrap();
            assert_eq!(read(&minidump, start, length), Some(own), "{arch:?} {thread}");
        }
        assert!(read(&minidump, CODE + 0x200 - 128, 256).is_some() && read(&minidump, HEAP, 1).is_none());
        assert!(!has(&bytes, b"planted"), "strings and command line are not in it");
        assert_eq!(minidump.mappings().as_slice().len(), 3);
        let errors = String::from_utf8(stream(&minidump, kinds::SOFT_ERRORS).unwrap()).unwrap();
        let why = NoRegisters::Uninterruptible;
        assert_eq!(errors, format!("[{{\"ThreadNotStopped\":\"thread 102: {why}\"}}]"));
        let exception = minidump.info().exception.clone();
        assert!(exception.is_none_or(|one| one.is_request() && one.thread.0 == 100));
    }
}

#[test]
fn words_that_are_neither_addresses_nor_small_are_replaced() {
    for arch in [Arch::X86_64, Arch::Arm, Arch::Ppc] {
        let (process, width) = (process(arch), usize::from(arch.info().word_bytes));
        let (plain, _) = written(&process, &Options::new());
        let secret = &b"hunter22"[..width];
        assert!(has(&plain, secret));
        let (bytes, _) = written(&process, &Options::new().sanitize_stack(true));
        assert!(!has(&bytes, secret), "{arch:?}");
        let minidump = Minidump::from_bytes(bytes).unwrap();
        let words = read(&minidump, sp(0), 3 * width).unwrap();
        let words: Vec<_> = words.chunks(width).map(|word| arch.info().word(word).unwrap()).collect();
        assert_eq!(words, [CODE + 8, Options::SANITIZED & arch.info().word_mask(), 77], "{arch:?}");
        let range = Addr(sp(0) + width as u64)..Addr(sp(0) + 2 * width as u64);
        let (bytes, _) = written(&process, &Options::new().sanitize_stack(true).app_memory(&[range]));
        assert!(has(&bytes, secret), "what is asked for is as it is");
    }
}

#[test]
fn registers_are_sanitized_but_for_where_the_thread_is() {
    let process = process(Arch::X86_64);
    let id = |name| Arch::X86_64.info().by_name(name).unwrap();
    let mut registers = process.registers(ThreadId(100)).unwrap();
    registers.set(id("rbx"), u64::from_le_bytes(*b"hunter22"));
    registers.set(id("r12"), HEAP);
    let float: Box<[u8]> = b"hunter22".repeat(64).into();
    let context =
        CrashContext::new(ThreadId(100)).with_registers(registers, vec![(RegisterSet::FLOAT, float)]);
    let options = Options::new().crash_context(Some(&context));
    let (plain, _) = written(&process, &options);
    assert!(has(&plain, &b"hunter22".repeat(8)));
    let (bytes, _) = written(&process, &options.sanitize_stack(true));
    assert!(!has(&bytes, b"hunter22"));
    let back = Minidump::from_bytes(bytes).unwrap().registers(ThreadId(100)).unwrap();
    assert_eq!((back.get(id("rbx")), back.get(id("r12"))), (Some(Options::SANITIZED), Some(HEAP)));
    assert_eq!(back.pc(), registers.pc());
}

#[test]
fn a_crash_has_its_signal_and_the_registers_of_its_moment() {
    let process = process(Arch::X86_64);
    let signal = SignalInfo { number: 11, code: 1, address: Some(Addr(0x10)), sender: None };
    let mut registers = process.registers(ThreadId(101)).unwrap();
    registers.set(Arch::X86_64.info().pc, CODE + 0x100);
    let context = CrashContext::new(ThreadId(101)).with_signal(signal).with_registers(registers, Vec::new());
    let (bytes, _) = written(&process, &Options::new().crash_context(Some(&context)));
    let minidump = Minidump::from_bytes(bytes).unwrap();
    let exception = minidump.info().exception.clone().unwrap();
    assert_eq!(exception.thread, ThreadId(101));
    assert_eq!(exception.to_string(), "SIGSEGV, address not mapped, at 0x10");
    assert_eq!(minidump.registers(ThreadId(101)).unwrap().pc(), Some(Addr(CODE + 0x100)));
}

#[test]
fn memory_of_all_kinds_is_in_a_full_one() {
    let process = process(Arch::X86_64);
    let options = Options::new().full(Some(Selection::All));
    let (bytes, written_all) = written(&process, &options);
    let minidump = Minidump::from_bytes(bytes.clone()).unwrap();
    assert_eq!(read(&minidump, HEAP, 0x2000), Some(vec![3; 0x2000]));
    assert!(read(&minidump, STACK, 0x8000).is_some() && !has(&bytes, b"planted"));
    assert!(minidump.streams().iter().any(|stream| stream.kind == kinds::MEMORY_64));
    assert!(written_all.unread.is_empty());
    let (bytes, _) = written(&process, &options.environment(true).command_line(true));
    assert!(has(&bytes, b"PASS=planted") && has(&bytes, b"--key=planted"));
}

#[test]
fn a_limit_is_kept_and_the_blamed_thread_comes_first() {
    let process = process(Arch::X86_64);
    let options = Options::new().blamed_thread(Some(ThreadId(101)));
    let whole = written(&process, &options).1.bytes;
    let limit = whole - 0x2000;
    let (bytes, about) = written(&process, &options.minidump_size_limit(Some(limit)));
    assert!(bytes.len() as u64 <= limit, "{} {limit}", bytes.len());
    assert!(about.soft_errors.iter().any(|error| matches!(error, SoftError::StacksCut { .. })));
    let minidump = Minidump::from_bytes(bytes).unwrap();
    assert!(read(&minidump, sp(1), 0x2000).is_some());
    let (_, about) = written(&process, &options.stack_bytes(0));
    assert_eq!(about.stacks, 2, "a little of each is there in any case");
}

#[test]
fn stacks_that_do_not_refer_to_the_principal_mapping_are_left_out() {
    let process = process(Arch::X86_64);
    let options = Options::new().skip_stacks_if_mapping_unreferenced(true);
    // Both threads run there.
    assert_eq!(written(&process, &options.principal_mapping_address(Some(Addr(CODE)))).1.stacks, 2);
    let (_, about) = written(&process, &options.principal_mapping_address(Some(Addr(HEAP))));
    assert_eq!((about.stacks, about.soft_errors.len()), (0, 2));
    let (_, about) = written(&process, &options.principal_mapping_address(Some(Addr(0x10))));
    assert!(about.soft_errors.contains(&SoftError::PrincipalMappingNotFound(Addr(0x10))));
}

#[test]
fn streams_and_handles_are_there_as_they_were_given() {
    let process = process(Arch::X86_64);
    let streams = [
        UserStream { kind: 0x1_2345, bytes: b"mine".to_vec() },
        UserStream { kind: Text::Environment.kind(), bytes: b"A=planted\0".to_vec() },
        UserStream { kind: Text::CpuInfo.kind(), bytes: b"processor : 0\nvendor_id : X\n".to_vec() },
    ];
    let handles = [OpenHandle { number: 3, kind: "file".into(), name: "/ä".into(), attributes: 0o100_644 }];
    let users =
        [UserMapping { range: Addr(HEAP)..Addr(HEAP + 16), name: "jit".into(), build_id: vec![1, 2, 3, 4] }];
    let options = Options::new().streams(&streams).handles(&handles).user_mapping_list(&users);
    let (bytes, _) = written(&process, &options.os_version("Linux 6.1.7 #1 x86_64"));
    let minidump = Minidump::from_bytes(bytes).unwrap();
    assert_eq!(stream(&minidump, 0x1_2345).as_deref(), Some(&b"mine"[..]));
    assert_eq!(stream(&minidump, kinds::LINUX_ENVIRONMENT), None);
    let module = &minidump.modules().as_slice()[0];
    assert_eq!((module.path_lossy().as_ref(), module.build_id.as_ref().unwrap().0.len()), ("jit", 4));
    let handle = &minidump.facts().handles[0];
    assert_eq!((handle.number, handle.kind.as_str(), handle.name.as_str()), (3, "file", "/ä"));
    let (bytes, _) = written(&process, &options.environment(true));
    let minidump = Minidump::from_bytes(bytes).unwrap();
    assert_eq!(stream(&minidump, kinds::LINUX_ENVIRONMENT).as_deref(), Some(&b"A=planted\0"[..]));
}

#[test]
fn what_crashpad_keeps_is_there_as_it_was_given() {
    let id = |first| Uuid(std::array::from_fn(|at| first + at as u8));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let object =
        |name: &str, kind, value: &[u8]| AnnotationObject { name: name.into(), kind, value: value.into() };
    let module = CrashpadModule {
        messages: vec!["a message".into()],
        annotations: vec![pair("buïld", "7")],
        objects: vec![
            object("text", AnnotationObject::STRING, b"value"),
            object("number", 0x8001, &[1, 255]),
        ],
        ..CrashpadModule::new(Addr(HEAP + 8))
    };
    let nowhere = CrashpadModule { messages: vec!["of nothing".into()], ..CrashpadModule::new(Addr(0x10)) };
    let info = CrashpadInfo {
        report_id: id(1),
        client_id: id(0x80),
        annotations: vec![pair("product", "Pröspect"), pair("empty", "")],
        modules: vec![nowhere, module],
    };
    let users = [
        UserMapping { range: Addr(CODE)..Addr(CODE + 16), name: "first".into(), build_id: vec![1; 20] },
        UserMapping { range: Addr(HEAP)..Addr(HEAP + 16), name: "second".into(), build_id: vec![2; 20] },
    ];
    let own = |name: &str, value: &str| (None, name.to_owned(), value.to_owned());
    let of_module = |name: &str, value: &str| (Some(1), name.to_owned(), value.to_owned());
    for arch in [Arch::X86_64, Arch::Ppc] {
        let options = Options::new().user_mapping_list(&users).crashpad_info(Some(&info));
        let (bytes, _) = written(&process(arch), &options);
        assert!(!has(&bytes, b"of nothing"));
        let minidump = Minidump::from_bytes(bytes).unwrap();
        let is_bad = |notice: &MinidumpNotice| matches!(notice, MinidumpNotice::BadStream(_));
        assert!(!minidump.notices().iter().any(is_bad), "{arch:?}");
        let facts = minidump.facts();
        assert_eq!((facts.report_id, facts.client_id), (Some(id(1)), Some(id(0x80))));
        let expected = [
            own("product", "Pröspect"),
            own("empty", ""),
            of_module("", "a message"),
            of_module("buïld", "7"),
            of_module("text", "value"),
            of_module("number", "01ff"),
        ];
        assert_eq!(facts.annotations, expected, "{arch:?}");
        // `version`, and the first number of the first GUID, as other readers expect them.
        let stream = stream(&minidump, kinds::CRASHPAD).unwrap();
        let word = |at: usize| arch.info().word(&stream[at..at + 4]).unwrap();
        if arch == Arch::Ppc {
            assert_eq!((stream.len(), word(0), word(4)), (52, 1, 0x0102_0304));
        } else {
            assert_eq!((stream.len(), &stream[..8]), (52, &[1, 0, 0, 0, 4, 3, 2, 1][..]));
        }
    }
    assert_eq!(id(1).to_string(), "01020304-0506-0708-090a-0b0c0d0e0f10");
    let (bytes, _) =
        written(&process(Arch::X86_64), &Options::new().crashpad_info(Some(&CrashpadInfo::default())));
    let facts = Minidump::from_bytes(bytes).unwrap();
    assert_eq!((facts.facts().report_id, facts.facts().annotations.len()), (None, 0));
}

#[test]
fn an_auxiliary_vector_that_was_given_is_there() {
    let process = process(Arch::X86_64);
    let vector: Vec<u8> = [auxv::ENTRY, CODE + 16, 0, 0].into_iter().flat_map(u64::to_le_bytes).collect();
    let (bytes, _) = written(&process, &Options::new().auxiliary_vector(Some(&vector)));
    let minidump = Minidump::from_bytes(bytes).unwrap();
    assert_eq!(
        (minidump.entry(), stream(&minidump, kinds::LINUX_AUXV)),
        (Some(Addr(CODE + 16)), Some(vector))
    );
}

#[test]
fn who_cancels_and_who_has_no_room_are_told() {
    let process = process(Arch::X86_64);
    let progress = Progress::new();
    progress.cancel();
    let options = Options::new().progress(&progress);
    let cancelled = write(&process, &options, &mut Stream(Vec::new()));
    assert!(matches!(cancelled, Err(WriteError::Cancelled)), "{cancelled:?}");
    let mut small = [0; 64];
    let full = write(&process, &Options::new(), &mut Stream(&mut small[..]));
    assert!(matches!(full, Err(WriteError::Output(_))), "{full:?}");
}

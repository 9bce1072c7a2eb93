//! Minidumps: of all systems, of another writer, cut anywhere, and with damage.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{fs::File, path::Path};

use prospect_dump::{
    Compression,
    minidump::{Minidump, MinidumpError, MinidumpNotice, kinds},
    unpack,
};
use prospect_process::{
    Addr, Arch, Content, NoRegisters, OperatingSystem, Process, RegisterSet, Target as _, ThreadId,
};
use prospect_testing::{Random, SAMPLE_CODE, SAMPLE_HEAP, SAMPLE_STACK, SAMPLES, Scratch, sample_minidump};

fn bytes_at(dump: &Minidump, at: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let read = dump.memory().read_available(Addr(at), &mut bytes);
    bytes.truncate(read);
    bytes
}

#[test]
fn a_dump_of_windows_has_all_that_it_says() {
    let dump = Minidump::from_bytes(sample_minidump(SAMPLES[0])).unwrap();
    assert_eq!(dump.notices(), []);
    let info = dump.info();
    assert_eq!((info.id.0, info.arch, info.system), (77, Arch::X86_64, OperatingSystem::Windows));
    assert_eq!((info.name.as_str(), dump.processes().len()), ("program.exe", 1));
    assert_eq!(
        (dump.system().version, dump.system().version_text.as_str()),
        ((10, 1, 19045), "Version 1 of all")
    );
    assert_eq!(
        info.exception.as_ref().unwrap().to_string(),
        "EXCEPTION_ACCESS_VIOLATION, memory that could not be accessed, writing 0x10"
    );
    // The thread that crashed comes first, as it was then.
    let ids: Vec<u32> = dump.threads().iter().map(|thread| thread.id.0).collect();
    assert_eq!(ids, [2, 1]);
    let crashed = dump.registers(ThreadId(2)).unwrap();
    assert_eq!(
        (crashed.pc(), crashed.sp()),
        (Some(Addr(SAMPLE_CODE + 0x120)), Some(Addr(SAMPLE_STACK + 0x1_0020)))
    );
    assert_eq!(dump.registers_at_dump(ThreadId(2)).unwrap().pc(), Some(Addr(SAMPLE_CODE + 2)));
    assert_eq!(dump.registers_at_dump(ThreadId(1)), dump.registers(ThreadId(1)));
    let block = Arch::X86_64.info().by_name("gs_base").unwrap();
    assert_eq!(crashed.get(block), Some(0x7002));
    assert!(dump.register_set(ThreadId(1), RegisterSet::X86_EXTENDED).is_some());
    let thread = &dump.threads()[1];
    assert_eq!((thread.name.as_deref(), thread.cpu_time.unwrap().as_secs()), (Some("thread 1"), 3));
    let module = dump.modules().executable().unwrap();
    assert_eq!(module.file_name(), "program.exe");
    assert_eq!(module.build_id.as_ref().unwrap().to_string(), "0403020106050807090a0b0c0d0e0f1003000000");
    assert_eq!(module.debug_file.as_deref(), Some(&b"program.pdb"[..]));
    assert_eq!(dump.module_version(module).unwrap().to_string(), "1.2.3.4");
    assert_eq!(dump.unloaded_modules()[0].name, "gone.dll");
    // Of the list, of a thread, and of the list of all memory.
    assert_eq!(bytes_at(&dump, SAMPLE_CODE + 0x100, 65), [0x90; 64]);
    assert_eq!(bytes_at(&dump, SAMPLE_STACK + 0x1_0000, 300), [2; 256]);
    assert_eq!(bytes_at(&dump, SAMPLE_HEAP, 20), *b"sixteen of bytes");
    assert_eq!(bytes_at(&dump, SAMPLE_HEAP + 0x1000, 20), *b"and more");
    let around = dump.memory().contents(Addr(SAMPLE_HEAP - 8)..Addr(SAMPLE_HEAP + 8));
    assert_eq!(
        around.iter().map(|(_, content)| *content).collect::<Vec<_>>(),
        [Content::Missing, Content::Own]
    );
    let mapping = |at: u64| dump.mappings().at(Addr(at)).map(|mapping| mapping.permissions.to_string());
    assert_eq!(mapping(SAMPLE_CODE).as_deref(), Some("r-xp"));
    assert_eq!((mapping(SAMPLE_STACK).as_deref(), mapping(0x4000_0000)), (Some("rw-p"), None));
    let facts = dump.facts();
    let assertion = facts.assertion.as_ref().unwrap();
    assert_eq!(
        (assertion.expression.as_str(), assertion.file.as_str(), assertion.line),
        ("a > b", "a.cc", 12)
    );
    assert_eq!(
        (facts.comments.as_slice(), facts.handles[0].kind.as_str()),
        (&["a comment".to_owned()][..], "File")
    );
    let annotations: Vec<(Option<u32>, &str, &str)> = facts
        .annotations
        .iter()
        .map(|(module, name, value)| (*module, name.as_str(), value.as_str()))
        .collect();
    assert_eq!(annotations, [(None, "product", "Prospect"), (Some(0), "object", "value")]);
    let unknown = dump.streams().iter().find(|stream| stream.kind == 0xdead_beef).unwrap();
    assert_eq!((unknown.name(), dump.stream_bytes(unknown).unwrap().len()), (None, 27));
}

#[test]
fn dumps_of_every_system_are_read() {
    let system = [
        OperatingSystem::Windows,
        OperatingSystem::Linux,
        OperatingSystem::Windows,
        OperatingSystem::MacOs,
        OperatingSystem::Android,
        OperatingSystem::MacOs,
    ];
    let archs = [Arch::X86_64, Arch::X86_64, Arch::I386, Arch::Aarch64, Arch::Aarch64, Arch::Ppc];
    for ((sample, system), arch) in SAMPLES.into_iter().zip(system).zip(archs) {
        let dump = Minidump::from_bytes(sample_minidump(sample)).unwrap();
        assert_eq!((dump.notices(), dump.info().system, dump.info().arch), (&[][..], system, arch));
        for (thread, pc) in [(1, SAMPLE_CODE + 1), (2, SAMPLE_CODE + 0x120)] {
            assert_eq!(dump.registers(ThreadId(thread)).unwrap().pc(), Some(Addr(pc)), "{arch:?}");
        }
        let (at, _) = dump.info().exception.as_ref().unwrap().memory_fault().unwrap();
        assert_eq!(at, Addr(0x10), "{system:?}");
        let code = dump.mappings().at(Addr(SAMPLE_CODE + 0x120)).unwrap();
        assert!(code.permissions.execute && code.file.is_some());
        assert!(dump.mappings().at(Addr(SAMPLE_STACK + 0x20)).unwrap().permissions.write);
        let id = dump.modules().executable().unwrap().build_id.clone().unwrap();
        match system {
            OperatingSystem::MacOs => assert_eq!(id.to_string(), "0102030405060708090a0b0c0d0e0f10"),
            OperatingSystem::Windows => assert_eq!(id.0.len(), 20),
            _ => assert_eq!(id.0, b"build-id of twenty b"),
        }
        if system != OperatingSystem::Windows {
            assert_eq!(dump.info().command_line, [&b"./program"[..], b"", b"-x"]);
            assert_eq!(dump.info().parent.unwrap().0, 5);
            assert_eq!(dump.system().processor.as_deref(), Some("A processor"));
        }
    }
}

#[test]
fn a_dump_of_another_writer_is_read() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/minidumps/minidump-writer-x86_64.dmp.gz");
    let file = File::open(path).unwrap();
    let compression = Compression::of_file(&file).unwrap().unwrap();
    let scratch = Scratch::new("minidump");
    let unpacked = unpack(&file, compression, scratch.path(), u64::MAX, &mut |_| ()).unwrap();
    assert!(Minidump::is_minidump(&unpacked.file));
    let dump = Minidump::from_file(unpacked.file).unwrap();
    assert_eq!(dump.notices(), []);
    let threads: Vec<(u32, &str)> =
        dump.threads().iter().map(|thread| (thread.id.0, thread.name.as_deref().unwrap())).collect();
    assert_eq!(threads, [(8714, "threads"), (8716, "worker-1"), (8717, "worker-2"), (8718, "worker-3")]);
    assert!(dump.info().exception.as_ref().unwrap().is_request());
    let program = dump.modules().executable().unwrap();
    assert_eq!(program.path, b"/var/tmp/prospect-fixture/threads");
    assert_eq!(program.build_id.as_ref().unwrap().to_string(), "1be0ac61891323f8559eed7eabce248d30d1b8fe");
    assert!(dump.modules().c_library().is_some() && dump.modules().loader().is_some());
    assert!(dump.modules().iter().any(|module| module.path == b"[vdso]"));
    assert!(program.range.contains(&dump.entry().unwrap()));
    for thread in dump.threads() {
        let registers = dump.registers(thread.id).unwrap();
        let (pc, sp) = (registers.pc().unwrap(), registers.sp().unwrap());
        assert!(dump.mappings().at(pc).unwrap().permissions.execute);
        assert_eq!(dump.modules().at(pc).unwrap().file_name(), "libc.so.6");
        assert_eq!(dump.memory().contents(sp..sp.wrapping_add(64))[0].1, Content::Own);
    }
    // The kernel's own map, and what the program was started with.
    assert_eq!(dump.mappings().iter().filter(|mapping| mapping.name == b"[stack]").count(), 1);
    assert_eq!(dump.info().command_line, [&b"./threads"[..], b"3"]);
}

/// Looks at all that a dump has.
fn look(dump: &Minidump) {
    let _ = dump.notices().iter().map(|notice| notice.to_string().len()).sum::<usize>();
    let everything = dump.memory().contents(Addr(0)..Addr(u64::MAX));
    assert!(everything.windows(2).all(|pair| pair[0].0.end == pair[1].0.start), "{everything:x?}");
    for thread in dump.threads() {
        let registers = dump.registers(thread.id);
        assert_eq!(registers.is_none(), thread.not_stopped == Some(NoRegisters::NotInDump));
        let at = registers.and_then(|registers| registers.sp()).unwrap_or(Addr(0));
        let _ = dump.memory().read_available(at, &mut [0; 64]);
    }
    let _ = dump.info().exception.as_ref().map(ToString::to_string);
}

#[test]
fn of_a_dump_that_is_cut_anywhere_the_rest_is_read() {
    let whole = sample_minidump(SAMPLES[0]);
    // The directory is at the end: put before the rest, it is there as long as anything is.
    let directory = u32::from_le_bytes(*whole[12..].first_chunk().unwrap()) as usize;
    for length in 0..whole.len() {
        match Minidump::from_bytes(whole[..length].to_vec()) {
            Ok(dump) => {
                assert!(length > directory);
                assert!(dump.notices().iter().any(MinidumpNotice::is_loss), "{length}");
                look(&dump);
            }
            Err(MinidumpError::NotMinidump) => assert!(length < 4),
            Err(MinidumpError::NoDirectory { .. }) => assert!(length < directory + 12),
            Err(MinidumpError::NoSystem) => assert!(length > directory),
            Err(error) => panic!("{length}: {error}"),
        }
    }
}

#[test]
fn damage_does_no_harm() {
    let mut random = Random::new(7);
    for round in 0..3000 {
        let mut bytes = sample_minidump(SAMPLES[round % SAMPLES.len()]);
        for _ in 0..=random.below(6) {
            let at = random.below(bytes.len() - 4);
            let odd = [0, 1, 0xffff_ffff, 0x7fff_ffff, 0x8000_0000, random.number() as u32];
            let word = odd[random.below(odd.len())].to_le_bytes();
            bytes[at..at + 4].copy_from_slice(&word);
        }
        if let Ok(dump) = Minidump::from_bytes(bytes) {
            look(&dump);
        }
    }
}

#[test]
fn what_refers_to_more_than_there_is_is_read_within_bounds() {
    // As many threads as fit, and all have the same long context.
    let mut bytes = sample_minidump(SAMPLES[0]);
    let (threads, context) = (40_000u32, 60_000u32);
    let list = bytes.len() as u32;
    bytes.extend(threads.to_le_bytes());
    for id in 0..threads {
        let mut thread = [0; 48];
        thread[..4].copy_from_slice(&id.to_le_bytes());
        thread[40..44].copy_from_slice(&context.to_le_bytes());
        bytes.extend(thread);
    }
    let directory = u32::from_le_bytes(*bytes[12..].first_chunk().unwrap()) as usize;
    let entry =
        (directory..).step_by(12).find(|at| bytes[*at..*at + 4] == kinds::THREADS.to_le_bytes()).unwrap();
    bytes[entry + 4..entry + 8].copy_from_slice(&(threads * 48 + 4).to_le_bytes());
    bytes[entry + 8..entry + 12].copy_from_slice(&list.to_le_bytes());
    let dump = Minidump::from_bytes(bytes).unwrap();
    assert!(dump.notices().contains(&MinidumpNotice::TooMuch));
    assert!(dump.threads().len() >= threads as usize);
}

//! Cores that the kernel wrote: whole, cut anywhere, and with damage.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs::{self, File, OpenOptions};

use prospect_dump::elf_core::{CoreError, CoreNotice, ElfCore};
use prospect_process::{
    Addr, Content, NoRegisters, Process as _, RegisterInfo, RegisterSet, Registers, ThreadId, Unreadable,
};
use prospect_testing::{Missing, Random, Scratch, crash, fixture, kernel_cores, require};

/// The bytes of a core, small enough to be cut everywhere, of `threads` threads besides the first.
fn core(threads: &str) -> Result<Vec<u8>, Missing> {
    kernel_cores()?;
    let fixture = fixture("crash-static")?;
    let scratch = Scratch::new("dump");
    Ok(fs::read(crash(&fixture.command(&[threads]), scratch.path())).unwrap())
}

#[test]
fn a_core_of_the_kernel_has_all_that_it_keeps() {
    let core = ElfCore::from_bytes(require!(core("2"))).unwrap();
    assert_eq!(core.notices(), []);
    let (info, threads) = (core.info(), core.threads());
    assert_eq!((info.name.as_str(), threads.len()), ("crash-static", 3));
    assert_eq!(ThreadId(info.id.0), threads[0].id);
    assert!(
        info.parent.unwrap().0 > 0
            && info.kernel.user_and_group.is_some()
            && !info.kernel.auxiliary_vector.is_empty()
    );
    assert!(info.executable.as_ref().unwrap().ends_with(b"/crash-static"));
    let (thread, signal) = core.signal().unwrap();
    assert_eq!((thread, signal.number, signal.address), (threads[0].id, 11, Some(Addr(0x10))));
    for thread in threads {
        let registers = core.registers(thread.id).unwrap();
        let sp = registers.sp().unwrap();
        let mapping = core.mappings().at(sp).unwrap();
        assert!(mapping.permissions.write, "{mapping:?}");
        assert_eq!(core.memory().contents(sp..sp.wrapping_add(8)), [(sp..sp.wrapping_add(8), Content::Own)]);
        assert!(core.register_set(thread.id, RegisterSet::FLOAT).is_some());
    }
    let stack = core.mappings().at(core.registers(thread).unwrap().sp().unwrap()).unwrap();
    assert_eq!(stack.name, b"[stack]");
    // Code was left out, and it is said so; the first page is there.
    let code = core.registers(thread).unwrap().pc().unwrap();
    assert_eq!(core.memory().read_up_to(code, &mut [0]).unwrap_err().why, Unreadable::NotCaptured);
    assert_eq!(core.memory().contents(code..code.wrapping_add(1))[0].1, Content::Missing);
    let program = core.modules().executable().unwrap();
    assert!(program.build_id.is_some() && program.range.contains(&code));
    // Nothing is at 0.
    assert_eq!(core.memory().read_up_to(Addr(0), &mut [0]).unwrap_err().why, Unreadable::Unmapped);
}

/// What is left of the whole is what it was.
fn assert_part_of(part: &ElfCore, whole: &ElfCore, length: u64) {
    let ids = |core: &ElfCore| core.threads().iter().map(|thread| thread.id).collect::<Vec<_>>();
    assert!(ids(whole).starts_with(&ids(part)), "{length}: {part:?}");
    for thread in part.threads() {
        let all = whole.registers(thread.id).unwrap();
        let is_of_whole = |(row, value): (&RegisterInfo, u64)| {
            assert_eq!(
                all.get(all.arch().info().by_name(row.name).unwrap()),
                Some(value),
                "{length}: {}",
                row.name
            );
        };
        part.registers(thread.id).iter().flat_map(Registers::known).for_each(is_of_whole);
        assert!(thread.not_stopped.is_some() || part.registers(thread.id).is_some());
    }
    let (mut ours, mut theirs) = ([0; 64], [0; 64]);
    for mapping in part.mappings() {
        let read = part.memory().read_available(mapping.range.start, &mut ours);
        let same = whole.memory().read_available(mapping.range.start, &mut theirs);
        assert!(read <= same && ours[..read] == theirs[..read], "{length}: {mapping:?}");
    }
    let _ = (part.modules(), part.signal());
}

#[test]
fn a_core_that_is_cut_anywhere_keeps_what_is_left() {
    let bytes = require!(core("1"));
    let whole = ElfCore::from_bytes(bytes.clone()).unwrap();
    let scratch = Scratch::new("cut");
    let path = scratch.path().join("core");
    fs::write(&path, &bytes).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let total = bytes.len() as u64;
    let pages = (0..total).step_by(4096);
    let mut lengths: Vec<u64> = pages.chain((0..total.min(24 << 10)).step_by(36)).collect();
    lengths.sort_unstable_by(|one, other| other.cmp(one));
    let mut least_threads = usize::MAX;
    for length in lengths {
        file.set_len(length).unwrap();
        match ElfCore::from_file(File::open(&path).unwrap()) {
            Ok(part) => {
                assert_part_of(&part, &whole, length);
                let is_said = |notice: &CoreNotice| {
                    matches!(notice, CoreNotice::Truncated { length: said, .. } if *said == length)
                        || matches!(notice, CoreNotice::MissingSegments { .. })
                };
                assert!(part.notices().iter().any(is_said), "{length}: {:?}", part.notices());
                let threads = part.threads().len();
                assert!(threads <= least_threads, "fewer bytes have no more threads");
                least_threads = threads;
            }
            Err(CoreError::NotElf | CoreError::NoHeaders { .. }) => assert!(length < 4096, "{length}"),
            Err(other) => panic!("{length}: {other}"),
        }
    }
    assert_eq!(least_threads, 0);
}

/// A thread whose note is cut within its registers is still told of.
#[test]
fn a_thread_without_registers_says_so() {
    let bytes = require!(core("0"));
    let whole = ElfCore::from_bytes(bytes.clone()).unwrap();
    let found = (0..4096).step_by(4).find_map(|length| {
        let core = ElfCore::from_bytes(bytes[..length].to_vec()).ok()?;
        let thread = core.threads().first()?.clone();
        Some((thread, core.notices().to_vec()))
    });
    let (thread, notices) = found.unwrap();
    assert_eq!((thread.id, thread.not_stopped), (whole.threads()[0].id, Some(NoRegisters::NotInDump)));
    assert!(notices.contains(&CoreNotice::MissingNotes { threads: 1 }), "{notices:?}");
}

#[test]
fn damage_is_no_panic() {
    let bytes = require!(core("1"));
    let mut random = Random::new(5);
    for _ in 0..3000 {
        // The headers and the notes.
        let mut damaged = bytes[..bytes.len().min(64 << 10)].to_vec();
        for _ in 0..1 + random.below(4) {
            let at = random.below(damaged.len().min(10 << 10));
            damaged[at] = [0, 0xff, 0x7f, random.number() as u8][random.below(4)];
        }
        let Ok(core) = ElfCore::from_bytes(damaged) else { continue };
        let _ = (core.modules(), core.signal(), core.notices().iter().map(ToString::to_string).count());
        let _ = core.memory().contents(Addr(0)..Addr(u64::MAX));
        for mapping in core.mappings() {
            let _ = core.memory().read_available(mapping.range.start, &mut [0; 64]);
        }
    }
}

#[test]
fn what_is_no_core_is_said() {
    let error = |bytes: &[u8]| ElfCore::from_bytes(bytes.to_vec()).unwrap_err().to_string();
    assert_eq!(error(b""), "not an ELF file");
    let mut header = [0; 64];
    header[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 1, 1]);
    header[16..20].copy_from_slice(&[4, 0, 62, 0]);
    assert!(error(&header).contains("x32"));
    header[18] = 8;
    assert!(error(&header).contains("e_machine 8"));
    header[16] = 2;
    assert!(error(&header).contains("e_type 2"));
    assert!(matches!(ElfCore::open("/dev/null".as_ref()), Err(CoreError::NotRegular)));
}

/// More segments than the field of the header has room for (`PN_XNUM`): the first section header counts them.
#[test]
fn more_segments_than_a_header_can_count() {
    const COUNT: usize = 70_000;
    let mut bytes = vec![0; 64 + 64 + COUNT * 56];
    bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    bytes[16..20].copy_from_slice(&[4, 0, 62, 0]);
    // Program headers, sections; their sizes and how many.
    bytes[32] = 128;
    bytes[40] = 64;
    bytes[54..58].copy_from_slice(&[56, 0, 0xff, 0xff]);
    bytes[64 + 44..64 + 48].copy_from_slice(&(COUNT as u32).to_le_bytes());
    for (index, entry) in bytes[128..].chunks_exact_mut(56).enumerate() {
        entry[0] = 1;
        entry[4] = 4;
        entry[16..24].copy_from_slice(&(0x10000 + index as u64 * 0x2000).to_le_bytes());
        entry[40..48].copy_from_slice(&0x1000u64.to_le_bytes());
    }
    let core = ElfCore::from_bytes(bytes).unwrap();
    assert_eq!(core.mappings().as_slice().len(), COUNT);
    assert_eq!(core.notices(), [CoreNotice::NoThreads, CoreNotice::NoFileNote]);
}

/// Without the note that says which files were mapped, the program is known by its headers, and libraries by what the
/// dynamic linker has loaded.
#[test]
fn modules_are_found_without_their_note() {
    require!(kernel_cores());
    for name in ["crash", "crash-static", "crash-32"] {
        let fixture = require!(fixture(name));
        let scratch = Scratch::new("link-map");
        let mut bytes = fs::read(crash(&fixture.command(&["1"]), scratch.path())).unwrap();
        let modules = |core: &ElfCore| -> Vec<_> {
            let all = core.modules().iter();
            all.map(|one| (one.bias, one.file_name().into_owned(), one.build_id.clone(), one.is_executable))
                .collect()
        };
        let whole = ElfCore::from_bytes(bytes.clone()).unwrap();
        let note = bytes[..64 << 10].windows(8).position(|bytes| bytes == b"ELIFCORE").unwrap();
        bytes[note] = 0;
        let core = ElfCore::from_bytes(bytes).unwrap();
        assert_eq!(core.notices(), [CoreNotice::NoFileNote]);
        assert_eq!(modules(&core), modules(&whole), "{name}");
        assert_eq!(core.info().executable, whole.info().executable);
    }
}

//! Rows are compared with those that `.eh_frame` of the same program has: what the assembler writes comes from the
//! same directives.

use std::{collections::HashSet, fs, path::Path};

use prospect_process::{LinkAddr, Registers};
use prospect_testing::{Random, require, tool};

use super::*;
use crate::{
    Binary,
    testing::{TempDir, load, run, text, without_section_table},
    unwind_info::tests::PROGRAM,
};

/// What SFrame tells of a row: CFA, return address, frame pointer, and whether the return address is signed.
#[derive(Debug, PartialEq)]
struct Told(u64, String, String, bool);

/// The row in numbers, in a frame where sp and the frame pointer are told apart.
fn told(row: &UnwindRow, arch: Arch, pc: u64) -> Told {
    let info = arch.info();
    let mut registers = Registers::unknown(arch);
    registers.set(info.sp, 0x10_0000);
    registers.set(info.fp, 0x20_0000);
    registers.set(info.pc, pc);
    let cfa = match &row.cfa {
        CfaRule::Register(id, offset) => registers.get(*id).unwrap().wrapping_add_signed(*offset),
        CfaRule::Expression(is) => {
            is.evaluate(None, &registers, &prospect_process::CapturedMemory::default()).unwrap()
        }
        CfaRule::ReturnAddress(..) => unreachable!("no such table has one"),
    };
    let rule = |id| match row.rules.iter().find(|one| one.0 == id) {
        None | Some((_, RegisterRule::SameValue)) => "same".to_owned(),
        Some((_, rule)) => format!("{rule:?}"),
    };
    Told(cfa, rule(row.return_address), rule(info.fp), row.signed_return_address)
}

/// Compares the rows at every address of a program's code; returns how many of `.sframe` there were, and how many
/// addresses `.eh_frame` has a row for, and `.sframe` has none.
fn compare(path: &Path, sframe_alone: &Path) -> (usize, usize) {
    let (full, alone) = (Binary::open(path).unwrap(), Binary::open(sframe_alone).unwrap());
    assert!(alone.section(".eh_frame").is_none());
    let arch = full.arch().unwrap();
    let (mut rows, mut left_out) = (HashSet::new(), 0);
    for range in full.headers().code.clone() {
        for pc in range.start.0..range.end.0 {
            let expected = full.unwind_row(LinkAddr(pc)).unwrap();
            let Some(row) = alone.unwind_row(LinkAddr(pc)).unwrap() else {
                left_out += usize::from(expected.is_some());
                continue;
            };
            let expected = expected.unwrap_or_else(|| panic!("{pc:#x} has a row in .sframe alone"));
            assert_eq!(told(&row, arch, pc), told(&expected, arch, pc), "{pc:#x} of {path:?}");
            assert!(row.range.contains(&LinkAddr(pc)), "{pc:#x}");
            assert_eq!(alone.unwind_row(row.range.start).unwrap().unwrap().range, row.range);
            rows.insert(row.range.start);
            // Whatever else the function saved or changed is not known.
            let info = arch.info();
            for id in info.preserved().filter(|id| ![info.fp, info.sp].contains(id)) {
                let rule = &row.rules.iter().find(|one| one.0 == id).unwrap().1;
                assert!(matches!(rule, RegisterRule::Undefined), "{pc:#x} {}", info.register(id).name);
            }
        }
    }
    (rows.len(), left_out)
}

fn without_eh_frame(objcopy: &str, directory: &TempDir, path: &Path) -> std::path::PathBuf {
    let to = directory.path("sframe-alone");
    let remove = ["--remove-section=.eh_frame", "--remove-section=.eh_frame_hdr"];
    run(objcopy, &[remove[0], remove[1], text(path), text(&to)]);
    to
}

/// Whether the assembler of a compiler writes the version that is tested.
fn sframe_version(compiler: &str, directory: &TempDir) -> Option<u8> {
    let source = directory.write("empty.c", b"int main(void) { return 0; }");
    let to = directory.path("empty");
    let arguments = ["-Wa,--gsframe", text(&source), "-o", text(&to)];
    let made = std::process::Command::new(compiler).args(arguments).output().ok()?.status.success();
    let binary = made.then(|| Binary::open(&to).ok()).flatten()?;
    binary.section(".sframe")?.all().get(2).copied()
}

#[test]
fn every_row_of_version_1_is_that_of_eh_frame() {
    for (compiler, objcopy, flags) in [
        ("gcc", "objcopy", &["-O2"][..]),
        ("gcc", "objcopy", &["-O0"]),
        ("gcc", "objcopy", &["-O1", "-fno-omit-frame-pointer", "-no-pie", "-fno-pie"]),
        ("aarch64-linux-gnu-gcc", "aarch64-linux-gnu-objcopy", &["-O2"]),
        ("aarch64-linux-gnu-gcc", "aarch64-linux-gnu-objcopy", &["-O2", "-mbranch-protection=pac-ret+leaf"]),
        ("aarch64-linux-gnu-gcc", "aarch64-linux-gnu-objcopy", &["-O0", "-mbranch-protection=standard"]),
    ] {
        require!(tool(compiler));
        let directory = TempDir::new();
        if sframe_version(compiler, &directory) != Some(1) {
            require!(Err::<(), _>(prospect_testing::Missing::new(format!(
                "{compiler} with SFrame version 1"
            ))));
        }
        let flags = [flags, &["-Wa,--gsframe"]].concat();
        let path = directory.compile_with(compiler, "program", PROGRAM, &flags);
        let alone = without_eh_frame(objcopy, &directory, &path);
        let (rows, _) = compare(&path, &alone);
        println!("{compiler} {flags:?}: {rows} rows");
        assert!(rows >= 14, "{rows} of {compiler} {flags:?}");
        // What is in the file is found without its section table, and in memory.
        let stripped = directory.write("stripped", &without_section_table(&alone));
        let rows_again = rows_in_memory(&path, &stripped);
        assert_eq!(rows_again, rows);
    }
}

/// How many rows a file without a section table has of those that the other has.
fn rows_in_memory(full: &Path, stripped: &Path) -> usize {
    let (full, alone) = (Binary::open(full).unwrap(), Binary::open(stripped).unwrap());
    let process = load(stripped, 0x5000_0000);
    let modules = prospect_process::Process::modules(&process);
    let memory = prospect_process::Process::memory(&process);
    let in_memory = Binary::from_memory(&modules.as_slice()[0], memory).unwrap();
    let arch = full.arch().unwrap();
    let code = full.headers().code.clone();
    let addresses = code.iter().flat_map(|range| range.start.0..range.end.0);
    let mut found = HashSet::new();
    for pc in addresses {
        let row = alone.unwind_row(LinkAddr(pc)).unwrap();
        let same = in_memory.unwind_row(LinkAddr(pc)).unwrap();
        assert_eq!(row.as_ref().map(|row| told(row, arch, pc)), same.map(|row| told(&row, arch, pc)));
        if let Some(row) = row {
            let expected = full.unwind_row(LinkAddr(pc)).unwrap().unwrap();
            assert_eq!(told(&row, arch, pc), told(&expected, arch, pc), "{pc:#x}");
            found.insert(row.range.start);
        }
    }
    found.len()
}

/// Two functions of 0x20 and 0x200 bytes, in version 2 as its specification has it (sections 2.1 to 2.4): the
/// second is a table of blocks of 16 bytes.
fn version_2(flags: u8, swapped: bool) -> Vec<u8> {
    let mut bytes = vec![0xe2, 0xde, 2, flags, 3, 0, 0xf8, 4];
    let rows: &[u8] = &[
        0, 0b011, 8, // 0: cfa = sp + 8
        4, 0b101, 16, 0xf0, // 4: cfa = sp + 16, fp at cfa - 16
        9, 0b010_0100, 0x10, 0x01, 0xf0, 0xff, // 9: cfa = fp + 0x110, fp at cfa - 16
        // The second function: its rows begin at 16 bits.
        0, 0, 0b011, 16, // 0
        11, 0, 0b011, 24, // 11
    ];
    let first = (0x1000i32, 0x20u32, 0u32, 3u32, [0u8, 0]);
    let second = (0x2000i32, 0x200, 13, 2, [0b1_0001, 16]);
    for number in [2u32, 5, rows.len() as u32, 0, 40] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([0xaa; 4]); // the auxiliary header
    for (start, size, first_row, count, info) in if swapped { [second, first] } else { [first, second] } {
        let field = if flags & RELATIVE_TO_FIELD != 0 { bytes.len() as i32 } else { 0 };
        bytes.extend((start - 0x4000 - field).to_le_bytes());
        for number in [size, first_row, count] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend([info[0], info[1], 0, 0]);
    }
    bytes.extend(rows);
    bytes
}

const FORMAT: PointerFormat = PointerFormat { address_bytes: 8, big_endian: false, section_address: 0x4000 };

fn at(section: &[u8], pc: u64) -> Option<(String, Range<u64>)> {
    let sframe = SFrame::parse(section, FORMAT, Arch::X86_64).unwrap();
    let row = sframe.row(section, Arch::X86_64.info(), pc).unwrap()?;
    let Told(cfa, return_address, fp, _) = told(&row, Arch::X86_64, pc);
    Some((format!("{cfa:#x} {return_address} {fp}"), row.range.start.0..row.range.end.0))
}

#[test]
fn version_2_is_read_in_each_of_its_forms() {
    for (flags, swapped) in [(SORTED, false), (SORTED | RELATIVE_TO_FIELD, false), (RELATIVE_TO_FIELD, true)]
    {
        let section = version_2(flags, swapped);
        let expect = |pc, text: &str, range| {
            assert_eq!(at(&section, pc), Some((text.to_owned(), range)), "{pc:#x} {flags}");
        };
        assert_eq!(at(&section, 0xfff), None);
        expect(0x1000, "0x100008 AtCfa(-8) same", 0x1000..0x1004);
        expect(0x1003, "0x100008 AtCfa(-8) same", 0x1000..0x1004);
        expect(0x1004, "0x100010 AtCfa(-8) AtCfa(-16)", 0x1004..0x1009);
        expect(0x101f, "0x200110 AtCfa(-8) AtCfa(-16)", 0x1009..0x1020);
        assert_eq!(at(&section, 0x1020), None);
        expect(0x2000, "0x100010 AtCfa(-8) same", 0x2000..0x200b);
        expect(0x20fb, "0x100018 AtCfa(-8) same", 0x20fb..0x2100);
        expect(0x21fa, "0x100010 AtCfa(-8) same", 0x21f0..0x21fb);
        assert_eq!(at(&section, 0x2200), None);
    }
}

#[test]
fn what_is_not_known_is_not_read() {
    let good = version_2(SORTED, false);
    assert!(SFrame::parse(&good, FORMAT, Arch::Aarch64).is_none(), "of another machine");
    for (place, value) in [(0, 0), (2, 3), (4, 1)] {
        let mut bad = good.clone();
        bad[place] = value;
        assert!(SFrame::parse(&bad, FORMAT, Arch::X86_64).is_none());
    }
    // A row with no offsets, and one with too many.
    for info in [1, 0b111] {
        let mut bad = good.clone();
        bad[73] = info;
        let sframe = SFrame::parse(&bad, FORMAT, Arch::X86_64).unwrap();
        assert!(sframe.row(&bad, Arch::X86_64.info(), 0x1000).is_err());
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let mut random = Random::new(11);
    for round in 0..20_000 {
        let mut section = version_2([SORTED, RELATIVE_TO_FIELD][round % 2], false);
        for _ in 0..1 + random.below(6) {
            let place = random.below(section.len());
            section[place] = random.number() as u8;
        }
        section.truncate(section.len() - random.below(8) * random.below(8));
        if let Some(sframe) = SFrame::parse(&section, FORMAT, Arch::X86_64) {
            for pc in [0, 0x1000, 0x1004, 0x101f, 0x2000, 0x20fb, u64::MAX] {
                if let Ok(Some(row)) = sframe.row(&section, Arch::X86_64.info(), pc) {
                    assert!(row.rules.len() < 16);
                }
            }
        }
    }
}

/// What LLVM 22 wrote (`tests/sframe/take.sh`), whose functions are not sorted and whose addresses are relative to themselves.
#[test]
fn every_row_of_version_2_is_that_of_eh_frame() {
    let path: std::path::PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "tests", "sframe", "version-2.elf"].iter().collect();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(Binary::open(&path).unwrap().section(".sframe").unwrap().all()[..4], [0xe2, 0xde, 2, 4]);
    let directory = TempDir::new();
    let copy = directory.write("program", &bytes);
    let (rows, left_out) = compare(&copy, &without_eh_frame("objcopy", &directory, &copy));
    assert_eq!((rows, left_out), (27, 0));
}

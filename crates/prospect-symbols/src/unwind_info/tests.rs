//! Rows are compared with those of `readelf --debug-dump=frames-interp`, for real files.

use std::{collections::HashMap, ops::ControlFlow, path::Path, time::Instant};

use prospect_process::LinkAddr;

use super::*;
use crate::{
    Binary,
    testing::{TempDir, libc, run, text, without_section_table},
};

pub(super) const PROGRAM: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
static void on_signal(int number) { (void)number; }
__attribute__((noinline)) int deep(int n, char *s) {
    char buffer[256]; snprintf(buffer, sizeof buffer, "%d %s", n, s);
    return n ? deep(n - 1, buffer) + buffer[0] : buffer[1];
}
__attribute__((noinline)) int aligned(int n) {
    volatile char vector[64] __attribute__((aligned(64))); vector[n & 63] = n; return vector[1] + deep(n, "x");
}
__attribute__((noinline)) void *sized(int n) {
    volatile char array[n]; array[n / 2] = 1; return malloc(array[n / 2] + aligned(n));
}
int main(int argc, char **argv) { signal(SIGUSR1, on_signal); puts(argv[0]); return sized(argc) != 0; }
"#;

/// One row of readelf's: where it begins, the address of the end, and each column by its name.
struct Expected {
    start: u64,
    end: u64,
    columns: HashMap<String, String>,
}

fn readelf(path: &Path) -> Vec<Expected> {
    let output =
        run("readelf", &["--debug-dump=frames-interp", "--debug-dump=no-follow-links", "--wide", text(path)]);
    let number = |digits: &str| u64::from_str_radix(digits, 16).unwrap();
    let mut rows: Vec<Expected> = Vec::new();
    let (mut names, mut end) = (Vec::new(), None);
    for line in output.lines() {
        if let Some((_, range)) = line.split_once(" pc=") {
            end = range.trim().split_once("..").map(|(_, end)| number(end));
        } else if line.contains(" CIE") || line.ends_with("ZERO terminator") {
            end = None;
        } else if line.trim_start().starts_with("LOC ") {
            names = line.split_whitespace().map(str::to_owned).collect();
        } else if let Some(end) = end.filter(|_| line.starts_with(|first: char| first.is_ascii_hexdigit())) {
            let values = columns(line);
            let Ok(start) = u64::from_str_radix(values[0], 16) else { continue };
            assert_eq!(values.len(), names.len(), "{line}");
            if let Some(last) = rows.last_mut().filter(|last| last.end == end) {
                last.end = start;
            }
            let columns = names.iter().cloned().zip(values.iter().map(ToString::to_string)).collect();
            rows.push(Expected { start, end, columns });
        }
    }
    rows
}

/// The values of a row. A register is written as `r9 (r9)`: its number, and then its name.
fn columns(line: &str) -> Vec<&str> {
    let mut values: Vec<&str> = Vec::new();
    for value in line.split_whitespace() {
        match value.strip_prefix('(').and_then(|name| name.strip_suffix(')')) {
            Some(name) => *values.last_mut().unwrap() = name,
            None => values.push(value),
        }
    }
    values
}

pub(super) fn cfa_text(arch: &ArchInfo, rule: &CfaRule) -> String {
    match rule {
        CfaRule::Register(id, offset) => format!("{}{offset:+}", arch.register(*id).name),
        CfaRule::Expression(_) => "exp".into(),
        CfaRule::ReturnAddress(..) => "searched".into(),
    }
}

pub(super) fn rule_text(arch: &ArchInfo, rule: Option<&RegisterRule>) -> String {
    match rule {
        None | Some(RegisterRule::Undefined) => "u".into(),
        Some(RegisterRule::SameValue) => "s".into(),
        Some(RegisterRule::AtCfa(offset)) => format!("c{offset:+}"),
        Some(RegisterRule::CfaPlus(offset)) => format!("v{offset:+}"),
        Some(RegisterRule::Register(id)) => arch.register(*id).name.into(),
        Some(RegisterRule::AtExpression(_)) => "exp".into(),
        Some(RegisterRule::IsExpression(_)) => "vexp".into(),
    }
}

/// Compares every row of a file, by its first and its last address. Returns how many there were.
fn compare(binary: &Binary, expected: &[Expected]) -> usize {
    let arch = binary.arch().unwrap().info();
    for one in expected.iter().filter(|one| one.start < one.end) {
        for pc in [one.start, one.end - 1] {
            let row = binary.unwind_row(LinkAddr(pc));
            let row = row.unwrap().unwrap_or_else(|| panic!("no row at {pc:#x} of {:?}", binary.path()));
            assert_eq!(row.range, LinkAddr(one.start)..LinkAddr(one.end), "{pc:#x}");
            let rules: HashMap<_, _> = row.rules.iter().map(|(id, rule)| (*id, rule)).collect();
            assert_eq!(row.return_address, arch.pc);
            for (name, value) in &one.columns {
                let ours = match name.as_str() {
                    "LOC" => continue,
                    "CFA" => cfa_text(arch, &row.cfa),
                    "ra" => rule_text(arch, rules.get(&arch.pc).copied()),
                    name => match arch.by_name(name) {
                        Some(id) => rule_text(arch, rules.get(&id).copied()),
                        None => continue,
                    },
                };
                assert_eq!(ours, *value, "{name} at {pc:#x} of {:?}", binary.path());
            }
        }
    }
    expected.len()
}

#[test]
fn every_row_of_the_c_library_is_the_one_of_readelf() {
    for flags in [&[][..], &["-m32"]] {
        let path = libc(flags);
        let rows = compare(&Binary::open(&path).unwrap(), &readelf(&path));
        assert!(rows > 10_000, "{rows} of {path:?}");
    }
}

#[test]
fn every_row_of_a_program_is_found_however_it_was_linked() {
    let directory = TempDir::new();
    for (index, flags) in [
        &["-O2", "-fomit-frame-pointer"][..],
        &["-O0", "-g"],
        &["-O2", "-m32"],
        &["-O1", "-m32", "-no-pie", "-fno-pie"],
        &["-O2", "-static"],
        &["-O2", "-Wl,--no-eh-frame-hdr"],
        &["-O2", "-m32", "-Wl,--no-eh-frame-hdr"],
        &["-O2", "-static", "-Wl,--no-eh-frame-hdr"],
        &["-O2", "-g", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"],
        &["-O2", "-g", "-gz", "-m32", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"],
    ]
    .into_iter()
    .enumerate()
    {
        let path = directory.compile(&format!("program{index}"), PROGRAM, flags);
        let expected = readelf(&path);
        let deep = crate::testing::nm(&path, &[]).into_iter().find(|one| one.2 == "deep").unwrap();
        assert!(expected.iter().any(|row| row.start == deep.0), "{flags:?}");
        compare(&Binary::open(&path).unwrap(), &expected);
    }
}

#[test]
fn a_file_without_a_section_table_is_read_through_its_segments() {
    let directory = TempDir::new();
    for flags in [&["-O2"][..], &["-O2", "-m32"], &["-O2", "-static-pie"]] {
        let path = directory.compile("program", PROGRAM, flags);
        let expected = readelf(&path);
        let stripped = directory.write("stripped", &without_section_table(&path));
        compare(&Binary::open(&stripped).unwrap(), &expected);
    }
}

#[test]
fn addresses_between_functions_have_no_row() {
    let directory = TempDir::new();
    let path = directory.compile("program", PROGRAM, &["-O2"]);
    let binary = Binary::open(&path).unwrap();
    let last = readelf(&path).iter().map(|row| row.end).max().unwrap();
    for pc in [0, 1, last, last + 0x1000, u64::MAX] {
        assert!(binary.unwind_row(LinkAddr(pc)).unwrap().is_none(), "{pc:#x}");
    }
}

#[test]
fn the_signal_trampoline_of_the_c_library_says_what_it_is() {
    let path = libc(&[]);
    let binary = Binary::open(&path).unwrap();
    let fde = run("readelf", &["--debug-dump=frames", "--debug-dump=no-follow-links", text(&path)]);
    // The only entry whose common entry has augmentation "zRS".
    let cie = fde.split("\n\n").find(|one| one.contains("\"zRS\"")).unwrap();
    let cie = cie.split_whitespace().next().unwrap();
    let line = fde.lines().find(|line| line.contains(&format!("FDE cie={cie} "))).unwrap();
    let (start, _) = line.split_once(" pc=").unwrap().1.split_once("..").unwrap();
    let start = u64::from_str_radix(start, 16).unwrap();
    let row = binary.unwind_row(LinkAddr(start + 1)).unwrap().unwrap();
    assert!(row.signal_frame);
    assert!(matches!(row.cfa, CfaRule::Expression(_)));
    let rbx = binary.arch().unwrap().info().by_name("rbx").unwrap();
    let rule = row.rules.iter().find(|(id, _)| *id == rbx).unwrap();
    assert!(matches!(rule.1, RegisterRule::AtExpression(_)));
    let other = binary.unwind_row(LinkAddr(start - 0x40)).unwrap();
    assert!(other.is_none_or(|row| !row.signal_frame));
}

/// Not asserted, since machines differ: `cargo test --release -- --ignored --nocapture lookups`.
#[test]
#[ignore = "measures, and does not check"]
fn lookups_are_cheap() {
    let path = libc(&[]);
    let binary = Binary::open(&path).unwrap();
    let addresses: Vec<u64> = readelf(&path).iter().map(|row| row.start).collect();
    for round in 0..5 {
        let start = Instant::now();
        for at in &addresses {
            std::hint::black_box(binary.unwind_row(LinkAddr(*at)).unwrap());
        }
        let each = start.elapsed() / addresses.len() as u32;
        println!("round {round}: {each:?} for each of {} rows", addresses.len());
    }
}

/// A common entry that is as long as it may be, and many entries that share it: each row means to read it all.
const COSTLY: &str = r#"
__asm__(
    ".section .debug_frame,\"\",@progbits\n"
    ".long 2f - 1f\n"
    "1: .long 0xffffffff\n"
    ".byte 3\n .asciz \"\"\n .uleb128 1\n .sleb128 -8\n .uleb128 16\n"
    ".byte 0x0c, 7, 8, 0x90, 1\n"
    ".fill 500000, 1, 0\n"
    "2:\n"
    ".set at, 0x10000000\n"
    ".rept 20000\n"
    ".long 20, 0\n .quad at, 16\n"
    ".set at, at + 16\n"
    ".endr\n"
    ".text\n");
"#;

#[test]
fn what_takes_too_long_to_read_is_given_up() {
    let directory = TempDir::new();
    let path = directory.compile("costly", COSTLY, &["-shared", "-nostdlib"]);
    let binary = Binary::open(&path).unwrap();
    assert!(binary.unwind_row(LinkAddr(0x1000_0000 + 16 * 19_999)).unwrap().is_some());
    let (mut rows, mut errors) = (0, Vec::new());
    binary.every_unwind_row(|range, row| {
        match row {
            Ok(_) => rows += 1,
            Err(error) => errors.push((range, error.clone())),
        }
        ControlFlow::Continue(())
    });
    // Each of them costs half a megabyte, of 16 times a megabyte.
    assert!((10..100).contains(&rows), "{rows} rows");
    let (range, error) = errors.pop().unwrap();
    assert_eq!(range.start, LinkAddr(0x1000_0000 + 16 * rows));
    assert!(errors.is_empty() && error.to_string().contains("too long"), "{error}");
}

/// What `.eh_frame` has is not taken from `.debug_frame` as well, and what it leaves out is.
#[test]
fn ranges_that_are_covered_are_left_out() {
    let range = |start, end| LinkAddr(start)..LinkAddr(end);
    let mut covered = Vec::new();
    for (start, end) in [(10, 20), (20, 25), (30, 40), (50, 60)] {
        every_row::note(&mut covered, &range(start, end));
    }
    assert_eq!(covered, [range(10, 25), range(30, 40), range(50, 60)]);
    let parts = |start, end| every_row::uncovered(&covered, range(start, end)).collect::<Vec<_>>();
    assert_eq!(parts(0, 100), [range(0, 10), range(25, 30), range(40, 50), range(60, 100)]);
    assert_eq!(parts(12, 35), [range(25, 30)]);
    assert_eq!(parts(25, 30), [range(25, 30)]);
    assert_eq!(parts(30, 40), []);
    assert_eq!(parts(39, 51), [range(40, 50)]);
    assert_eq!(parts(70, 80), [range(70, 80)]);
}

//! Rows are compared with what `readelf -u` says of the instructions, for the real libraries.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use prospect_process::{Addr, Arch, CapturedMemory, Registers};
use prospect_testing::{Random, require, tool};

use super::*;
use crate::{
    Binary, CfaRule,
    testing::{TempDir, load, run, text, without_section_table},
};

const READELF: &str = "arm-linux-gnueabihf-readelf";

/// An entry of readelf's: the address of the function, and how it is unwound.
struct Entry {
    start: u64,
    model: Model,
}

enum Model {
    CannotUnwind,
    /// With a personality routine, whose data readelf does not read.
    Generic,
    Compact(Vec<String>),
}

fn readelf(path: &Path) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in run(READELF, &["-u", "--wide", text(path)]).lines() {
        if let Some(rest) = line.strip_prefix("0x") {
            let (head, what) = rest.split_once(": ").unwrap();
            let start = u64::from_str_radix(head.split(' ').next().unwrap(), 16).unwrap();
            let refuses = what.contains("cantunwind");
            entries.push(Entry { start, model: if refuses { Model::CannotUnwind } else { Model::Generic } });
        } else if line.starts_with("  Compact model") {
            entries.last_mut().unwrap().model = Model::Compact(Vec::new());
        } else if let (Some(rest), Some(Entry { model: Model::Compact(instructions), .. })) =
            (line.strip_prefix("  0x"), entries.last_mut())
        {
            // `  0x84 0x00 pop {r14}`, `  0xb0      finish`.
            let words = rest.split_whitespace().skip(1).skip_while(|word| word.starts_with("0x"));
            instructions.push(words.collect::<Vec<_>>().join(" "));
        }
    }
    entries
}

/// What a function's instructions come to: the register that the caller's sp is computed from, the distance from
/// there, and where each register was saved, from the caller's sp.
type Told = (u8, i64, Vec<(u8, i64)>);

/// The same, found out from readelf's words.
fn expected(instructions: &[String]) -> Told {
    let (mut base, mut offset) = (13, 0);
    let mut saved = BTreeMap::new();
    for instruction in instructions {
        if instruction == "finish" {
            break;
        } else if let Some(bytes) = instruction.strip_prefix("vsp = vsp + ") {
            offset += bytes.parse::<i64>().unwrap();
        } else if let Some(bytes) = instruction.strip_prefix("vsp = vsp - ") {
            offset -= bytes.parse::<i64>().unwrap();
        } else if let Some(register) = instruction.strip_prefix("vsp = r") {
            assert!(saved.is_empty(), "not so in these files");
            (base, offset) = (register.parse().unwrap(), 0);
        } else if let Some(list) = instruction.strip_prefix("pop {") {
            for register in list.trim_end_matches('}').split(", ") {
                if let Some(number) = register.strip_prefix('r') {
                    saved.insert(number.parse().unwrap(), offset);
                    offset += 4;
                } else {
                    assert!(register.starts_with('D'), "{register}");
                    offset += 8;
                }
            }
        } else {
            panic!("{instruction}");
        }
    }
    // What a function may change is not said to be the caller's.
    saved.retain(|register, _| ![0, 1, 2, 3, 12].contains(register));
    (base, offset, saved.into_iter().map(|(register, at)| (register, at - offset)).collect())
}

/// A row in the same words.
fn told(row: &UnwindRow) -> Told {
    let CfaRule::Register(base, offset) = row.cfa else { panic!("{row:?}") };
    let saved = row.rules.iter().map(|(id, rule)| match rule {
        RegisterRule::AtCfa(offset) => (id.0, *offset),
        _ => panic!("{row:?}"),
    });
    (base.0, offset, saved.collect())
}

/// Compares all entries, at their first and their last address. Returns how many have instructions that readelf
/// shows, a personality routine, and nothing.
fn compare(binary: &Binary, entries: &[Entry]) -> [usize; 3] {
    let mut ends = entries[1..].iter().map(|one| one.start).chain([u64::MAX]);
    let mut counts = [0; 3];
    for entry in entries {
        let end = ends.next().unwrap().min(binary.headers().code_end(LinkAddr(entry.start)).unwrap().0);
        for pc in [entry.start, end - 1].into_iter().filter(|_| entry.start < end) {
            let row = binary.unwind_row(LinkAddr(pc)).unwrap();
            let Model::Compact(instructions) = &entry.model else {
                let is_end = |row: &UnwindRow| matches!(row.rules[..], [(_, RegisterRule::Undefined)]);
                let is_generic = matches!(entry.model, Model::Generic);
                assert_eq!(row.is_some_and(|row| !is_end(&row)), is_generic, "{pc:#x}");
                continue;
            };
            let row = row.unwrap_or_else(|| panic!("no row at {pc:#x} of {:?}", binary.path()));
            assert!(row.only_at_calls);
            if instructions.iter().any(|one| one.contains("r13")) {
                assert!(row.signal_frame && matches!(row.cfa, CfaRule::Expression(_)), "{instructions:?}");
                continue;
            }
            assert!(!row.signal_frame);
            assert_eq!(row.range, LinkAddr(entry.start)..LinkAddr(end), "{pc:#x}");
            assert_eq!(
                told(&row),
                expected(instructions),
                "{pc:#x} of {:?}: {instructions:?}",
                binary.path()
            );
        }
        counts[match entry.model {
            Model::Compact(_) => 0,
            Model::Generic => 1,
            Model::CannotUnwind => 2,
        }] += 1;
    }
    counts
}

fn library(name: &str) -> PathBuf {
    let path = run("arm-linux-gnueabihf-gcc", &[&format!("-print-file-name={name}")]);
    PathBuf::from(path.trim())
}

#[test]
fn every_row_of_the_libraries_is_what_readelf_says() {
    require!(tool(READELF));
    require!(tool("arm-linux-gnueabihf-gcc"));
    for (name, least) in
        [("libc.so.6", [400, 40, 100]), ("libstdc++.so.6", [600, 900, 300]), ("libgcc_s.so.1", [10, 0, 5])]
    {
        let path = library(name);
        let counts = compare(&Binary::open(&path).unwrap(), &readelf(&path));
        println!("{name}: {counts:?}");
        assert!(counts.iter().zip(least).all(|(count, least)| *count >= least), "{counts:?} of {name}");
    }
}

const THROWS: &str = r#"
#include <stdexcept>
#include <string>
#include <vector>
volatile int sink;
struct Guard { int *at; ~Guard() { *at += sink; } };
__attribute__((noinline)) int bottom(int n) { if (n < 0) throw std::runtime_error("x"); return n + sink; }
__attribute__((noinline)) int guarded(int n) { int a = n; Guard guard{&a}; return bottom(a) + bottom(n + 1); }
__attribute__((noinline)) double floats(double a, double b, int n) {
    double c = a * b; for (int i = 0; i < n; i++) c += guarded(i) * a - b; return c * guarded(n);
}
__attribute__((noinline)) int sized(int n) {
    volatile char array[n + 16]; array[n] = 1; return guarded(array[n]) + (int)floats(n, n + 1, n);
}
__attribute__((noinline)) int large(int n) { volatile char a[5000]; a[n] = 1; return sized(a[n]) + a[1]; }
__attribute__((noinline)) int catches(int n) {
    std::vector<std::string> all(n + 1, "word");
    try { return large(n) + all.size(); } catch (const std::exception &e) { return e.what()[0] + bottom(1); }
}
int main(int argc, char **argv) { (void)argv; return catches(argc) + catches(-argc); }
"#;

/// Where calls return to in a program, by the disassembler.
fn returns(path: &Path) -> Vec<u64> {
    let mut found = Vec::new();
    let mut behind_call = false;
    for line in run("arm-linux-gnueabihf-objdump", &["-d", "--no-show-raw-insn", text(path)]).lines() {
        let Some((address, instruction)) = line.split_once(":\t") else { continue };
        let Ok(address) = u64::from_str_radix(address.trim(), 16) else { continue };
        if behind_call {
            found.push(address);
        }
        behind_call = ["bl\t", "blx\t"].iter().any(|call| instruction.starts_with(call));
    }
    found
}

/// The CFA, and the places of preserved registers and the return address.
fn places(row: &UnwindRow) -> Told {
    let CfaRule::Register(base, offset) = row.cfa else { panic!("{row:?}") };
    let preserved: Vec<RegisterId> = Arch::Arm.info().preserved().chain([row.return_address]).collect();
    let mut saved: Vec<(u8, i64)> = row
        .rules
        .iter()
        .filter(|(id, _)| preserved.contains(id))
        .filter_map(|(id, rule)| match rule {
            RegisterRule::AtCfa(offset) => Some((id.0, *offset)),
            RegisterRule::SameValue => None,
            _ => panic!("{row:?}"),
        })
        .collect();
    saved.sort_unstable();
    (base.0, offset, saved)
}

#[test]
fn at_calls_the_row_is_that_of_debug_frame() {
    require!(tool("arm-linux-gnueabihf-g++"));
    let mut total = 0;
    for flags in [["-O2", "-marm"], ["-O2", "-mthumb"], ["-O0", "-mthumb"], ["-O1", "-marm"]] {
        let directory = TempDir::new();
        let flags = [&["-xc++", "-g", "-funwind-tables"][..], &flags].concat();
        let path = directory.compile_with("arm-linux-gnueabihf-g++", "program", THROWS, &flags);
        let alone = directory.path("alone");
        run("arm-linux-gnueabihf-objcopy", &["-g", "-R", ".eh_frame", text(&path), text(&alone)]);
        let (full, alone) = (Binary::open(&path).unwrap(), Binary::open(&alone).unwrap());
        assert!(alone.section(".debug_frame").is_none());
        for to in returns(&path) {
            let pc = LinkAddr(to - 1);
            let Some(expected) = full.unwind_row(pc).unwrap().filter(|row| !row.only_at_calls) else {
                continue;
            };
            let row = alone.unwind_row(pc).unwrap().unwrap();
            assert!(row.only_at_calls);
            assert_eq!(places(&row), places(&expected), "{flags:?} {to:#x}");
            total += 1;
        }
    }
    println!("{total} calls");
    assert!(total > 100, "{total}");
}

#[test]
fn the_tables_are_found_without_a_section_table_and_in_memory() {
    require!(tool(READELF));
    require!(tool("arm-linux-gnueabihf-gcc"));
    let path = library("libstdc++.so.6");
    let directory = TempDir::new();
    let stripped = directory.write("stripped.so", &without_section_table(&path));
    let full = Binary::open(&path).unwrap();
    let process = load(&stripped, 0x4000_0000);
    let modules = prospect_process::Process::modules(&process);
    let memory = prospect_process::Process::memory(&process);
    let in_memory = Binary::from_memory(&modules.as_slice()[0], memory).unwrap();
    let mut compared = 0;
    for entry in readelf(&path) {
        let Some(row) = full.unwind_row(LinkAddr(entry.start)).unwrap() else { continue };
        for binary in [&Binary::open(&stripped).unwrap(), &in_memory] {
            let again = binary.unwind_row(LinkAddr(entry.start)).unwrap().unwrap();
            assert_eq!(told(&again), told(&row), "{:#x}", entry.start);
        }
        compared += 1;
    }
    assert!(compared > 2000, "{compared}");
}

/// The row of a function with these instructions.
fn row_of(instructions: &[u8]) -> Result<UnwindRow, UnwindInfoError> {
    opcodes::run(instructions)?.row(Arch::Arm.info(), LinkAddr(0)..LinkAddr(1))
}

#[test]
fn every_instruction_does_what_the_manual_says() {
    let all_low: Vec<(u8, i64)> = (4..12).map(|register| (register, 4 * i64::from(register) - 48)).collect();
    let table: &[(&[u8], Told)] = &[
        (&[], (13, 0, vec![])),
        (&[0x00], (13, 4, vec![])),
        (&[0x3f, 0xb0, 0x3f], (13, 256, vec![])),
        (&[0x40], (13, -4, vec![])),
        (&[0x9b, 0x42], (11, -12, vec![])),
        (&[0x84, 0x00], (13, 4, vec![(14, -4)])),
        (&[0x80, 0xff], (13, 32, all_low.iter().map(|one| (one.0, one.1)).collect())),
        (&[0x81, 0x01], (13, 8, vec![(4, -8)])),
        // pc itself gets the return address, if lr is not restored too.
        (&[0x88, 0x00], (13, 4, vec![(14, -4)])),
        (&[0x8c, 0x00], (13, 8, vec![(14, -8), (15, -4)])),
        (&[0xa0], (13, 4, vec![(4, -4)])),
        (&[0xa7], (13, 32, all_low.iter().map(|one| (one.0, one.1)).collect())),
        (&[0xa9], (13, 12, vec![(4, -12), (5, -8), (14, -4)])),
        (&[0xb1, 0x09], (13, 8, vec![])),
        (&[0xb2, 0x00], (13, 0x204, vec![])),
        (&[0xb2, 0x81, 0x02, 0xa8], (13, 0x204 + 4 * 0x101 + 8, vec![(4, -8), (14, -4)])),
        (&[0xb3, 0x81], (13, 8 * 2 + 4, vec![])),
        (&[0xb4], (13, 4, vec![])),
        (&[0xb5], (13, 0, vec![])),
        (&[0xb8], (13, 12, vec![])),
        (&[0xbf], (13, 68, vec![])),
        (&[0xc0], (13, 8, vec![])),
        (&[0xc5], (13, 48, vec![])),
        (&[0xc6, 0x02], (13, 24, vec![])),
        (&[0xc7, 0x05], (13, 8, vec![])),
        (&[0xc8, 0x03], (13, 32, vec![])),
        (&[0xc9, 0x83], (13, 32, vec![])),
        (&[0xd0], (13, 8, vec![])),
        (&[0xd7, 0xa8], (13, 72, vec![(4, -8), (14, -4)])),
    ];
    for (instructions, expected) in table {
        assert_eq!(told(&row_of(instructions).unwrap()), *expected, "{instructions:02x?}");
    }
    let spare: &[&[u8]] = &[
        &[0x80, 0x00], // refuses
        &[0x84],       // cut off
        &[0x9d],
        &[0x9f],
        &[0xb1, 0x00],
        &[0xb1, 0x10],
        &[0xb2],
        &[0xb2, 0x80],
        &[0xb2, 0x80, 0x80, 0x80, 0x80, 0x80, 0],
        &[0xb6],
        &[0xb7],
        &[0xc7, 0x00],
        &[0xc7, 0x10],
        &[0xca],
        &[0xcf],
        &[0xd8],
        &[0xe0],
        &[0xff],
    ];
    for instructions in spare {
        assert!(row_of(instructions).is_err(), "{instructions:02x?}");
    }
}

#[test]
fn a_stack_pointer_may_come_from_the_stack() {
    let mut registers = Registers::unknown(Arch::Arm);
    registers.set(Arch::Arm.info().sp, 0x7000);
    let memory = CapturedMemory::new((0..32).collect(), [(Addr(0x7000), 32, 0)]);
    let evaluate = |rule: &crate::Expression, cfa| rule.evaluate(cfa, &registers, &memory).unwrap();
    // pop {r4, r7}; vsp = r7; vsp = vsp + 4; pop {r5}: where r7 was saved is where the stack goes on.
    let row = row_of(&[0x80, 0x09, 0x97, 0x00, 0x80, 0x02]).unwrap();
    let CfaRule::Expression(cfa) = &row.cfa else { panic!("{row:?}") };
    assert_eq!(evaluate(cfa, None), 0x0706_0504 + 8);
    let rules: Vec<String> = row
        .rules
        .iter()
        .map(|(id, rule)| match rule {
            RegisterRule::AtCfa(offset) => format!("{} cfa{offset}", id.0),
            RegisterRule::AtExpression(is) => format!("{} at {:#x}", id.0, evaluate(is, Some(1))),
            _ => panic!("{rule:?}"),
        })
        .collect();
    assert_eq!(rules, ["4 at 0x7000", "5 cfa-4", "7 at 0x7004"]);
    // pop {r13} is the same.
    let row = row_of(&[0x82, 0x00]).unwrap();
    let CfaRule::Expression(cfa) = &row.cfa else { panic!("{row:?}") };
    assert_eq!((evaluate(cfa, None), row.rules.len()), (0x0302_0100, 0));
    assert!(row_of(&[0x82, 0x00].repeat(100)).is_err(), "without end");
}

/// Tables of hand: an index at 0x1000 over code from 0x2000 on, and its table at 0x1800.
fn tables(entries: &[(u32, u32)], table: &[u32]) -> (Vec<u8>, Vec<u8>) {
    let mut index = Vec::new();
    for (start, word) in entries {
        let at = 0x1000 + index.len() as u32;
        index.extend((start.wrapping_sub(at) & 0x7fff_ffff).to_le_bytes());
        let points = (0x1800..0x2000).contains(word);
        let word = if points { word.wrapping_sub(at + 4) & 0x7fff_ffff } else { *word };
        index.extend(word.to_le_bytes());
    }
    (index, table.iter().flat_map(|word| word.to_le_bytes()).collect())
}

fn part(bytes: &[u8], section_address: u64) -> Part<'_> {
    Part { bytes, format: PointerFormat { address_bytes: 4, big_endian: false, section_address } }
}

fn find(tables: &(Vec<u8>, Vec<u8>), pc: u64) -> Result<Option<UnwindRow>, UnwindInfoError> {
    let program_entry = Some(LinkAddr(0x2401));
    let tables =
        Tables { index: part(&tables.0, 0x1000), table: Some(part(&tables.1, 0x1800)), program_entry };
    row(&tables, Arch::Arm.info(), pc, LinkAddr(0x3000))
}

#[test]
fn every_form_of_an_entry_is_read() {
    let made = tables(
        &[
            (0x2000, 0x80a8_b0b0),
            (0x2100, 0x1800),
            (0x2200, 0x1808),
            (0x2300, 0x1814),
            (0x2400, 1),
            (0x2600, 0x83a8_b0b0),
            (0x2700, 0x1900),
        ],
        &[
            0x8101_a8b2,
            0x01b0_b0b0, // long, 16 bits of scope: pop {r4, lr}; vsp += 0x204 + 4
            0x8202_0001,
            0xa9b0_b0b0,
            0xb0b0_b0b0, // long, 32 bits of scope
            0x0000_0010,
            0x0102_a8b0,
            0xb0b0_b0b0, // a personality routine of its own
        ],
    );
    let expect = |pc, expected: Told, range: (u64, u64)| {
        let row = find(&made, pc).unwrap().unwrap();
        assert_eq!((told(&row), row.range.start.0, row.range.end.0), (expected, range.0, range.1), "{pc:#x}");
    };
    assert!(find(&made, 0x1fff).unwrap().is_none());
    expect(0x2000, (13, 8, vec![(4, -8), (14, -4)]), (0x2000, 0x2100));
    expect(0x21ff, (13, 8 + 0x208, vec![(4, -8 - 0x208), (14, -4 - 0x208)]), (0x2100, 0x2200));
    expect(0x2200, (13, 4 + 8 + 12, vec![(4, -12), (5, -8), (14, -4)]), (0x2200, 0x2300));
    expect(0x2300, (13, 12 + 8, vec![(4, -8), (14, -4)]), (0x2300, 0x2400));
    // The program begins here, and what follows cannot be unwound either.
    let first = find(&made, 0x2410).unwrap().unwrap();
    assert!(matches!(first.rules[..], [(RegisterId(14), RegisterRule::Undefined)]));
    assert!(find(&made, 0x2480).unwrap().is_none());
    assert!(find(&made, 0x2600).is_err(), "personality routine 3");
    assert!(find(&made, 0x2700).is_err(), "beyond the table");
    assert!(find(&made, 0x3000).unwrap().is_none());
}

#[test]
fn no_bytes_make_it_panic() {
    let mut random = Random::new(5);
    for _ in 0..20_000 {
        let mut word = || random.number() as u32;
        let mut made = tables(
            &[(0x2000, word()), (0x2100, 0x1800), (0x2200, 0x1808)],
            &[word() & 0x83ff_ffff, word(), word(), word() & 0x00ff_ffff, word()],
        );
        let keep = random.below(25);
        made.0.truncate(keep);
        for pc in [0, 0x2000, 0x2100, 0x2200, u64::MAX] {
            if let Ok(Some(row)) = find(&made, pc) {
                assert!(row.rules.len() <= 14);
            }
        }
    }
}

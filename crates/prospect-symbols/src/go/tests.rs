//! Real programs by every release of Go that is here, against their own debug information, and broken ones.

use std::{
    fs,
    ops::{ControlFlow, Range},
    sync::Arc,
};

use prospect_process::LinkAddr;
use prospect_testing::{GoBuild, Random, go_toolchains, require};

use super::*;
use crate::{
    Binaries, Binary, CfaRule, Found, FoundKind, ModuleBinary, Pattern, Query, RegisterRule, SearchOptions,
    SymbolKind, binary::FileBytes, testing::TempDir,
};

/// The source of the program that is built.
const PARKED: &str = include_str!("../../../../fixtures/parked.go");

/// In how many ways each program is built.
fn builds() -> [GoBuild; 3] {
    let plain = GoBuild::default();
    [plain, GoBuild { pie: true, ..plain }, GoBuild { i386: true, ..plain }]
}

fn text(binary: &Binary) -> Range<u64> {
    let text = binary.named_section(".text").unwrap();
    text.address.0..text.address.0 + text.section.len() as u64
}

fn open(path: &std::path::Path) -> Arc<ModuleBinary> {
    Binaries::new(SearchOptions::default()).open(path).unwrap()
}

/// What a frame says, in the same words by both: debug information tells the types that a generic function was made for,
/// and says where relative paths begin.
fn said(frame: &SourceFrame) -> (String, String, Option<u32>, bool) {
    let name = frame.function.as_deref().unwrap_or_default().split('[').next().unwrap_or_default();
    let file = frame.file.as_deref().unwrap_or_default();
    (name.into(), file.trim_start_matches("./").into(), frame.line, frame.inlined)
}

#[test]
fn functions_lines_and_inlined_calls_are_those_of_the_debug_information() {
    for toolchain in require!(go_toolchains()) {
        for how in builds() {
            let module = open(&toolchain.build("parked.go", how));
            let stripped = open(&toolchain.build("parked.go", GoBuild { stripped: true, ..how }));
            let release = stripped.go_program().unwrap().release.clone().unwrap();
            assert_eq!(release.text, toolchain.release);
            let addresses: Vec<LinkAddr> =
                text(module.binary.as_ref().unwrap()).step_by(37).map(LinkAddr).collect();
            let (mut compared, mut same_functions, mut same, mut inlined) = (0, 0, 0, 0);
            for (by_dwarf, by_tables) in module.resolve(&addresses).iter().zip(stripped.resolve(&addresses)) {
                if by_dwarf.frames.is_empty() && by_tables.frames.is_empty() {
                    continue;
                }
                compared += 1;
                let (dwarf, tables) = (by_dwarf.frames.iter().map(said), by_tables.frames.iter().map(said));
                inlined += usize::from(tables.len() > 1);
                same_functions +=
                    usize::from(dwarf.clone().map(|frame| frame.0).eq(tables.clone().map(|frame| frame.0)));
                same += usize::from(dwarf.eq(tables));
            }
            let what =
                format!("{release} {how:?}: of {compared} {same_functions} and {same}, {inlined} inlined");
            println!("{what}");
            assert!(compared > 10_000 && inlined > 1_000, "{what}");
            assert!(same_functions * 1000 > compared * 999, "{what}");
            assert!(same * 100 > compared * 99, "{what}");
        }
    }
}

#[test]
fn rows_are_those_of_debug_frame() {
    for toolchain in require!(go_toolchains()) {
        for how in builds() {
            let binary = Binary::open(&toolchain.build("parked.go", how)).unwrap();
            let stripped =
                Binary::open(&toolchain.build("parked.go", GoBuild { stripped: true, ..how })).unwrap();
            assert_eq!(text(&binary), text(&stripped));
            let (mut compared, mut marked, mut missing, mut different) = (0, 0, 0, 0);
            binary.every_unwind_row(|range, row| {
                let row = row.unwrap();
                let info = binary.arch().unwrap().info();
                let CfaRule::Register(base, distance) = row.cfa else { return ControlFlow::Continue(()) };
                match stripped.go().unwrap().row(stripped.headers(), range.start) {
                    GoRow::Caller(found) => {
                        compared += 1;
                        let CfaRule::Register(id, by_go) = found.cfa else { panic!("{found:?}") };
                        assert_eq!(id, info.sp);
                        let saved = found.rules.iter().find(|(id, _)| *id == info.pc).map(|(_, rule)| rule);
                        assert!(matches!(saved, Some(RegisterRule::AtCfa(at)) if *at == -i64::from(info.word_bytes)));
                        if (base, distance) != (id, by_go) || found.range.end < range.end {
                            different += 1;
                            println!("{} {how:?} {range:?}: {row:?} {found:?}", toolchain.release);
                        }
                    }
                    GoRow::Unknown => {
                        missing += 1;
                        println!("{} {how:?} {range:?} is missing: {row:?}", toolchain.release);
                    }
                    GoRow::Marked(_) | GoRow::OtherStack => marked += 1,
                }
                ControlFlow::Continue(())
            });
            let what = format!("{} {how:?}: {compared} rows, {marked} marked", toolchain.release);
            println!("{what}, {missing} missing, {different} different");
            assert!(compared > 5_000 && marked < 100 && (missing, different) == (0, 0), "{what}");
        }
    }
}

/// Asks for everything at addresses all over the text, and a little beyond.
fn ask(binary: &Binary, random: &mut Random) -> usize {
    let Some(go) = binary.go() else { return 0 };
    let segment = binary.headers().segments.iter().find(|one| one.executable).unwrap().range.clone();
    let length = usize::try_from(segment.end.0.saturating_sub(segment.start.0)).unwrap_or(1 << 20) + 64;
    let addresses = (0..64).map(|_| LinkAddr(segment.start.0.wrapping_add(random.below(length) as u64)));
    addresses
        .filter(|at| {
            let _ = go.row(binary.headers(), *at);
            !go.frames(binary.headers(), *at).is_empty()
        })
        .count()
}

#[test]
fn broken_tables_are_read_to_an_end() {
    let toolchains = require!(go_toolchains());
    for toolchain in toolchains.iter().take(1).chain(toolchains.iter().skip(1).last()) {
        let path = toolchain.build("parked.go", GoBuild { stripped: true, ..GoBuild::default() });
        let bytes = fs::read(&path).unwrap();
        let table =
            bytes.windows(8).position(|window| matches!(window, [0xf0 | 0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8]));
        let table = table.unwrap();
        let mut random = Random::new(7);
        let (mut named, mut was_go) = (0, 0);
        for round in 0..200 {
            let mut broken = bytes.clone();
            // The header, what it leads to first, or anything.
            let range = [72, 4096, bytes.len() - table][round % 3];
            for _ in 0..1 + random.below(if round % 3 == 2 { 20_000 } else { 4 }) {
                broken[table + 4 + random.below(range - 4)] = random.number() as u8;
            }
            let file = Arc::new(FileBytes::Owned(broken));
            let Ok(binary) = Binary::from_bytes(path.clone(), file) else { continue };
            was_go += usize::from(binary.go().is_some());
            named += ask(&binary, &mut random);
        }
        assert!(was_go > 50 && named > 1000, "{was_go} {named}: the tables were never reached");
    }
}

#[test]
fn tables_are_found_without_section_headers_and_in_other_sections() {
    let toolchains = require!(go_toolchains());
    let scratch = TempDir::new();
    for toolchain in toolchains {
        for how in builds() {
            let path = toolchain.build("parked.go", GoBuild { stripped: true, ..how });
            let whole = Binary::open(&path).unwrap();
            let mut bytes = fs::read(&path).unwrap();
            // e_shoff, e_shnum and e_shstrndx.
            if how.i386 {
                bytes[32..36].fill(0);
                bytes[48..52].fill(0);
            } else {
                bytes[40..48].fill(0);
                bytes[60..64].fill(0);
            }
            let bare = Binary::open(&scratch.write("bare", &bytes)).unwrap();
            let (go, found) = (whole.go().unwrap(), bare.go().unwrap());
            assert_eq!((&go.release, &go.bss, go.text), (&found.release, &found.bss, found.text));
            let at = LinkAddr(text(&whole).start + 0x2000);
            assert_eq!(go.frames(whole.headers(), at), found.frames(bare.headers(), at));
            assert!(!go.frames(whole.headers(), at).is_empty(), "{} {how:?}", toolchain.release);
        }
    }
}

#[test]
fn a_program_without_go_is_none() {
    let own = Binary::open(&std::env::current_exe().unwrap()).unwrap();
    assert!(own.go().is_none());
    assert!(Binary::open(std::path::Path::new("/bin/sh")).is_ok_and(|shell| shell.go().is_none()));
}

#[test]
fn names_and_lines_lead_to_the_addresses_that_debug_information_has() {
    for toolchain in require!(go_toolchains()) {
        for how in builds() {
            let module = open(&toolchain.build("parked.go", how));
            let stripped = open(&toolchain.build("parked.go", GoBuild { stripped: true, ..how }));
            assert!(stripped.debug_info().is_none());
            // Every function of the program, by each way to write its name.
            let main = Query::parse("/^main\\./").unwrap();
            let wanted = module.find(&main, 1000);
            let functions = wanted.iter().filter(|one| one.kind == FoundKind::Symbol(SymbolKind::Function));
            let mut count = 0;
            for function in functions {
                let start = function.range.as_ref().unwrap().start;
                let own = function.name.strip_prefix("main.").unwrap();
                for name in [&*function.name, own] {
                    let found = stripped.find(&Query::Name(Pattern::name(name).unwrap()), 100);
                    let is_it = |one: &Found| one.range.as_ref().is_some_and(|range| range.start == start);
                    assert!(found.iter().any(is_it), "{name}: {found:?}");
                    count += 1;
                }
                let qualified = Pattern::name(own).unwrap().qualified(true);
                assert_eq!(stripped.find(&Query::Name(qualified), 100), [], "{own}");
            }
            assert!(count > 6, "{wanted:?}");
            // Every line: the first code of it in some function is one of the places.
            let (mut exact, mut same) = (0, 0);
            for line in 1..=PARKED.lines().count() {
                let query = Query::parse(&format!("parked.go:{line}")).unwrap();
                let (by_dwarf, by_tables) = (module.find(&query, 100), stripped.find(&query, 100));
                if !by_dwarf.iter().any(Found::is_exact) {
                    continue;
                }
                exact += 1;
                same += usize::from(
                    by_tables
                        .iter()
                        .any(|one| one.is_exact() && by_dwarf.iter().any(|other| other.range == one.range)),
                );
            }
            // A place of the debug information is where a statement begins, which the tables do not know.
            assert!(exact > 20 && same * 10 >= exact * 9, "{}: {same} of {exact}", toolchain.release);
            assert_eq!(stripped.find(&Query::parse("nosuch.go:1").unwrap(), 10), []);
            assert_eq!(stripped.find(&Query::parse("main.nosuch").unwrap(), 10), []);
        }
    }
}

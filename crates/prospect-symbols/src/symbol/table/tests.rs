use std::collections::HashMap;

use super::*;
use crate::{
    Binary,
    testing::{TempDir, libc, nm, text},
};

/// Labels without sizes, aliases, nested symbols, mapping symbols.
const ASSEMBLY: &str = r#"
    .text
    .globl sized
    .type sized, @function
sized:
    nop
    nop
inner_label:
    nop
    ret
    .size sized, . - sized
    nop
    nop
    .globl bare
bare:
    nop
    nop
$x.3:
    nop
second_bare:
    nop
    nop
    .type __alias, @function
    .globl __alias
    .weak weak_alias
    .type weak_alias, @function
    .type alias, @function
    .globl alias
    .type local_alias, @function
not_typed:
local_alias:
weak_alias:
__alias:
alias:
    nop
    nop
    .size alias, 2
    .size __alias, 2
    .size weak_alias, 2
    .size local_alias, 2
    .size not_typed, 2
    .type outer, @function
outer:
    nop
    .type nested, @function
nested:
    nop
    .size nested, 1
    nop
    .size outer, 3
last:
    nop
    .section .text.other, "ax"
    .globl elsewhere
elsewhere:
    nop
    .section .note.GNU-stack
"#;

fn find(binary: &Binary, kind: TableKind, addresses: &[u64]) -> Vec<Option<(String, u64)>> {
    let addresses: Vec<LinkAddr> = addresses.iter().map(|at| LinkAddr(*at)).collect();
    let found = binary.symbols_at(kind, What::Code, &addresses).unwrap();
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    found.iter().map(|one| one.map(|one| (text(one.name), one.start.0))).collect()
}

/// The same by the index, which is otherwise made only after many lookups.
fn find_by_index(binary: &Binary, kind: TableKind, addresses: &[u64]) -> Vec<Option<(String, u64)>> {
    for _ in 0..MOST_SCANS {
        find(binary, kind, &[0]);
    }
    find(binary, kind, addresses)
}

fn assemble(directory: &TempDir, flags: &[&str]) -> Binary {
    let source = directory.write("labels.S", ASSEMBLY.as_bytes());
    let path = directory.path("labels");
    let mut arguments = vec![text(&source), "-o", text(&path), "-nostdlib", "-Wl,-e,sized"];
    arguments.extend(flags);
    crate::testing::run("gcc", &arguments);
    Binary::open(&path).unwrap()
}

#[test]
fn the_symbol_that_is_meant_is_chosen() {
    let directory = TempDir::new();
    for flags in [&["-static", "-no-pie"][..], &["-static", "-no-pie", "-m32"]] {
        for by_index in [false, true] {
            let binary = assemble(&directory, flags);
            let start = nm(binary.path(), &[]).into_iter().find(|one| one.2 == "sized").unwrap().0;
            let names = [
                "sized",
                "sized",
                "sized",
                "sized",
                "inner_label",
                "inner_label",
                "bare",
                "bare",
                "bare",
                "second_bare",
                "second_bare",
                "alias",
                "alias",
                "outer",
                "nested",
                "outer",
                "last",
            ];
            let addresses: Vec<u64> = (start - 1..=start + names.len() as u64).collect();
            let find = if by_index { find_by_index } else { find };
            let found = find(&binary, TableKind::Full, &addresses);
            let found: Vec<&str> =
                found.iter().map(|one| one.as_ref().map_or("-", |one| one.0.as_str())).collect();
            assert_eq!(found[0], "-", "before the first");
            assert_eq!(found[1..=names.len()], names, "{flags:?} {by_index}");
            // The next section, or nothing: the last label does not reach over its section's end.
            assert!(["elsewhere", "-"].contains(&found[names.len() + 1]));
        }
    }
}

#[test]
fn the_functions_of_the_c_library_are_those_of_nm() {
    for flags in [&[][..], &["-m32"]] {
        let path = libc(flags);
        let listed: Vec<_> = nm(&path, &["-D"]).into_iter().filter(|one| one.1 > 0).collect();
        assert!(listed.len() > 1500);
        let mut by_start: HashMap<u64, Vec<&str>> = HashMap::new();
        for (start, _, name) in &listed {
            by_start.entry(*start).or_default().push(name.split('@').next().unwrap());
        }
        let mut addresses: Vec<u64> =
            listed.iter().flat_map(|(start, size, _)| [*start, start + size / 2, start + size - 1]).collect();
        addresses.sort_unstable();
        let binary = Binary::open(&path).unwrap();
        let scanned: Vec<_> =
            addresses.chunks(1000).flat_map(|some| find(&binary, TableKind::Dynamic, some)).collect();
        for (at, found) in addresses.iter().zip(&scanned) {
            let (name, start) = found.as_ref().unwrap_or_else(|| panic!("nothing at {at:#x}"));
            let covers = |one: &&(u64, u64, String)| (one.0..one.0 + one.1).contains(at);
            let innermost = listed.iter().filter(covers).map(|one| one.0).max().unwrap();
            assert_eq!(*start, innermost, "{at:#x}");
            assert!(by_start[start].contains(&name.as_str()), "{name} at {at:#x}");
        }
        assert_eq!(find_by_index(&binary, TableKind::Dynamic, &addresses), scanned);
    }
}

#[test]
fn symbols_that_cover_everything_do_not_take_for_ever() {
    let directory = TempDir::new();
    let binary = assemble(&directory, &["-static", "-no-pie"]);
    let count = 20_000u64;
    let mut symbols = Vec::new();
    for number in 0..count {
        symbols.extend(1u32.to_le_bytes());
        symbols.extend([0x12, 0, 1, 0]);
        symbols.extend(number.to_le_bytes());
        symbols.extend(u64::MAX.to_le_bytes());
    }
    let mut headers = Headers::empty(binary.arch(), 8, gimli::RunTimeEndian::Little);
    let bytes = std::sync::Arc::new(crate::binary::FileBytes::Owned([symbols, b"\0f\0".to_vec()].concat()));
    let end = count as usize * 24;
    for (name, place) in [(".symtab", 0..end), (".strtab", end..end + 3)] {
        headers.sections.push(crate::binary::NamedSection {
            name: name.as_bytes().into(),
            address: LinkAddr(0),
            section: crate::binary::Section::new(bytes.clone(), place, None),
        });
    }
    let table = SymbolTable::default();
    let addresses: Vec<LinkAddr> = (0..4000).map(|at| LinkAddr(at + count)).collect();
    let find = |addresses: &[LinkAddr]| {
        let found = table.find(&headers, TableKind::Full, What::Code, addresses).unwrap();
        assert_eq!(found[0].unwrap().name, b"f");
    };
    find(&addresses);
    for _ in 0..MOST_SCANS {
        find(&addresses[..1]);
    }
    assert!(table.index.get().is_some());
    find(&addresses);
}

#[test]
fn source_files_are_the_same_by_a_scan_and_by_a_list() {
    let directory = TempDir::new();
    let sources = ["one.c", "two.c"].map(|name| {
        let source =
            format!("static int local(int x) {{ return x; }} int (*{}_of)(int) = local;", &name[..3]);
        text(&directory.write(name, source.as_bytes())).to_owned()
    });
    let start = directory.write("start.c", b"void _start(void) {}");
    let path = directory.path("locals");
    let mut arguments = vec!["-nostdlib", "-static", "-no-pie", "-o", text(&path), text(&start)];
    arguments.extend(sources.iter().map(String::as_str));
    crate::testing::run("gcc", &arguments);
    let binary = Binary::open(&path).unwrap();
    let mut starts: Vec<u64> =
        nm(&path, &[]).into_iter().filter(|one| one.2 == "local").map(|one| one.0).collect();
    starts.sort_unstable();
    assert_eq!(starts.len(), 2);
    let table = SymbolTable::default();
    for round in 0..=MOST_FILE_SCANS {
        let file =
            |at: u64, name: &[u8]| table.local_file(binary.headers(), TableKind::Full, LinkAddr(at), name);
        for (&at, name) in starts.iter().zip(["one.c", "two.c"]) {
            assert_eq!(file(at, b"local"), Some(name.as_bytes()), "{round}");
        }
        assert_eq!(file(starts[0], b"other"), None);
        assert_eq!(file(starts[0] + 1, b"local"), None);
        // That of everybody has no file of its own.
        let global = nm(&path, &[]).into_iter().find(|one| one.2 == "_start").unwrap().0;
        assert_eq!(file(global, b"_start"), None);
    }
    assert!(table.files.get().is_some());
}

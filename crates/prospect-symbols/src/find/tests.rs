mod definitions;
mod lines;

use std::{collections::BTreeSet, path::PathBuf};

use prospect_process::Process as _;

use super::*;
use crate::{
    Binaries, Binary, ModuleBinary, SearchOptions,
    testing::{TempDir, libc, load, run, text, without_section_table},
};

fn open(path: &std::path::Path) -> std::sync::Arc<ModuleBinary> {
    Binaries::new(SearchOptions::default()).open(path).unwrap()
}

/// Libraries of this machine with versions, unique symbols, thread-local variables and indirect functions, and a program.
fn subjects() -> Vec<PathBuf> {
    let stdcxx =
        PathBuf::from(run("g++", &["-print-file-name=libstdc++.so.6"]).trim()).canonicalize().unwrap();
    let python = PathBuf::from("/usr/bin/python3").canonicalize();
    [libc(&[]), libc(&["-m32"]), stdcxx].into_iter().chain(python).collect()
}

/// What `nm` lists of what is defined in `.dynsym`, and can be seen from outside: address, name with version.
fn nm_exports(path: &std::path::Path) -> BTreeSet<(u64, String)> {
    let listed = run("nm", &["-D", "--with-symbol-versions", "--defined-only", text(path)]);
    let line = |line: &str| {
        let (address, rest) = line.split_once(' ')?;
        let (_, name) = rest.split_once(' ')?;
        Some((u64::from_str_radix(address, 16).unwrap(), name.to_owned()))
    };
    listed.lines().filter_map(line).collect()
}

fn name_of(symbol: &Symbol) -> String {
    // The symbols that stand for versions are of themselves, and `nm` does not say so.
    let version = symbol.version.as_ref().filter(|version| version.name.as_bytes() != symbol.name);
    let version = version.map(ToString::to_string).unwrap_or_default();
    String::from_utf8_lossy(&symbol.name).into_owned() + &version
}

#[test]
fn exports_are_those_of_nm() {
    for path in subjects() {
        let module = open(&path);
        let exports = module.exports(SymbolOrder::Address);
        assert!(exports.is_sorted_by_key(|one| one.range.start));
        let ours: BTreeSet<(u64, String)> =
            exports.iter().map(|one| (one.range.start.0, name_of(one))).collect();
        let theirs = nm_exports(&path);
        let different: Vec<_> = ours.symmetric_difference(&theirs).take(10).collect();
        assert!(different.is_empty(), "{}: {different:?}", path.display());
        assert!(ours.len() > 1000, "{}", path.display());
    }
}

/// How many of the names are looked up where the table is one that was looked through before, and only its place is found in
/// another way: one in so many.
const SOME: usize = 16;

/// Every name that is exported, or one in `step`, by the hash table and by looking at all symbols.
fn check_hash_table(module: &ModuleBinary, step: usize, what: &str) {
    let exports = module.exports(SymbolOrder::Name);
    assert!(exports.len() > 1000, "{what}: {}", exports.len());
    for (index, symbol) in exports.iter().enumerate().step_by(step) {
        let same: Vec<&Symbol> = exports
            .iter()
            .skip(index.saturating_sub(16))
            .take(32)
            .filter(|one| one.name == symbol.name)
            .collect();
        let by_version = symbol.version.as_ref().map(|version| version.name.as_str());
        let found = module.export(&symbol.name, by_version);
        let meant = |one: &&&Symbol| one.version.as_ref().map(|version| version.name.as_str()) == by_version;
        assert_eq!(found.as_ref(), same.iter().find(meant).copied(), "{what}: {}", name_of(symbol));
        let is_default = |one: &&&Symbol| one.version.as_ref().is_none_or(|version| version.is_default);
        let found = module.export(&symbol.name, None).unwrap();
        match same.iter().find(is_default) {
            Some(default) => assert_eq!(found, **default, "{what}"),
            None => assert!(same.contains(&&found), "{what}"),
        }
    }
    for absent in ["", "no_such_symbol", "GLIBC", "mallo", "mallocc"] {
        assert_eq!(module.export(absent.as_bytes(), None), None, "{what}: {absent}");
    }
    assert_eq!(module.export(b"malloc", Some("GLIBC_99")), None);
}

#[test]
fn hash_tables_find_what_is_there() {
    let directory = TempDir::new();
    for path in subjects() {
        check_hash_table(&open(&path), 1, text(&path));
        // The headers of its segments, and memory, say where the tables are as well.
        let bare = directory.write("bare", &without_section_table(&path));
        let bare_module = open(&bare);
        assert_eq!(bare_module.exports(SymbolOrder::Address), open(&path).exports(SymbolOrder::Address));
        check_hash_table(&bare_module, SOME, "without sections");
        let process = load(&path, 0x7000_0000_0000);
        let process_module = process.modules().iter().next().unwrap();
        let binary = Binary::from_memory(process_module, process.memory()).unwrap();
        let bare = directory.path("gone");
        let in_memory = ModuleBinary::of_binary(binary, &bare);
        let names = |module: &ModuleBinary| -> Vec<String> {
            module.exports(SymbolOrder::Address).iter().map(name_of).collect()
        };
        assert_eq!(names(&in_memory), names(&open(&path)));
        check_hash_table(&in_memory, SOME, "in memory");
    }
}

#[test]
fn the_old_hash_table_finds_the_same() {
    let directory = TempDir::new();
    let mut source = String::new();
    for number in 0..1500 {
        source += &format!("int exported_{number}(void) {{ return {number}; }}\n");
    }
    for machine in ["-m64", "-m32"] {
        let object = directory.compile("object", &source, &["-c", "-fPIC", machine]);
        for style in ["-Wl,--hash-style=sysv", "-Wl,--hash-style=gnu", "-Wl,--hash-style=both"] {
            let path = directory.path("styles");
            run("gcc", &["-shared", "-nostdlib", style, machine, text(&object), "-o", text(&path)]);
            check_hash_table(&open(&path), 1, style);
            let bare = directory.write("bare-styles", &without_section_table(&path));
            check_hash_table(&open(&bare), SOME, style);
        }
    }
}

#[test]
fn indirect_functions_are_those_of_readelf() {
    let path = libc(&[]);
    let listed = run("readelf", &["-W", "--dyn-syms", text(&path)]);
    let name =
        |line: &str| line.contains(" IFUNC ").then(|| line.split_whitespace().nth(7).unwrap().to_owned());
    let theirs: BTreeSet<String> = listed.lines().filter_map(name).collect();
    let exports = open(&path).exports(SymbolOrder::Name);
    let indirect = exports.iter().filter(|one| one.kind == SymbolKind::IndirectFunction);
    assert_eq!(indirect.map(name_of).collect::<BTreeSet<String>>(), theirs);
    assert!(theirs.iter().any(|name| name.starts_with("memcpy@")), "{theirs:?}");
}

#[test]
fn a_symbol_has_the_version_that_was_asked_for() {
    let module = open(&libc(&[]));
    let memcpy = |version| module.export(b"memcpy", version).unwrap();
    assert_eq!(memcpy(None).to_string(), "memcpy@@GLIBC_2.14");
    assert_eq!(memcpy(Some("GLIBC_2.2.5")).to_string(), "memcpy@GLIBC_2.2.5");
    assert_ne!(memcpy(None).range.start, memcpy(Some("GLIBC_2.2.5")).range.start);
    let errno = module.export(b"errno", None);
    assert!(errno.is_none_or(|symbol| symbol.kind == SymbolKind::ThreadLocal));
}

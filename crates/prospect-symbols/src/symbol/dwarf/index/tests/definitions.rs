//! Definitions that were looked for through all of a file are not looked for again.

use super::*;
use crate::type_info::{EntryId, find_definition};

/// What is asked for: the last two are nowhere.
const NAMES: [&[&str]; 4] = [&["ns", "defined"], &["alone"], &["ns", "missing"], &["ns", "alone"]];

/// One unit declares types, the other one says what two of them are.
fn program() -> Program {
    let directory = TempDir::new();
    let users = directory.write(
        "users.cc",
        b"namespace ns { struct defined; struct missing; } struct alone; \
        ns::defined *one; ns::missing *two; alone *three; int main() { return 0; }",
    );
    let others = directory
        .write("others.cc", b"namespace ns { struct defined { int a; } x; } struct alone { char b; } y;");
    let path = directory.path("program");
    run("g++", &[text(&users), text(&others), "-o", text(&path), "-g"]);
    Program::new(directory, path)
}

fn ask(module: &ModuleBinary) -> [Option<EntryId>; NAMES.len()] {
    NAMES.map(|name| find_definition(module.debug_info().unwrap(), name.iter().copied()))
}

#[test]
fn a_run_leaves_what_it_has_looked_for() {
    let program = program();
    let expected = ask(&program.without_index());
    assert_eq!(expected.map(|found| found.is_some()), [true, true, false, false]);
    for is_known in [false, true, true] {
        let binaries = program.binaries();
        let module = binaries.open(&program.path).unwrap();
        assert_eq!(ask(&module), expected);
        // What is found in the index is no news.
        assert_eq!(binaries.has_news(), !is_known);
        binaries.store();
        assert!(!binaries.has_news());
    }
    // What was looked for stays when all else is made anew.
    program.build();
    let binaries = program.binaries();
    let module = binaries.open(&program.path).unwrap();
    assert_eq!(ask(&module), expected);
    assert!(!binaries.has_news());
    // And it does not keep units from being added, nor they it.
    let addresses = program.addresses();
    assert_eq!(resolve(&program.open(), &addresses), resolve(&program.without_index(), &addresses));
}

#[test]
fn damaged_definitions_are_not_believed() {
    let program = program();
    let expected = ask(&program.without_index());
    let binaries = program.binaries();
    let module = binaries.open(&program.path).unwrap();
    ask(&module);
    binaries.store();
    let path = program.index().unwrap();
    let whole = fs::read(&path).unwrap();
    let table = whole.len() - NAMES.len() * 16;
    let mut random = Random(12);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << random.below(8);
        fs::write(&path, &bytes).unwrap();
        let module = program.open();
        assert_eq!(ask(&module), expected, "a bit at {at}");
        assert_eq!(ask(&module), expected, "a bit at {at}");
        let is_removed = at < 256 || at >= table;
        assert!(!is_removed || !path.exists(), "the byte at {at} is in no checksum");
    }
}

//! Names: inlined calls, lines, demangling, and every place where debug information can be.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;

use prospect_testing::{Fixture, Scratch, Tool, fixture, require};

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

/// The fixture's names and lines are found, whatever form its debug information has.
fn assert_lines(fixture: &Fixture, args: &[&str]) {
    let running = fixture.start(&["12"]);
    let report = prospect().stack(running.pid(), args);
    let thread = report.thread(running.pid());
    thread.assert_calls(&["block", "bottom", "f3", "f2", "f1", "f0", "f3"]);
    for mark in ["f0", "f1", "f2", "f3", "bottom", "main"] {
        assert_eq!(thread.frame(mark).place(), Some(("deep.c", fixture.line_of(mark))), "{thread}");
    }
    assert!(report.warnings().is_empty(), "{:?}", report.warnings());
}

macro_rules! lines_in_every_form {
    ($($test:ident: $fixture:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            assert_lines(&require!(fixture($fixture)), &[]);
        })*
    };
}

lines_in_every_form! {
    lines_of_dwarf_4: "deep-dwarf4",
    lines_of_dwarf_5: "deep-dwarf5",
    lines_of_clang: "deep-clang",
    lines_of_zlib_sections: "deep-zlib",
    lines_of_zstd_sections: "deep-zstd",
    lines_of_split_dwarf: "deep-dwo",
    lines_of_split_dwarf_4: "deep-dwo4",
    lines_of_packaged_split_dwarf: "deep-dwp",
    lines_of_packaged_split_dwarf_4: "deep-dwp4",
    lines_of_a_debug_link: "deep-debuglink",
    lines_of_a_static_program: "deep-static",
    lines_of_a_32_bit_program: "deep-32",
}

#[test]
fn lines_of_a_build_id_directory() {
    let deep = require!(fixture("deep-build-id"));
    let directory = deep.directory().join("debug");
    assert_lines(&deep, &["--debug-dir", directory.to_str().unwrap()]);
}

#[test]
fn a_debug_link_with_a_wrong_checksum_is_refused_and_said() {
    let deep = require!(fixture("deep-wrong-debuglink"));
    let running = deep.start(&["12"]);
    let report = prospect().stack(running.pid(), &[]);
    let thread = report.thread(running.pid());
    assert!(thread.frames().iter().all(|frame| frame.function() != Some("f0")), "{thread}");
    assert!(!report.warnings().is_empty());
}

#[test]
fn names_of_mini_debug_information() {
    let deep = require!(fixture("deep-mini-debug"));
    let running = deep.start(&["8"]);
    let report = prospect().stack(running.pid(), &[]);
    report
        .thread(running.pid())
        .assert_calls(&["block", "bottom", "f3", "f2", "f1", "f0", "f3", "f2", "f1", "f0", "main"]);
}

fn assert_c_inlines(fixture: &Fixture) {
    let running = fixture.start(&[]);
    let report = prospect().stack(running.pid(), &[]);
    let thread = report.thread(running.pid());
    thread.assert_calls(&["block", "innermost", "middle", "outer", "holder", "main"]);
    for (function, inline) in [("innermost", true), ("middle", true), ("outer", true), ("holder", false)] {
        let frame = thread.frame(function);
        assert_eq!(frame.is_inline(), inline, "{thread}");
        assert_eq!(frame.place(), Some(("inlines.c", fixture.line_of(function))), "{thread}");
        assert_eq!(frame.pc(), thread.frame("holder").pc(), "{thread}");
    }
}

macro_rules! inlines_in_every_form {
    ($($test:ident: $fixture:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            assert_c_inlines(&require!(fixture($fixture)));
        })*
    };
}

inlines_in_every_form! {
    inlines: "inlines",
    inlines_of_dwarf_4: "inlines-dwarf4",
    inlines_of_clang: "inlines-clang",
    inlines_of_split_dwarf: "inlines-dwo",
    inlines_of_an_alternate_file: "inlines-dwz",
    inlines_32_bit: "inlines-32",
}

/// A fixture's frames from block or stay to main, as (name, inline, line).
fn frames(fixture: &Fixture) -> Vec<(String, bool, Option<u64>)> {
    let running = fixture.start(&[]);
    let report = prospect().stack(running.pid(), &[]);
    let thread = report.thread(running.pid());
    let frames = thread.frames();
    frames
        .iter()
        .map(|f| (f.function().unwrap_or("?").to_owned(), f.is_inline(), f.place().map(|(_, line)| line)))
        .collect()
}

/// That a frame with these words in its name is there, at that mark, and after the one before.
fn assert_path(fixture: &Fixture, wanted: &[(&str, Option<bool>, Option<&str>)]) {
    let frames = frames(fixture);
    let mut rest = frames.iter();
    for (words, inline, mark) in wanted {
        let line = mark.map(|mark| fixture.line_of(mark));
        let found = rest.any(|(name, is_inline, at)| {
            name.contains(words)
                && inline.is_none_or(|inline| inline == *is_inline)
                && (line.is_none() || line == *at)
        });
        assert!(found, "no {words} at {mark:?} in {frames:#?}");
    }
}

#[test]
fn inlines_of_cxx() {
    let inlines = require!(fixture("inlines-cxx"));
    assert_path(
        &inlines,
        &[
            ("shop::Till<long>::add", Some(true), Some("add")),
            ("operator()", Some(true), Some("lambda")),
            ("shop::apply<", Some(true), Some("apply")),
            ("shop::sell", Some(false), None),
            ("main", Some(false), Some("main")),
        ],
    );
}

#[test]
fn inlines_of_rust() {
    let inlines = require!(fixture("inlines-rust"));
    assert_path(
        &inlines,
        &[
            ("stay", Some(false), None),
            ("innermost", Some(true), Some("innermost")),
            ("closure", Some(true), Some("closure")),
            ("through", Some(true), Some("through")),
            ("holder", Some(false), Some("holder")),
            ("main", Some(false), Some("main")),
        ],
    );
}

#[test]
fn names_of_cxx() {
    for name in ["names-cxx", "names-cxx-no-debug"] {
        let names = require!(fixture(name));
        assert_path(
            &names,
            &[
                ("(anonymous namespace)::hidden", Some(false), None),
                ("zoo::Cage<double, 7>::operator()", Some(false), None),
                ("zoo::Keeper::feed", Some(false), None),
                ("main", Some(false), None),
            ],
        );
        assert!(frames(&names).iter().all(|(name, ..)| !name.starts_with("_Z")));
    }
}

#[test]
fn names_of_rust_in_both_manglings() {
    for name in ["names-rust", "names-rust-v0", "names-rust-v0-no-debug"] {
        let names = require!(fixture(name));
        assert_path(
            &names,
            &[
                ("fixture::stay", Some(false), None),
                ("walk", None, None),
                ("fixture::generic", Some(false), None),
                ("fixture::main", Some(false), None),
            ],
        );
        for (name, ..) in frames(&names) {
            assert!(!name.starts_with("_R") && !name.starts_with("_ZN"), "{name}");
            let hash = name.rsplit_once("::h").map(|(_, hash)| hash.to_owned());
            let is_hash =
                |hash: String| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(!hash.is_some_and(is_hash), "{name}");
        }
    }
}

#[test]
fn a_replaced_debug_file_is_not_believed() {
    let (deep, other) = (require!(fixture("deep-build-id")), require!(fixture("inlines")));
    let scratch = Scratch::new("build-id");
    // The right place, the wrong file: its build-id is another one.
    let right = deep.directory().join("debug/.build-id");
    let entry = fs::read_dir(&right).unwrap().next().unwrap().unwrap();
    let file = fs::read_dir(entry.path()).unwrap().next().unwrap().unwrap();
    let home = scratch.path().join(".build-id").join(entry.file_name());
    fs::create_dir_all(&home).unwrap();
    fs::copy(other.path(), home.join(file.file_name())).unwrap();
    let running = deep.start(&["12"]);
    let report = prospect().stack(running.pid(), &["--debug-dir", scratch.path().to_str().unwrap()]);
    let thread = report.thread(running.pid());
    let believed = ["innermost", "holder", "outer"];
    assert!(thread.frames().iter().all(|frame| !believed.iter().any(|name| frame.is(name))), "{thread}");
    assert!(!report.warnings().is_empty());
}

//! `prospect convert`: the same stacks in a dump and in what is made of it, and nothing lost without a word.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use prospect_testing::{
    Missing, Report, Scratch, Tool, crash, fixture, kernel_cores, require, supports_32_bit,
};

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

fn stacks(dump: &Path) -> Report {
    let outcome = prospect().run(&["stack", "--json", dump.to_str().unwrap()]);
    assert!(matches!(outcome.code(), Some(0 | 5)), "{outcome:?}");
    outcome.report()
}

/// Of each thread, by its number: where its frames are, and how they were found.
fn frames(dump: &Path) -> Vec<(Option<u32>, Vec<String>)> {
    stacks(dump).frames()
}

/// Converts, and says what is lost.
fn convert(from: &Path, to: &Path) -> Vec<String> {
    let args = ["convert", "--json", "--force", from.to_str().unwrap(), to.to_str().unwrap()];
    let outcome = prospect().run(&args);
    assert!(matches!(outcome.code(), Some(0 | 5)), "{outcome:?}");
    let report = outcome.report();
    let lost = report.value()["lost"].as_array().unwrap().iter();
    lost.map(|one| one["text"].as_str().unwrap().to_owned()).collect()
}

/// A core, the minidump of it, and the core of that.
fn assert_round_trip(core: &Path, scratch: &Scratch) {
    let [dump, back] = ["made.dmp", "made.core"].map(|name| scratch.path().join(name));
    // `orig_rax` stands for all that the format has no place for.
    const LOST: [&str; 10] = [
        "register gs_base",
        "register orig_",
        "register set 386_TLS",
        "register set 386_IOPERM",
        "register set X86_",
        "signals of",
        "the kernel's flags",
        "the layout of the vector registers",
        "the nice value",
        "note ",
    ];
    for lost in convert(core, &dump) {
        assert!(LOST.iter().any(|one| lost.starts_with(one)), "{lost}");
    }
    for lost in convert(&dump, &back) {
        assert!(lost.starts_with("stream "), "{lost}");
    }
    assert_eq!(frames(core), frames(&dump));
    assert_eq!(frames(core), frames(&back));
    let [signal, back_signal] = [core, &back].map(|core| stacks(core).value()["core"]["signal"].clone());
    assert_eq!(signal, back_signal);
    let diff = prospect().run(&["core", "diff", "--json", core.to_str().unwrap(), back.to_str().unwrap()]);
    let diff = diff.report();
    assert_eq!(diff.value()["memory"]["changed_pages"], 0, "{diff:?}");
    assert_eq!(diff.value()["mappings"].as_array().unwrap().len(), 0, "{diff:?}");
    assert_eq!(diff.value()["modules"].as_array().unwrap().len(), 0, "{diff:?}");
}

fn of_kernel(name: &str) -> Result<(), Missing> {
    kernel_cores()?;
    let fixture = fixture(name)?;
    let scratch = Scratch::new("convert-kernel");
    let core = crash(&fixture.command(&["3"]), scratch.path());
    assert_round_trip(&core, &scratch);
    Ok(())
}

#[test]
fn a_core_of_the_kernel_comes_back() {
    require!(of_kernel("crash"));
}

#[test]
fn a_core_of_the_kernel_of_32_bits_comes_back() {
    require!(supports_32_bit());
    require!(of_kernel("crash-32"));
}

#[test]
fn cores_and_minidumps_of_ours_have_the_same_stacks() {
    let fixture = require!(fixture("threads"));
    let scratch = Scratch::new("convert-ours");
    let running = fixture.start(&["10", "8"]);
    let file = |name: &str| -> PathBuf { scratch.path().join(name) };
    let make = |name: &str, more: &[&str]| {
        let path = file(name);
        let args = ["dump", "-q", "-o", path.to_str().unwrap(), &running.arg()];
        assert_eq!(prospect().run(&[&args, more].concat()).code(), Some(0));
        path
    };
    let core = make("a.core", &[]);
    assert_round_trip(&core, &scratch);
    for dump in [make("small.dmp", &[]), make("full.dmp", &["--full"])] {
        let made = file("of.core");
        let lost = convert(&dump, &made);
        assert_eq!(frames(&core), frames(&made));
        assert!(lost.contains(&"thread name of 11 threads".to_owned()), "{lost:?}");
        assert!(!lost.iter().any(|one| one.starts_with("register") || one.contains("memory")), "{lost:?}");
    }
}

#[test]
fn a_minidump_of_another_writer_becomes_a_core() {
    let dump =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/minidumps/minidump-writer-x86_64.dmp.gz");
    let scratch = Scratch::new("convert-other");
    let core = scratch.path().join("core");
    let lost = convert(&dump, &core);
    assert!(!lost.iter().any(|one| one.starts_with("register") || one.contains("memory")), "{lost:?}");
    // Its files are not on this machine, so that nothing is left that its modules could be known by.
    assert!(lost.iter().any(|one| one.ends_with("modules")), "{lost:?}");
    let places = |dump: &Path| -> Vec<_> {
        frames(dump).into_iter().map(|(thread, frames)| (thread, frames[0].clone())).collect()
    };
    assert_eq!(places(&dump), places(&core));
    let back = scratch.path().join("back.dmp");
    convert(&core, &back);
    assert_eq!(places(&dump), places(&back));
}

#[test]
fn what_cannot_be_is_refused() {
    let scratch = Scratch::new("convert-refused");
    let dump =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/minidumps/minidump-writer-x86_64.dmp.gz");
    let (dump, there) = (dump.to_str().unwrap(), scratch.path().join("there"));
    let there = there.to_str().unwrap();
    let code = |args: &[&str]| prospect().run(&[&["convert"], args].concat()).code();
    assert_eq!(code(&[dump, there, "--to", "minidump"]), Some(2));
    assert_eq!(code(&[dump, "-"]), Some(2));
    assert_eq!(code(&["/nowhere/x", there]), Some(3));
    fs::write(there, "kept").unwrap();
    assert_eq!(code(&[dump, there]), Some(1));
    assert_eq!(fs::read(there).unwrap(), b"kept");
}

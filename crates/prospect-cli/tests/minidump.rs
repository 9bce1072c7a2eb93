//! Minidumps, and why programs crashed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{fs, path::Path};

use prospect_testing::{
    Outcome, SAMPLES, Scratch, Tool, crash, fixture, kernel_cores, require, sample_minidump,
};

fn prospect(args: &[&str], path: &Path) -> Outcome {
    let all: Vec<&str> = args.iter().copied().chain([path.to_str().unwrap()]).collect();
    Tool::at(env!("CARGO_BIN_EXE_prospect")).run(&all)
}

#[test]
fn a_minidump_is_shown_as_any_process() {
    let scratch = Scratch::new("minidump");
    let path = scratch.path().join("program.dmp");
    fs::write(&path, sample_minidump(SAMPLES[0])).unwrap();
    let report = prospect(&["info", "--json"], &path).report();
    let value = report.value();
    assert_eq!((value["pid"].as_u64(), value["system"].as_str()), (Some(77), Some("windows")));
    assert_eq!(
        (value["core"]["format"].as_str(), value["missing"].as_array().unwrap().len()),
        (Some("minidump"), 0)
    );
    let streams = value["minidump"]["streams"].as_array().unwrap();
    let stream = |name: &str| streams.iter().find(|stream| stream["name"] == name).unwrap();
    assert_eq!(
        (stream("ThreadList")["bytes"].as_u64(), stream("ThreadList")["type"].as_u64()),
        (Some(100), Some(3))
    );
    let crash = &value["crash"];
    assert_eq!((crash["tid"].as_u64(), crash["address"].as_str()), (Some(2), Some("0x10")));
    // The code there is a row of `nop`s, which do not write: it is not said that one did.
    assert_eq!(crash["text"], "EXCEPTION_ACCESS_VIOLATION at 0x10: a null pointer plus 16");
    let text = prospect(&["info"], &path);
    assert!(text.text().contains("minidump") && text.text().contains("Memory64List"), "{text:?}");
    let stack = prospect(&["stack", "--json"], &path).report();
    let threads = stack.value()["threads"].as_array().unwrap();
    assert_eq!((threads.len(), threads[0]["tid"].as_u64()), (2, Some(2)));
    assert_eq!(threads[0]["frames"][0]["pc"], "0x10120");
}

#[test]
fn frames_of_another_writers_dump_have_their_modules() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/minidumps/minidump-writer-x86_64.dmp.gz");
    let stack = prospect(&["stack", "--json"], &path).report();
    let threads = stack.value()["threads"].as_array().unwrap();
    assert_eq!(threads.len(), 4);
    for thread in threads {
        let module = thread["frames"][0]["module"].as_str().unwrap();
        assert!(module.ends_with("libc.so.6"), "{module}");
    }
}

#[test]
fn a_crash_says_by_which_instruction_it_was() {
    require!(kernel_cores());
    let fixture = require!(fixture("crash"));
    let scratch = Scratch::new("crash");
    let path = crash(&fixture.command(&["2"]), scratch.path());
    let report = prospect(&["info", "--json", "--part", "process"], &path).report();
    let crash = &report.value()["crash"];
    let text = crash["text"].as_str().unwrap();
    assert!(text.starts_with("SIGSEGV at 0x10: a null pointer plus 16, by `mov "), "{text}");
    assert!(prospect(&["info"], &path).text().contains(text));
}

/// A program of mingw, by the tables of Windows and its own DWARF: a dump says where an image is, and not where it was linked to be.
#[test]
fn frames_of_windows_are_found_and_named() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/minidumps");
    let source = fs::read_to_string(folder.join("windows.c")).unwrap();
    let line_of = |mark: &str| {
        let mark = format!("/* mark: {mark} */");
        source.lines().position(|line| line.contains(&mark)).unwrap() as u64 + 1
    };
    let scratch = Scratch::new("windows");
    fs::copy(folder.join("windows.exe"), scratch.path().join("windows.exe")).unwrap();
    let place = scratch.path().to_str().unwrap();
    let check = |args: &[&str]| {
        let args = [&["stack", "--json"], args].concat();
        let report = prospect(&args, &folder.join("windows.dmp.gz")).report();
        let thread = report.threads()[0];
        let found: Vec<_> =
            thread.frames().iter().map(|frame| (frame.function(), frame.place(), frame.trust())).collect();
        let expected = ["innermost", "middle", "inlined", "outer", "start"]
            .map(|name| (Some(name), Some(("windows.c", line_of(name))), "cfi"));
        assert_eq!((found[0].0, &found[1..6]), (Some("write_dump"), &expected[..]), "{args:?}");
    };
    check(&["--debug-dir", place]);
    check(&["--sysroot", place]);
    check(&["--exe", &format!("{place}/windows.exe")]);
}

/// A program that writes to 0x45, dumped by Breakpad on three systems. The frames are those that `minidump-stackwalk` 0.27 finds with the
/// same symbol files; of libraries neither code nor symbols are there.
#[test]
fn published_dumps_have_the_frames_that_others_find() {
    type Expected<'a> = (u64, Option<&'a str>, Option<u64>, &'a str);
    let windows: &[Expected<'_>] = &[
        (0x2a_2a3d, Some("main"), Some(35), "given"),
        (0x2a_2d97, Some("__scrt_common_main_seh"), Some(283), "cfi"),
        (0x7506_62c4, None, None, "cfi"),
        (0x771d_0f79, None, None, "frame-pointer"),
        (0x771d_0f44, None, None, "frame-pointer"),
    ];
    let macos: &[Expected<'_>] = &[
        (0x1_09ba_8c15, Some("main"), Some(21), "given"),
        (0x7fff_e7ee_b235, None, None, "scanned"),
        (0x7fff_e7ee_b235, None, None, "scanned"),
    ];
    // What follows on Linux is left on the stack from earlier calls.
    let linux: &[Expected<'_>] =
        &[(0x40_1d72, Some("main"), None, "given"), (0x7f51_4017_d830, None, None, "cfi")];
    let fault = ": a null pointer plus 69, by `mov dword ptr [0x45],0x5`";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/minidumps/published");
    let symbols = folder.join("symbols");
    for (name, tid, reason, frames, is_whole) in [
        ("windows", 1636, "EXCEPTION_ACCESS_VIOLATION at 0x45", windows, true),
        ("macos", 775, "EXC_BAD_ACCESS at 0x45", macos, true),
        ("linux", 1304, "SIGSEGV at 0x45", linux, false),
    ] {
        let path = folder.join(name).with_extension("dmp");
        let info = prospect(&["info", "--json", "--part", "process"], &path).report();
        assert_eq!(info.value()["crash"]["text"], format!("{reason}{fault}"), "{name}");
        let arguments = ["stack", "--json", "--symbol-dir", symbols.to_str().unwrap()];
        let report = prospect(&arguments, &path).report();
        let thread = report.thread(tid).frames();
        let found: Vec<Expected<'_>> = thread
            .iter()
            .filter(|frame| !frame.is_inline())
            .map(|frame| (frame.pc(), frame.function(), frame.place().map(|(_, line)| line), frame.trust()))
            .collect();
        assert!(
            found.len() >= frames.len() && (!is_whole || found.len() == frames.len()),
            "{name}: {found:#x?}"
        );
        assert_eq!(&found[..frames.len()], frames, "{name}");
    }
}

/// Of a module whose debug information is a PDB it is said that this is not read, unless there is a symbol file.
#[test]
fn a_pdb_is_said_not_to_be_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/minidumps/published");
    let note = "crash.pdb: PDB, not read";
    let path = folder.join("windows.dmp");
    assert!(prospect(&["symbols"], &path).text().contains(note));
    let symbols = folder.join("symbols");
    let with_symbols = prospect(&["symbols", "--symbol-dir", symbols.to_str().unwrap()], &path);
    assert!(!with_symbols.text().contains(note), "{with_symbols:?}");
}

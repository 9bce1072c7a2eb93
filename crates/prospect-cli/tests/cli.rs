//! The command line: flags, targets, output forms, exit codes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::os::unix::ffi::OsStrExt;

use prospect_testing::{Running, Scratch, Tool, fixture, require};
use serde_json::Value;

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

fn assert_ok(args: &[&str]) -> String {
    let outcome = prospect().run(args);
    assert_eq!(outcome.code(), Some(0), "{args:?}: {outcome:?}");
    outcome.text()
}

#[test]
fn usage_errors_exit_with_2_and_say_so() {
    for args in [
        &["stack"][..],
        &["stack", "--nonsense"],
        &["no-such-command"],
        &["stack", "not-a-pid"],
        &["stack", "--hold", "--no-stop", "1"],
        &["stack", "--timeout", "soon", "1"],
    ] {
        let outcome = prospect().run(args);
        let wanted = if args.contains(&"not-a-pid") { vec![Some(2), Some(3)] } else { vec![Some(2)] };
        assert!(wanted.contains(&outcome.code()), "{args:?}: {outcome:?}");
        assert!(!outcome.stderr.trim().is_empty());
        assert!(outcome.stdout.is_empty());
    }
}

#[test]
fn help_and_version() {
    assert!(assert_ok(&["--help"]).contains("stack"));
    assert!(assert_ok(&["stack", "--help"]).contains("--no-stop"));
    // What each subcommand does is said wherever they are listed.
    for all in [&["--help"][..], &["-h"], &["help"]] {
        let text = assert_ok(all);
        for wanted in ["Show the stacks of all threads", "Show the functions and source lines of addresses"] {
            assert!(text.contains(wanted), "{all:?}: {text}");
        }
    }
    assert!(assert_ok(&["help", "stack"]).contains("--no-stop"));
    assert!(assert_ok(&["addr2line", "--style", "eu", "--help"]).contains("-p, --pid"));
    assert!(assert_ok(&["addr2line", "--help"]).contains("-p, --pretty-print"));
    assert!(assert_ok(&["--version"]).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn output_for_people() {
    let threads = require!(fixture("threads"));
    let running = threads.start(&["2", "5"]);
    let text = assert_ok(&["stack", &running.arg()]);
    for wanted in ["leaf", "level", "threads.c:", "worker-1", "worker-2", "main", &running.arg()] {
        assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "colour without a terminal:\n{text}");
    let names = text.matches("worker-1").count();
    assert!(names >= 1);
}

#[test]
fn no_color_is_honoured_and_a_pipe_has_none() {
    let deep = require!(fixture("deep"));
    let running = deep.start(&["5"]);
    let mut command = prospect().command(&["stack", &running.arg()]);
    let outcome = Tool::finish(command.env("NO_COLOR", "1").env("CLICOLOR_FORCE", "0").env("TERM", "xterm"));
    assert_eq!(outcome.code(), Some(0));
    assert!(!outcome.text().contains('\u{1b}'));
}

#[test]
fn a_terminal_gets_colour_unless_no_color_is_set() {
    require!(prospect_testing::tool("script"));
    let deep = require!(fixture("deep"));
    let running = deep.start(&["5"]);
    let line = format!("'{}' stack {}", env!("CARGO_BIN_EXE_prospect"), running.pid());
    let on_a_terminal = |no_color: bool| {
        let mut command = std::process::Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm-256color").env_remove("NO_COLOR");
        command.env_remove("CLICOLOR").env_remove("CLICOLOR_FORCE");
        if no_color {
            command.env("NO_COLOR", "1");
        }
        Tool::finish(&mut command).text()
    };
    assert!(on_a_terminal(false).contains('\u{1b}'));
    assert!(!on_a_terminal(true).contains('\u{1b}'));
}

/// Version 1 of the schema: no field of it may go missing, whatever its value.
#[test]
fn every_documented_field_is_there() {
    let threads = require!(fixture("threads"));
    let running = threads.start(&["1", "3"]);
    let report = prospect().stack(running.pid(), &[]);
    let assert_fields = |value: &Value, names: &[&str]| {
        let object = value.as_object().unwrap();
        for name in names {
            assert!(object.contains_key(*name), "{name} is missing in {value}");
        }
    };
    let whole = ["version", "target", "mode", "pause_ms", "complete", "warnings", "threads"];
    assert_fields(report.value(), &whole);
    assert_fields(&report.value()["target"], &["pid", "name", "executable", "arch"]);
    assert_eq!(report.value()["mode"], "freeze");
    assert_eq!(report.value()["target"]["name"], "threads");
    for thread in report.threads() {
        let names =
            ["tid", "name", "state", "not_stopped", "wait_channel", "syscall", "frames", "end", "end_reason"];
        assert_fields(thread.value(), &names);
        for frame in thread.frames() {
            let names = [
                "pc", "function", "file", "line", "column", "module", "offset", "inline", "trust", "stepper",
                "sp",
            ];
            assert_fields(frame.value(), &names);
            assert!(frame.value()["pc"].as_str().is_some_and(|pc| pc.starts_with("0x")));
        }
    }
}

#[test]
fn merge_shows_equal_stacks_once() {
    let threads = require!(fixture("threads"));
    let running = threads.start(&["10", "5"]);
    let report = prospect().stack(running.pid(), &["--merge"]);
    let groups = report.groups();
    assert!(report.threads().is_empty());
    assert_eq!(groups.len(), 2, "{}", report.value());
    let sizes: Vec<usize> =
        groups.iter().map(|group| group.value()["tids"].as_array().map_or(0, Vec::len)).collect();
    assert!(sizes.contains(&10) && sizes.contains(&1), "{sizes:?}");
    let text = assert_ok(&["stack", "--merge", &running.arg()]);
    let mains = text.lines().filter(|line| line.split_whitespace().nth(1) == Some("main")).count();
    assert_eq!(mains, 1, "{text}");
}

#[test]
fn one_thread() {
    let threads = require!(fixture("threads"));
    let running = threads.start(&["3", "5"]);
    let tid = prospect_testing::tasks(running.pid()).into_iter().find(|tid| *tid != running.pid()).unwrap();
    let report = prospect().stack(running.pid(), &["--thread", &tid.to_string()]);
    assert_eq!(report.threads().len(), 1);
    report.thread(tid).assert_calls(&["leaf", "level"]);
    let outcome = prospect().run(&["stack", &running.arg(), "--thread", "4194305"]);
    assert_eq!(outcome.code(), Some(3), "{outcome:?}");
}

#[test]
fn no_names_opens_no_symbol_file() {
    let deep = require!(fixture("deep"));
    let running = deep.start(&["5"]);
    let report = prospect().stack(running.pid(), &["--no-names"]);
    let thread = report.thread(running.pid());
    assert!(thread.frames().iter().all(|frame| frame.function().is_none() && frame.place().is_none()));
    assert!(thread.frames().iter().all(|frame| frame.module().is_some()), "{thread}");
    thread.assert_whole();
}

#[test]
fn addresses_and_registers() {
    let deep = require!(fixture("deep"));
    let running = deep.start(&["5"]);
    let report = prospect().stack(running.pid(), &["--registers"]);
    let thread = report.thread(running.pid());
    let registers = &thread.value()["registers"];
    assert!(registers["rip"].as_str().is_some_and(|value| value.starts_with("0x")), "{registers}");
    assert!(registers["rsp"].is_string());
    let pc = thread.frames()[0].value()["pc"].as_str().unwrap().to_owned();
    assert_eq!(registers["rip"], pc);
    let text = assert_ok(&["stack", "--addresses", &running.arg()]);
    assert!(text.contains(pc.trim_start_matches("0x").trim_start_matches('0')), "{text}");
    let plain = prospect().stack(running.pid(), &[]);
    assert!(plain.thread(running.pid()).value().get("registers").is_none_or(Value::is_null));
}

#[test]
fn a_frame_limit() {
    let deep = require!(fixture("deep"));
    let running = deep.start(&["100"]);
    let report = prospect().stack(running.pid(), &["--limit", "10"]);
    let thread = report.thread(running.pid());
    assert_eq!(thread.physical().len(), 10, "{thread}");
    assert_eq!(thread.end(), "frame-limit");
}

#[test]
fn several_targets_and_a_missing_one() {
    let deep = require!(fixture("deep"));
    let (one, two) = (deep.start(&["5"]), deep.start(&["6"]));
    let outcome = prospect().run(&["stack", "--json", &one.arg(), &two.arg()]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let pids: Vec<_> =
        outcome.reports().iter().map(|report| report.value()["target"]["pid"].clone()).collect();
    assert_eq!(pids, [Value::from(one.pid()), Value::from(two.pid())]);
    let outcome = prospect().run(&["stack", "--json", &one.arg(), "4194305"]);
    assert_eq!(outcome.reports().len(), 1);
    assert!(matches!(outcome.code(), Some(3 | 5)), "{outcome:?}");
}

#[test]
fn by_name() {
    let deep = require!(fixture("deep"));
    let scratch = Scratch::new("name");
    let program = scratch.path().join("quite-rare");
    std::fs::copy(deep.path(), &program).unwrap();
    let running = Running::start(std::process::Command::new(&program).arg("5"));
    let outcome = prospect().run(&["stack", "--json", "--name", "quite-rare"]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    assert_eq!(outcome.report().value()["target"]["pid"], running.pid());
    let outcome = prospect().run(&["stack", "--name", "nobody-is-called-so"]);
    assert_eq!(outcome.code(), Some(3), "{outcome:?}");
}

#[test]
fn a_command_that_it_starts_itself() {
    let deep = require!(fixture("deep"));
    let program = deep.path();
    let args = ["stack", "--json", "--after", "0.3", "--", program.to_str().unwrap(), "7"];
    let outcome = prospect().run(&args);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let text = outcome.text();
    let report =
        text.lines().find(|line| line.starts_with('{')).map(prospect_testing::Report::parse).unwrap();
    let pid = u32::try_from(report.value()["target"]["pid"].as_u64().unwrap()).unwrap();
    report.thread(pid).assert_calls(&["block", "bottom", "f2", "f1", "f0"]);
    assert_eq!(prospect_testing::state(pid, pid), None, "what it started has ended with it");
    let outcome = prospect().run(&["stack", "--after", "0.1", "--", "/no/such/program"]);
    assert!(matches!(outcome.code(), Some(1 | 3)), "{outcome:?}");
    assert!(outcome.stderr.contains("/no/such/program"));
}

#[test]
fn the_demo_needs_nothing() {
    let outcome = prospect().run(&["stack", "--demo", "--json"]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let report = outcome.report();
    assert!(report.threads().len() > 1);
    for thread in report.threads() {
        thread.assert_whole();
    }
    let pid = u32::try_from(report.value()["target"]["pid"].as_u64().unwrap()).unwrap();
    assert_eq!(prospect_testing::state(pid, pid), None);
    assert!(!assert_ok(&["stack", "--demo"]).is_empty());
}

#[test]
fn another_executable_file_for_the_names() {
    let deep = require!(fixture("deep"));
    let scratch = Scratch::new("exe");
    // The target runs a stripped copy with the same build-id; the names are in another file.
    let stripped = scratch.path().join("stripped");
    let done =
        std::process::Command::new("strip").arg("-o").arg(&stripped).arg(deep.path()).status().unwrap();
    assert!(done.success());
    let running = Running::start(std::process::Command::new(&stripped).arg("4"));
    let report = prospect().stack(running.pid(), &["--exe", deep.path().to_str().unwrap()]);
    report.thread(running.pid()).assert_calls(&["block", "bottom", "f3", "f2", "f1", "f0", "main"]);
    let outcome = prospect().run(&["stack", "--exe", "/no/such/file", &running.arg()]);
    assert_eq!(outcome.code(), Some(3), "{outcome:?}");
}

#[test]
fn info_keeps_empty_and_strange_arguments() {
    let deep = require!(fixture("deep"));
    let mut command = deep.command(&["3", ""]);
    command.arg(std::ffi::OsStr::from_bytes(b"not\xffutf8")).arg("last");
    let running = Running::start(&mut command);
    let text = assert_ok(&["info", "--json", &running.arg()]);
    let value: Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(value["version"], 1);
    let line = value["command_line"].as_array().unwrap_or_else(|| panic!("command_line in {value}"));
    assert_eq!(line.len(), 5, "{line:?}");
    assert_eq!(line[1], "3");
    assert_eq!(line[2], "");
    assert_eq!(line[4], "last");
    // What is not UTF-8 is kept byte by byte.
    assert_eq!(line[3]["bytes"], "6e6f74ff75746638");
    let text = assert_ok(&["info", &running.arg()]);
    for wanted in ["deep", "x86_64", &running.arg()] {
        assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
    }
}

#[test]
fn info_of_threads_modules_and_memory() {
    let threads = require!(fixture("threads"));
    let running = threads.start(&["3", "5"]);
    let text = assert_ok(&["info", "--json", &running.arg()]);
    let value: Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(value["threads"].as_array().map(Vec::len), Some(4), "{value}");
    let modules = value["modules"].as_array().unwrap_or_else(|| panic!("modules in {value}"));
    let has = |name: &str| {
        modules.iter().any(|module| module["path"].as_str().is_some_and(|path| path.contains(name)))
    };
    assert!(has("/threads") && has("libc"), "{modules:?}");
    assert!(modules.iter().any(|module| module["build_id"].is_string()), "{modules:?}");
}

#[test]
fn doctor_says_what_is_permitted() {
    assert!(!assert_ok(&["doctor"]).is_empty());
    let deep = require!(fixture("deep"));
    let running = deep.start(&["3"]);
    let text = assert_ok(&["doctor", &running.arg()]);
    assert!(text.contains(&running.arg()), "{text}");
    let text = assert_ok(&["doctor", "--json"]);
    let value: Value = serde_json::from_str(text.trim()).unwrap();
    assert!(value.is_object());
    assert_eq!(prospect().run(&["doctor", "4194305"]).code(), Some(3));
}

#[test]
fn an_explanation_has_every_stepper_that_was_asked() {
    let deep = require!(fixture("deep"));
    let running = deep.start(&["4"]);
    running.settle();
    let report = prospect().stack(running.pid(), &["--explain"]);
    let thread = report.thread(running.pid());
    let frame = thread.physical().into_iter().find(|frame| frame.is("f0")).unwrap();
    let declined = frame.value()["declined"].as_array().unwrap();
    let steppers: Vec<_> = declined.iter().filter_map(|one| one["stepper"].as_str()).collect();
    assert_eq!(steppers, ["signal trampoline", "new thread"]);
    assert_eq!(declined[0]["reason"], "the code is no signal trampoline");
    assert_eq!(thread.frames()[0].value()["declined"], Value::Array(Vec::new()));
    assert!(thread.frames().iter().all(|frame| frame.is_inline() == frame.value()["declined"].is_null()));
    assert_eq!(thread.value()["end_stepper"], "cfi");
    assert!(thread.value()["end_declined"].is_array());

    let text = assert_ok(&["stack", "--explain", &running.arg()]);
    let why =
        "by cfi; signal trampoline: the code is no signal trampoline; new thread: the thread has run before";
    let f0 = text.lines().skip_while(|line| line.split_whitespace().nth(1) != Some("f0")).nth(1);
    assert_eq!(f0.map(str::trim), Some(why), "{text}");
    assert!(text.contains("has no caller, by cfi; "), "{text}");
    let text = assert_ok(&["stack", &running.arg()]);
    assert!(!text.contains("by cfi"), "{text}");
    let plain = prospect().stack(running.pid(), &[]);
    let thread = plain.thread(running.pid());
    assert!(
        thread.frames()[0].value().get("declined").is_none() && thread.value().get("end_stepper").is_none()
    );
}

#[test]
fn registers_say_where_they_are() {
    let deep = require!(fixture("deep"));
    let running = deep.start(&["4"]);
    running.settle();
    let report = prospect().stack(running.pid(), &["--registers"]);
    let frames = report.thread(running.pid()).physical();
    assert_eq!(frames[0].value()["locations"]["rip"], "rip");
    let place = frames[1].value()["locations"]["rip"].as_str().unwrap();
    assert!(place.starts_with("0x7f"), "{place}");
    // A caller's stack pointer is nowhere.
    assert!(frames[1].value()["registers"]["rsp"].is_string());
    assert!(frames[1].value()["locations"].get("rsp").is_none());
}

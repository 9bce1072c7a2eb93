//! `prospect stack --goroutines`, and the threads of stripped Go programs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::process::Command;

use prospect_testing::{GoBuild, Running, Tool, fixture, go_toolchains, require};
use serde_json::Value;

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

fn parked(args: &[&str]) -> Result<Running, prospect_testing::Missing> {
    let toolchain = go_toolchains()?.swap_remove(0);
    let program = toolchain.build("parked.go", GoBuild { stripped: true, ..GoBuild::default() });
    Ok(Running::start(Command::new(program).args(args)))
}

#[test]
fn goroutines_for_people() {
    let running = require!(parked(&[]));
    let outcome = prospect().run(&["stack", "--goroutines", &running.arg()]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let text = outcome.text();
    for wanted in [
        "goroutine 1 waiting: chan receive\n",
        " waiting: select\n",
        " waiting: IO wait\n",
        " waiting: sleep\n",
        " syscall with thread ",
        "  of the runtime\n",
        "main.choose",
        "parked.go:",
        "  created by main.main ",
    ] {
        assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
    }
    assert!(!text.contains("\nthread "), "{text}");
}

#[test]
fn goroutines_in_json() {
    let running = require!(parked(&[]));
    let report = prospect().stack(running.pid(), &["--goroutines"]);
    assert!(report.is_complete(), "{}", report.value());
    assert!(report.value().get("threads").is_none());
    let goroutines = &report.value()["goroutines"];
    assert!(goroutines["release"].as_str().unwrap().starts_with("go1."));
    let all = goroutines["all"].as_array().unwrap();
    let main = all.iter().find(|one| one["id"] == 1).unwrap();
    assert_eq!((&main["state"], &main["wait_reason"]), (&"waiting".into(), &"chan receive".into()));
    assert_eq!((&main["created_by"], &main["system"]), (&Value::Null, &false.into()));
    let select = all.iter().find(|one| one["wait_reason"] == "select").unwrap();
    assert_eq!(select["created_by"]["function"], "main.main");
    assert!(select["frames"].as_array().unwrap().iter().any(|frame| frame["function"] == "main.choose"));
}

#[test]
fn equal_goroutines_are_shown_once() {
    let running = require!(parked(&["500"]));
    let outcome = prospect().run(&["stack", "--goroutines", "--merge", &running.arg()]);
    let text = outcome.text();
    assert!(text.contains("\n500 goroutines: "), "{text}");
    assert!(text.lines().count() < 300, "{text}");
    let report = prospect().stack(running.pid(), &["--goroutines", "--merge"]);
    let groups = report.value()["goroutines"]["groups"].as_array().unwrap();
    assert_eq!(groups[0]["ids"].as_array().unwrap().len(), 500);
    assert_eq!(report.value().get("groups"), None);
}

#[test]
fn what_is_no_go_program_has_none() {
    let running = require!(fixture("deep")).start(&["5"]);
    let outcome = prospect().run(&["stack", "--goroutines", &running.arg()]);
    assert_eq!(outcome.code(), Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("no Go program"), "{outcome:?}");
    let outcome = prospect().run(&["stack", "--goroutines", "--thread", "1", &running.arg()]);
    assert_eq!(outcome.code(), Some(2), "{outcome:?}");
}

#[test]
fn threads_of_a_stripped_program_have_whole_stacks_with_names() {
    let running = require!(parked(&[]));
    let report = prospect().stack(running.pid(), &[]);
    assert!(report.is_complete(), "{}", report.value());
    let frames = report.value()["threads"].as_array().unwrap().iter();
    let frames: Vec<&Value> = frames.flat_map(|thread| thread["frames"].as_array().unwrap()).collect();
    let of_program =
        frames.iter().filter(|frame| frame["module"].as_str().is_some_and(|path| path.contains("parked")));
    for frame in of_program {
        assert!(frame["function"].is_string() && frame["line"].is_number(), "{frame}");
        assert!(matches!(frame["trust"].as_str(), Some("cfi" | "given")), "{frame}");
    }
    assert!(frames.iter().any(|frame| frame["function"] == "syscall.Syscall"));
}

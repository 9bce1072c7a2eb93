//! `prospect print`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use prospect_testing::{Outcome, Running, Tool, fixture, require};
use serde_json::{Value, json};

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

fn print(running: &Running, arguments: &[&str]) -> Outcome {
    prospect().run(&[&["print", &running.arg()], arguments].concat())
}

/// The lines behind the one that names the frame.
fn values(outcome: &Outcome) -> String {
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    outcome.text().split_once('\n').unwrap().1.to_owned()
}

#[test]
fn expressions_have_values_in_the_frame_that_knows_them() {
    let running = require!(fixture("calls")).start(&[]);
    let outcome = print(&running, &["count", "list->next->at", "sum + i", "*list->name@3"]);
    let expected = "count = 13\nlist->next->at = {x = 3, y = 4}\nsum + i = 9\n";
    assert!(values(&outcome).starts_with(expected), "{outcome:?}");
    assert!(outcome.text().starts_with(&format!("thread {} #3 leaf  ", running.pid())), "{outcome:?}");
    let outcome = print(&running, &["flags", "to", "colour", "served"]);
    assert_eq!(values(&outcome), "flags = 65280\nto = {x = 1, y = 2}\ncolour = GREEN\nserved = 42\n");
    let outcome = print(&running, &["--hex", "--type", "flags", "to"]);
    assert_eq!(values(&outcome), "flags = (unsigned int) 0xff00\nto = (struct point) {x = 0x1, y = 0x2}\n");
}

#[test]
fn an_expression_may_begin_with_a_minus_sign() {
    let running = require!(fixture("calls")).start(&[]);
    let outcome = print(&running, &["-count", "-5 + 1", "-list->next->at.x", "-(served)"]);
    assert_eq!(values(&outcome), "-count = -13\n-5 + 1 = -4\n-list->next->at.x = -3\n-(served) = -42\n");
    // Options stay options, wherever they stand.
    let outcome = print(&running, &["-served", "--type", "count"]);
    assert_eq!(values(&outcome), "-served = (long) -42\ncount = (int) 13\n");
    assert!(prospect().run(&["print", "-h"]).text().contains("Usage"));
    // A command that is started has its own.
    let outcome = prospect().run(&["print", "-1", "--", "env", "-i", "sleep", "3"]);
    assert!(outcome.text().ends_with("-1 = -1\n"), "{outcome:?}");
}

#[test]
fn frames_are_chosen_by_number_and_function() {
    let running = require!(fixture("calls-optimised")).start(&[]);
    for frame in ["middle", "#4", "4"] {
        assert_eq!(values(&print(&running, &["--frame", frame, "from"])), "from = 3\n", "{frame}");
    }
    assert_eq!(values(&print(&running, &["--frame", "twice", "half"])), "half = 3\n");
    let outcome = print(&running, &["--frame", "nowhere", "from"]);
    assert_eq!(outcome.code(), Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains("in a function nowhere"), "{outcome:?}");
    let outcome = print(&running, &["--frame", "99", "from"]);
    assert_eq!(outcome.code(), Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains("none of number 99"), "{outcome:?}");
}

#[test]
fn without_expressions_all_variables_are_printed() {
    let running = require!(fixture("calls")).start(&[]);
    let outcome = print(&running, &["--frame", "twice"]);
    assert_eq!(values(&outcome), "half = 3\nwhole = 6\n");
    let outcome = print(&running, &["--frame", "leaf"]);
    assert!(values(&outcome).contains("\ncalls = 7\nsum = 0  (hidden)\ni = 3\nsum = 6\n"), "{outcome:?}");
    let outcome = print(&running, &["--frame", "twice", "--json"]);
    let report: Value = serde_json::from_str(outcome.text().trim()).unwrap();
    assert_eq!(report["arguments"][0]["value"]["value"], 3, "{report}");
    assert_eq!(report["locals"][0]["name"], "whole", "{report}");
    assert_eq!(report.get("values"), None, "{report}");
}

#[test]
fn several_threads() {
    let running = require!(fixture("calls")).start(&[]);
    let lines = |outcome: &Outcome| -> Vec<String> {
        let text = outcome.text();
        text.lines().filter(|line| line.starts_with("number")).map(str::to_owned).collect()
    };
    let all = print(&running, &["--all-threads", "number"]);
    assert_eq!(all.code(), Some(0), "{all:?}");
    assert_eq!(lines(&all), ["number = 100", "number = 101"], "{all:?}");
    let json = print(&running, &["--all-threads", "--json", "number"]);
    let threads: Vec<Value> =
        json.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
    assert_eq!(threads.len(), 2);
    let second = threads[1]["tid"].to_string();
    assert_eq!(threads[1]["values"][0]["value"]["value"], 101);
    assert_eq!(threads[1]["frame"]["function"], "worker");
    let one = print(&running, &["--thread", &second, "--thread", &second, "number"]);
    assert_eq!(lines(&one), ["number = 101", "number = 101"], "{one:?}");
    let none = print(&running, &["--all-threads", "no_such_name"]);
    assert_eq!(none.code(), Some(3), "{none:?}");
    let none = print(&running, &["--thread", "1", "number"]);
    assert_eq!(none.code(), Some(3), "{none:?}");
    assert!(none.stderr.contains("has no thread 1"), "{none:?}");
}

#[test]
fn what_cannot_be_had_is_partial_and_errors_point_at_their_place() {
    let running = require!(fixture("calls-optimised")).start(&[]);
    let outcome = print(&running, &["--frame", "middle", "to"]);
    assert_ne!(outcome.code(), Some(0), "{outcome:?}");
    assert!(format!("{}{}", outcome.text(), outcome.stderr).contains("optimised out"), "{outcome:?}");
    let outcome = print(&running, &["--frame", "middle", "1 + nonsuch"]);
    assert_eq!(outcome.code(), Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains("\n    1 + nonsuch\n        ^^^^^^^"), "{outcome:?}");
    assert!(!outcome.stderr.contains("calls-optimised:"), "{outcome:?}");
    let outcome = print(&running, &["1 +"]);
    assert_eq!(outcome.code(), Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("\n    1 +\n"), "{outcome:?}");
    let outcome = print(&running, &["--json", "flags", "nonsuch"]);
    assert_eq!(outcome.code(), Some(3), "{outcome:?}");
    let report: Value = serde_json::from_str(outcome.text().trim()).unwrap();
    assert_eq!(
        (&report["values"][1]["value"], &report["values"][1]["error_at"]),
        (&Value::Null, &json!([0, 7]))
    );
}

#[test]
fn without_debug_information_what_to_do_is_said() {
    let running = require!(fixture("calls-stripped")).start(&[]);
    let outcome = print(&running, &["flags"]);
    assert_eq!(outcome.code(), Some(3), "{outcome:?}");
    for wanted in ["there is no debug information for /", "--debuginfod", "prospect symbols "] {
        assert!(outcome.stderr.contains(wanted), "{wanted}: {outcome:?}");
    }
    // A symbol alone has no type.
    let outcome = print(&running, &["*environ"]);
    assert_eq!(outcome.code(), Some(1), "{outcome:?}");
    for wanted in ["nothing says of which type it is", "there is no debug information for /"] {
        assert!(outcome.stderr.contains(wanted), "{wanted}: {outcome:?}");
    }
}

#[test]
fn targets_are_found_as_everywhere() {
    let demo = prospect().run(&["print", "--demo", "$rip != 0"]);
    assert_eq!(demo.code(), Some(0), "{demo:?}");
    assert!(
        demo.text().ends_with("$rip != 0 = true\n") || demo.text().ends_with("$rip != 0 = 1\n"),
        "{demo:?}"
    );
    let program = require!(fixture("calls")).path();
    let started = prospect().run(&["print", "--frame", "middle", "flags", "--", program.to_str().unwrap()]);
    assert!(started.text().ends_with("\nflags = 65280\n"), "{started:?}");
    let nothing = prospect().run(&["print"]);
    assert_eq!(nothing.code(), Some(2), "{nothing:?}");
    let unknown = prospect().run(&["print", "--name", "no-such-program-at-all", "x"]);
    assert_eq!(unknown.code(), Some(3), "{unknown:?}");
}

#[test]
fn time_and_threads_that_do_not_stop() {
    let running = require!(fixture("calls")).start(&[]);
    let outcome = print(&running, &["--timeout", "0", "flags"]);
    assert_eq!(outcome.code(), Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("--timeout") || outcome.stderr.contains("no stack"), "{outcome:?}");
}

//! `prospect stack --args` and `--locals`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use prospect_testing::{Running, Tool, fixture, require};
use serde_json::{Value, json};

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

/// Without long addresses, which are others in each process.
fn without_addresses(text: &str) -> String {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("0x") {
        let digits = rest[at + 2..].bytes().take_while(u8::is_ascii_hexdigit).count();
        clean.push_str(&rest[..at + 2]);
        clean.push_str(if digits > 8 { "_" } else { &rest[at + 2..at + 2 + digits] });
        rest = &rest[at + 2 + digits..];
    }
    clean + rest
}

/// The lines of the frames of these functions, with what stands below each, of the main thread.
fn frames(text: &str, functions: &[&str]) -> String {
    let mut found = String::new();
    let mut is_wanted = false;
    let main_thread = text.split("\nthread ").nth(1).unwrap();
    for line in main_thread.lines() {
        if let Some(frame) = line.strip_prefix("  #") {
            let function = frame.split_whitespace().nth(1).unwrap();
            is_wanted = functions.contains(&function);
            if is_wanted {
                found += &format!("{function}\n");
            }
        } else if is_wanted {
            found += &format!("{line}\n");
        }
    }
    without_addresses(&found)
}

fn text(running: &Running, arguments: &[&str]) -> String {
    let outcome = prospect().run(&[&["stack", &running.arg()], arguments].concat());
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    outcome.text()
}

#[test]
fn all_variables_stand_below_their_calls() {
    let running = require!(fixture("calls")).start(&[]);
    let text = text(&running, &["--locals"]);
    let expected = r#"twice
      (half = 3)
      whole = 6
leaf
      (list = 0x_, count = 13, title = 0x_ "a title")
      calls = 7
      sum = 0  (hidden)
      i = 3
      sum = 6
middle
      (from = 3, to = {x = 1, y = 2})
      flags = 65280
      ratio = 1.5
      table = {1, 2, 3, 0 <repeats 27 times>}
      colour = GREEN
      word = {whole = 16909060, bytes = "\004\003\002\001"}
      last = {at = {x = 3, y = 4}, name = 0x_ "last", next = 0x0}
      first = {at = {x = 1, y = 2}, name = 0x_ "first", next = 0x_}
      result = 0
"#;
    assert_eq!(frames(&text, &["twice", "leaf", "middle"]), expected, "{text}");
    for number in ["100", "101"] {
        assert!(text.contains(&format!("\n      number = {number}\n")), "{text}");
    }
}

#[test]
fn what_was_optimised_out_is_no_value() {
    let running = require!(fixture("calls-optimised")).start(&[]);
    let text = text(&running, &["--locals"]);
    let frames = frames(&text, &["twice", "leaf", "middle"]);
    for wanted in
        ["(half = 3)", "(from = 3, to = <optimised out>)", "      result = 0\n", "title = 0x_ \"a title\")"]
    {
        assert!(frames.contains(wanted), "{wanted} is missing in\n{text}");
    }
}

#[test]
fn arguments_alone() {
    let running = require!(fixture("calls")).start(&[]);
    let text = text(&running, &["--args", "--hex"]);
    let expected = "twice\n      (half = 0x3)\nleaf\n      (list = 0x_, count = 0xd, title = 0x_ \"a title\")\n\
                    middle\n      (from = 0x3, to = {x = 0x1, y = 0x2})\n";
    assert_eq!(frames(&text, &["twice", "leaf", "middle"]), expected, "{text}");
}

#[test]
fn a_line_is_cut_unless_all_is_wanted() {
    let running = require!(fixture("calls")).start(&[]);
    let narrow = |arguments: &[&str]| {
        let pid = running.arg();
        let mut command = prospect().command(&[&["stack", "--locals", &pid], arguments].concat());
        Tool::finish(command.env("COLUMNS", "50")).text()
    };
    let cut = narrow(&[]);
    assert!(cut.contains("\n      first = {at = {x = 1, y = 2}, name = 0x"), "{cut}");
    let longest =
        cut.lines().filter(|line| line.starts_with("      ")).map(|line| line.chars().count()).max();
    assert_eq!(longest, Some(50), "{cut}");
    assert!(cut.contains('…'), "{cut}");
    let full = narrow(&["--full"]);
    assert!(!full.contains('…'), "{full}");
    assert!(full.contains("\n      first = {\n        at = {x = 1, y = 2},\n"), "{full}");
    let small = narrow(&["--full", "--elements", "2", "--depth", "1"]);
    assert!(small.contains("\n      table = {1, 2, ...}\n"), "{small}");
    assert!(
        small.contains("\n      (from = 3, to = {x = 1, y = 2})\n") || small.contains("at = ..."),
        "{small}"
    );
}

fn frame<'a>(report: &'a Value, function: &str) -> &'a Value {
    let frames = report["threads"][0]["frames"].as_array().unwrap();
    frames.iter().find(|frame| frame["function"] == function).unwrap()
}

fn named<'a>(all: &'a Value, name: &str) -> Vec<&'a Value> {
    all.as_array().unwrap().iter().filter(|one| one["name"] == name).collect()
}

#[test]
fn variables_in_json() {
    let running = require!(fixture("calls")).start(&[]);
    let report = prospect().stack(running.pid(), &["--locals"]);
    let report = report.value();
    assert_eq!(report["complete"], true, "{report}");
    let leaf = frame(report, "leaf");
    let count = named(&leaf["arguments"], "count");
    let mut value = count[0]["value"].clone();
    value.as_object_mut().unwrap().remove("address").unwrap();
    assert_eq!(value, json!({ "type": "int", "bytes": "0d000000", "kind": "integer", "value": 13 }));
    assert_eq!((&count[0]["kind"], &count[0]["depth"]), (&json!("parameter"), &json!(0)));
    let sums: Vec<_> = named(&leaf["locals"], "sum")
        .iter()
        .map(|one| (one["hidden"].clone(), one["value"]["value"].clone()))
        .collect();
    assert_eq!(sums, [(json!(true), json!(0)), (Value::Null, json!(6))]);
    assert_eq!(named(&leaf["locals"], "calls")[0]["kind"], "static");
    // Nothing is known of what no debug information describes, and nothing is said of what was not asked for.
    assert_eq!(
        (&frame(report, "_start")["arguments"], &frame(report, "_start")["locals"]),
        (&Value::Null, &Value::Null)
    );
    assert!(frame(report, "_start").as_object().unwrap().contains_key("locals"));
    let report = prospect().stack(running.pid(), &["--args"]);
    assert!(!frame(report.value(), "leaf").as_object().unwrap().contains_key("locals"));
    let report = prospect().stack(running.pid(), &[]);
    assert!(!frame(report.value(), "leaf").as_object().unwrap().contains_key("arguments"));
}

#[test]
fn stacks_are_printed_when_time_is_over() {
    let running = require!(fixture("calls")).start(&[]);
    let outcome = prospect().run(&["stack", "--locals", "--timeout", "0", &running.arg()]);
    // Whether the stacks were walked by then is chance, but never is anything said to be complete.
    assert!(matches!(outcome.code(), Some(1 | 5)), "{outcome:?}");
}

#[test]
fn what_does_not_go_together_is_wrong_usage() {
    for other in ["--merge", "--goroutines", "--no-names"] {
        let outcome = prospect().run(&["stack", "--locals", other, "1"]);
        assert_eq!(outcome.code(), Some(2), "{outcome:?}");
    }
}

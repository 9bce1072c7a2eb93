//! `prospect find`: names and lines to addresses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{collections::BTreeSet, path::PathBuf, process::Command};

use prospect_testing::{Outcome, Tool, fixture, require, tool};
use serde_json::Value;

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

fn found(outcome: &Outcome) -> Vec<Value> {
    let report: Value = serde_json::from_str(outcome.text().trim()).unwrap();
    assert_eq!(report["version"], 1);
    report["found"].as_array().unwrap().clone()
}

fn text<'a>(one: &'a Value, member: &str) -> &'a str {
    one[member].as_str().unwrap_or_default()
}

fn output(tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).env("LC_ALL", "C").output().unwrap();
    assert!(output.status.success(), "{tool} {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn libc() -> PathBuf {
    let path = output("gcc", &["-print-file-name=libc.so.6"]);
    PathBuf::from(path.trim()).canonicalize().unwrap()
}

#[test]
fn matches_of_a_regular_expression_are_those_of_nm_and_grep() {
    require!(tool("nm"));
    let libc = libc();
    let libc = libc.to_str().unwrap();
    let outcome = prospect().run(&["find", "--json", "--limit", "100000", libc, "/^(mem|str)[a-z]*$/"]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let ours: BTreeSet<(u64, String)> = found(&outcome)
        .iter()
        .filter(|one| one["symbol_version"].is_string())
        .map(|one| {
            let address = u64::from_str_radix(text(one, "address").trim_start_matches("0x"), 16).unwrap();
            let mut name = text(one, "linkage_name").to_owned();
            if let Some(version) = one["symbol_version"].as_str() {
                name += if one["default_version"] == true { "@@" } else { "@" };
                name += version;
            }
            (address, name)
        })
        .collect();
    let listed = output("nm", &["-D", "--with-symbol-versions", "--defined-only", libc]);
    let line = |line: &str| {
        let mut words = line.split(' ');
        let address = u64::from_str_radix(words.next()?, 16).ok()?;
        let name = words.nth(1)?;
        let plain = name.split('@').next()?;
        let rest = plain.strip_prefix("mem").or_else(|| plain.strip_prefix("str"))?;
        rest.bytes().all(|byte| byte.is_ascii_lowercase()).then(|| (address, name.to_owned()))
    };
    let theirs: BTreeSet<(u64, String)> = listed.lines().filter_map(line).collect();
    assert!(theirs.len() > 50, "{theirs:?}");
    assert_eq!(ours, theirs);
}

#[test]
fn a_process_is_searched_as_a_file_is() {
    let deep = require!(fixture("deep"));
    let running = deep.start(&["12"]);
    let (pid, path) = (running.pid().to_string(), deep.path());
    let line = format!("deep.c:{}", deep.line_of("f0"));
    for pattern in ["f0", "deep!f0", &line] {
        let in_process = found(&prospect().run(&["find", "--json", &pid, pattern]));
        let in_file = found(&prospect().run(&["find", "--json", path.to_str().unwrap(), pattern]));
        let members = |one: &Value| {
            ["offset", "size", "kind", "name", "file", "line"].map(|member| one[member].to_string())
        };
        assert!(!in_file.is_empty());
        let all = in_process.iter().filter(|one| text(one, "module").ends_with("/deep"));
        assert_eq!(all.map(members).collect::<Vec<_>>(), in_file.iter().map(members).collect::<Vec<_>>());
        assert_ne!(in_process[0]["address"], in_process[0]["offset"]);
    }
}

#[test]
fn the_table_says_what_and_where() {
    let deep = require!(fixture("deep"));
    let path = deep.path();
    let outcome = prospect().run(&["find", path.to_str().unwrap(), "f0"]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let text = outcome.text();
    let words: Vec<&str> = text.lines().next().unwrap().split_whitespace().collect();
    assert!(words[0].starts_with("0x") && words[2] == "function" && words[3] == "f0", "{text}");
    assert!(words.last().unwrap().contains("deep.c:"), "{text}");
}

#[test]
fn exit_codes_say_what_came_of_it() {
    let deep = require!(fixture("deep"));
    let path = deep.path();
    let path = path.to_str().unwrap();
    let code = |arguments: &[&str]| prospect().run(&[&["find"], arguments].concat()).code();
    assert_eq!(code(&[path, "f0", "main"]), Some(0));
    assert_eq!(code(&[path, "no_such_function"]), Some(3));
    assert_eq!(code(&[path, "f0", "no_such_function"]), Some(3));
    assert_eq!(code(&[path, "no_such_file.c:3"]), Some(3));
    assert_eq!(code(&["/no/such/file", "f0"]), Some(3));
    assert_eq!(code(&["/etc/hostname", "f0"]), Some(1));
    assert_eq!(code(&[path, "/(/"]), Some(2));
    assert_eq!(code(&[path]), Some(2));
    assert_eq!(code(&[path, "/./", "--limit", "3"]), Some(5));
    assert_eq!(code(&["4000000000", "f0"]), Some(3));
}

#[test]
fn exports_are_listed_in_their_order() {
    let deep = require!(fixture("deep"));
    let running = deep.start(&["12"]);
    let pid = running.pid().to_string();
    let outcome = prospect().run(&["find", "--json", &pid, "--exports", "libc.so*", "--limit", "100000"]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let rows = found(&outcome);
    assert!(rows.len() > 1000 && rows.iter().all(|one| text(one, "module").contains("libc.so")));
    let addresses = rows.iter().filter_map(|one| one["address"].as_str());
    let addresses: Vec<u64> =
        addresses.map(|at| u64::from_str_radix(at.trim_start_matches("0x"), 16).unwrap()).collect();
    assert!(addresses.is_sorted());
    let memcpy = rows.iter().find(|one| one["name"] == "memcpy" && one["default_version"] == true).unwrap();
    assert_eq!(memcpy["kind"], "ifunc");
    assert_eq!(prospect().run(&["find", &pid, "--exports", "libnone"]).code(), Some(3));
}

#[test]
fn options_are_those_of_the_other_commands() {
    let program = env!("CARGO_BIN_EXE_prospect");
    let wrong = prospect().run(&["find", program, "main", "--debug-dir", "/no/such/directory"]);
    assert_eq!(wrong.code(), Some(3), "{wrong:?}");
    let late = prospect().run(&["find", program, "/./", "--no-cache", "--timeout", "0"]);
    assert_eq!(late.code(), Some(1), "{late:?}");
    assert!(late.stderr.contains("--timeout"), "{late:?}");
}

#[test]
fn a_target_that_is_no_number_is_told_so_in_the_same_words() {
    for command in [&["stack", "abc"][..], &["print", "abc", "x"]] {
        let outcome = prospect().run(command);
        assert_eq!(outcome.code(), Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains("--name abc"), "{outcome:?}");
    }
}

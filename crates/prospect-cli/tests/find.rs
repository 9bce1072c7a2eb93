//! `prospect find`: names and lines to addresses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{collections::BTreeSet, path::PathBuf, process::Command};

use prospect_testing::{GoBuild, Outcome, Scratch, Tool, fixture, go_toolchains, require, tool};
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

/// Types, and what is of the same name and is none.
const TYPES: &str = r#"
struct node { struct node *next; long value; };
union word { int i; float f; };
typedef struct { char c[3]; } three;
enum color {
    RED, GREEN = 7, BLUE = -2, FAR = 5000000000 };
struct node head;
static int counted = 4;
struct later;
enum color use(enum color color, union word w, three t, struct later *later) {
    head.value += w.i + t.c[0] + counted++ + !later;
    return color;
}
int node(void) { return 1; }
int main(void) { union word w = {1}; three t = {"ab"}; return use(RED, w, t, 0) + node(); }
"#;

#[test]
fn types_and_constants_are_found_with_their_place_and_size() {
    require!(tool("gcc"));
    let scratch = Scratch::new("find-types");
    for format in ["-gdwarf-4", "-gdwarf-5"] {
        let (source, program) = (scratch.path().join("types.c"), scratch.path().join("types"));
        std::fs::write(&source, TYPES).unwrap();
        let compiled = Command::new("gcc").args([format, "-O1", "-o"]).args([&program, &source]).status();
        assert!(compiled.unwrap().success());
        let program = program.to_str().unwrap();
        let find = |arguments: &[&str]| prospect().run(&[&["find", "--json", program], arguments].concat());
        // What, kind, size, line, constant.
        for (query, kind, size, line, constant) in [
            (&["struct node"][..], "type", Some(16), 2, None),
            (&["class node"], "type", Some(16), 2, None),
            (&["--type", "node"], "type", Some(16), 2, None),
            (&["union word"], "type", Some(4), 3, None),
            (&["enum color"], "type", Some(8), 5, None),
            (&["three"], "type", Some(3), 4, None),
            (&["struct later"], "declaration", None, 9, None),
            (&["GREEN"], "enumerator", None, 5, Some("7")),
            (&["--type", "BLUE"], "enumerator", None, 5, Some("-2")),
            (&["color::FAR"], "enumerator", None, 5, Some("5000000000")),
            (&["head"], "data", Some(16), 7, None),
            (&["counted"], "data", Some(4), 8, None),
        ] {
            let outcome = find(query);
            assert_eq!(outcome.code(), Some(0), "{query:?} {outcome:?}");
            let all = found(&outcome);
            let [one] = &all[..] else { panic!("{query:?} {all:?}") };
            assert_eq!(one["kind"], kind, "{query:?} {one}");
            assert_eq!(one["size"].as_u64(), size, "{query:?} {one}");
            // A declaration may say no place.
            if kind != "declaration" {
                assert!(text(one, "file").ends_with("types.c"), "{query:?} {one}");
                assert_eq!(one["line"], line, "{query:?} {one}");
            }
            assert_eq!(one["constant"].as_str(), constant, "{query:?} {one}");
        }
        // A name means the function, too.
        let kinds: BTreeSet<String> =
            found(&find(&["node"])).iter().map(|one| text(one, "kind").to_owned()).collect();
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["function", "type"]);
        for absent in
            [&["union node"][..], &["enum word"], &["--type", "main"], &["struct nosuch"], &["union "]]
        {
            assert!(matches!(find(absent).code(), Some(2 | 3)), "{absent:?}");
        }
        let shown = prospect().run(&["find", program, "GREEN", "struct node"]).text();
        assert!(shown.contains("color::GREEN = 7") && shown.contains("types.c:2"), "{shown}");
    }
}

#[test]
fn functions_and_lines_of_stripped_go_programs_are_found() {
    let toolchain = require!(go_toolchains()).swap_remove(0);
    let program = toolchain.build("parked.go", GoBuild { stripped: true, ..GoBuild::default() });
    let program = program.to_str().unwrap();
    let all = found(&prospect().run(&["find", "--json", program, "main.main"]));
    let [main] = &all[..] else { panic!("{all:?}") };
    assert_eq!(main["kind"], "function");
    assert!(text(main, "file").ends_with("parked.go"), "{main}");
    let line = format!("parked.go:{}", main["line"]);
    let places = found(&prospect().run(&["find", "--json", program, &line]));
    assert!(places.iter().any(|one| one["address"] == main["address"] && one["exact"] == true), "{places:?}");
}

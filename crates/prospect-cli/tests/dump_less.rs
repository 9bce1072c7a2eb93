//! Dumps without everything: secrets zeroed, and no larger than they may be.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{fs, path::Path, process::Command};

use prospect_testing::{Running, Scratch, Tool, fixture, require, supports_32_bit, tool};

/// What no secret may leave behind: in the environment, in globals, in the heap, on stacks, across the ends of pages.
const PLANTED: [&str; 10] = [
    "planted quiet words at the start",
    "planted quiet words set later",
    "AKIAPLANTED",
    "planted words that only",
    "CUSTOM-PLANTED",
    "plantedhunter",
    "PLANTEDLINE",
    "ghp_PLANTED",
    "planted-json-token",
    "xoxb-PLANTED",
];

const RULES: [&str; 4] = ["env", "secrets", "var:named_words", "pattern:CUSTOM-[A-Z]+-[0-9]+"];

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

fn dump(running: &Running, file: &Path, more: &[&str]) -> String {
    let (pid, file) = (running.arg(), file.to_str().unwrap());
    let outcome = prospect().run(&[&["dump", "--json", "--force", "-o", file, &pid], more].concat());
    assert_eq!(outcome.code(), Some(0), "{}", outcome.text());
    outcome.text()
}

/// At how many places of a file a text is.
fn places(file: &Path, needle: &str) -> usize {
    let found = Command::new("grep").args(["-aoF", "-e", needle]).arg(file).output().unwrap();
    found.stdout.iter().filter(|byte| **byte == b'\n').count()
}

/// The frames as a tool has them: no line that only names the file, whose path may hold any word.
fn stacks(tool: &Tool, args: &[&str]) -> Vec<String> {
    let outcome = tool.run(args);
    let text = outcome.text();
    let lines: Vec<String> = text
        .lines()
        .filter(|line| line.trim_start().starts_with('#'))
        .filter(|line| line.contains("wait_here") || line.contains("main"))
        .map(str::to_owned)
        .collect();
    assert!(lines.len() >= 7, "{text}");
    lines
}

fn assert_same_stacks(running: &Running, full: &Path, less: &Path) {
    let program = fs::read_link(format!("/proc/{}/exe", running.pid())).unwrap();
    let program = program.to_str().unwrap();
    let (full, less) = (full.to_str().unwrap(), less.to_str().unwrap());
    let ours = prospect();
    let [one, other] = [full, less].map(|core| stacks(&ours, &["stack", core]));
    assert_eq!(one, other);
    let [one, other] = [full, less].map(|core| ours.run(&["stack", "--locals", core]).text());
    // What a string holds may be zeroed.
    let without_text = |line: &str| {
        let text = line.find('"').zip(line.rfind('"'));
        text.map_or(line.to_owned(), |(start, end)| format!("{}{}", &line[..start], &line[end..]))
    };
    let values = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.contains("depth = ")).map(without_text).collect()
    };
    assert_eq!(values(&one).len(), 6, "{one}");
    assert_eq!(values(&one), values(&other));
    if tool("gdb").is_ok() {
        let gdb = Tool::at("gdb");
        let [one, other] =
            [full, less].map(|core| stacks(&gdb, &["-batch", "-nx", "-ex", "bt", program, core]));
        // Arguments that are strings are shown as such, and may be zeroed.
        let frames = |lines: Vec<String>| -> Vec<String> {
            lines.iter().map(|line| line.split(" (").next().unwrap_or_default().to_owned()).collect()
        };
        assert_eq!(frames(one), frames(other));
    }
    if tool("eu-stack").is_ok() {
        let eu_stack = Tool::at("eu-stack");
        let [one, other] = [full, less].map(|core| stacks(&eu_stack, &["--core", core, "-e", program]));
        assert_eq!(one, other);
    }
}

fn redacted(name: &str) {
    let fixture = require!(fixture(name));
    let scratch = Scratch::new("dump-redacted");
    let mut running = fixture.start(&[]);
    let [full, less, manifest] = ["full", "less", "manifest"].map(|name| scratch.path().join(name));
    dump(&running, &full, &[]);
    let rules: Vec<&str> = RULES.iter().flat_map(|rule| ["--redact", rule]).collect();
    let more = [&rules[..], &["--manifest", manifest.to_str().unwrap()]].concat();
    let report = dump(&running, &less, &more);

    for planted in PLANTED {
        assert_ne!(places(&full, planted), 0, "{planted} is there before");
        assert_eq!(places(&less, planted), 0, "{planted} is gone");
    }
    let manifest = fs::read_to_string(manifest).unwrap();
    for rule in RULES {
        let name = rule.replace('\\', "\\\\");
        assert!(manifest.contains(&format!("\"rule\":\"{name}\"")), "{manifest}");
        assert!(report.contains(&format!("\"rule\":\"{name}\"")), "{report}");
    }
    assert!(PLANTED.iter().all(|planted| !manifest.contains(planted)));
    assert_same_stacks(&running, &full, &less);
    if tool("zstd").is_ok() {
        dump(&running, &less, &[&rules[..], &["--compress", "zstd"]].concat());
        let unpacked = scratch.path().join("unpacked");
        let files = [less.to_str().unwrap(), "-o", unpacked.to_str().unwrap()];
        assert!(Command::new("zstd").args(["-dq"]).args(files).status().unwrap().success());
        PLANTED.iter().for_each(|planted| assert_eq!(places(&unpacked, planted), 0, "{planted}"));
    }
    running.assert_unharmed();
}

#[test]
fn no_secret_is_in_a_redacted_dump_and_stacks_are_as_before() {
    redacted("secrets");
}

#[test]
fn no_secret_is_in_a_redacted_dump_of_32_bits() {
    require!(supports_32_bit());
    redacted("secrets-32");
}

#[test]
fn a_rule_that_cannot_be_followed_means_no_dump() {
    let fixture = require!(fixture("secrets"));
    let scratch = Scratch::new("dump-rules");
    let mut running = fixture.start(&[]);
    let (pid, file) = (running.arg(), scratch.path().join("core"));
    for rule in ["var:no_such_variable", "type:no_such_type", "pattern:(", "nonsense"] {
        let outcome = prospect().run(&["dump", "-o", file.to_str().unwrap(), "--redact", rule, &pid]);
        assert!(matches!(outcome.code(), Some(1 | 2)), "{rule}: {}", outcome.text());
        assert!(!file.exists());
    }
    running.assert_unharmed();
}

#[test]
fn a_limited_dump_has_the_stacks_and_what_they_lead_to() {
    let fixture = require!(fixture("secrets"));
    let scratch = Scratch::new("dump-limited");
    let mut running = fixture.start(&["32"]);
    let [full, less] = ["full", "less"].map(|name| scratch.path().join(name));
    dump(&running, &full, &["--limit", "2G"]);
    let report = dump(&running, &less, &["--limit", "2M"]);
    assert!(report.contains("\"cut\":{\"limit\":2097152,\"left_out_bytes\":"), "{report}");
    use std::os::unix::fs::MetadataExt as _;
    let disk = [&full, &less].map(|file| file.metadata().unwrap().blocks() * 512);
    assert!(disk[0] > 32 << 20 && disk[1] < 3 << 20, "{disk:?}");
    // What nothing points to is left out before what a list leads to.
    for node in 0..64_u32 {
        let text = format!("node {node}.");
        assert_ne!(places(&full, &text), 0);
        assert!(node < 58 || places(&less, &text) != 0, "{text}");
    }
    assert_same_stacks(&running, &full, &less);
    let piped =
        prospect().command(&["dump", "-q", "--limit", "2M", "-o", "-", &running.arg()]).output().unwrap();
    assert!(piped.status.success());
    assert!(piped.stdout.len() < 4 << 20, "{}", piped.stdout.len());
    assert!(String::from_utf8_lossy(&piped.stderr).contains("beyond the limit"));
    running.assert_unharmed();
}

/// Where the objects of a type are that variables lead to.
const OBJECTS: [&str; 16] = [
    "in a global",
    "in an array 0",
    "in an array 2",
    "in a member",
    "behind a pointer",
    "in a vector 0",
    "in a vector 1",
    "in a map 1",
    "in a map 2",
    "in a list 0",
    "in a list 1",
    "in a list 2",
    "of a thread",
    "kept by a function",
    "in a local",
    "only an argument leads to",
];

#[test]
fn objects_of_a_type_are_redacted() {
    let (fixture, scratch) = (require!(fixture("typed-secrets")), Scratch::new("dump-type"));
    let mut running = fixture.start(&[]);
    let [full, stopped, snapshot, small] =
        ["full", "stopped", "snapshot", "small"].map(|name| scratch.path().join(name));
    dump(&running, &full, &[]);
    dump(&running, &stopped, &["--mode", "stop", "--redact", "type:Secret"]);
    let report = dump(&running, &snapshot, &["--redact", "type:struct Secret"]);
    assert!(report.contains("type:struct Secret"), "{report}");
    let [from, to] = [&full, &small].map(|path| path.to_str().unwrap());
    let shrunk =
        prospect().run(&["core", "shrink", "-q", "--redact", "type:Secret", "--depth", "9", "-o", to, from]);
    assert_eq!(shrunk.code(), Some(0), "{shrunk:?}");
    let calls = |core: &Path| {
        let report = prospect().run(&["stack", "--json", core.to_str().unwrap()]).report();
        report.value()["threads"].to_string()
    };
    for object in OBJECTS {
        let planted = format!("type-planted {object}");
        assert_ne!(places(&full, &planted), 0, "{planted} is there before");
        for less in [&stopped, &snapshot, &small] {
            assert_eq!(places(less, &planted), 0, "{planted} is gone from {}", less.display());
        }
    }
    for less in [&stopped, &snapshot] {
        assert_eq!(places(less, "type-kept, which is no such object"), 1);
        assert_eq!(calls(less), calls(&full));
    }
    assert!(running.is_alive());
}

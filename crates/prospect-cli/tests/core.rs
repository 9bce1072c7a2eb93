//! What is in the file of a core, what differs between two, and smaller ones.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use prospect_testing::{
    Missing, Outcome, Report, Running, Scratch, Tool, crash, fixture, gcore, kernel_cores, require, tool,
};

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

fn core(args: &[&str], cores: &[&Path]) -> Outcome {
    let paths = cores.iter().map(|path| path.to_str().unwrap());
    prospect().run(&["core"].iter().chain(args).copied().chain(paths).collect::<Vec<_>>())
}

fn dump(running: &Running, path: PathBuf) -> PathBuf {
    let outcome = prospect().run(&["dump", "-q", "--force", "-o", path.to_str().unwrap(), &running.arg()]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    path
}

/// Four threads, and the kernel writes into each where it runs (`man 2 rseq`).
const MOST_CHANGED: u64 = 4;

fn note<'a>(report: &'a Report, name: &str) -> &'a serde_json::Value {
    let notes = report.value()["notes"].as_array().unwrap();
    notes.iter().find(|note| note["name"] == name).unwrap_or_else(|| panic!("no {name}: {notes:?}"))
}

#[test]
fn a_core_of_the_kernel_is_listed() {
    require!(kernel_cores());
    let fixture = require!(fixture("crash"));
    let scratch = Scratch::new("core-info");
    let path = crash(&fixture.command(&["2"]), scratch.path());
    let report = core(&["info", "--json"], &[&path]).report();
    let value = report.value();
    assert_eq!((value["name"].as_str(), value["threads"].as_u64()), (Some("crash"), Some(3)));
    let first = value["notes"][0]["tid"].as_u64().unwrap();
    let signal = note(&report, "NT_SIGINFO");
    assert_eq!((signal["tid"].as_u64(), signal["owner"].as_str()), (Some(first), Some("CORE")));
    assert!(signal["text"].as_str().unwrap().starts_with("SIGSEGV"), "{signal}");
    assert!(note(&report, "NT_PRPSINFO")["text"].as_str().unwrap().contains("crash 2"));
    let entries = note(&report, "NT_AUXV")["entries"].as_array().unwrap();
    let entry = |name: &str| entries.iter().find(|entry| entry["name"] == name).unwrap()["value"].to_string();
    assert_eq!(entry("AT_PAGESZ"), "\"4096\"");
    assert!(entry("AT_EXECFN").contains(fixture.path().to_str().unwrap()), "{entries:?}");
    assert!(note(&report, "NT_FILE")["text"].as_str().unwrap().contains("mappings of"), "{value}");
    // Code is left out, and is read from its file; stacks are there.
    let segments = value["segments"].as_array().unwrap();
    let of_code = |one: &&serde_json::Value| {
        one["permissions"] == "r-xp" && one["name"].as_str().is_some_and(|name| name.ends_with("/crash"))
    };
    let code = segments.iter().find(of_code).unwrap();
    assert_eq!((code["state"].as_str(), code["from_files"].as_u64() > Some(0)), (Some("left out"), true));
    let stack = segments.iter().find(|one| one["name"] == "[stack]").unwrap();
    assert_eq!((stack["state"].as_str(), stack["truncated"].as_u64()), (Some("whole"), Some(0)));
    let totals = &value["totals"];
    let sum = |part: &str| segments.iter().map(|one| one[part].as_u64().unwrap()).sum::<u64>();
    assert_eq!(totals["in_core"].as_u64(), Some(sum("in_core")));
    assert_eq!(totals["memory"].as_u64(), Some(sum("in_core") + sum("left_out")));

    let text = core(&["info"], &[&path]).text();
    for wanted in
        ["SIGSEGV, address not mapped, at 0x10", "3 threads", "address space", "left out, from the file"]
    {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    // The same, cut.
    let bytes = fs::read(&path).unwrap();
    let cut = scratch.path().join("cut");
    fs::write(&cut, &bytes[..bytes.len() - (256 << 10)]).unwrap();
    let outcome = core(&["info"], &[&cut]);
    assert_eq!(outcome.code(), Some(5), "{outcome:?}");
    for wanted in ["truncated (", "missing: the core is truncated", "!"] {
        assert!(outcome.text().contains(wanted), "{wanted}: {outcome:?}");
    }
    let report = core(&["info", "--json"], &[&cut]).report();
    assert_eq!(report.value()["complete"], false);
    assert!(report.value()["totals"]["truncated"].as_u64().unwrap() > 0);
    let outcome = core(&["info"], &[Path::new("/no/such/core")]);
    assert_eq!(outcome.code(), Some(3), "{outcome:?}");
    let outcome = core(&["info"], &[&fixture.path()]);
    assert_eq!(outcome.code(), Some(2), "{outcome:?}");
}

#[test]
fn a_core_of_ours_says_how_it_was_made() {
    let (fixture, scratch) = (require!(fixture("threads")), Scratch::new("core-info-ours"));
    let running = fixture.start(&["3", "5"]);
    let path = dump(&running, scratch.path().join("core"));
    let report = core(&["info", "--json"], &[&path]).report();
    let entries = note(&report, "PROSPECT")["entries"].to_string();
    assert!(entries.contains("method") && entries.contains("stopped for"), "{entries}");
    assert!(report.value()["totals"]["holes"].as_u64().unwrap() > 0, "{report:?}");
    let threads = report.value()["notes"].as_array().unwrap();
    let statuses = threads.iter().filter(|note| note["name"] == "NT_PRSTATUS");
    assert_eq!(statuses.count() as u64, report.value()["threads"].as_u64().unwrap());
}

/// Two looks at a process that waits, and one at another.
#[test]
fn what_differs_is_told() {
    let (fixture, scratch) = (require!(fixture("threads")), Scratch::new("core-diff"));
    let running = fixture.start(&["3", "5"]);
    let [one, other] = ["one", "other"].map(|name| dump(&running, scratch.path().join(name)));
    let outcome = core(&["diff"], &[&one, &one]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    assert!(outcome.text().contains("pages that both have are the same"), "{outcome:?}");
    let report = core(&["diff", "--json"], &[&one, &one]).report();
    assert_eq!((&report.value()["equal"], &report.value()["complete"]), (&true.into(), &true.into()));
    assert!(report.value()["memory"]["compared_pages"].as_u64().unwrap() > 10, "{report:?}");
    let report = core(&["diff", "--json"], &[&one, &other]).report();
    assert_eq!(["threads", "modules", "mappings"].map(|what| report.value()[what].to_string()), ["[]"; 3]);
    assert!(report.value()["memory"]["changed_pages"].as_u64().unwrap() <= MOST_CHANGED, "{report:?}");

    // Another run has other threads, and a deeper stack in each.
    let running = fixture.start(&["4", "9"]);
    let third = dump(&running, scratch.path().join("third"));
    let outcome = core(&["diff"], &[&one, &third]);
    assert_eq!(outcome.code(), Some(1), "{outcome:?}");
    assert!(outcome.text().contains(" gone") && outcome.text().contains(" new"), "{outcome:?}");
    let report = core(&["diff", "--json"], &[&one, &third]).report();
    let threads = report.value()["threads"].as_array().unwrap();
    let count = |change: &str| threads.iter().filter(|thread| thread["change"] == change).count();
    assert_eq!((count("removed"), count("added")), (4, 5));
    assert!(threads.iter().all(|one| one["stack_before"] != one["stack_after"]), "{threads:?}");
    assert_eq!(report.value()["equal"], false);
    // 1 says that they differ: a failure is something else.
    let outcome = core(&["diff"], &[&one, Path::new("/no/such/core")]);
    assert_eq!(outcome.code(), Some(3), "{outcome:?}");
    let broken = scratch.path().join("broken");
    fs::write(&broken, &fs::read(&one).unwrap()[..20]).unwrap();
    let outcome = core(&["diff"], &[&one, &broken]);
    assert_eq!(outcome.code(), Some(2), "{outcome:?}");
}

/// One byte of a thread's stack is not what it was; and a core that is cut cannot be compared everywhere.
#[test]
fn a_changed_byte_is_found() {
    let (fixture, scratch) = (require!(fixture("threads")), Scratch::new("core-diff-byte"));
    let running = fixture.start(&["2", "5"]);
    let path = dump(&running, scratch.path().join("core"));
    let report = core(&["info", "--json"], &[&path]).report();
    let segments = report.value()["segments"].as_array().unwrap();
    let stack = segments.iter().find(|one| one["name"] == "[stack]").unwrap();
    let end = stack["offset"].as_u64().unwrap() + stack["in_core"].as_u64().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[end as usize - 100] ^= 1;
    let changed = scratch.path().join("changed");
    fs::write(&changed, &bytes).unwrap();
    let report = core(&["diff", "--json"], &[&path, &changed]).report();
    let memory = &report.value()["memory"];
    assert_eq!(
        (memory["changed_pages"].as_u64(), report.value()["threads"].to_string()),
        (Some(1), "[]".into())
    );
    assert_eq!(
        (&memory["changed"][0]["end"], &memory["changed"][0]["name"]),
        (&stack["end"], &stack["name"])
    );
    let outcome = core(&["diff"], &[&path, &changed]);
    assert_eq!(outcome.code(), Some(1), "{outcome:?}");
    assert!(outcome.text().contains("1 of "), "{outcome:?}");
    bytes[end as usize - 100] ^= 1;
    fs::write(&changed, &bytes[..end as usize - 8192]).unwrap();
    let outcome = core(&["diff"], &[&path, &changed]);
    assert_eq!(outcome.code(), Some(5), "{outcome:?}");
    assert!(outcome.text().contains("cannot be compared"), "{outcome:?}");
}

/// A core of gdb and one of ours of a process that stands still: the same threads, registers and pages.
fn assert_as_of_gdb() -> Result<(), Missing> {
    let fixture = fixture("threads")?;
    let scratch = Scratch::new("core-diff-gdb");
    let running = fixture.start(&["3", "5"]);
    let of_gdb = gcore(running.pid(), scratch.path())?;
    let ours = dump(&running, scratch.path().join("ours"));
    let report = core(&["diff", "--json"], &[&of_gdb, &ours]).report();
    assert!(report.value()["memory"]["changed_pages"].as_u64().unwrap() <= MOST_CHANGED, "{report:?}");
    assert_eq!(report.value()["modules"].to_string(), "[]");
    let threads = report.value()["threads"].as_array().unwrap();
    for thread in threads {
        assert_eq!(thread["change"], "changed", "{thread}");
        assert_eq!(thread["registers"].to_string(), "[]", "{thread}");
    }
    Ok(())
}

#[test]
fn a_core_of_gdb_has_the_same_memory() {
    require!(assert_as_of_gdb());
}

#[test]
fn compressed_cores_are_compared() {
    let fixture = require!(fixture("threads"));
    require!(tool("zstd"));
    let scratch = Scratch::new("core-diff-zstd");
    let running = fixture.start(&["2", "5"]);
    let path = dump(&running, scratch.path().join("core"));
    let packed = scratch.path().join("core.zst");
    assert!(Command::new("zstd").args(["-q1", "-o"]).arg(&packed).arg(&path).status().unwrap().success());
    let outcome = core(&["diff"], &[&path, &packed]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let text = core(&["info"], &[&packed]).text();
    assert!(text.contains("unpacked from zstd"), "{text}");
}

/// What each debugger that is there says of the stacks of a core.
fn stacks(program: &Path, core: &Path) -> Vec<String> {
    let mut all = vec![prospect().run(&["stack", "--json", core.to_str().unwrap()]).text()];
    if tool("gdb").is_ok() {
        let mut gdb = Command::new("gdb");
        gdb.args(["-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex", "thread apply all bt"]);
        let text = Tool::finish(gdb.arg(program).arg(core)).text();
        all.push(text.lines().filter(|line| line.starts_with('#')).collect::<Vec<_>>().join("\n"));
    }
    if tool("eu-stack").is_ok() {
        let mut eu_stack = Command::new("eu-stack");
        let text = Tool::finish(eu_stack.arg("-e").arg(program).arg("--core").arg(core)).text();
        all.push(text.lines().filter(|line| line.starts_with('#')).collect::<Vec<_>>().join("\n"));
    }
    for text in &mut all {
        assert!(text.contains("main"), "{text}");
        // The paths of the cores are in it.
        *text = text.replace(core.to_str().unwrap(), "core");
    }
    all
}

fn memory_bytes(core: &Path) -> u64 {
    self::core(&["info", "--json"], &[core]).report().value()["totals"]["in_core"].as_u64().unwrap()
}

fn assert_shrinks(program: &Path, whole: &Path, directory: &Path) {
    let stacks_of_whole = stacks(program, whole);
    let bytes = memory_bytes(whole);
    let small = directory.join("small");
    let name = small.to_str().unwrap();
    let mut sizes = Vec::new();
    for args in [&["--depth", "0"][..], &["--depth", "1"], &["--limit", "512K"], &[]] {
        let args = [&["shrink", "--json", "--force", "-o", name], args].concat();
        let outcome = core(&args, &[whole]);
        assert_eq!(outcome.code(), Some(0), "{outcome:?}");
        assert_eq!(stacks(program, &small), stacks_of_whole, "{args:?}");
        sizes.push(memory_bytes(&small));
        // What is there is what was there; threads and their registers are all there.
        let report = core(&["diff", "--json"], &[whole, &small]).report();
        assert_eq!(report.value()["memory"]["changed_pages"], 0, "{args:?}: {report:?}");
        assert_eq!(
            ["threads", "modules"].map(|what| report.value()[what].to_string()),
            ["[]"; 2],
            "{args:?}"
        );
    }
    assert!(sizes[0] <= sizes[1] && sizes[1] <= sizes[3] && sizes[3] < bytes, "{sizes:?} {bytes}");
    // Names and sizes as before.
    let notes = |path: &Path| {
        let report = core(&["info", "--json"], &[path]).report();
        let all = report.value()["notes"].as_array().unwrap().iter();
        let other =
            all.filter(|note| !matches!(note["name"].as_str(), Some("PROSPECT" | "NT_PRPSINFO" | "NT_FILE")));
        other.map(|note| format!("{} {} {}", note["name"], note["tid"], note["text"])).collect::<Vec<_>>()
    };
    let (mut before, mut after) = (notes(whole), notes(&small));
    before.sort();
    after.sort();
    assert_eq!(before, after);
}

#[test]
fn a_smaller_core_of_the_kernel_has_the_same_stacks() {
    require!(kernel_cores());
    let (fixture, scratch) = (require!(fixture("crash")), Scratch::new("core-shrink"));
    let path = crash(&fixture.command(&["3"]), scratch.path());
    assert_shrinks(&fixture.path(), &path, scratch.path());
}

#[test]
fn a_smaller_core_of_ours_has_the_same_stacks() {
    let (fixture, scratch) = (require!(fixture("threads")), Scratch::new("core-shrink-ours"));
    let running = fixture.start(&["20", "5"]);
    let path = dump(&running, scratch.path().join("core"));
    assert_shrinks(&fixture.path(), &path, scratch.path());
}

/// How the process was kept still, and what was zeroed then, is as true of a smaller core.
#[test]
fn a_smaller_core_says_how_the_first_one_was_made() {
    let (fixture, scratch) = (require!(fixture("threads")), Scratch::new("core-shrink-note"));
    let running = fixture.start(&["2", "5"]);
    let [first, second, third] = ["first", "second", "third"].map(|name| scratch.path().join(name));
    let outcome = prospect().run(&[
        "dump",
        "-q",
        "--mode",
        "stop",
        "--redact",
        "env",
        "-o",
        first.to_str().unwrap(),
        &running.arg(),
    ]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let shrink = |from: &Path, to: &Path, options: &[&str]| {
        let outcome = core(&[&["shrink", "-q", "-o", to.to_str().unwrap()], options].concat(), &[from]);
        assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    };
    shrink(&first, &second, &["--depth", "2", "--redact", "secrets"]);
    shrink(&second, &third, &["--depth", "0"]);
    let entry = |path: &Path, name: &str| {
        let report = core(&["info", "--json"], &[path]).report();
        let entries = note(&report, "PROSPECT")["entries"].as_array().unwrap().clone();
        let found = entries.iter().find(|entry| entry["name"] == name);
        found.map(|entry| entry["value"].to_string()).unwrap_or_else(|| panic!("no {name}: {entries:?}"))
    };
    assert!(entry(&first, "method").contains("stop"));
    for name in ["method", "stopped for"] {
        assert_eq!(
            [&second, &third].map(|path| entry(path, name)),
            [entry(&first, name), entry(&first, name)]
        );
    }
    assert_eq!(entry(&third, "redacted"), "\"env, secrets\"");
    let left_out =
        |path: &Path| entry(path, "beyond that").chars().filter(char::is_ascii_digit).collect::<String>();
    assert!(left_out(&third).parse::<u64>().unwrap() > 0);
}

#[test]
fn cores_are_given_up_when_they_take_too_long() {
    let (fixture, scratch) = (require!(fixture("threads")), Scratch::new("core-timeout"));
    let running = fixture.start(&["2", "5"]);
    let path = dump(&running, scratch.path().join("core"));
    for (args, code) in [(&["info"][..], 1), (&["diff", "--json"], 2)] {
        let cores = if code == 2 { vec![path.as_path(), &path] } else { vec![path.as_path()] };
        let outcome = core(&[args, &["--timeout", "0"]].concat(), &cores);
        assert!(outcome.code() == Some(code) && outcome.stderr.contains("(--timeout)"), "{outcome:?}");
        assert_eq!(core(&[args, &["--timeout", "60"]].concat(), &cores).code(), Some(0));
    }
}

#[test]
fn a_smaller_core_of_32_bits_has_the_same_stacks() {
    require!(kernel_cores());
    let (fixture, scratch) = (require!(fixture("crash-32")), Scratch::new("core-shrink-32"));
    let path = crash(&fixture.command(&["2"]), scratch.path());
    assert_shrinks(&fixture.path(), &path, scratch.path());
}

#[test]
fn compressed_cores_are_made_smaller() {
    let (fixture, scratch) = (require!(fixture("threads")), Scratch::new("core-shrink-zstd"));
    require!(tool("zstd"));
    let running = fixture.start(&["3", "5"]);
    let path = dump(&running, scratch.path().join("core"));
    let [packed, small] = ["core.zst", "small.zst"].map(|name| scratch.path().join(name));
    assert!(Command::new("zstd").args(["-q1", "-o"]).arg(&packed).arg(&path).status().unwrap().success());
    let outcome = core(&["shrink", "-q", "--compress", "zstd", "-o", small.to_str().unwrap()], &[&packed]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    assert!(fs::read(&small).unwrap().starts_with(b"\x28\xb5\x2f\xfd"));
    let stacks = |path: &Path| {
        let report = prospect().run(&["stack", "--json", path.to_str().unwrap()]).report();
        report.value()["threads"].to_string()
    };
    assert_eq!(stacks(&small), stacks(&path));
    // Through a pipe.
    let pipe =
        prospect().command(&["core", "shrink", "-q", "-o", "-", path.to_str().unwrap()]).output().unwrap();
    assert!(pipe.status.success(), "{pipe:?}");
    let piped = scratch.path().join("piped");
    fs::write(&piped, pipe.stdout).unwrap();
    assert_eq!(stacks(&piped), stacks(&path));
    // What is there is not lost.
    for output in [&path, &small] {
        let before = fs::read(output).unwrap();
        let outcome = core(&["shrink", "-q", "-o", output.to_str().unwrap()], &[&path]);
        assert!(matches!(outcome.code(), Some(1 | 2)), "{outcome:?}");
        assert_eq!(fs::read(output).unwrap(), before);
    }
}

/// What is zeroed in a smaller core is nowhere in it, and the stacks are the same.
#[test]
fn smaller_cores_are_redacted() {
    const SECRET: &str = "hunter2-in-the-environment";
    let (fixture, scratch) = (require!(fixture("threads")), Scratch::new("core-shrink-redact"));
    let running = Running::start(fixture.command(&["2", "5"]).env("PASSPHRASE", SECRET));
    let path = dump(&running, scratch.path().join("core"));
    let has_secret =
        |path: &Path| fs::read(path).unwrap().windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
    assert!(has_secret(&path));
    let small = scratch.path().join("small");
    let name = small.to_str().unwrap();
    let outcome = core(&["shrink", "--json", "--redact", "env", "-o", name], &[&path]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let redacted = outcome.report().value()["redacted"].to_string();
    assert!(redacted.contains("env"), "{redacted}");
    assert!(!has_secret(&small));
    assert_eq!(stacks(&fixture.path(), &small), stacks(&fixture.path(), &path));
}

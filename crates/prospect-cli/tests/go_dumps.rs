//! Dumps of Go programs, and delve as their reader.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{collections::BTreeMap, path::Path, process::Command};

use prospect_testing::{GoBuild, Report, Running, Scratch, Tool, go_toolchains, require, tool};

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

/// The functions of each goroutine, by its number.
type Goroutines = BTreeMap<u64, Vec<String>>;

fn goroutines(target: &str) -> Goroutines {
    let outcome = prospect().run(&["stack", "--json", "--goroutines", target]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let report: Report = outcome.report();
    let all = report.value()["goroutines"]["all"].as_array().unwrap();
    let functions = |one: &serde_json::Value| {
        let frames = one["frames"].as_array().unwrap().iter();
        frames.map(|frame| frame["function"].as_str().unwrap_or("?").to_owned()).collect()
    };
    all.iter().map(|one| (one["id"].as_u64().unwrap(), functions(one))).collect()
}

/// What delve says of a core: `goroutines -t` has a line for each goroutine, and two for each of its frames.
fn delve(program: &Path, core: &Path, directory: &Path) -> Goroutines {
    let commands = directory.join("commands");
    std::fs::write(&commands, "goroutines -t 60\nexit\n").unwrap();
    let mut command = Command::new("dlv");
    command.args(["core", "--allow-non-terminal-interactive=true", "--check-go-version=false", "--init"]);
    command.arg(&commands).arg(program).arg(core).env("HOME", directory);
    let outcome = Tool::finish(&mut command);
    let text = outcome.text();
    let mut all = Goroutines::new();
    let mut last = None;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        // `  Goroutine 7 - User: …`, with a star before the one that is looked at.
        if let Some(at) = words.iter().position(|word| *word == "Goroutine").filter(|at| *at <= 1) {
            last = words.get(at + 1).and_then(|number| number.parse().ok());
            last.iter().for_each(|number| drop(all.insert(*number, Vec::new())));
        }
        // `\t0  0x000000000043a0f6 in runtime.gopark`, then the place.
        if let ([_, _, "in", function, ..], Some(number)) = (words.as_slice(), last) {
            all.entry(number).or_default().push((*function).to_owned());
        }
    }
    assert!(all.len() > 3, "delve does not read the core: {outcome:?}");
    all
}

/// Those of the program: the runtime's own go on with their work.
fn of_program(all: &Goroutines) -> Goroutines {
    let is_of_program = |functions: &Vec<String>| functions.iter().any(|one| one.starts_with("main."));
    all.iter().filter(|(_, functions)| is_of_program(functions)).map(|(id, f)| (*id, f.clone())).collect()
}

#[test]
fn delve_reads_our_dumps_of_go_programs() {
    require!(tool("dlv"));
    let toolchain = require!(go_toolchains()).swap_remove(0);
    let program = toolchain.build("parked.go", GoBuild::default());
    let running = Running::start(Command::new(&program).args(["20"]));
    let live = goroutines(&running.arg());
    let scratch = Scratch::new("go-dump");
    for (name, options) in
        [("snapshot", &[][..]), ("stop", &["--mode", "stop"]), ("small", &["--limit", "8M"])]
    {
        let core = scratch.path().join(name);
        let outcome = prospect().run(
            &[&["dump", "-q", "-o", core.to_str().unwrap()], options, &[running.arg().as_str()]].concat(),
        );
        assert_eq!(outcome.code(), Some(0), "{outcome:?}");
        let own = goroutines(core.to_str().unwrap());
        let delve = delve(&program, &core, scratch.path());
        let [live_waits, own_waits, delve_waits] = [&live, &own, &delve].map(of_program);
        assert!(live_waits.len() > 20, "{live_waits:?}");
        assert_eq!(own_waits, live_waits, "{name}");
        assert_eq!(delve_waits, live_waits, "{name}");
        assert_eq!(delve.keys().collect::<Vec<_>>(), own.keys().collect::<Vec<_>>(), "{name}");
    }
}

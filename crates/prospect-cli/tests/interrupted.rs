//! Commands that run out of time, or are ended in the middle: what they say, and what they leave behind.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use prospect_testing::{Outcome, Scratch, Signal, Tool, fixture, require, send, states, tool, tracer};

/// As long as any condition is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Its debug information is more than can be read in no time.
const LARGE: &str = env!("CARGO_BIN_EXE_prospect");

fn prospect() -> Tool {
    Tool::at(LARGE)
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Waits for its end; it is killed where that does not come.
fn end(mut child: Child) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
        }
        thread::sleep(Duration::from_millis(2));
    }
    let took = PATIENCE - deadline.saturating_duration_since(Instant::now());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Outcome { status: output.status, stdout: output.stdout, stderr, took }
}

/// The files below a directory, with their sizes.
fn files(directory: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(data) if data.is_dir() => found.extend(files(&entry.path())),
            Ok(data) => found.push((entry.path(), data.len())),
            Err(_) => {}
        }
    }
    found
}

/// A process of a large program, which ends when its stdin does.
struct Demo(Child);

impl Demo {
    fn start() -> Self {
        let mut command = prospect().command(&["demo-process"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_small_timeout_ends_every_command_with_the_same_sentence() {
    let said = "not finished after 0.02 s (--timeout)";
    let outcome = prospect().run(&["find", LARGE, "/a.*b.*c.*d/", "--no-cache", "--timeout", "0.02"]);
    assert_eq!(outcome.code(), Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains(said) && outcome.stdout.is_empty(), "{outcome:?}");

    let mut demo = Demo::start();
    let pid = demo.0.id().to_string();
    let outcome = prospect().run(&["print", &pid, "no::such::variable", "--no-cache", "--timeout", "0.02"]);
    assert_eq!(outcome.code(), Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains(said) && outcome.stderr.contains(&pid), "{outcome:?}");
    assert!(outcome.stdout.is_empty(), "{outcome:?}");

    // What there is of the stacks is shown; where there is nothing yet, that is said.
    let outcome = prospect().run(&["stack", &pid, "--locals", "--no-cache", "--timeout", "0.02"]);
    assert!(matches!(outcome.code(), Some(1 | 5)), "{outcome:?}");
    assert!((outcome.text() + &outcome.stderr).contains(said), "{outcome:?}");
    assert!(demo.0.try_wait().unwrap().is_none());
    assert_eq!((tracer(demo.0.id()), states(demo.0.id()).contains(['t', 'T'])), (0, false));
}

#[test]
fn an_index_that_is_interrupted_is_none() {
    let scratch = Scratch::new("index-interrupted");
    let cache = scratch.path().join("prospect");
    let index = |program: &str| {
        let mut command = prospect().command(&["symbols", "--index", program]);
        command.env("XDG_CACHE_HOME", scratch.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let child = index(LARGE);
    // Its unfinished file has a name, or is only open.
    let is_writing = || {
        let open = fs::read_dir(format!("/proc/{}/fd", child.id())).into_iter().flatten().flatten();
        let mut paths = open.filter_map(|one| fs::read_link(one.path()).ok());
        paths.any(|path| path.starts_with(&cache))
    };
    wait_for("an unfinished index", is_writing);
    assert!(send(Signal::Interrupt, child.id()));
    let outcome = end(child);
    // Which shells call 130.
    assert_eq!(outcome.status.signal(), Some(2), "{outcome:?}");
    assert!(outcome.stdout.is_empty(), "{outcome:?}");
    let left = files(&cache);
    assert!(left.iter().all(|(path, _)| path.extension().is_some_and(|end| end == "tmp")), "{left:?}");
    // What was left behind disturbs nobody.
    let small = require!(fixture("deep")).path();
    let whole = end(index(small.to_str().unwrap()));
    assert_eq!(whole.code(), Some(0), "{whole:?}");
    assert_eq!(files(&cache).len(), left.len() + 1, "{:?}", files(&cache));
}

/// What was to be shown at the end is not, and no file of the cache is left with half of what belongs in it.
#[test]
fn a_search_and_questions_about_a_core_can_be_interrupted() {
    let scratch = Scratch::new("search-interrupted");
    let in_scratch = |arguments: &[&str]| {
        let mut command = prospect().command(arguments);
        command.env("XDG_CACHE_HOME", scratch.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let running = require!(fixture("deep")).start(&["3"]);
    let core = scratch.path().join("core");
    let core = core.to_str().unwrap();
    let dumped = end(in_scratch(&["dump", &running.arg(), "-o", core]).spawn().unwrap());
    assert_eq!(dumped.code(), Some(0), "{dumped:?}");

    // Who asks keeps its stdin open: nothing but the signal ends it.
    let child = in_scratch(&["addr2line", "-f", "--core", core]).stdin(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"main\n").unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "main\n");
    assert!(send(Signal::Interrupt, child.id()));
    assert_eq!(end(child).status.signal(), Some(2));

    let child = in_scratch(&["find", LARGE, "/a.*b.*c.*d/"]).spawn().unwrap();
    // It runs this file, and looks into it: its beginning is mapped twice.
    let begins = |line: &&str| line.ends_with(LARGE) && line.split(' ').nth(2) == Some("00000000");
    let maps = format!("/proc/{}/maps", child.id());
    let mapped = || fs::read_to_string(&maps).map_or(0, |maps| maps.lines().filter(begins).count());
    wait_for("a search", || mapped() == 2);
    assert!(send(Signal::Interrupt, child.id()));
    let outcome = end(child);
    assert_eq!(outcome.status.signal(), Some(2), "{outcome:?}");
    assert!(outcome.stdout.is_empty(), "{outcome:?}");
    assert_eq!(files(&scratch.path().join("prospect")).len(), 0);
}

#[test]
fn a_download_that_is_interrupted_leaves_no_file_of_that_name() {
    require!(tool("gcc"));
    let scratch = Scratch::new("fetch-interrupted");
    let (source, program) = (scratch.path().join("program.c"), scratch.path().join("program"));
    fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let status =
        Command::new("gcc").args(["-Wl,--build-id", "-s", "-o"]).args([&program, &source]).status().unwrap();
    assert!(status.success());
    // It sends a half.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n\x7fELF the beginning");
        let _ = stream.flush();
        stream
    });
    let cache = scratch.path().join("debuginfod_client");
    let mut command = prospect().command(&["symbols", "--fetch", program.to_str().unwrap()]);
    command.env("DEBUGINFOD_URLS", &url).env("DEBUGINFOD_CACHE_PATH", &cache);
    for name in ["DEBUGINFOD_TIMEOUT", "http_proxy", "all_proxy"] {
        command.env_remove(name);
    }
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _open = serving.join().unwrap();
    let is_part =
        |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("fetch-"));
    wait_for("the first bytes", || files(&cache).iter().any(|(path, size)| is_part(path) && *size > 0));
    assert!(send(Signal::Interrupt, child.id()));
    let outcome = end(child);
    assert_eq!(outcome.status.signal(), Some(2), "{outcome:?}");
    let complete: Vec<_> = files(&cache).into_iter().filter(|(path, _)| !is_part(path)).collect();
    let wrong = |path: &Path| {
        matches!(path.file_name().and_then(|name| name.to_str()), Some("debuginfo" | "executable"))
    };
    assert!(!complete.iter().any(|(path, _)| wrong(path)), "{complete:?}");
}

/// On a terminal, whoever waits sees how far it is.
#[test]
fn progress_is_shown_on_a_terminal_alone() {
    require!(tool("script"));
    let scratch = Scratch::new("progress");
    let small = require!(fixture("deep")).path();
    let run = |on_terminal: bool, cache: &str| {
        let line = format!("{LARGE} symbols --index {}", small.display());
        let mut command = Command::new(if on_terminal { "script" } else { "sh" });
        command.args([if on_terminal { "-qec" } else { "-c" }, &line, "/dev/null"]);
        command.env("XDG_CACHE_HOME", scratch.path().join(cache)).env("TERM", "xterm").env("COLUMNS", "120");
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let outcome = Tool::finish(child);
        assert_eq!(outcome.code(), Some(0), "{outcome:?}");
        outcome.text() + &outcome.stderr
    };
    let shown = run(true, "terminal");
    assert!(shown.contains("deep ") && shown.contains('%') && shown.contains("left"), "{shown:?}");
    let shown = run(false, "pipe");
    assert!(!shown.contains(" left"), "{shown:?}");
}

//! `prospect crash-handler`, given cores as the kernel would give them. What the kernel itself does is in `crash_handler_kernel.rs`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use prospect_testing::{
    Missing, Outcome, Report, Scratch, Tool, crash, fixture, kernel_cores, require, root, tool,
};
use serde_json::Value;

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

/// What the kernel says of a crash, of a process that is not there.
const WORDS: [&str; 6] = ["4194303", "4194303", "11", "1795295463", "0", "crash"];

/// The handler, with a file for its standard input.
fn handler(directory: &Path, options: &[&str], words: &[&str], input: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" < \"$INPUT\""]).env("INPUT", input);
    shell.arg(prospect().path()).args(["crash-handler", "run", "-D"]).arg(directory).args(options);
    shell.arg("--").args(words);
    shell
}

fn run(directory: &Path, options: &[&str], input: &Path) -> Outcome {
    Tool::finish(&mut handler(directory, options, &WORDS, input))
}

fn status(directory: &Path) -> Value {
    let outcome = prospect().run(&["crash-handler", "status", "--json", "-D", directory.to_str().unwrap()]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    outcome.report().value().clone()
}

/// The only crash that is stored: its directory, and what is known of it.
fn only(directory: &Path) -> (PathBuf, Value) {
    let status = status(directory);
    let crashes = status["crashes"].as_array().unwrap();
    assert_eq!(crashes.len(), 1, "{status}");
    (crashes[0]["path"].as_str().unwrap().into(), crashes[0]["crash"].clone())
}

fn core(threads: &str, scratch: &Scratch) -> Result<PathBuf, Missing> {
    kernel_cores()?;
    Ok(crash(&fixture("crash")?.command(&[threads]), scratch.path()))
}

fn stacks(core: &Path) -> Report {
    let outcome = prospect().run(&["stack", "--json", core.to_str().unwrap()]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    outcome.report()
}

#[test]
fn stacks_and_a_small_core_are_stored() {
    let scratch = Scratch::new("crash-store");
    let (input, directory) = (require!(core("200", &scratch)), scratch.path().join("crashes"));
    // In a pipe, stacks are as large as they may become.
    let outcome = run(&directory, &["--max-size", "4G"], &input);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let (path, crash) = only(&directory);
    let word = |name: &str| crash[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (word("state"), word("name"), word("memory_from")),
        ("complete".into(), "crash".into(), "stream".into())
    );
    assert_eq!(word("reason"), "SIGSEGV, address not mapped, at 0x10");
    assert!(word("top").starts_with("inner (crash.c:"), "{crash}");
    assert_eq!((crash["threads"].as_u64(), crash["missing"].as_array().unwrap().len()), (Some(201), 0));
    // The stacks are those of the whole core, in the stored text, and in the stored small core.
    let wanted = stacks(&input).frames();
    assert_eq!(wanted.len(), 201);
    assert_eq!(Report::of_file(&path.join("stacks.json")).frames(), wanted);
    assert_eq!(stacks(&path.join("core.zst")).frames(), wanted);
    let text = fs::read_to_string(path.join("stacks.txt")).unwrap();
    assert!(
        text.contains("SIGSEGV, address not mapped, at 0x10  in thread ") && !text.contains('\x1b'),
        "{text}"
    );
    assert_eq!(text.matches("\nthread ").count(), 201);
    // Nobody else reads any of it.
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&path)), (0o700, 0o700));
    for file in fs::read_dir(&path).unwrap().chain(fs::read_dir(&directory).unwrap()).flatten() {
        let wanted = if file.path().is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&file.path()), wanted, "{file:?}");
    }
    let outcome = prospect().run(&["crash-handler", "status", "-D", directory.to_str().unwrap()]);
    for wanted in ["TIME", "2026-11-21 21:11:03Z", "SIGSEGV, address not mapped", "inner (crash.c:"] {
        assert!(outcome.text().contains(wanted), "{wanted}: {outcome:?}");
    }
}

#[test]
fn the_whole_core_is_stored_where_that_is_wanted() {
    let scratch = Scratch::new("crash-whole");
    let (input, directory) = (require!(core("2", &scratch)), scratch.path().join("crashes"));
    let outcome = run(&directory, &["--full"], &input);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let (path, crash) = only(&directory);
    let full = path.join("core.full");
    assert!(fs::read(&full).unwrap() == fs::read(&input).unwrap(), "byte for byte");
    assert_eq!(crash["full"]["bytes"].as_u64(), Some(fs::metadata(&full).unwrap().len()));
    assert!(crash["core"]["bytes"].as_u64() < crash["full"]["bytes"].as_u64());
    assert_eq!(Report::of_file(&path.join("stacks.json")).frames(), stacks(&input).frames());
}

/// All that is stored, unpacked.
fn stored_bytes(directory: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(stored_bytes(&path));
        } else if path.extension().is_some_and(|end| end == "zst") {
            let unpacked = Command::new("zstd").args(["-dcq"]).arg(&path).output().unwrap();
            assert!(unpacked.status.success());
            all.extend(unpacked.stdout);
        } else {
            all.extend(fs::read(&path).unwrap());
        }
    }
    all
}

#[test]
fn what_is_redacted_is_in_no_file() {
    require!(tool("zstd"));
    require!(kernel_cores());
    const SECRET: &[u8] = b"correct-horse-battery-staple";
    let scratch = Scratch::new("crash-redacted");
    let command = require!(fixture("crash")).command(&["2", str::from_utf8(SECRET).unwrap()]);
    let input = crash(&command, scratch.path());
    let has_secret = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|one| one == SECRET);
    assert!(has_secret(&fs::read(&input).unwrap()));
    let [plain, redacted, failed] = ["plain", "redacted", "failed"].map(|name| scratch.path().join(name));
    assert_eq!(run(&plain, &[], &input).code(), Some(0));
    assert!(has_secret(&stored_bytes(&plain)), "else nothing is shown");
    let outcome = run(&redacted, &["--redact", "args"], &input);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    assert!(!has_secret(&stored_bytes(&redacted)));
    let (path, _) = only(&redacted);
    assert_eq!(stacks(&path.join("core.zst")).frames(), stacks(&input).frames());
    // A rule that cannot be followed: stacks, and no core.
    let outcome = run(&failed, &["--redact", "var:no_such_variable"], &input);
    assert_eq!(outcome.code(), Some(5), "{outcome:?}");
    let (path, crash) = only(&failed);
    assert!(path.join("stacks.json").exists() && !path.join("core.zst").exists());
    assert!(crash["missing"].to_string().contains("var:no_such_variable"), "{crash}");
    let outcome = run(&failed, &["--full", "--redact", "env"], &input);
    assert!(outcome.code() == Some(2) && outcome.stderr.contains("--full"), "{outcome:?}");
}

#[test]
fn a_stream_that_ends_too_soon_gives_what_it_has() {
    let scratch = Scratch::new("crash-cut");
    let input = require!(core("2", &scratch));
    let bytes = fs::read(&input).unwrap();
    let (whole, directory) = (bytes.len(), scratch.path().join("crashes"));
    let cut = scratch.path().join("cut");
    for (length, has_core) in [(0, false), (10, false), (64, false), (2000, true), (whole - 70_000, true)] {
        fs::write(&cut, &bytes[..length]).unwrap();
        let outcome = run(&directory, &[], &cut);
        assert_eq!(outcome.code(), Some(5), "{length}: {outcome:?}");
        let (path, crash) = only(&directory);
        assert_eq!(crash["state"], "partial", "{length}: {crash}");
        assert!(!crash["missing"].as_array().unwrap().is_empty(), "{length}: {crash}");
        assert_eq!(
            (crash["core"].is_object(), path.join("core.zst").exists()),
            (has_core, has_core),
            "{length}: {crash}"
        );
        assert_eq!(path.join("stacks.txt").exists(), has_core, "{length}: {crash}");
        fs::remove_dir_all(&directory).unwrap();
    }
    // One that is longer than it may be is cut too.
    let outcome = run(&directory, &["--full", "--max-size", "200K"], &input);
    assert_eq!(outcome.code(), Some(5), "{outcome:?}");
    let (path, crash) = only(&directory);
    assert!(crash["missing"].to_string().contains("--max-size"), "{crash}");
    assert_eq!(fs::read(path.join("core.full")).unwrap(), &bytes[..200 << 10]);
    let registers = Report::of_file(&path.join("stacks.json"));
    assert_eq!(registers.threads().len(), 3);
}

#[test]
fn names_of_programs_lead_nowhere() {
    let scratch = Scratch::new("crash-names");
    let (input, directory) = (require!(core("0", &scratch)), scratch.path().join("crashes"));
    for name in ["../../x\n", "--full", "-D/etc", "--", "", "a b  c", "\u{1b}[31m", "%s%n"] {
        let words = [WORDS[0], WORDS[1], WORDS[2], WORDS[3], WORDS[4], name];
        let outcome = Tool::finish(&mut handler(&directory, &[], &words, &input));
        assert_eq!(outcome.code(), Some(0), "{name:?}: {outcome:?}");
        let (path, crash) = only(&directory);
        assert_eq!(crash["thread_name"], name);
        assert_eq!(path.parent(), Some(directory.as_path()));
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_+".contains(letter);
        assert!(path.file_name().unwrap().to_str().unwrap().chars().all(plain), "{path:?}");
        assert!(!path.join("core.full").exists());
        let outcome = prospect().run(&["crash-handler", "status", "-D", directory.to_str().unwrap()]);
        assert!(!outcome.stdout.contains(&0x1b), "{outcome:?}");
        fs::remove_dir_all(&path).unwrap();
    }
    let there: Vec<_> = fs::read_dir(scratch.path()).unwrap().flatten().map(|one| one.file_name()).collect();
    assert_eq!(there.len(), 2, "{there:?}");
}

#[test]
fn ten_at_once_are_bounded() {
    let scratch = Scratch::new("crash-ten");
    let (input, directory) = (require!(core("3", &scratch)), scratch.path().join("crashes"));
    let at_once = |options: &[&str], number: usize| {
        thread::scope(|scope| {
            let one = |_| scope.spawn(|| run(&directory, options, &input).code());
            let all: Vec<_> = (0..number).map(one).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
        })
    };
    let codes = at_once(&["--rate", "100/h"], 10);
    assert_eq!(codes, [Some(0); 10]);
    let all = status(&directory);
    let crashes = all["crashes"].as_array().unwrap();
    assert_eq!(
        (crashes.len(), all["stored"].as_u64(), all["only_counted"].as_u64()),
        (10, Some(10), Some(0))
    );
    let wanted = stacks(&input).frames();
    for crash in crashes {
        assert_eq!(crash["crash"]["state"], "complete", "{crash}");
        assert_eq!(
            Report::of_file(&Path::new(crash["path"].as_str().unwrap()).join("stacks.json")).frames(),
            wanted
        );
    }
    // Three more in an hour, and of all of them two are kept.
    let codes = at_once(&["--rate", "13/h", "--keep", "2"], 10);
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 3, "{codes:?}");
    let all = status(&directory);
    assert_eq!((all["stored"].as_u64(), all["only_counted"].as_u64()), (Some(13), Some(7)), "{all}");
    assert_eq!(all["last_counted"]["name"], "crash");
    // Those that were at work when another one looked are not removed by it, but by the next one.
    assert!(all["crashes"].as_array().unwrap().len() <= 4, "{all}");
    assert_eq!(run(&directory, &["--rate", "99/h", "--keep", "2"], &input).code(), Some(0));
    assert_eq!(status(&directory)["crashes"].as_array().unwrap().len(), 2);
    // The oldest went first, and as many go as the room asks for.
    let outcome = run(&directory, &["--rate", "99/h", "--max-total", "1K"], &input);
    assert_eq!(outcome.code(), Some(5), "{outcome:?}");
    assert!(status(&directory)["crashes"].as_array().unwrap().len() <= 1);
}

#[test]
fn an_input_that_stalls_is_not_waited_for() {
    require!(tool("mkfifo"));
    let scratch = Scratch::new("crash-stall");
    let (input, directory) = (require!(core("1", &scratch)), scratch.path().join("crashes"));
    let bytes = fs::read(&input).unwrap();
    let fifo = scratch.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // As long as this is open, the reader sees no end.
    let mut kernel = OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    // Half of the time is left for what is done with it.
    for (length, time) in [(0, "1s"), (10, "1s"), (20_000, "12s")] {
        kernel.write_all(&bytes[..length]).unwrap();
        let outcome = run(&directory, &["--timeout", time], &fifo);
        assert_eq!(outcome.code(), Some(5), "{outcome:?}");
        assert!(outcome.took < Duration::from_secs(20), "{outcome:?}");
        let (path, crash) = only(&directory);
        assert_eq!(crash["state"], "partial");
        let missing = crash["missing"].to_string();
        assert!(missing.contains("in time") || missing.contains("not finished after"), "{crash}");
        assert_eq!(crash["core"].is_object(), length > 10_000, "{crash}");
        if length > 10_000 {
            // What came is used: registers of both threads, and the first pages.
            assert_eq!(crash["threads"].as_u64(), Some(2), "{crash}");
            assert_eq!(Report::of_file(&path.join("stacks.json")).threads().len(), 2);
        }
        fs::remove_dir_all(&directory).unwrap();
    }
}

/// A file system of a few kilobytes, which goes with the namespace that it is in.
#[test]
fn a_full_disk_keeps_what_it_has_room_for() {
    require!(root());
    require!(tool("unshare"));
    let scratch = Scratch::new("crash-full");
    let input = require!(core("40", &scratch));
    let place = scratch.path().join("disk");
    fs::create_dir(&place).unwrap();
    let script = "mount -t tmpfs -o size=$SIZE,mode=700 none \"$PLACE\" || exit 77
        \"$PROSPECT\" crash-handler run -D \"$PLACE\" --full -- 4194303 4194303 11 1795295463 0 x < \"$INPUT\" >&2
        echo \"handler $?\" >&2
        exec \"$PROSPECT\" crash-handler status --json -D \"$PLACE\"";
    for (size, has_room) in [("12k", false), ("300k", true)] {
        let mut shell = Command::new("unshare");
        shell.args(["-m", "sh", "-c", script]).env("SIZE", size).env("PLACE", &place).env("INPUT", &input);
        let outcome = Tool::finish(shell.env("PROSPECT", prospect().path()));
        if outcome.code() == Some(77) || outcome.stderr.contains("unshare failed") {
            require!(Err::<(), _>(Missing::new("nothing may be mounted here")));
        }
        assert_eq!(outcome.code(), Some(0), "{size}: {outcome:?}");
        let report = outcome.report();
        let crash = &report.value()["crashes"][0]["crash"];
        assert!(crash.is_object(), "{size}: {outcome:?}");
        let missing = crash["missing"].to_string();
        assert_eq!(
            (crash["state"].as_str(), missing.contains("No space left")),
            (Some("partial"), true),
            "{size}: {crash}"
        );
        assert!(!crash["full"].is_object(), "{size}: {crash}");
        assert_eq!(missing.contains("no core: "), !has_room, "{size}: {crash}");
        assert_eq!(crash["core"].is_object(), has_room, "{size}: {crash}");
    }
}

#[test]
fn a_directory_of_others_is_not_written_to() {
    let scratch = Scratch::new("crash-others");
    let (open, link) = (scratch.path().join("open"), scratch.path().join("link"));
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    symlink(&open, &link).unwrap();
    for directory in [&open, &link] {
        let outcome = run(directory, &[], Path::new("/dev/null"));
        assert_eq!(outcome.code(), Some(1), "{outcome:?}");
        assert!(outcome.stderr.contains("alone"), "{outcome:?}");
    }
    assert_eq!(fs::read_dir(&open).unwrap().count(), 0);
}

#[test]
fn the_setting_is_made_and_put_back() {
    let scratch = Scratch::new("crash-install");
    // As short as it is where it is installed.
    let (setting, directory) = (scratch.path().join("core_pattern"), scratch.path().join("d"));
    let program = PathBuf::from(format!("/tmp/prospect-{}", std::process::id()));
    let _ = fs::remove_file(&program);
    if fs::hard_link(prospect().path(), &program).is_err() {
        fs::copy(prospect().path(), &program).unwrap();
    }
    struct Gone<'a>(&'a Path);
    impl Drop for Gone<'_> {
        fn drop(&mut self) {
            let _ = fs::remove_file(self.0);
        }
    }
    let _gone = Gone(&program);
    let handler = |words: &[&str]| {
        let mut command = Tool::at(&program).command(&["crash-handler"]);
        command.args(words).arg("-D").arg(&directory).arg("--core-pattern").arg(&setting);
        Tool::finish(&mut command)
    };
    let now = || fs::read_to_string(&setting).unwrap();
    let set = |text: &str| fs::write(&setting, text).unwrap();

    set("core.%p\n");
    let outcome = handler(&["install", "--dry-run"]);
    assert_eq!((outcome.code(), now().as_str()), (Some(0), "core.%p\n"), "{outcome:?}");
    assert!(outcome.text().contains(" crash-handler run -D") && !directory.exists(), "{outcome:?}");
    let outcome = handler(&["uninstall"]);
    assert_eq!(outcome.code(), Some(1), "{outcome:?}");

    let outcome = handler(&["install", "--keep", "7"]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let wanted =
        format!("|{} crash-handler run -D{} -- %P %I %s %t %u %e", program.display(), directory.display());
    assert_eq!(now(), wanted);
    let outcome = handler(&["status", "--json"]);
    let report = outcome.report();
    assert_eq!(
        (&report.value()["installed"], &report.value()["earlier_core_pattern"]),
        (&true.into(), &"core.%p".into())
    );
    assert!(fs::read_to_string(directory.join("handler.json")).unwrap().contains("\"keep\": 7"));
    // Once more: what was before is what was before the first time.
    assert_eq!(handler(&["install"]).code(), Some(0));
    assert_eq!(handler(&["uninstall", "--dry-run"]).code(), Some(0));
    assert_eq!(now(), wanted);
    assert_eq!(handler(&["uninstall"]).code(), Some(0));
    assert_eq!(now(), "core.%p");

    set("|/lib/systemd/systemd-coredump %P");
    let outcome = handler(&["install"]);
    assert_eq!((outcome.code(), now().as_str()), (Some(1), "|/lib/systemd/systemd-coredump %P"));
    assert!(outcome.stderr.contains("another program") && outcome.stderr.contains("--force"), "{outcome:?}");
    assert_eq!(handler(&["install", "--force"]).code(), Some(0));
    assert_eq!(handler(&["uninstall"]).code(), Some(0));
    assert_eq!(now(), "|/lib/systemd/systemd-coredump %P");

    set("core");
    let long = scratch.path().join("x".repeat(100));
    let mut command = Tool::at(&program).command(&["crash-handler", "install", "--core-pattern"]);
    let outcome = Tool::finish(command.arg(&setting).arg("-D").arg(&long));
    assert!(outcome.code() == Some(1) && outcome.stderr.contains("the kernel takes 127"), "{outcome:?}");
    assert_eq!((now().as_str(), long.exists()), ("core", false));
}

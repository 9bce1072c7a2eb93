//! `prospect crash-handler`, started by the kernel. The setting of the machine is changed for that, and put back by a process of
//! its own; so this is the only test in its file.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use prospect_testing::{CorePattern, Report, Scratch, Tool, fixture, require, tool};
use serde_json::Value;

/// The command under a short name, as it is where it is installed: the kernel takes 127 bytes.
struct Installed(PathBuf);

impl Installed {
    fn new(scratch: &Scratch) -> Self {
        let built = Path::new(env!("CARGO_BIN_EXE_prospect"));
        let path = scratch.path().join("p");
        if fs::hard_link(built, &path).is_err() {
            fs::copy(built, &path).unwrap();
        }
        Self(path)
    }

    fn run(&self, words: &[&str], directory: &Path) -> prospect_testing::Outcome {
        let mut command = Tool::at(&self.0).command(&["crash-handler"]);
        Tool::finish(command.args(words).arg("-D").arg(directory))
    }

    fn stack(&self, core: &Path) -> Report {
        let outcome = Tool::at(&self.0).run(&["stack", "--json", core.to_str().unwrap()]);
        assert_eq!(outcome.code(), Some(0), "{outcome:?}");
        outcome.report()
    }

    /// What is stored of a process, when all is.
    fn stored(&self, pid: u32, directory: &Path) -> (PathBuf, Value) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let status = self.run(&["status", "--json"], directory).report().value().clone();
            let crashes = status["crashes"].as_array().unwrap().iter();
            let of_it = |one: &&Value| one["crash"]["pid"].as_u64() == Some(pid.into());
            let found = crashes.filter(of_it).find(|one| one["crash"]["state"] != "unfinished");
            if let Some(one) = found {
                return (one["path"].as_str().unwrap().into(), one["crash"].clone());
            }
            assert!(Instant::now() < deadline, "nothing is stored of {pid}: {status}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Waits for the end of a program that crashes.
fn crashed(mut child: Child) -> u32 {
    let (pid, deadline) = (child.id(), Instant::now() + Duration::from_secs(60));
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.signal().is_some(), "{status}");
            return pid;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the program does not end: it is held");
        }
        thread::sleep(Duration::from_millis(1));
    }
}

const HOSTILE: &str = "#include <sys/prctl.h>
int main(void) { prctl(PR_SET_NAME, \"../../x\\n\"); *(volatile int *)0x10 = 1; return 0; }
";

#[test]
fn the_kernel_gives_crashes_to_it() {
    require!(tool("gcc"));
    let fixture = require!(fixture("crash"));
    let scratch = Scratch::new("k");
    let hostile = scratch.path().join("hostile");
    fs::write(scratch.path().join("hostile.c"), HOSTILE).unwrap();
    let built = Command::new("gcc").arg("-o").arg(&hostile).arg(scratch.path().join("hostile.c")).status();
    assert!(built.unwrap().success());
    let directory = scratch.path().join("d");
    let prospect = Installed::new(&scratch);
    let guard = require!(CorePattern::guard());
    let before = CorePattern::now();

    let outcome = prospect.run(&["install", "--force", "--full", "--rate", "1000/m"], &directory);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    assert!(CorePattern::now().contains(" crash-handler run -D"), "{}", CorePattern::now());

    // The small core is of the process itself, while the kernel waits; the whole one is the kernel's.
    let pid = crashed(fixture.command(&["9"]).spawn().unwrap());
    let (path, crash) = prospect.stored(pid, &directory);
    assert_eq!((&crash["state"], &crash["memory_from"]), (&"complete".into(), &"process".into()), "{crash}");
    let of_full = prospect.stack(&path.join("core.full")).frames();
    assert_eq!(of_full.len(), 10);
    assert_eq!(Report::of_file(&path.join("stacks.json")).frames(), of_full);
    assert_eq!(prospect.stack(&path.join("core.zst")).frames(), of_full);
    let full = path.join("core.full");
    let outcome = Tool::at(&prospect.0).run(&["core", "info", full.to_str().unwrap()]);
    assert_eq!(outcome.code(), Some(0), "the kernel's own core is whole: {outcome:?}");

    // A large one, of which only the small core is wanted: what the kernel has to send of it nobody waits for.
    let outcome = prospect.run(&["install", "--rate", "1000/m"], &directory);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let pid = crashed(fixture.command(&["200"]).spawn().unwrap());
    let (path, crash) = prospect.stored(pid, &directory);
    assert_eq!((&crash["state"], &crash["memory_from"]), (&"complete".into(), &"process".into()), "{crash}");
    assert_eq!((crash["threads"].as_u64(), crash["signal"].as_i64()), (Some(201), Some(11)), "{crash}");
    assert_eq!((&crash["name"], &crash["tid"]), (&"crash".into(), &pid.into()), "{crash}");
    assert!(crash["top"].as_str().unwrap().starts_with("inner (crash.c:"), "{crash}");
    let stacks = Report::of_file(&path.join("stacks.json"));
    assert_eq!(stacks.threads().len(), 201);
    stacks.threads().iter().for_each(prospect_testing::Thread::assert_whole);
    assert!(!path.join("core.full").exists());

    // Many at once.
    let children: Vec<Child> = (0..10).map(|_| fixture.command(&["3"]).spawn().unwrap()).collect();
    let pids: Vec<u32> = children.into_iter().map(crashed).collect();
    for pid in pids {
        let (path, crash) = prospect.stored(pid, &directory);
        assert_eq!(crash["state"], "complete", "{crash}");
        assert_eq!(Report::of_file(&path.join("stacks.json")).threads().len(), 4);
    }

    // A name that would lead elsewhere.
    let pid = crashed(Command::new(&hostile).spawn().unwrap());
    let (path, crash) = prospect.stored(pid, &directory);
    assert_eq!((&crash["name"], &crash["state"]), (&"../../x\n".into(), &"complete".into()), "{crash}");
    assert_eq!(path.parent(), Some(directory.as_path()));

    let outcome = prospect.run(&["uninstall"], &directory);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    assert_eq!(CorePattern::now(), before);
    drop(guard);
    assert_eq!(CorePattern::now(), before);
}

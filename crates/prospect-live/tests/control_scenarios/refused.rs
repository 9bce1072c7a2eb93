//! What may not be taken is left alone, and it is said why.

use std::{
    env,
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
};

use prospect_live::Controlled;
use prospect_process::ProcessId;
use prospect_testing::{Missing, Running, Scratch, fixture, require, root, rounds, states, tasks, tracer};

fn refusal(process: u32) -> String {
    Controlled::attach(ProcessId(process)).map(drop).unwrap_err().to_string()
}

/// A program, with another one that traces one of its threads.
fn traced(of: fn(&[u32]) -> u32) -> Result<(Running, Running), Missing> {
    let target = fixture("threads")?.start(&["0", "4"]);
    let thread = of(&tasks(target.pid()));
    let other = fixture("tracer")?.start(&[&thread.to_string()]);
    Ok((target, other))
}

#[test]
fn what_another_program_traces_is_refused_and_the_other_is_named() {
    for _ in rounds() {
        // Its first thread, or only the last: then none of the others is kept.
        for of in [|tasks: &[u32]| tasks[0], |tasks: &[u32]| *tasks.last().unwrap()] {
            let (target, other) = require!(traced(of));
            let before = states(target.pid());
            let why = refusal(target.pid());
            assert!(why.starts_with("cannot attach: "), "{why}");
            let named = format!("is traced already by tracer (process {})", other.pid());
            assert!(why.contains(&named), "{why}");
            assert_eq!(tracer(target.pid()), other.pid());
            let is_ours = |thread: &u32| {
                let status = std::fs::read_to_string(format!("/proc/{thread}/status")).unwrap();
                let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:")).unwrap();
                !matches!(tracer.trim().parse(), Ok(0)) && tracer.trim() != other.arg()
            };
            assert!(!tasks(target.pid()).iter().any(is_ours));
            assert_eq!(states(target.pid()).contains('t'), before.contains('t'));
            drop(other);
            // And then it is nobody's.
            drop(Controlled::attach(ProcessId(target.pid())).unwrap());
        }
    }
}

#[test]
fn threads_of_the_kernel_and_ourselves_are_refused() {
    for _ in rounds() {
        let why = refusal(std::process::id());
        assert!(why.contains("is this program itself"), "{why}");
        let is_kernel = |pid: u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.starts_with(&format!("{pid} (kthreadd)"))
        };
        require!(if is_kernel(2) { Ok(()) } else { Err(Missing::new("threads of the kernel in /proc")) });
        let why = refusal(2);
        assert!(why.contains("2 is a kernel thread"), "{why}");
    }
}

/// No test, unless it is run by one: as another user.
#[test]
fn as_another_user() {
    let Some(process) = env::var("REFUSED_TARGET").ok().and_then(|text| text.parse().ok()) else { return };
    println!("\nit said: {}", refusal(process));
}

#[test]
fn what_is_of_another_user_is_refused() {
    require!(root());
    let target = require!(fixture("threads")).start(&["0", "2"]);
    // Where that user can run it.
    let scratch = Scratch::new("refused");
    let copy = scratch.path().join("test");
    std::fs::copy(env::current_exe().unwrap(), &copy).unwrap();
    let mut command = Command::new(copy);
    command.args(["refused::as_another_user", "--exact", "--nocapture"]);
    command.env("REFUSED_TARGET", target.arg()).current_dir("/").uid(65534).gid(65534);
    let output = command.stderr(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let why = text.lines().find(|line| line.starts_with("it said: ")).unwrap_or(&text);
    assert!(why.contains("runs as user 0, this program as user 65534 and without CAP_SYS_PTRACE"), "{why}");
    assert_eq!(tracer(target.pid()), 0);
}

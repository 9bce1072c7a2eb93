//! What a user sees who may not look.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{os::unix::fs::PermissionsExt, process::Command};

use prospect_testing::{Missing, Outcome, Scratch, Tool, fixture, require, root, tool};

/// Runs the command as `nobody`, from a place that `nobody` can reach.
fn as_nobody(args: &[&str]) -> Outcome {
    let scratch = Scratch::new("nobody");
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let copy = scratch.copy_of(env!("CARGO_BIN_EXE_prospect").as_ref());
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copy).args(args).current_dir("/");
    Tool::finish(&mut command)
}

fn can_be_nobody() -> Result<(), Missing> {
    root()?;
    tool("setpriv")
}

/// Fixtures let everyone look at them, which is enough up to Yama's level 1.
fn yama_allows_users() -> Result<(), Missing> {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match scope.trim() {
        "2" | "3" => Err(Missing::new("Yama forbids users to trace")),
        _ => Ok(()),
    }
}

#[test]
fn a_process_of_someone_else() {
    require!(can_be_nobody());
    let deep = require!(fixture("deep"));
    let mut running = deep.start(&["5"]);
    for command in ["stack", "info"] {
        let outcome = as_nobody(&[command, &running.arg()]);
        if command == "stack" {
            assert_eq!(outcome.code(), Some(4), "{outcome:?}");
            let said = outcome.stderr.to_lowercase();
            assert!(said.contains("root") || said.contains("cap_sys_ptrace"), "who may: {said}");
            assert!(said.contains("sudo"), "the command that mends it: {said}");
            assert!(said.contains(&running.arg()), "which process: {said}");
        } else {
            // Much of /proc can be read by everyone; what cannot is said.
            assert!(matches!(outcome.code(), Some(0 | 4 | 5)), "{outcome:?}");
        }
    }
    for arguments in [&["find", &running.arg(), "main"][..], &["symbols", &running.arg()]] {
        let outcome = as_nobody(arguments);
        assert_eq!(outcome.code(), Some(4), "{outcome:?}");
        assert!(outcome.stderr.contains("sudo"), "the command that mends it: {}", outcome.stderr);
    }
    running.assert_unharmed();
}

#[test]
fn doctor_tells_why() {
    require!(can_be_nobody());
    let deep = require!(fixture("deep"));
    let running = deep.start(&["5"]);
    let outcome = as_nobody(&["doctor", &running.arg()]);
    assert!(matches!(outcome.code(), Some(0 | 4 | 5)), "{outcome:?}");
    let said = (outcome.text() + &outcome.stderr).to_lowercase();
    assert!(said.contains("sudo") || said.contains("cap_sys_ptrace"), "{said}");
}

#[test]
fn one_may_look_at_ones_own() {
    require!(can_be_nobody());
    require!(yama_allows_users());
    let deep = require!(fixture("deep"));
    let scratch = Scratch::new("own");
    let target = scratch.copy_of(&deep.path());
    let copy = scratch.copy_of(env!("CARGO_BIN_EXE_prospect").as_ref());
    let script = "\"$1\" 5 > /dev/null & target=$!; sleep 0.3; \"$2\" stack --json $target; code=$?; \
                  kill -KILL $target; exit $code";
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", script, "sh"]);
    command.arg(target).arg(copy).current_dir("/");
    let outcome = Tool::finish(&mut command);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let report = outcome.report();
    report.threads()[0].assert_calls(&["block", "bottom", "f0", "f3", "f2", "f1", "f0", "main"]);
}

//! Threads and processes that cannot be looked at like others: each is named with its reason, and nothing hangs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::time::Duration;

use prospect_testing::{Running, Tool, fixture, require, root};

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

#[test]
fn a_thread_in_state_d_hinders_no_other() {
    let vfork = require!(fixture("vfork"));
    let running = Running::start_restless(&mut vfork.command(&[]));
    assert!(running.wait_for_states(|states| states.contains('D')));
    let outcome = prospect().run(&["stack", "--json", &running.arg()]);
    assert_eq!(outcome.code(), Some(5), "{outcome:?}");
    assert!(outcome.took < Duration::from_secs(4), "{:?}", outcome.took);
    let report = outcome.report();
    assert!(!report.is_complete());
    let parent = report.thread(running.pid());
    assert_eq!(parent.value()["state"], "uninterruptible");
    assert!(parent.value()["not_stopped"].is_string(), "{}", parent.value());
    assert!(parent.value()["wait_channel"].is_string() || parent.value()["syscall"].is_string());
    // Where it returns to is in a register, which holds the first argument of a system call otherwise.
    parent.assert_calls(&["parent_of_vfork", "main"]);
    let other = report.threads().into_iter().find(|thread| thread.tid() != Some(running.pid())).unwrap();
    other.assert_calls(&["block", "waits"]);
    other.assert_whole();
    assert!(!prospect_testing::states(running.pid()).contains('t'));
}

#[test]
fn a_zombie_leader_hinders_no_other() {
    let zombie = require!(fixture("zombie-leader"));
    let mut running = Running::start_restless(&mut zombie.command(&[]));
    assert!(running.wait_for_states(|states| states.starts_with('Z')));
    let outcome = prospect().run(&["stack", "--json", &running.arg()]);
    assert!(matches!(outcome.code(), Some(0 | 5)), "{outcome:?}");
    let report = outcome.report();
    let leader = report.thread(running.pid());
    assert_eq!(leader.value()["state"], "zombie");
    assert!(leader.value()["not_stopped"].is_string());
    let others: Vec<_> =
        report.threads().into_iter().filter(|thread| thread.tid() != Some(running.pid())).collect();
    assert_eq!(others.len(), 2);
    for thread in others {
        thread.assert_calls(&["block", "lives_on"]);
        thread.assert_whole();
    }
    assert!(running.is_alive());
}

#[test]
fn a_process_that_ends_meanwhile() {
    let exiting = require!(fixture("exiting"));
    for delay in [0, 200, 500, 1000, 2000, 4000, 8000] {
        let running = Running::start_restless(&mut exiting.command(&[&delay.to_string()]));
        let outcome = prospect().run(&["stack", "--json", &running.arg()]);
        assert!(matches!(outcome.code(), Some(0 | 3 | 5)), "{outcome:?}");
        assert!(outcome.took < Duration::from_secs(7));
        assert_eq!(outcome.code() != Some(3), !outcome.stdout.is_empty(), "{outcome:?}");
    }
}

#[test]
fn a_zombie_process() {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let pid = child.id();
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while prospect_testing::state(pid, pid) != Some('Z') && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    let outcome = prospect().run(&["stack", &pid.to_string()]);
    child.wait().unwrap();
    assert!(matches!(outcome.code(), Some(3 | 5)), "{outcome:?}");
    let said = outcome.stderr.clone() + &outcome.text();
    assert!(said.contains("zombie") || said.contains("ended"), "{said}");
}

#[test]
fn a_kernel_thread() {
    require!(root());
    // The parent of all kernel threads, in the first pid namespace.
    let is_kthreadd = std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name.trim() == "kthreadd");
    require!(if is_kthreadd {
        Ok(())
    } else {
        Err(prospect_testing::Missing::new("no kernel threads are visible"))
    });
    let outcome = prospect().run(&["stack", "2"]);
    assert!(matches!(outcome.code(), Some(4 | 5)), "{outcome:?}");
    assert!((outcome.stderr.clone() + &outcome.text()).contains("kernel thread"), "{outcome:?}");
    assert!(outcome.took < Duration::from_secs(4));
}

#[test]
fn a_process_that_another_traces() {
    let (deep, tracer) = (require!(fixture("deep")), require!(fixture("tracer")));
    let target = deep.start(&["5"]);
    let other = tracer.start(&[&target.arg()]);
    let outcome = prospect().run(&["stack", &target.arg()]);
    assert_eq!(outcome.code(), Some(4), "{outcome:?}");
    assert!(outcome.stderr.contains("tracer"), "its name: {}", outcome.stderr);
    assert!(outcome.stderr.contains(&other.arg()), "its number: {}", outcome.stderr);
    // It stays the other one's.
    assert_eq!(prospect_testing::tracer(target.pid()), other.pid());
}

#[test]
fn a_process_that_does_not_exist() {
    // Above the largest pid that Linux gives.
    let outcome = prospect().run(&["stack", "4194305"]);
    assert_eq!(outcome.code(), Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains("4194305"), "{}", outcome.stderr);
    assert!(outcome.stdout.is_empty());
}

#[test]
fn a_thread_number_as_target() {
    let threads = require!(fixture("threads"));
    let running = threads.start(&["2", "5"]);
    let tid = prospect_testing::tasks(running.pid()).into_iter().find(|tid| *tid != running.pid()).unwrap();
    let outcome = prospect().run(&["stack", "--json", &tid.to_string()]);
    // Either its process is shown, or it is said that this is a thread; no crash, no empty success.
    match outcome.code() {
        Some(0) => assert!(!outcome.report().threads().is_empty()),
        Some(3) => assert!(outcome.stderr.contains(&tid.to_string())),
        _ => panic!("{outcome:?}"),
    }
}

#[test]
fn the_tool_itself_or_its_parent_is_no_trap() {
    // The shell is the tool's parent and waits for it.
    let script = format!("'{}' stack $$; exit $?", env!("CARGO_BIN_EXE_prospect"));
    let outcome = Tool::finish(std::process::Command::new("sh").args(["-c", &script]));
    assert!(matches!(outcome.code(), Some(0 | 5)), "{outcome:?}");
}

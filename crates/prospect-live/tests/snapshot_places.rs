//! Snapshots of threads in odd places, of processes in other namespaces, and where the system does not permit one.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use prospect_live::{LiveProcess, SnapshotError, SnapshotPlan};
use prospect_process::{Process as _, ProcessId, ThreadId};
use prospect_testing::{
    Heartbeat, Missing, Running, Signal, fixture, require, root, send, states, tasks, tool, tracer,
};

const TIMEOUT: Duration = Duration::from_secs(60);

/// Machines that test are small.
fn plan() -> SnapshotPlan {
    SnapshotPlan::default().even_if_memory_is_short(true)
}

fn children(pid: u32) -> String {
    let of = |tid| fs::read_to_string(format!("/proc/{pid}/task/{tid}/children")).unwrap_or_default();
    tasks(pid).into_iter().map(of).collect()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never comes to be that {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Snapshots of a process, each with all of its threads' registers, and nothing of them stays.
fn take_some(live: &LiveProcess, count: u32) {
    let pid = live.info().id.0;
    for _ in 0..count {
        let snapshot = live.snapshot(&plan(), TIMEOUT).unwrap();
        for thread in snapshot.process.threads() {
            assert!(snapshot.process.registers(thread.id).is_some_and(|registers| registers.pc().is_some()));
        }
        assert_eq!(children(pid).trim(), snapshot.child.to_string());
        drop(snapshot);
        assert_eq!(children(pid), "");
    }
    assert_eq!(tracer(pid), 0);
}

/// A place of the fixture by its number, alone: so it is the thread there, or the first one, that is made to do the calls.
fn take_at(place: &str) {
    let fixture = require!(fixture("places"));
    let (heartbeat, mut running) = Heartbeat::start(&mut fixture.command(&[place]));
    heartbeat.assert_beats();
    let live = LiveProcess::open(ProcessId(running.pid())).unwrap();
    take_some(&live, 30);
    heartbeat.assert_beats();
    running.assert_unharmed();
}

#[test]
fn places_at_once() {
    let fixture = require!(fixture("places"));
    let (heartbeat, mut running) = Heartbeat::start(&mut fixture.command(&[]));
    heartbeat.assert_beats();
    let live = LiveProcess::open(ProcessId(running.pid())).unwrap();
    take_some(&live, 40);
    heartbeat.assert_beats();
    running.assert_unharmed();
}

/// One that lost what it had told the kernel would never be aborted again.
#[test]
fn in_a_restartable_sequence() {
    let fixture = require!(fixture("places"));
    let (heartbeat, mut running) = Heartbeat::start(&mut fixture.command(&["0"]));
    heartbeat.assert_beats();
    let live = LiveProcess::open(ProcessId(running.pid())).unwrap();
    for _ in 0..50 {
        take_some(&live, 1);
        let aborted = heartbeat.counters()[0];
        wait_until("it is aborted when it is stopped", || {
            drop(live.stop(TIMEOUT).unwrap());
            heartbeat.counters()[0] > aborted
        });
    }
    running.assert_unharmed();
}

#[test]
fn where_a_thread_steps_itself() {
    take_at("1");
}

#[test]
fn in_the_kernels_own_library() {
    take_at("2");
    take_at("3");
}

#[test]
fn with_a_red_zone() {
    take_at("4");
}

#[test]
fn at_the_end_of_a_stack() {
    take_at("5");
}

#[test]
fn in_a_handler_on_another_stack() {
    take_at("6");
}

#[test]
fn reads_and_writes_with_a_limit_are_not_interrupted() {
    take_at("7");
    take_at("8");
}

/// They wake nobody, but for a thread that is traced. (Those that are sent to a whole process also wake other threads
/// of it, where only its first thread is.)
#[test]
fn signals_that_are_ignored_do_not_interrupt_calls_while_it_is_looked_at() {
    let fixture = require!(fixture("places"));
    for place in ["7", "8"] {
        let (heartbeat, mut running) = Heartbeat::start(&mut fixture.command(&[place]));
        heartbeat.assert_beats();
        let live = LiveProcess::open(ProcessId(running.pid())).unwrap();
        let thread = *tasks(running.pid()).last().unwrap();
        let wakes = |work: &mut dyn FnMut()| {
            send(Signal::WindowChange, thread);
            work();
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        thread::scope(|scope| {
            scope.spawn(|| {
                while Instant::now() < deadline {
                    wakes(&mut || {});
                }
            });
            let looked = live.sampling(4096, |_, sampler| {
                let mut sample = sampler.empty_sample();
                for _ in 0..50 {
                    wakes(&mut || drop(live.stop(TIMEOUT).unwrap()));
                    wakes(&mut || sampler.sample(ThreadId(thread), TIMEOUT, &mut sample).unwrap());
                }
            });
            looked.unwrap();
            take_some(&live, 10);
        });
        heartbeat.assert_beats();
        running.assert_unharmed();
    }
}

/// The only descendant of a process that has none itself.
fn innermost(pid: u32) -> Option<u32> {
    let child = children(pid).split_whitespace().next()?.parse().ok()?;
    Some(innermost(child).unwrap_or(child))
}

/// A process that has another number for itself, another user, and another view of files.
#[test]
fn in_other_namespaces() {
    require!(root());
    require!(tool("unshare"));
    let fixture = require!(fixture("snapshot"));
    let flags = ["--fork", "--pid", "--user", "--map-root-user", "--mount", "--mount-proc", "--kill-child"];
    let can = Command::new("unshare").args(flags).arg("true").status().unwrap().success();
    require!(if can { Ok(()) } else { Err(Missing::new("no namespaces can be made")) });
    let program = fixture.command(&["17"]);
    let mut command = Command::new("unshare");
    command.args(flags).arg(program.get_program()).arg("17");
    let (heartbeat, outer) = Heartbeat::start(&mut command);
    let inner = innermost(outer.pid()).unwrap();
    let status = fs::read_to_string(format!("/proc/{inner}/status")).unwrap();
    assert!(status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1")), "{status}");
    let live = LiveProcess::open(ProcessId(inner)).unwrap();
    heartbeat.assert_beats();
    take_some(&live, 10);
    heartbeat.assert_beats();
    assert!(!states(inner).is_empty());
}

/// A control group of version 1 or 2, gone when this is dropped.
struct Group(PathBuf);

impl Group {
    /// Where limits of this controller can be set.
    fn new(controller: &str, name: &str) -> Result<Self, Missing> {
        let name = format!("prospect-{name}-{}", std::process::id());
        let places = [format!("/sys/fs/cgroup/{controller}"), "/sys/fs/cgroup".to_owned()];
        let made = places.into_iter().map(|place| PathBuf::from(place).join(&name)).find(|group| {
            let is_there = fs::create_dir(group).is_ok();
            let limit = group.join(format!("{controller}.max"));
            let has_limit = limit.exists() || group.join(format!("{controller}.limit_in_bytes")).exists();
            if is_there && !has_limit {
                let _ = fs::remove_dir(group);
            }
            is_there && has_limit
        });
        made.map(Self).ok_or_else(|| Missing::new("no control group can be made"))
    }

    fn set(&self, files: &[&str], value: &str) {
        let file = files.iter().map(|file| self.0.join(file)).find(|file| file.exists()).unwrap();
        fs::write(file, value).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while fs::remove_dir(&self.0).is_err() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_limit_of_its_group_on_processes_is_said() {
    require!(root());
    let group = require!(Group::new("pids", "pids"));
    let mut running = Running::start(&mut require!(fixture("deep")).command(&[]));
    group.set(&["cgroup.procs"], &running.arg());
    group.set(&["pids.max"], "1");
    let live = LiveProcess::open(ProcessId(running.pid())).unwrap();
    let error = live.snapshot(&plan(), TIMEOUT).unwrap_err();
    assert!(
        matches!(&error, SnapshotError::Clone(why) if why.raw_os_error() == Some(libc::EAGAIN)),
        "{error}"
    );
    assert!(error.to_string().contains("pids.max"), "{error}");
    running.assert_unharmed();
    assert_eq!(children(running.pid()), "");
    group.set(&["pids.max"], "max");
    take_some(&live, 1);
    running.assert_unharmed();
}

#[test]
fn a_limit_of_its_group_on_memory_is_seen_before() {
    require!(root());
    let group = require!(Group::new("memory", "memory"));
    let mut running = Running::start(&mut require!(fixture("deep")).command(&[]));
    group.set(&["cgroup.procs"], &running.arg());
    // It has its memory already, which is counted where it was.
    group.set(&["memory.max", "memory.limit_in_bytes"], "4096");
    let live = LiveProcess::open(ProcessId(running.pid())).unwrap();
    let error = live.snapshot(&SnapshotPlan::default(), TIMEOUT).unwrap_err();
    let SnapshotError::MemoryShort { available, own, needed } = error else { panic!("{error}") };
    assert!(available < needed && needed <= own, "{available} {needed} {own}");
    group.set(&["memory.max", "memory.limit_in_bytes"], &(64 << 20).to_string());
    running.assert_unharmed();
}

//! Snapshots: of one moment, and the process does not notice.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
#![expect(unsafe_code, reason = "the tool kills itself at a step of its work")]

use std::{
    collections::HashSet,
    env, fs,
    io::Read as _,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicI32, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use prospect_live::{LiveError, LiveProcess, Snapshot, SnapshotError, SnapshotPlan, Untaken};
use prospect_process::{Addr, FrozenProcess, MemoryError, Process as _, ProcessId, RegisterSet, Unreadable};
use prospect_testing::{
    Fixture, Heartbeat, Missing, Running, Signal, Tool, fixture, require, root, send, states, tasks, tool,
    tracer,
};

const TIMEOUT: Duration = Duration::from_secs(20);

// Where the fixture has its memory.
const PAGE: u64 = 4096;
const PAGES: u64 = 64;
const TABLE: Addr = Addr(0x2000_0000);
const LEFT: Addr = Addr(0x2800_0000);
const RIGHT: Addr = Addr(0x2900_0000);
const NOT_FORKED: Addr = Addr(0x3000_0000);
const WIPED: Addr = Addr(0x3100_0000);
const SHARED: Addr = Addr(0x3200_0000);

/// As many threads as there are kinds of them.
const EVERY_KIND: &str = "17";

struct Target {
    live: LiveProcess,
    signals: Vec<String>,
    heartbeat: Heartbeat,
    running: Running,
}

impl Target {
    fn start(fixture: &Fixture, threads: &str) -> Self {
        Self::start_command(&mut fixture.command(&[threads]))
    }

    fn start_command(command: &mut Command) -> Self {
        let (heartbeat, running) = Heartbeat::start(command);
        heartbeat.assert_beats();
        let live = LiveProcess::open(ProcessId(running.pid())).unwrap();
        let signals = signals(running.pid());
        Self { live, signals, heartbeat, running }
    }

    fn snapshot(&self) -> Snapshot {
        self.live.snapshot(&plan(), TIMEOUT).unwrap()
    }

    /// Panics unless the target is as if nobody had ever looked at it.
    fn assert_unharmed(&mut self) {
        let pid = self.running.pid();
        assert_left_alone(pid);
        self.running.assert_unharmed();
        self.heartbeat.assert_beats();
        // Threads that wait with other signals blocked than else do so now and then.
        wait_until("its signals are as before", || signals(pid) == self.signals);
    }
}

/// Machines that test are small.
fn plan() -> SnapshotPlan {
    SnapshotPlan::default().even_if_memory_is_short(true)
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never comes to be that {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn children(pid: u32) -> String {
    let of = |tid| fs::read_to_string(format!("/proc/{pid}/task/{tid}/children")).unwrap_or_default();
    tasks(pid).into_iter().map(of).collect()
}

/// Waits until whoever was at work has undone what it did: its guardian is the last of it.
fn assert_left_alone(pid: u32) {
    wait_until("its guardian has finished", || !has_guardian(pid));
    assert_eq!(children(pid), "");
    assert_eq!(tracer(pid), 0);
}

/// Whether a guardian, or a tool that is about to be one, has a descriptor of the target.
fn has_guardian(pid: u32) -> bool {
    let is_one = |process: &str| {
        let comm = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        matches!(comm.trim(), "snapshot-guard" | "as_a_tool") && process.parse() != Ok(std::process::id())
    };
    let has_descriptor = |process: &str| {
        let Ok(entries) = fs::read_dir(format!("/proc/{process}/fdinfo")) else { return false };
        let texts = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
        texts
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .any(|line| line.strip_prefix("Pid:").is_some_and(|number| number.trim() == pid.to_string()))
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let names = processes.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| is_one(name)).any(|name| has_descriptor(&name))
}

/// What signals do to each thread, and which are blocked. One that waits in `ppoll` has other ones blocked meanwhile.
fn signals(pid: u32) -> Vec<String> {
    let of = |tid: &u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).unwrap_or_default();
        let is_one =
            |line: &&str| line.starts_with("SigI") || line.starts_with("SigC") || line.starts_with("SigB");
        text.lines().filter(is_one).collect::<Vec<_>>().join(" ")
    };
    let mut all: Vec<String> = tasks(pid).iter().map(of).collect();
    all.sort_unstable();
    all
}

fn word(snapshot: &Snapshot, at: Addr) -> u64 {
    let mut bytes = [0; 8];
    snapshot.process.memory().read(at, &mut bytes).unwrap();
    u64::from_le_bytes(bytes)
}

/// Panics unless all memory is of one moment, and stays so while the target runs on.
fn assert_of_one_moment(snapshot: &Snapshot) {
    let words = || {
        let table = (0..PAGES).map(|page| word(snapshot, TABLE.wrapping_add(page * PAGE)));
        table.chain([word(snapshot, LEFT), word(snapshot, RIGHT)]).collect::<Vec<u64>>()
    };
    let before = words();
    let (table, [left, right]) = before.split_last_chunk::<2>().unwrap();
    assert!(
        table.is_sorted_by(|one, next| one >= next) && table[0] - table[table.len() - 1] <= 1,
        "{table:?}"
    );
    assert!(left - right <= 1, "{left} {right}");
    thread::sleep(Duration::from_millis(5));
    assert_eq!(words(), before);
    for (start, byte) in [(NOT_FORKED, 0x5a), (WIPED, 0x6b)] {
        let mut bytes = vec![0; 16 * PAGE as usize];
        snapshot.process.memory().read(start, &mut bytes).unwrap();
        assert!(bytes.iter().all(|one| *one == byte));
        assert!(snapshot.process.mappings().at(start).is_some());
    }
}

fn assert_all_threads(snapshot: &Snapshot, expected: usize) {
    assert_eq!(snapshot.process.threads().len(), expected);
    for thread in snapshot.process.threads() {
        let registers = snapshot.process.registers(thread.id);
        assert!(registers.is_some_and(|registers| registers.pc().is_some()), "{thread:?}");
        let set = RegisterSet::X86_EXTENDED;
        assert!(
            snapshot.process.register_set(thread.id, set).is_some_and(|set| set.len() > 500),
            "{thread:?}"
        );
        assert_eq!(thread.not_stopped, None);
    }
}

fn take_some(fixture: &Fixture, threads: &str, count: u32) {
    let mut target = Target::start(fixture, threads);
    for _ in 0..count {
        let snapshot = target.snapshot();
        assert_eq!(children(target.running.pid()).trim(), snapshot.child.to_string());
        assert_all_threads(&snapshot, threads.parse::<usize>().unwrap() + 1);
        assert_of_one_moment(&snapshot);
        assert!(snapshot.pause > Duration::ZERO && snapshot.left_out.is_empty());
        let child = snapshot.child.0;
        drop(snapshot);
        wait_until("the child is gone", || states(child).is_empty());
        target.running.assert_unharmed();
    }
    target.assert_unharmed();
}

#[test]
fn memory_is_of_one_moment_and_nothing_stays() {
    take_some(&require!(fixture("snapshot")), EVERY_KIND, 20);
}

#[test]
fn of_a_32_bit_process_too() {
    take_some(&require!(fixture("snapshot-32")), EVERY_KIND, 20);
}

#[test]
fn of_one_thread_and_of_many() {
    let fixture = require!(fixture("snapshot"));
    take_some(&fixture, "0", 20);
    take_some(&fixture, "200", 3);
}

#[test]
fn of_an_idle_thread_that_waits_for_ever() {
    let deep = require!(fixture("deep"));
    let mut running = Running::start(&mut deep.command(&[]));
    let live = LiveProcess::open(ProcessId(running.pid())).unwrap();
    for _ in 0..5 {
        let stopped = live.stop(TIMEOUT).unwrap();
        let id = stopped.threads()[0].id;
        let before = stopped.registers(id);
        drop(stopped);
        let snapshot = live.snapshot(&plan(), TIMEOUT).unwrap();
        assert_eq!(snapshot.process.registers(id), before);
    }
    running.assert_unharmed();
}

/// The rest of the snapshot is dropped.
fn only_the_process(snapshot: Snapshot) -> FrozenProcess {
    snapshot.process
}

#[test]
fn several_at_once_and_the_last_that_reads_ends_it() {
    let fixture = require!(fixture("snapshot"));
    let mut target = Target::start(&fixture, EVERY_KIND);
    let (first, second) = (target.snapshot(), target.snapshot());
    assert_ne!(first.child, second.child);
    assert!(word(&first, TABLE) <= word(&second, TABLE));
    // The memory alone keeps the child.
    let process = only_the_process(first);
    let mut bytes = [0; 8];
    process.memory().read(TABLE, &mut bytes).unwrap();
    assert_of_one_moment(&second);
    drop((process, second));
    target.assert_unharmed();
}

#[test]
fn what_a_child_does_not_get_is_copied_or_left_out() {
    let fixture = require!(fixture("snapshot"));
    let mut target = Target::start(&fixture, EVERY_KIND);
    let snapshot = target.live.snapshot(&plan().with_copied_bytes(0), TIMEOUT).unwrap();
    let starts: Vec<Addr> = snapshot.left_out.iter().map(|range| range.start).collect();
    assert_eq!(starts, [NOT_FORKED, WIPED]);
    for at in starts {
        let read = snapshot.process.memory().read_up_to(at, &mut [0; 8]);
        assert_eq!(read, Err(MemoryError { at, why: Unreadable::NotCaptured }));
    }
    // Shared memory goes on.
    assert!(snapshot.live.iter().any(|range| range.contains(&SHARED)));
    let before = word(&snapshot, SHARED);
    wait_until("shared memory has changed", || word(&snapshot, SHARED) > before);
    drop(snapshot);
    let snapshot = target.live.snapshot(&plan().with_shared(true), TIMEOUT).unwrap();
    assert!(!snapshot.live.iter().any(|range| range.contains(&SHARED)));
    let before = word(&snapshot, SHARED);
    target.heartbeat.assert_beats();
    assert_eq!(word(&snapshot, SHARED), before);
    drop(snapshot);
    target.assert_unharmed();
}

#[test]
fn a_filter_that_kills_on_clone_sees_nothing() {
    require!(root());
    let fixture = require!(fixture("snapshot"));
    let mut target = Target::start_command(fixture.command(&[EVERY_KIND]).env("FORBID_CLONE", "1"));
    for _ in 0..5 {
        assert_of_one_moment(&target.snapshot());
    }
    target.assert_unharmed();
}

#[test]
fn a_filter_that_cannot_be_suspended_is_respected() {
    require!(root());
    require!(tool("setpriv"));
    let fixture = require!(fixture("snapshot"));
    let mut target = Target::start_command(fixture.command(&[EVERY_KIND]).env("FORBID_CLONE", "1"));
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]);
    let said = Tool::finish(&mut the_tool_as(command, target.running.pid())).text();
    assert!(said.contains("seccomp") && said.contains("CAP_SYS_ADMIN"), "{said}");
    target.assert_unharmed();
}

#[test]
fn a_limit_on_processes_is_said() {
    require!(root());
    require!(tool("setpriv"));
    require!(tool("prlimit"));
    let fixture = require!(fixture("snapshot"));
    let program = fixture.command(&["0"]);
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "64321", "--clear-groups", "prlimit", "--nproc=1:1"]);
    command.arg(program.get_program()).arg("0");
    let running = Running::start_restless(&mut command);
    let live = LiveProcess::open(ProcessId(running.pid())).unwrap();
    let error = live.snapshot(&plan(), TIMEOUT).unwrap_err();
    assert!(
        matches!(&error, SnapshotError::Clone(why) if why.raw_os_error() == Some(libc::EAGAIN)),
        "{error}"
    );
    assert!(error.to_string().contains("RLIMIT_NPROC"));
    let mut running = running;
    running.assert_unharmed();
    assert_eq!(children(running.pid()), "");
}

#[test]
fn where_there_is_none_it_says_why() {
    let own = LiveProcess::open(ProcessId(std::process::id())).unwrap();
    let error = own.snapshot(&plan(), TIMEOUT).unwrap_err();
    assert!(matches!(error, SnapshotError::Live(LiveError::Itself(_))), "{error}");

    let mut child = Command::new("true").spawn().unwrap();
    wait_until("it has ended", || states(child.id()) == "Z");
    let zombie = LiveProcess::open(ProcessId(child.id())).unwrap();
    let error = zombie.snapshot(&plan(), TIMEOUT).unwrap_err();
    child.wait().unwrap();
    assert!(matches!(error, SnapshotError::NoMemory(_) | SnapshotError::Live(_)), "{error}");

    let fixture = require!(fixture("snapshot"));
    let mut target = Target::start(&fixture, EVERY_KIND);
    let error = target.live.snapshot(&plan().with_max_pause(Some(Duration::from_nanos(1))), TIMEOUT);
    assert!(matches!(error, Err(SnapshotError::TooLong { .. })), "{error:?}");
    // Whoever holds it keeps it.
    let other = LiveProcess::open(target.live.info().id).unwrap();
    let stopped = other.stop(TIMEOUT).unwrap();
    let error = target.live.snapshot(&plan(), TIMEOUT).unwrap_err();
    let SnapshotError::NoThread { tried } = &error else { panic!("{error}") };
    assert!(tried.len() == 18 && tried.iter().all(|(_, why)| *why == Untaken::Unusable), "{error}");
    drop(stopped);
    assert_of_one_moment(&target.snapshot());
    target.assert_unharmed();
}

#[test]
fn a_kernel_thread_has_no_memory() {
    let is_one = fs::read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n");
    require!(if is_one { Ok(()) } else { Err(Missing::new("no kernel threads are to be seen")) });
    let live = LiveProcess::open(ProcessId(2)).unwrap();
    let error = live.snapshot(&plan(), TIMEOUT).unwrap_err();
    assert!(matches!(error, SnapshotError::NoMemory(_)), "{error}");
}

#[test]
fn a_stopped_process_stays_stopped() {
    let fixture = require!(fixture("snapshot"));
    let mut target = Target::start(&fixture, EVERY_KIND);
    assert!(send(Signal::Stop, target.running.pid()));
    let all_stopped = |states: &str| states.chars().all(|state| state == 'T');
    assert!(target.running.wait_for_states(all_stopped));
    for round in 0..20 {
        if round % 2 == 1 {
            // It waits until a thread is woken, and only then is it seen.
            assert!(send(Signal::Stop, target.running.pid()));
        }
        let snapshot = target.snapshot();
        assert_of_one_moment(&snapshot);
        drop(snapshot);
        assert!(target.running.wait_for_states(all_stopped), "{}", states(target.running.pid()));
    }
    assert!(send(Signal::Continue, target.running.pid()));
    target.assert_unharmed();
}

#[test]
fn it_outlives_the_process() {
    let fixture = require!(fixture("snapshot"));
    let target = Target::start(&fixture, EVERY_KIND);
    let snapshot = target.snapshot();
    let child = snapshot.child.0;
    drop(target);
    assert_of_one_moment(&snapshot);
    drop(snapshot);
    wait_until("the child is gone", || !states(child).contains(['t', 'S', 'R']));
}

/// Every step of the tool and of its guardian.
const STEPS: &[&str] = &[
    "begun",
    "surveyed",
    "guarded",
    "guardian: begun",
    "guardian: held",
    "one thread held",
    "all threads held",
    "ranges copied",
    "guardian: before the clone",
    "guardian: registers replaced",
    "guardian: in the call",
    "guardian: at the end of the clone",
    "guardian: leaving the call",
    "guardian: behind the call",
    "guardian: registers put back",
    "cloned",
    "threads let go",
    "guardian: thread let go",
    "guardian: child found",
    "guardian: child kept",
    "child known",
    "taken",
    "made",
    "read",
    "guardian: finishing",
    "guardian: child killed",
    "guardian: child ended",
    "guardian: held to wait for the child",
    "guardian: registers put back again",
    "guardian: child waited for",
    "gone",
];

/// Those at which the thread that clones has registers that are not its own.
const STEPS_IN_CLONE: &[&str] = &[
    "guardian: registers replaced",
    "guardian: in the call",
    "guardian: at the end of the clone",
    "guardian: leaving the call",
    "guardian: behind the call",
];

/// How often each step; `SNAPSHOT_ROUNDS` in the environment for more.
fn rounds() -> u32 {
    env::var("SNAPSHOT_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// This program again, as a tool that takes one snapshot of a process, killed at a step.
fn the_tool(target: u32, step: &str) -> Command {
    let mut command = the_tool_as(Command::new(env::current_exe().unwrap()), target);
    command.env("SNAPSHOT_STEP", step).stdout(Stdio::piped()).process_group(0);
    command
}

fn the_tool_as(mut command: Command, target: u32) -> Command {
    let own = env::current_exe().unwrap();
    if command.get_program() != own {
        command.arg(own);
    }
    command.args(["as_a_tool", "--exact", "--nocapture", "--test-threads=1"]);
    command.env("SNAPSHOT_TARGET", target.to_string());
    command
}

static STEP: OnceLock<String> = OnceLock::new();
static GROUP: AtomicI32 = AtomicI32::new(0);
/// How many guardians were killed, which all of them see.
static KILLED: OnceLock<&'static AtomicUsize> = OnceLock::new();

/// Kills the tool's process group, the guardian being in none of it. Called in the guardian too: nothing is allocated.
fn die_here(step: &'static str) {
    if STEP.get().is_some_and(|wanted| wanted == step) {
        // SAFETY: it takes two numbers.
        unsafe { libc::kill(-GROUP.load(Ordering::Relaxed), libc::SIGKILL) };
    }
}

/// Kills the guardian that comes to the first step of all that are wanted, its successor at the second one, and so on.
fn guardians_die_here(step: &'static str) {
    let (Some(steps), Some(killed)) = (STEP.get(), KILLED.get()) else { return };
    if steps.split(',').nth(killed.load(Ordering::Relaxed)) == Some(step) {
        killed.fetch_add(1, Ordering::Relaxed);
        // SAFETY: they take numbers.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
}

/// Kills the tool's process group and the guardian that comes to that step.
fn both_die_here(step: &'static str) {
    die_here(step);
    if STEP.get().is_some_and(|wanted| wanted == step) {
        // SAFETY: they take numbers.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
}

/// Zero, in memory that forked processes share.
fn shared_zero() -> &'static AtomicUsize {
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: new memory, of which nobody else knows, and which stays.
    unsafe {
        let page = libc::mmap(std::ptr::null_mut(), 4096, access, flags, -1, 0);
        assert_ne!(page, libc::MAP_FAILED);
        &*page.cast::<AtomicUsize>()
    }
}

/// No test, unless it is run by one.
#[test]
fn as_a_tool() {
    let Some(target) = env::var("SNAPSHOT_TARGET").ok().and_then(|target| target.parse().ok()) else {
        return;
    };
    let mut plan = plan();
    if env::var_os("SNAPSHOT_FOR_EVER").is_some() {
        let live = LiveProcess::open(ProcessId(target)).unwrap();
        let standard_input = thread::spawn(|| std::io::stdin().read_to_end(&mut Vec::new()));
        while !standard_input.is_finished() {
            drop(live.snapshot(&plan, TIMEOUT));
        }
        return;
    }
    if env::var_os("SNAPSHOT_VICTIM").is_some() {
        STEP.set(env::var("SNAPSHOT_STEP").unwrap()).unwrap();
        KILLED.set(shared_zero()).unwrap();
        let live = LiveProcess::open(ProcessId(target)).unwrap();
        drop(live.snapshot(&plan.with_witness(guardians_die_here), TIMEOUT));
        assert_ne!(KILLED.get().unwrap().load(Ordering::Relaxed), 0);
        return;
    }
    if let Ok(step) = env::var("SNAPSHOT_STEP") {
        STEP.set(step).unwrap();
        GROUP.store(std::process::id().cast_signed(), Ordering::Relaxed);
        let with_guardian = env::var_os("SNAPSHOT_WITH_GUARDIAN").is_some();
        plan = plan.with_witness(if with_guardian { both_die_here } else { die_here });
    }
    match LiveProcess::open(ProcessId(target)).unwrap().snapshot(&plan, TIMEOUT) {
        Ok(snapshot) => {
            assert_of_one_moment(&snapshot);
            die_here("read");
        }
        Err(error) => println!("{error}"),
    }
    die_here("gone");
}

/// Runs a tool that is to be killed at a step. Where there is little of the processor, it may not come to that: there is no
/// snapshot then, and another one tries.
fn assert_killed(tool: impl Fn() -> Command, step: &str) {
    const ATTEMPTS: usize = 5;
    let mut outputs = (0..ATTEMPTS).map(|_| Tool::finish(&mut tool()));
    let is_killed = outputs.any(|output| {
        let is_killed = output.status.signal() == Some(libc::SIGKILL);
        assert!(is_killed || output.status.success(), "{step}: {output:?}");
        is_killed
    });
    assert!(is_killed, "{step}: no tool came to it");
}

fn assert_survives_the_tool(threads: &str) {
    let fixture = require!(fixture("snapshot"));
    let mut target = Target::start(&fixture, threads);
    for step in STEPS {
        for _ in 0..rounds() {
            assert_killed(|| the_tool(target.running.pid(), step), step);
            assert_left_alone(target.running.pid());
            target.running.assert_unharmed();
        }
    }
    target.assert_unharmed();
}

#[test]
fn the_tool_is_killed_at_each_step_and_nothing_stays() {
    assert_survives_the_tool(EVERY_KIND);
}

#[test]
fn also_where_there_is_one_thread_only() {
    assert_survives_the_tool("0");
}

#[test]
fn the_tool_is_killed_at_any_moment() {
    let fixture = require!(fixture("snapshot"));
    // A tool that is killed between a thread's stop and its own next instruction cannot let the thread's call begin again.
    let mut target = Target::start_command(fixture.command(&[EVERY_KIND]).env("PATIENT", "1"));
    let began = Instant::now();
    assert!(the_tool(target.running.pid(), "").status().unwrap().success());
    let took = began.elapsed();
    let mut moment = 0u32;
    for _ in 0..20 * rounds() {
        // Golden-ratio steps spread the moments evenly.
        moment = moment.wrapping_add(0x9e37_79b9);
        let mut tool = the_tool(target.running.pid(), "").spawn().unwrap();
        thread::sleep(took.mul_f64(f64::from(moment) / f64::from(u32::MAX)));
        tool.kill().unwrap();
        tool.wait().unwrap();
        assert_left_alone(target.running.pid());
        target.running.assert_unharmed();
    }
    target.assert_unharmed();
}

/// The steps of a guardian that takes the place of another one.
const STEPS_OF_SUCCESSORS: &[&str] = &[
    "guardian: begun",
    "guardian: recovering",
    "guardian: recovered",
    "guardian: finishing",
    "guardian: child ended",
    "guardian: at the end of the clone",
    "guardian: registers put back again",
];

fn steps_of_guardians() -> impl Iterator<Item = &'static str> {
    STEPS.iter().copied().filter(|step| step.starts_with("guardian: "))
}

/// The guardian alone is killed, and its successor: the tool starts another one, and nothing stays either.
fn assert_survives_the_guardian(fixture: &Fixture, threads: &str) {
    let mut target = Target::start_command(fixture.command(&[threads]).env("PATIENT", "1"));
    let of_two = steps_of_guardians()
        .flat_map(|first| STEPS_OF_SUCCESSORS.iter().map(move |second| format!("{first},{second}")));
    for step in steps_of_guardians().map(str::to_owned).chain(of_two) {
        for _ in 0..rounds() {
            let mut tool = the_tool(target.running.pid(), &step);
            let output = Tool::finish(tool.env("SNAPSHOT_VICTIM", "guardian"));
            assert!(output.status.success(), "{step}: {output:?}");
            assert_left_alone(target.running.pid());
            target.running.assert_unharmed();
            target.heartbeat.assert_beats();
        }
    }
    target.assert_unharmed();
}

#[test]
fn guardians_are_killed_at_each_step_and_nothing_stays() {
    let fixture = require!(fixture("snapshot"));
    assert_survives_the_guardian(&fixture, EVERY_KIND);
    assert_survives_the_guardian(&fixture, "0");
}

#[test]
fn also_those_of_a_32_bit_process() {
    assert_survives_the_guardian(&require!(fixture("snapshot-32")), EVERY_KIND);
}

/// Waits until nobody is at work any more, and no copy is left that runs or has memory, and so many at most that have ended
/// and were not waited for. Says how many.
fn assert_no_copy(pid: u32, most: usize) -> usize {
    wait_until("its guardian has ended", || !has_guardian(pid));
    wait_until("its copies have ended", || {
        let states = |child: &str| states(child.parse().unwrap());
        let children = children(pid);
        children.split_whitespace().count() <= most
            && children.split_whitespace().all(|child| states(child).chars().all(|state| state == 'Z'))
    });
    assert_eq!(tracer(pid), 0);
    children(pid).split_whitespace().count()
}

/// Tool and guardian are killed together, and nobody is left who could undo anything.
#[test]
fn both_are_killed_at_each_step_and_the_target_finds_back() {
    let fixture = require!(fixture("snapshot"));
    for threads in [EVERY_KIND, "0"] {
        let mut target = Target::start_command(fixture.command(&[threads]).env("PATIENT", "1"));
        let pid = target.running.pid();
        let mut left = 0;
        for step in steps_of_guardians() {
            for _ in 0..rounds() {
                let tool = || {
                    let mut tool = the_tool(pid, step);
                    tool.env("SNAPSHOT_WITH_GUARDIAN", "1");
                    tool
                };
                assert_killed(tool, step);
                // On the way back from the clone the thread waits for the copy itself.
                let is_in_clone = STEPS_IN_CLONE.contains(&step);
                left = assert_no_copy(pid, if is_in_clone { left } else { left + 1 });
                target.running.assert_unharmed();
                target.heartbeat.assert_beats();
            }
        }
        wait_until("its signals are as before", || signals(pid) == target.signals);
    }
}

#[test]
fn both_are_killed_at_any_moment_and_the_target_finds_back() {
    let fixture = require!(fixture("snapshot"));
    let mut target = Target::start_command(fixture.command(&[EVERY_KIND]).env("PATIENT", "1"));
    let pid = target.running.pid();
    let mut moment = 0u32;
    for _ in 0..5 * rounds() {
        let mut command = the_tool(pid, "");
        let mut tool = Ended(command.env("SNAPSHOT_FOR_EVER", "1").stdin(Stdio::piped()).spawn().unwrap());
        let tool_pid = tool.0.id();
        let mut guardian = None;
        wait_until("there is a guardian", || {
            guardian = children(tool_pid).split_whitespace().next().and_then(|child| child.parse().ok());
            guardian.is_some()
        });
        // Golden-ratio steps spread the moments evenly over what a snapshot takes.
        moment = moment.wrapping_add(0x9e37_79b9);
        let began = Instant::now();
        let delay = Duration::from_millis(4).mul_f64(f64::from(moment) / f64::from(u32::MAX));
        while began.elapsed() < delay {
            std::hint::spin_loop();
        }
        let killed = [tool_pid.cast_signed()].into_iter().chain(guardian);
        // SAFETY: they take two numbers. Both stay zombies until they are waited for, or their parent is.
        killed.for_each(|one| unsafe {
            libc::kill(one, libc::SIGKILL);
        });
        tool.0.wait().unwrap();
        assert_no_copy(pid, usize::MAX);
        target.running.assert_unharmed();
        target.heartbeat.assert_beats();
    }
    wait_until("its signals are as before", || signals(pid) == target.signals);
}

/// Ends the process when it is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn guardians_are_killed_at_any_moment() {
    let fixture = require!(fixture("snapshot"));
    let mut target = Target::start_command(fixture.command(&[EVERY_KIND]).env("PATIENT", "1"));
    let mut command = the_tool(target.running.pid(), "");
    let mut tool = Ended(command.env("SNAPSHOT_FOR_EVER", "1").stdin(Stdio::piped()).spawn().unwrap());
    let tool_pid = tool.0.id();
    let (mut moment, mut killed, mut seen) = (0u32, 0u32, HashSet::new());
    let mut last = Instant::now();
    while killed < 50 * rounds() {
        assert!(
            last.elapsed() < 3 * TIMEOUT,
            "no guardian was started any more, after {killed} that were killed"
        );
        let new = children(tool_pid).split_whitespace().find_map(|child| {
            let number: i32 = child.parse().ok()?;
            seen.insert(number).then_some(number)
        });
        let Some(number) = new else { continue };
        last = Instant::now();
        // Golden-ratio steps spread the moments evenly over what a snapshot takes.
        moment = moment.wrapping_add(0x9e37_79b9);
        let began = Instant::now();
        let delay = Duration::from_millis(4).mul_f64(f64::from(moment) / f64::from(u32::MAX));
        while began.elapsed() < delay {
            std::hint::spin_loop();
        }
        // Half of them: one that takes the place of another is to come to an end, too.
        if moment & 1 << 16 == 0 {
            continue;
        }
        // SAFETY: it takes two numbers. The child of the tool stays a zombie until the tool knows of its end.
        let is_sent = unsafe { libc::kill(number, libc::SIGKILL) } == 0;
        killed += u32::from(is_sent);
        assert_eq!(tool.0.try_wait().unwrap(), None, "the tool goes on");
        assert_eq!(target.running.ending(), None, "the target goes on");
        if killed % 20 == 0 {
            target.heartbeat.assert_beats();
        }
    }
    // It ends when it has undone what it has begun.
    drop(tool.0.stdin.take());
    wait_until("the tool has ended", || states(tool_pid).chars().all(|state| state == 'Z'));
    assert!(tool.0.wait().unwrap().success());
    target.assert_unharmed();
}

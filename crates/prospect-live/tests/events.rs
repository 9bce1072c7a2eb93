//! What happens to processes between two looks, without being attached to them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    os::fd::AsFd as _,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use prospect_live::{Ending, Event, Events, LiveError, LiveProcess, Wait};
use prospect_process::{FreezePlan, ProcessId};
use prospect_testing::{Running, Signal, fixture, require, send, tracer};

const TIMEOUT: Wait = Wait::AtMost(Duration::from_secs(10));

fn open(pid: u32) -> LiveProcess {
    LiveProcess::open(ProcessId(pid)).unwrap()
}

/// A child that ends when it is told to; killed when it is dropped.
struct Shell(Child);

impl Shell {
    fn start(script: &str) -> Self {
        let mut command = Command::new("sh");
        Self(command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends what it waits for.
    fn go_on(&mut self) {
        drop(self.0.stdin.take());
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a shell has started, and would leave behind.
struct Orphan(u32);

impl Drop for Orphan {
    fn drop(&mut self) {
        if thread::panicking() {
            send(Signal::Kill, self.0);
        }
    }
}

fn watching(pids: &[u32]) -> (Events, Vec<LiveProcess>) {
    let events = Events::new().unwrap();
    let processes: Vec<LiveProcess> = pids.iter().map(|pid| open(*pid)).collect();
    for process in &processes {
        events.add(process).unwrap();
    }
    (events, processes)
}

fn ended(pid: u32, ending: Ending) -> Event {
    Event::Ended { process: ProcessId(pid), ending }
}

#[test]
fn the_end_of_each_is_an_event_with_its_status() {
    let (mut one, mut other) = (Shell::start("read line; exit 3"), Shell::start("read line; kill -9 $$"));
    let (events, processes) = watching(&[one.pid(), other.pid()]);
    assert_eq!(events.handle_events(Wait::No).unwrap(), []);
    assert_eq!(events.handle_events(Wait::AtMost(Duration::from_millis(20))).unwrap(), []);
    one.go_on();
    assert_eq!(events.handle_events(TIMEOUT).unwrap(), [ended(one.pid(), Ending::Exited(3))]);
    assert!(processes[0].has_ended() && !processes[1].has_ended());
    assert_eq!(processes[0].ending(), Some(Ending::Exited(3)));
    assert_eq!(processes[1].ending(), None);
    // It is told once, and whoever started it can still wait for it.
    assert_eq!(events.handle_events(Wait::No).unwrap(), []);
    assert_eq!(one.0.wait().unwrap().code(), Some(3));
    assert_eq!(events.processes(), [ProcessId(other.pid())]);
    other.go_on();
    let killed = Ending::Killed { signal: 9, core_dumped: false };
    assert_eq!(events.handle_events(Wait::Forever).unwrap(), [ended(other.pid(), killed)]);
    assert!(events.is_empty());
}

#[test]
fn the_end_of_what_somebody_else_started_is_an_event() {
    // The child of the shell is not ours; the shell waits for it, and says with what.
    let fixture = require!(fixture("orders"));
    let mut shell = Shell::start(&format!("'{}' & echo $!; wait $!; echo $?", fixture.path().display()));
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(shell.0.stdout.take().unwrap()));
    // The two write at the same time.
    let said: Vec<String> = (0..2).map(|_| lines.next().unwrap().unwrap()).collect();
    assert!(said.iter().any(|line| line == "READY"), "{said:?}");
    let pid: u32 = said.iter().find_map(|line| line.parse().ok()).unwrap();
    let _orphan = Orphan(pid);
    let (events, processes) = watching(&[pid]);
    assert!(send(Signal::Terminate, pid));
    let happened = events.handle_events(TIMEOUT).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "7");
    let [Event::Ended { process, ending }] = happened[..] else { panic!("{happened:?}") };
    assert_eq!(process, ProcessId(pid));
    // Either it is known, or it is said that it is not.
    assert!(matches!(ending, Ending::Exited(7) | Ending::Unknown), "{ending:?}");
    assert!(processes[0].has_ended());
    assert!(matches!(processes[0].stop(Duration::from_secs(5)), Err(LiveError::Ended(_))));
    assert!(matches!(
        processes[0].freeze(&FreezePlan::stacks(), Duration::from_secs(5)),
        Err(LiveError::Ended(_))
    ));
    assert!(matches!(processes[0].glance(&FreezePlan::stacks()), Err(LiveError::Ended(_))));
    assert!(matches!(processes[0].mappings(), Err(LiveError::Ended(_))));
    assert!(matches!(processes[0].threads(), Err(LiveError::Ended(_))));
}

#[test]
fn the_descriptor_is_readable_when_there_is_something_to_handle() {
    let mut target = Shell::start("read line");
    let (events, _processes) = watching(&[target.pid()]);
    // Put into another set: the events of that one are only wake-ups. It has no process of its own.
    let outer = Poller::new(&events);
    assert!(!outer.is_readable(Duration::from_millis(10)));
    target.go_on();
    assert!(outer.is_readable(Duration::from_secs(10)));
    assert_eq!(events.handle_events(Wait::No).unwrap(), [ended(target.pid(), Ending::Exited(1))]);
    assert!(!outer.is_readable(Duration::ZERO));
    events.waker().wake();
    assert!(outer.is_readable(Duration::ZERO));
    assert_eq!(events.handle_events(Wait::No).unwrap(), [Event::Woken]);
    assert!(!outer.is_readable(Duration::ZERO));
}

/// `poll` for one descriptor.
struct Poller<'a>(std::os::fd::BorrowedFd<'a>);

impl<'a> Poller<'a> {
    fn new(events: &'a Events) -> Self {
        Self(events.as_fd())
    }

    fn is_readable(&self, timeout: Duration) -> bool {
        use std::os::fd::AsRawFd as _;
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        #[expect(unsafe_code, reason = "the standard library has no poll")]
        // SAFETY: one element, that outlives the call.
        let count = unsafe { libc::poll(&raw mut poll, 1, timeout.as_millis() as i32) };
        count == 1
    }
}

#[test]
fn who_waits_can_be_woken() {
    let target = Shell::start("read line");
    let (events, _processes) = watching(&[target.pid()]);
    // Before it waits.
    events.waker().wake();
    assert_eq!(events.handle_events(Wait::Forever).unwrap(), [Event::Woken]);
    let waker = events.waker();
    let (sender, receiver) = mpsc::channel();
    let waiting = thread::spawn(move || sender.send(events.handle_events(Wait::Forever).unwrap()));
    assert!(receiver.recv_timeout(Duration::from_millis(20)).is_err());
    waker.wake();
    assert_eq!(receiver.recv_timeout(Duration::from_secs(10)).unwrap(), [Event::Woken]);
    waiting.join().unwrap().unwrap();
}

#[test]
fn several_threads_handle_each_event_once() {
    let mut targets: Vec<Shell> = (0..12).map(|_| Shell::start("read line; exit 5")).collect();
    let (events, _processes) = watching(&targets.iter().map(Shell::pid).collect::<Vec<_>>());
    let deadline = Instant::now() + Duration::from_secs(10);
    let handle = || {
        let mut all = Vec::new();
        while !events.is_empty() && Instant::now() < deadline {
            all.extend(events.handle_events(Wait::AtMost(Duration::from_millis(20))).unwrap());
        }
        all
    };
    let mut all: Vec<Event> = thread::scope(|scope| {
        let handlers: Vec<_> = (0..3).map(|_| scope.spawn(handle)).collect();
        targets.iter_mut().for_each(Shell::go_on);
        handlers.into_iter().flat_map(|handler| handler.join().unwrap()).collect()
    });
    all.sort_by_key(Event::process);
    let mut wanted: Vec<Event> =
        targets.iter().map(|target| ended(target.pid(), Ending::Exited(5))).collect();
    wanted.sort_by_key(Event::process);
    assert_eq!(all, wanted);
}

#[test]
fn one_is_watched_once_and_no_more_when_it_is_removed() {
    let mut target = Shell::start("read line");
    let (events, processes) = watching(&[target.pid()]);
    events.add(&processes[0]).unwrap();
    // Opened anew, it takes the place of the first.
    events.add(&open(target.pid())).unwrap();
    assert_eq!(events.processes().len(), 1);
    assert!(events.remove(ProcessId(target.pid())));
    assert!(!events.remove(ProcessId(target.pid())));
    target.go_on();
    target.0.wait().unwrap();
    assert_eq!(events.handle_events(Wait::No).unwrap(), []);
    // Added after its end, it is told too. Whoever waited for it has the status.
    events.add(&processes[0]).unwrap();
    let happened = events.handle_events(TIMEOUT).unwrap();
    assert_eq!(happened.len(), 1);
    assert_eq!(happened[0].process(), Some(ProcessId(target.pid())));
}

#[test]
fn nobody_is_attached_while_events_are_waited_for() {
    let fixture = require!(fixture("threads"));
    let mut running = fixture.start(&["3"]);
    let (events, _processes) = watching(&[running.pid()]);
    assert_eq!(events.handle_events(Wait::AtMost(Duration::from_millis(20))).unwrap(), []);
    assert_eq!(tracer(running.pid()), 0);
    running.assert_unharmed();
    assert!(send(Signal::Kill, running.pid()));
    let killed = Ending::Killed { signal: 9, core_dumped: false };
    assert_eq!(events.handle_events(TIMEOUT).unwrap(), [ended(running.pid(), killed)]);
}

#[test]
fn who_runs_another_program_or_has_a_child_is_the_same_process() {
    let fixture = require!(fixture("orders"));
    let mut running = Running::start(&mut fixture.command(&["first"]));
    let mut live = open(running.pid());
    let events = Events::new().unwrap();
    events.add(&live).unwrap();
    assert_eq!(live.info().command_line.get(1).unwrap(), b"first");
    assert!(send(Signal::User2, running.pid()));
    let deadline = Instant::now() + Duration::from_secs(10);
    while live.descendants(10).unwrap().len() != 1 {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(2));
    }
    assert!(!live.has_executed().unwrap());
    assert!(send(Signal::User1, running.pid()));
    while !live.has_executed().unwrap() {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(live.info().command_line, [b"orders".to_vec(), b"again".to_vec()]);
    assert!(!live.has_executed().unwrap());
    assert_eq!(events.handle_events(Wait::No).unwrap(), []);
    assert!(!live.has_ended());
    live.freeze(&FreezePlan::stacks(), Duration::from_secs(5)).unwrap();
    running.assert_unharmed();
}

#[test]
fn a_thread_number_cannot_be_watched_and_that_is_said() {
    let fixture = require!(fixture("threads"));
    let running = fixture.start(&["1"]);
    let worker = prospect_testing::tasks(running.pid())[1];
    let events = Events::new().unwrap();
    let error = events.add(&open(worker)).unwrap_err();
    assert!(matches!(error, LiveError::NoDescriptor { .. }), "{error}");
    assert!(events.is_empty());
}

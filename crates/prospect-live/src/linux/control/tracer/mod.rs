//! The tracer: a process of its own that holds the target, and does nothing else.
//!
//! Breakpoints are bytes in the target's code. When whoever set them is no more, a thread that comes by dies of them. So they are
//! set by a small process that nobody has a reason to end: it runs and stops threads, decides what [`filters`] decide, and
//! when the program that it works for ends, in whatever way, it puts back all that was there and lets the target go.
//!
//! It waits in `waitpid`, since that is the fastest way to hear of a thread that has stopped. What the program says comes with a signal that
//! interrupts it; a timer catches those that come a moment before.

mod borrowed;
mod checkpoints;
mod displaced;
mod filters;
mod pace;
mod requests;
mod run;
mod space;
mod starting;
mod stops;
mod tracee;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    os::fd::{AsRawFd as _, RawFd},
    time::{Duration, Instant},
};

use prospect_process::{
    ProcessId, ThreadId, ThreadState,
    control::{Event, EventKind, Follow, Leave, Numbers, Record, Resume, TrapPlace},
};

use super::{
    pins::Pins,
    raw::{self, Status},
    wire::{Link, Message},
};
use crate::linux::ptrace;
use checkpoints::Checkpoints;
use filters::{Together, TrapState};
use pace::Pace;
use space::Space;
use tracee::Tracee;

pub(super) use tracee::GENERAL;

/// Options of each tracee but those that depend on what is wanted.
const OPTIONS: i32 = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACEEXEC;

/// `PTRACE_O_EXITKILL`.
const END_WITH_US: i32 = 1 << 20;

/// How long a thread is given for a system call that it does for us.
const CALL_WITHIN: Duration = Duration::from_secs(1);

/// After so long, threads that wait in the kernel where nothing wakes them are not waited for. They stop before they run anything.
const STOP_WITHIN: Duration = Duration::from_millis(200);

/// After so long, nobody is waited for.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(10);

/// As much of records is kept until they are taken.
const RECORD_BYTES: usize = 8 << 20;

/// Whether threads run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// All stand, and the program has the word.
    Standing,
    /// They run as the plan says.
    Running,
    /// They are being stopped: who stops, stays.
    Stopping,
}

pub(super) struct Tracer {
    link: Link,
    mode: Mode,
    plan: Resume,
    follow: Follow,
    ends_with_us: bool,
    /// The kernel stops at these calls by itself.
    filtered_calls: Vec<u32>,
    spaces: HashMap<u32, Space>,
    tracees: HashMap<u32, Tracee>,
    /// Threads that stopped before it was heard who made them.
    strangers: HashMap<u32, Status>,
    traps: BTreeMap<u64, TrapState>,
    last_trap: u64,
    /// Hits that are counted over several traps, by the number that those have.
    together: HashMap<u32, Together>,
    /// What was heard of threads and is not dealt with yet.
    news: VecDeque<(u32, Status)>,
    events: VecDeque<Event>,
    /// The program wants all to stop.
    is_interrupted: bool,
    records: Vec<Record>,
    record_bytes: usize,
    /// It was said that there are records.
    has_told_of_records: bool,
    /// Threads that go on when records were taken.
    waiting_for_room: Vec<u32>,
    checkpoints: Checkpoints,
    pace: Pace,
}

impl Tracer {
    pub(super) fn new(link: Link, pins: Pins) -> Self {
        Self {
            link,
            mode: Mode::Standing,
            plan: Resume::all(),
            follow: Follow::Parent,
            ends_with_us: false,
            filtered_calls: Vec::new(),
            spaces: HashMap::new(),
            tracees: HashMap::new(),
            strangers: HashMap::new(),
            traps: BTreeMap::new(),
            last_trap: 0,
            together: HashMap::new(),
            news: VecDeque::new(),
            events: VecDeque::new(),
            is_interrupted: false,
            records: Vec::new(),
            record_bytes: 0,
            has_told_of_records: false,
            waiting_for_room: Vec::new(),
            checkpoints: Checkpoints::default(),
            pace: Pace::new(pins),
        }
    }

    /// The options of what is traced.
    fn options(&self) -> i32 {
        let ends = if self.ends_with_us { END_WITH_US } else { 0 };
        let filters = if self.filtered_calls.is_empty() { 0 } else { libc::PTRACE_O_TRACESECCOMP };
        OPTIONS | ends | filters
    }

    /// Says something to the program. An error: it has gone, which is seen next.
    pub(super) fn say(&self, message: &Message) {
        let _ = self.link.send(message);
    }

    /// Closes what the program had open, but the way to it and these.
    pub(super) fn close_all_but(&self, kept: &[RawFd]) {
        let own = [self.link.as_raw_fd(), self.pace.pins().as_raw_fd()];
        raw::close_all_but(&[&own, kept].concat());
    }

    /// Works until the program has gone. The target is as it was then.
    pub(super) fn work(&mut self) {
        loop {
            if !self.serve() {
                break;
            }
            if self.mode != Mode::Running {
                raw::poll(&self.link, Some(Duration::from_secs(1)));
                self.hear_of_ends();
                continue;
            }
            match raw::wait_any(true) {
                Ok(Some((thread, status))) => self.hear(thread, status),
                Ok(None) => {
                    self.pace.tick();
                    self.tell_of_records();
                }
                // There is nobody left.
                Err(_) => self.nothing_left(),
            }
        }
    }

    /// Does what the program has asked for by now; false when there will be no more of it.
    fn serve(&mut self) -> bool {
        loop {
            match self.link.receive() {
                Ok(request) => {
                    let reply = self.answer(request);
                    if let Some(reply) = reply
                        && self.link.send(&Message::Reply(reply)).is_err()
                    {
                        return false;
                    }
                    self.go_on_or_tell();
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
    }

    /// Deals with a thread that has stopped, and with all others that have, so that none has to wait for one that stops all the time.
    fn hear(&mut self, thread: u32, status: Status) {
        self.news.push_back((thread, status));
        let most = self.tracees.len();
        while most > 1
            && self.news.len() <= most
            && let Ok(Some(news)) = raw::wait_any(false)
        {
            self.news.push_back(news);
        }
        while let Some((thread, status)) = self.news.pop_front() {
            self.status(thread, status);
        }
        self.go_on_or_tell();
    }

    /// Stops all when there is an event, and says it.
    fn go_on_or_tell(&mut self) {
        if self.mode != Mode::Running {
            return;
        }
        if self.is_interrupted && self.events.is_empty() {
            self.is_interrupted = false;
            if let Some(process) = self.spaces.keys().min().copied() {
                self.event(process, process, EventKind::Interrupted);
            }
        }
        if !self.events.is_empty() {
            self.stop_all();
            self.announce();
        } else if self.spaces.is_empty() {
            self.nothing_left();
        }
    }

    fn event(&mut self, process: u32, thread: u32, kind: EventKind) {
        let (process, thread) = (ProcessId(process), ThreadId(thread));
        self.events.push_back(Event { process, thread, kind });
    }

    /// Says the next event, if there is one that still means something.
    fn announce(&mut self) -> bool {
        self.tell_of_records();
        while let Some(mut event) = self.events.pop_front() {
            if let EventKind::Trapped { traps, .. } = &mut event.kind {
                traps.retain(|trap| self.traps.contains_key(&trap.0));
                if traps.is_empty() {
                    continue;
                }
            }
            // An error: the program has gone, which is seen next.
            let _ = self.link.send(&Message::Event(event));
            return true;
        }
        false
    }

    fn tell_of_records(&mut self) {
        if !self.records.is_empty() && !self.has_told_of_records {
            self.has_told_of_records = true;
            let _ = self.link.send(&Message::Records);
        }
    }

    /// Keeps a record; false when the thread must wait until there is room.
    fn keep(&mut self, record: Record) -> bool {
        self.record_bytes += 64 + record.memory.iter().map(|(_, bytes)| bytes.len() + 16).sum::<usize>();
        self.records.push(record);
        let is_full = self.record_bytes >= RECORD_BYTES;
        if is_full || self.records.len().is_multiple_of(256) {
            self.tell_of_records();
        }
        !is_full
    }

    fn nothing_left(&mut self) {
        self.mode = Mode::Standing;
        self.pace.rest();
        if !self.announce() {
            let kind = EventKind::Ended(prospect_process::control::Ending::Unknown);
            self.event(0, 0, kind);
            self.announce();
        }
    }

    /// While all stand: threads that were killed have ended, and that is an event of the next run.
    fn hear_of_ends(&mut self) {
        while let Ok(Some((thread, status))) = raw::wait_any(false) {
            self.status(thread, status);
        }
    }

    /// Makes all threads stand, as far as they can be made to.
    fn stop_all(&mut self) {
        if self.mode == Mode::Standing {
            return;
        }
        self.mode = Mode::Stopping;
        for (thread, tracee) in &self.tracees {
            if !tracee.stands() {
                // An error: it has ended.
                let _ = ptrace::interrupt(ThreadId(*thread));
            }
        }
        self.await_stops(|_, _| true);
        let all: Vec<u32> = self.tracees.keys().copied().collect();
        all.into_iter().for_each(|thread| self.settle(thread));
        // All that they have made meanwhile is known.
        self.pace.rest();
        self.mode = Mode::Standing;
    }

    /// Waits for threads that were asked to stop. Those that wait for a processor are waited for: who is not asked for it
    /// would run what must not be run now.
    fn await_stops(&mut self, which: impl Fn(u32, &Tracee) -> bool) {
        let began = Instant::now();
        loop {
            let awaited =
                self.tracees.iter().filter(|(thread, tracee)| which(**thread, tracee) && !tracee.stands());
            let awaited: Vec<u32> = awaited.map(|(thread, _)| *thread).collect();
            let is_late = began.elapsed() >= STOP_WITHIN;
            let any = awaited.into_iter().find(|thread| !is_late || may_run(*thread));
            let Some(thread) = any.filter(|_| began.elapsed() < GIVEN_UP_AFTER) else { break };
            let heard = self.news.iter().position(|(heard, _)| *heard == thread);
            let heard = heard.and_then(|place| self.news.remove(place)).map(|(_, status)| status);
            if let Some(status) = heard.or_else(|| raw::wait_for(thread)) {
                self.status(thread, status);
            }
        }
    }

    /// Lets all go, as it was, since nobody is there any more.
    pub(super) fn leave_all(&mut self) {
        self.stop_all();
        self.forget_moments();
        let processes: Vec<u32> = self.spaces.keys().copied().collect();
        for process in processes {
            if self.ends_with_us {
                let _ = raw::kill(process, libc::SIGKILL);
            }
            let _ = self.leave(process, Leave::AsItWas);
        }
    }

    /// The threads of a process.
    fn threads_of(&self, process: u32) -> Vec<u32> {
        let of_it = self.tracees.iter().filter(|(_, tracee)| tracee.process == process);
        let mut threads: Vec<u32> = of_it.map(|(thread, _)| *thread).collect();
        threads.sort_unstable();
        threads
    }

    /// Traps of a process are others now, or its memory is.
    fn note_calls(&mut self, process: u32) {
        let is_filtered = |numbers: &Numbers| match numbers {
            Numbers::All => false,
            Numbers::Only(numbers) => numbers.iter().all(|number| self.filtered_calls.contains(number)),
        };
        let is_call = |one: &TrapState| {
            matches!(&one.trap.place, TrapPlace::Call { numbers, .. } if !is_filtered(numbers))
                && one.processes.contains(&process)
        };
        let traces_calls = self.traps.values().any(is_call);
        if let Some(space) = self.spaces.get_mut(&process) {
            space.traces_calls = traces_calls;
        }
    }
}

/// Whether a thread runs, or waits for nothing but a processor.
fn may_run(thread: u32) -> bool {
    let state = crate::linux::procfs::thread_state(ThreadId(thread));
    matches!(state, Some(ThreadState::Running | ThreadState::Traced))
}

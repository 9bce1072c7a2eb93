//! Job control of a program that somebody holds: what stops it and lets it go on is seen, and works.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use prospect_live::Controlled;
use prospect_process::{
    ProcessId,
    control::{Control as _, Ending, EventKind, Leave, Resume, TrapId},
};
use prospect_testing::{Missing, Signal, fixture, require, rounds, send, state, states, tracer};

use crate::launched::{Launched, PATIENCE, go_on};

const SIGSTOP: i32 = 19;
const SIGTSTP: i32 = 20;

fn await_states(process: ProcessId, letter: char) {
    let deadline = Instant::now() + PATIENCE;
    while !states(process.0).chars().all(|one| one == letter) {
        assert!(Instant::now() < deadline, "{:?}, and not {letter}", states(process.0));
        thread::sleep(Duration::from_millis(1));
    }
}

/// Stopped again and again while four threads come to a breakpoint, none of which is lost.
#[test]
fn what_stops_the_job_is_an_event_and_no_hit_is_lost_by_it() {
    for _ in rounds() {
        let mut launched = require!(Launched::start("controlled", &["job", "60000", "4"]));
        let trap = launched.at_work(go_on());
        let process = launched.process;
        let (mut seen, mut ended) = (0, None);
        launched.controlled.resume(&Resume::all()).unwrap();
        for (signal, number) in [(Signal::Stop, SIGSTOP), (Signal::TerminalStop, SIGTSTP)].repeat(4) {
            // It may have counted to its end by now.
            if !send(signal, process.0) {
                break;
            }
            match launched.wait().kind {
                EventKind::JobStopped(one) => assert_eq!(one, number),
                EventKind::Ended(ending) => {
                    ended = Some(ending);
                    break;
                }
                other => panic!("{other:?}"),
            }
            seen += 1;
            // It stays stopped, and does not come to anything.
            launched.controlled.resume(&Resume::all()).unwrap();
            let before = launched.controlled.counts(trap).hits;
            thread::sleep(Duration::from_millis(3));
            assert_eq!(launched.controlled.counts(trap).hits, before);
            assert!(send(Signal::Continue, process.0));
        }
        let ended = ended.unwrap_or_else(|| match launched.wait().kind {
            EventKind::Ended(ending) => ending,
            other => panic!("{other:?}"),
        });
        assert_eq!(ended, Ending::Exited(0));
        assert!(seen > 0);
        assert_eq!(launched.controlled.counts(trap).hits, 60_000);
        assert_eq!(launched.printed(), "counted 60000\n");
    }
}

/// A program that checks what it computes, and ends when it was wrong.
struct Checksum {
    child: Child,
    lines: Receiver<String>,
}

impl Checksum {
    fn start() -> Result<Self, Missing> {
        let mut command = fixture("controlled")?.command(&["checksum"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Ok(Self { child, lines })
    }

    fn id(&self) -> ProcessId {
        ProcessId(self.child.id())
    }

    /// That it computes, and nothing wrong.
    fn assert_computes(&mut self) {
        // What it has said before does not count.
        while self.lines.try_recv().is_ok() {}
        for _ in 0..3 {
            let line = self.lines.recv_timeout(PATIENCE).unwrap();
            assert!(line.parse::<u64>().is_ok(), "{line:?}");
        }
        assert_eq!(self.child.try_wait().unwrap(), None);
    }
}

impl Drop for Checksum {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes it, with a breakpoint that all of its work comes to.
fn take(process: ProcessId) -> (Launched, TrapId) {
    let controlled = Controlled::attach(process).unwrap();
    let (output, fixture) = (std::io::pipe().unwrap().0, fixture("controlled").unwrap());
    let mut launched = Launched { controlled, process, output, fixture };
    let trap = launched.at_work(go_on());
    launched.controlled.resume(&Resume::all()).unwrap();
    (launched, trap)
}

#[test]
fn a_stopped_job_that_is_let_go_stays_stopped_until_it_is_told_to_go_on() {
    for _ in rounds() {
        let mut program = require!(Checksum::start());
        let process = program.id();
        program.assert_computes();
        // Stopped before, and while it is held.
        for is_stopped_before in [true, false] {
            if is_stopped_before {
                assert!(send(Signal::Stop, process.0));
                await_states(process, 'T');
            }
            let (mut launched, _) = take(process);
            if !is_stopped_before {
                assert!(send(Signal::Stop, process.0));
                assert_eq!(launched.wait().kind, EventKind::JobStopped(SIGSTOP));
            }
            launched.controlled.detach(process, Leave::AsItWas).unwrap();
            assert_eq!(tracer(process.0), 0);
            await_states(process, 'T');
            drop(launched);
            assert_eq!(state(process.0, process.0), Some('T'));
            assert!(send(Signal::Continue, process.0));
            program.assert_computes();
            assert_eq!(tracer(process.0), 0);
        }
        // Taken while it is stopped, told to go on while it is held.
        assert!(send(Signal::Stop, process.0));
        await_states(process, 'T');
        let (mut launched, trap) = take(process);
        assert!(send(Signal::Continue, process.0));
        program.assert_computes();
        assert!(launched.controlled.counts(trap).hits > 0);
        drop(launched);
        program.assert_computes();
        assert_eq!(tracer(process.0), 0);
    }
}

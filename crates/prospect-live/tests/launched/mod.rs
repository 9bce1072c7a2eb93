//! A program that runs under control.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::{
    io::Read as _,
    process::Command,
    time::{Duration, Instant},
};

use prospect_live::{Controlled, Launch, Stdio};
use prospect_process::{
    Addr, Arch, Process, ProcessId, Target as _, ThreadId,
    control::{Control as _, Ending, Event, EventKind, Filter, Resume, Then, Trap, TrapId, TrapPlace},
};
use prospect_testing::{Fixture, Missing, fixture};

/// So long is waited for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A program that was launched, and what it prints.
pub(crate) struct Launched {
    pub(crate) controlled: Controlled,
    pub(crate) process: ProcessId,
    pub(crate) output: std::io::PipeReader,
    pub(crate) fixture: Fixture,
}

impl Launched {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Result<Self, Missing> {
        let fixture = fixture(name)?;
        let (output, theirs) = std::io::pipe().unwrap();
        let mut launch = Launch::new(fixture.path(), arguments);
        launch.streams = [Stdio::Null, Stdio::To(theirs.into()), Stdio::Inherit];
        let controlled = Controlled::launch(&launch).unwrap();
        let process = controlled.processes()[0];
        Ok(Self { controlled, process, output, fixture })
    }

    pub(crate) fn view(&self) -> &dyn Process {
        self.controlled.process(self.process).unwrap()
    }

    /// Where a symbol of the program is.
    pub(crate) fn symbol(&self, name: &str) -> Addr {
        let nm = Command::new("nm").arg(self.fixture.path()).output().unwrap();
        let text = String::from_utf8(nm.stdout).unwrap();
        let line = text.lines().find(|line| line.split(' ').nth(2) == Some(name)).unwrap();
        let offset = u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap();
        let bias = self.view().modules().executable().unwrap().bias;
        Addr(bias.wrapping_add(offset))
    }

    pub(crate) fn trap(&mut self, place: TrapPlace, filter: Filter) -> TrapId {
        self.controlled.set_trap(self.process, Trap { place, filter }).unwrap()
    }

    pub(crate) fn at_work(&mut self, filter: Filter) -> TrapId {
        let at = self.symbol("work");
        self.trap(TrapPlace::Code { at, hardware: false }, filter)
    }

    pub(crate) fn next(&mut self, how: &Resume) -> Event {
        self.controlled.resume(how).unwrap();
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> Event {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(event) = self.controlled.wait(Some(Duration::from_secs(5))).unwrap() {
                return event;
            }
            assert!(Instant::now() < deadline, "no event came");
        }
    }

    /// Runs it to its end, and gives what it has printed.
    pub(crate) fn finish(mut self) -> (String, Ending) {
        let event = self.next(&Resume::all());
        let EventKind::Ended(ending) = event.kind else { panic!("{event:?}") };
        (self.printed(), ending)
    }

    pub(crate) fn printed(mut self) -> String {
        drop(self.controlled);
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        text
    }

    pub(crate) fn register(&self, thread: ThreadId, name: &str) -> u64 {
        let registers = self.view().registers(thread).unwrap();
        registers.get(Arch::X86_64.info().by_name(name).unwrap()).unwrap()
    }
}

/// A trap that counts and nothing else.
pub(crate) fn go_on() -> Filter {
    Filter { then: Then::GoOn, ..Filter::default() }
}

/// A register by its name.
pub(crate) fn register(name: &str) -> prospect_process::RegisterId {
    Arch::X86_64.info().by_name(name).unwrap()
}

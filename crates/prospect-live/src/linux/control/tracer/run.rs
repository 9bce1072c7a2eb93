//! Letting threads run.

use std::time::{Duration, Instant};

use prospect_process::{
    ThreadId,
    control::{Action, CallPhase, TrapPlace},
};

use super::{
    Mode, Tracer,
    raw::{self, Run, Status},
    space::BREAKPOINT,
    tracee::{Pending, State},
};
use crate::linux::ptrace;

/// How long one instruction may take while all others stand for it; a system call may take longer.
const STEP_WITHIN: Duration = Duration::from_millis(50);

/// `si_code` of a `SIGTRAP` behind an instruction: Linux `arch/x86/kernel/traps.c`.
const TRAP_TRACE: i32 = 2;

impl Tracer {
    /// Lets all go on as the plan says.
    pub(super) fn run_all(&mut self) {
        self.mode = Mode::Running;
        let all: Vec<u32> = self.tracees.keys().copied().collect();
        for thread in all {
            if self.tracees.get(&thread).is_some_and(|tracee| tracee.stands()) {
                self.go_on(thread);
            }
        }
    }

    /// Lets a thread that stands go on as the plan says; while all are to stand, it stays.
    pub(super) fn go_on(&mut self, thread: u32) {
        if self.mode != Mode::Running {
            return;
        }
        let action = self.plan.action(ThreadId(thread)).clone();
        let Some(tracee) = self.tracees.get_mut(&thread) else { return };
        tracee.step = None;
        match action {
            Action::Stay => return,
            Action::ContinueWith(signal) => {
                tracee.pending = (signal != 0).then_some(Pending { signal, info: None });
                // Only once.
                for (chosen, action) in &mut self.plan.chosen {
                    if chosen.0 == thread {
                        *action = Action::Continue;
                    }
                }
            }
            Action::Step => tracee.step = Some(Vec::new()),
            Action::StepWhileIn(ranges) => tracee.step = Some(ranges),
            _ => {}
        }
        self.start(thread);
    }

    /// Lets a thread run, past the trap that it stands at if that was dealt with.
    pub(super) fn start(&mut self, thread: u32) {
        let Some(tracee) = self.tracees.get_mut(&thread) else { return };
        if tracee.state == State::JobStopped && tracee.pending.is_none() {
            tracee.state = State::Running;
            let _ = ptrace::listen(ThreadId(thread));
            return;
        }
        let steps = tracee.step.is_some();
        if let Some(passed) = tracee.passed.take()
            && tracee.pc(thread) == Some(passed)
        {
            let process = tracee.process;
            let site = self.memory_of(process).and_then(|space| self.spaces.get(&space)?.sites.get(&passed));
            match site.map(|site| site.displaced) {
                Some(Some(displaced)) => {
                    if let Ok(general) =
                        self.tracees.get_mut(&thread).map_or(Err(()), |one| one.general(thread).map_err(drop))
                    {
                        general.set_pc(displaced.slot);
                    }
                }
                Some(None) => {
                    if !self.step_over(thread, process, passed) {
                        return;
                    }
                    if steps {
                        self.stepped(thread);
                        return;
                    }
                }
                None => {}
            }
        }
        let stops_at_calls = self.stops_at_calls(thread);
        let Some(tracee) = self.tracees.get_mut(&thread) else { return };
        let how = match (steps, stops_at_calls) {
            (true, _) => Run::Step,
            (false, true) => Run::ToCall,
            (false, false) => {
                // Where it ends is not seen.
                tracee.call = None;
                Run::On
            }
        };
        if tracee.rejoins {
            // Before it runs anything. An error: it has been killed.
            let _ = ptrace::interrupt(ThreadId(thread));
        }
        // Who cannot be run has been killed, and its end is to come.
        let _ = tracee.run(thread, how);
    }

    /// Whether a thread is to stop at the next beginning or end of a system call.
    fn stops_at_calls(&self, thread: u32) -> bool {
        let Some(tracee) = self.tracees.get(&thread) else { return false };
        let Some(space) = self.spaces.get(&tracee.process) else { return false };
        space.traces_calls || tracee.call.is_some_and(|number| self.wants_end_of(tracee.process, number))
    }

    /// Whether there is a trap at the end of a call.
    fn wants_end_of(&self, process: u32, number: u64) -> bool {
        self.traps.values().filter(|one| one.processes.contains(&process)).any(|one| match &one.trap.place {
            TrapPlace::Call { numbers, phase } => {
                *phase != CallPhase::Entry && numbers.contains(number as u32)
            }
            _ => false,
        })
    }

    /// Whose memory a process uses: its own, or that of the one that made it by `vfork`.
    pub(super) fn memory_of(&self, process: u32) -> Option<u32> {
        let space = self.spaces.get(&process)?;
        Some(space.guest_of.filter(|host| self.spaces.contains_key(host)).unwrap_or(process))
    }

    /// Runs the instruction that a breakpoint hides at its own place, while nobody else comes by. False when it has not come to its end: it
    /// is on its way then, or has ended.
    fn step_over(&mut self, thread: u32, process: u32, at: u64) -> bool {
        let Some(space) = self.memory_of(process) else { return false };
        let others: Vec<u32> = self
            .tracees
            .iter()
            .filter(|(one, tracee)| **one != thread && !tracee.stands())
            .map(|(one, _)| *one)
            .collect();
        self.hold(&others);
        let original = self.spaces.get(&space).and_then(|space| Some(space.sites.get(&at)?.original));
        let (Some(original), Some(memory)) = (original, self.spaces.get(&space)) else { return false };
        let _ = memory.write(at, &[original]);
        let is_over = self.run_one_instruction(thread);
        if let Some(memory) = self.spaces.get(&space).filter(|space| space.sites.contains_key(&at)) {
            let _ = memory.write(at, &[BREAKPOINT]);
        }
        for other in others {
            if self.tracees.get(&other).is_some_and(|tracee| tracee.state == State::Standing)
                && !self.events.iter().any(|event| event.thread.0 == other)
            {
                self.go_on(other);
            }
        }
        is_over
    }

    /// Makes threads stand for a moment. What happens to them meanwhile is dealt with as usual, but that they stay.
    fn hold(&mut self, threads: &[u32]) {
        let mode = std::mem::replace(&mut self.mode, Mode::Stopping);
        threads.iter().for_each(|thread| drop(ptrace::interrupt(ThreadId(*thread))));
        self.await_stops(|thread, _| threads.contains(&thread));
        self.mode = mode;
    }

    /// Runs one instruction of a thread and waits for it. A signal that comes first is delivered behind it.
    pub(super) fn run_one_instruction(&mut self, thread: u32) -> bool {
        let began = Instant::now();
        let mut pending = self.tracees.get_mut(&thread).and_then(|tracee| tracee.pending.take());
        loop {
            let Some(tracee) = self.tracees.get_mut(&thread) else { return false };
            if tracee.run(thread, Run::Step).is_err() {
                return false;
            }
            let status = loop {
                match raw::wait_for(thread) {
                    Some(status) => break status,
                    None if began.elapsed() >= STEP_WITHIN && !super::may_run(thread) => {
                        // It goes on by itself, and what it was to get besides it gets at its next stop.
                        tracee.pending = pending;
                        return false;
                    }
                    None => {}
                }
            };
            match status {
                Status::Stopped { signal: libc::SIGTRAP, event: 0 } => {
                    tracee.state = State::Standing;
                    let info = ptrace::signal_info(ThreadId(thread)).ok();
                    let code = info.map_or(0, |info| raw::signal_code(&info));
                    if code == TRAP_TRACE || code == 1 {
                        tracee.pending = pending;
                        return true;
                    }
                    pending = pending.or(Some(Pending { signal: libc::SIGTRAP, info }));
                }
                Status::Stopped { signal, event: 0 } => {
                    tracee.state = State::Standing;
                    let info = ptrace::signal_info(ThreadId(thread)).ok();
                    let code = info.map_or(0, |info| raw::signal_code(&info));
                    let is_fault = code > 0
                        && matches!(signal, libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE);
                    if is_fault {
                        // It is of the instruction itself, which will not come to its end.
                        tracee.pending = Some(Pending { signal, info });
                        self.status(thread, status);
                        return false;
                    }
                    pending = pending.or(Some(Pending { signal, info }));
                }
                // It was asked to stop when it had stopped already, and does so now, before it runs anything.
                Status::Stopped { signal: libc::SIGTRAP, event: libc::PTRACE_EVENT_STOP } => {
                    tracee.state = State::Standing;
                }
                other => {
                    tracee.pending = pending;
                    self.status(thread, other);
                    return false;
                }
            }
        }
    }

    /// Has a thread that stands in a copy of an instruction stand where that instruction is, so that nobody sees where it was.
    pub(super) fn settle(&mut self, thread: u32) {
        let Some(process) = self.tracees.get(&thread).filter(|one| one.stands()).map(|one| one.process)
        else {
            return;
        };
        let Some(space) = self.memory_of(process).and_then(|space| self.spaces.get(&space)) else { return };
        if space.slots.is_empty() {
            return;
        }
        let Some(tracee) = self.tracees.get_mut(&thread) else { return };
        let Some(pc) = tracee.pc(thread) else { return };
        if let Some((at, is_over)) = space.origin(pc)
            && let Ok(general) = tracee.general(thread)
        {
            general.set_pc(at);
            let _ = tracee.put_registers(thread);
            tracee.passed = (!is_over).then_some(at);
        }
    }
}

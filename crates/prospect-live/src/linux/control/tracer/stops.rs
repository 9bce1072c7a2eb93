//! What it means that a thread has stopped.

use std::time::Instant;

use prospect_process::{
    Addr, ProcessId, ThreadId,
    control::{
        CallPhase, DataAccess, Ending, EventKind, Follow, Leave, NewProcess, Numbers, TrapId, TrapPlace,
    },
};

use super::{
    GIVEN_UP_AFTER, Mode, Tracer,
    pace::STOPS,
    raw::{self, Call, Status},
    space::Space,
    tracee::{Pending, State, Tracee},
};
use crate::linux::{
    arch::{debug_register, restart_call, set_debug_register},
    ptrace,
};

/// `si_code` of a `SIGTRAP`: an instruction was run; a debug register; the breakpoint instruction (Linux
/// `arch/x86/kernel/traps.c`); the start of a handler that was stepped into (`kernel/signal.c`).
const TRAP_TRACE: i32 = 2;
const TRAP_BRKPT: i32 = 1;
const TRAP_HARDWARE: i32 = 4;
const BY_KERNEL: i32 = 0x80;
const TRAP_NOTIFIED: i32 = libc::SIGTRAP;

impl Tracer {
    /// Deals with what a thread has come to. When it stands and there is no event, it goes on, if others do.
    pub(super) fn status(&mut self, thread: u32, status: Status) {
        let (signal, event) = match status {
            Status::Exited(_) | Status::Signalled(_) => {
                self.ended(thread, status);
                return;
            }
            Status::Stopped { signal, event } => (signal, event),
        };
        let Some(tracee) = self.tracees.get_mut(&thread) else {
            self.strangers.insert(thread, status);
            return;
        };
        tracee.state = State::Standing;
        tracee.forget_registers();
        let is_of_job = event == libc::PTRACE_EVENT_STOP && signal != libc::SIGTRAP;
        let rejoins = event == libc::PTRACE_EVENT_STOP && std::mem::take(&mut tracee.rejoins);
        if tracee.is_new {
            tracee.is_new = false;
            if is_of_job {
                tracee.state = State::JobStopped;
            }
            self.begun(thread);
            // A new thread's first stop is for this; whatever else it is, is dealt with as any other.
            if event == libc::PTRACE_EVENT_STOP {
                return;
            }
        }
        match event {
            0 if signal == libc::SIGTRAP | 0x80 => self.call(thread),
            0 if signal == libc::SIGTRAP => self.trapped(thread),
            0 => self.signalled(thread, signal),
            libc::PTRACE_EVENT_CLONE | libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK => {
                self.made(thread, event)
            }
            libc::PTRACE_EVENT_SECCOMP => self.call(thread),
            libc::PTRACE_EVENT_EXEC => self.executed(thread),
            libc::PTRACE_EVENT_EXIT => self.exiting(thread),
            libc::PTRACE_EVENT_STOP if is_of_job => self.job_stopped(thread, signal, rejoins),
            libc::PTRACE_EVENT_STOP => {
                restart_call(ThreadId(thread));
                self.asked_to_stop(thread);
            }
            _ => self.go_on(thread),
        }
    }

    /// It stands since it was asked to. What it has run into just before comes first: else it would be let go with it, or be
    /// looked at where it never was.
    fn asked_to_stop(&mut self, thread: u32) {
        let has_trapped = ptrace::is_queued(ThreadId(thread), libc::SIGTRAP);
        let tracee = self.tracees.get_mut(&thread).filter(|_| has_trapped);
        if tracee.is_none_or(|tracee| tracee.run(thread, raw::Run::On).is_err()) {
            self.go_on(thread);
        }
    }

    /// A thread or process that is no more.
    fn ended(&mut self, thread: u32, status: Status) {
        self.strangers.remove(&thread);
        self.pace.forget(thread);
        let Some(tracee) = self.tracees.remove(&thread) else {
            self.checkpoints.ended(thread);
            return;
        };
        let process = tracee.process;
        // The first thread's end is told when all have ended.
        if thread != process && self.tracees.values().any(|one| one.process == process) {
            return;
        }
        for thread in self.threads_of(process) {
            self.pace.forget(thread);
            self.tracees.remove(&thread);
        }
        if let Some(space) = self.spaces.remove(&process)
            && space.guest_of.is_some()
        {
            return;
        }
        self.forget_traps_of(process);
        self.checkpoints.ended(process);
        let ending = match status {
            Status::Exited(status) => Ending::Exited(status),
            Status::Signalled(signal) => Ending::Signalled(signal),
            Status::Stopped { .. } => Ending::Unknown,
        };
        self.event(process, thread, EventKind::Ended(ending));
    }

    /// A thread's or process's very first stop.
    fn begun(&mut self, thread: u32) {
        let Some(process) = self.tracees.get(&thread).map(|tracee| tracee.process) else { return };
        if thread == process && self.spaces.get(&process).is_some_and(|space| space.guest_of.is_some()) {
            self.go_on(thread);
            return;
        }
        self.watch(thread);
        let traps = self.matching(process, thread, |place| matches!(place, TrapPlace::ThreadCreated));
        if thread != process && !traps.is_empty() {
            self.event(process, thread, EventKind::ThreadCreated(ThreadId(thread)));
            return;
        }
        self.go_on(thread);
    }

    /// A signal is about to be delivered.
    fn signalled(&mut self, thread: u32, signal: i32) {
        // While it is traced, signals wake it that it ignores: its call begins again where no handler runs.
        restart_call(ThreadId(thread));
        let info = ptrace::signal_info(ThreadId(thread)).ok();
        let code = info.map_or(0, |info| raw::signal_code(&info));
        self.finish_displaced(thread, code);
        let Some(tracee) = self.tracees.get_mut(&thread) else { return };
        if !tracee.stands() {
            return;
        }
        tracee.pending = Some(Pending { signal, info: None });
        let process = tracee.process;
        let number = signal.cast_unsigned();
        let traps = self.matching(
            process,
            thread,
            |place| matches!(place, TrapPlace::Signal(numbers) if numbers.contains(number)),
        );
        if self.verdicts(process, thread, &traps).is_some() {
            let info = info.map_or_else(Box::default, |info| Box::from(info.as_slice()));
            self.event(process, thread, EventKind::Signal { signal, info });
        } else {
            self.go_on(thread);
        }
    }

    /// A signal comes while a copy of an instruction runs: the handler must not see where. A fault is of the instruction's own
    /// place; else the instruction is run first, and the signal comes behind it.
    fn finish_displaced(&mut self, thread: u32, code: i32) {
        let Some(process) = self.tracees.get(&thread).map(|tracee| tracee.process) else { return };
        let Some(space) = self.memory_of(process).and_then(|space| self.spaces.get(&space)) else { return };
        if space.slots.is_empty() {
            return;
        }
        let Some(pc) = self.tracees.get_mut(&thread).and_then(|tracee| tracee.pc(thread)) else { return };
        match space.origin(pc) {
            Some((_, false)) if code <= 0 => {
                let info = ptrace::signal_info(ThreadId(thread)).ok();
                if self.run_one_instruction(thread)
                    && let Some(info) = info
                {
                    // It stands at another signal now, which is replaced by the one that it is to get.
                    let _ = raw::set_signal_info(thread, &info);
                }
                self.settle(thread);
            }
            Some(_) => self.settle(thread),
            None => {}
        }
    }

    /// Job control stops a thread; `is_known`: it was in that stop before.
    fn job_stopped(&mut self, thread: u32, signal: i32, is_known: bool) {
        let Some(tracee) = self.tracees.get_mut(&thread) else { return };
        let process = tracee.process;
        let is_told = thread == process && self.mode == Mode::Running && !is_known;
        // What it has run into just before comes first, as where we have stopped it: else it would be let go with it.
        let has_trapped =
            ptrace::is_queued(ThreadId(thread), libc::SIGTRAP) && tracee.run(thread, raw::Run::On).is_ok();
        tracee.rejoins = has_trapped;
        if !has_trapped {
            tracee.state = State::JobStopped;
        }
        if is_told {
            self.event(process, thread, EventKind::JobStopped(signal));
        } else if !has_trapped && self.mode == Mode::Running {
            self.go_on(thread);
        }
    }

    /// A `SIGTRAP`.
    fn trapped(&mut self, thread: u32) {
        let Ok(info) = ptrace::signal_info(ThreadId(thread)) else { return };
        let code = raw::signal_code(&info);
        match code {
            BY_KERNEL => self.breakpoint(thread),
            TRAP_TRACE | TRAP_BRKPT | TRAP_HARDWARE | TRAP_NOTIFIED => {
                if self.watched(thread) {
                    return;
                }
                self.stepped(thread);
            }
            // Somebody has sent it.
            _ => self.signalled(thread, libc::SIGTRAP),
        }
    }

    /// A thread has stopped that mostly goes on at once.
    fn count_stop(&mut self, thread: u32) {
        if let Some(tracee) = self.tracees.get_mut(&thread) {
            tracee.stops = tracee.stops.wrapping_add(1);
            if tracee.stops.is_multiple_of(STOPS) {
                self.pace.look(thread);
            }
        }
    }

    /// A breakpoint instruction was run.
    fn breakpoint(&mut self, thread: u32) {
        let Some(process) = self.tracees.get(&thread).map(|tracee| tracee.process) else { return };
        let space = self.memory_of(process);
        let Some(tracee) = self.tracees.get_mut(&thread) else { return };
        let Ok(general) = tracee.general(thread) else { return };
        let at = general.pc().wrapping_sub(1);
        let is_ours = space
            .and_then(|space| self.spaces.get(&space))
            .is_some_and(|space| space.sites.contains_key(&at));
        if is_ours {
            general.set_pc(at);
            self.count_stop(thread);
            self.hit(thread, at);
            return;
        }
        // It was taken away since: what was there is to be run.
        let mut there = [0];
        let is_there = space
            .and_then(|space| self.spaces.get(&space))
            .is_none_or(|space| space.read(at, &mut there).is_ok() && there[0] == super::space::BREAKPOINT);
        if is_there {
            self.event(process, thread, EventKind::ForeignTrap);
        } else {
            general.set_pc(at);
            self.go_on(thread);
        }
    }

    /// A thread stands at a breakpoint of ours, before the instruction.
    fn hit(&mut self, thread: u32, at: u64) {
        let Some(tracee) = self.tracees.get_mut(&thread) else { return };
        tracee.passed = Some(at);
        let process = tracee.process;
        let is_guest = self.spaces.get(&process).is_some_and(|space| space.guest_of.is_some());
        let space = self.memory_of(process).and_then(|space| self.spaces.get(&space));
        let traps = match space.and_then(|space| space.sites.get(&at)) {
            Some(site) if !is_guest => site.traps.clone(),
            _ => Vec::new(),
        };
        self.decide(process, thread, &traps);
    }

    /// Counts hits of traps, and stops or goes on.
    fn decide(&mut self, process: u32, thread: u32, traps: &[u64]) {
        if let Some((traps, faults)) = self.verdicts(process, thread, traps) {
            if let Some(tracee) = self.tracees.get_mut(&thread) {
                // What is looked at from now on is looked at from outside.
                let _ = tracee.put_registers(thread);
            }
            self.event(process, thread, EventKind::Trapped { traps, faults });
        } else if !self.waiting_for_room.contains(&thread) {
            self.go_on(thread);
        }
    }

    /// What comes of hits: `None` when all go on, else the traps that stop.
    #[expect(clippy::type_complexity, reason = "what an event of traps is made of")]
    fn verdicts(
        &mut self,
        process: u32,
        thread: u32,
        traps: &[u64],
    ) -> Option<(Vec<TrapId>, Vec<(TrapId, prospect_process::agent::AgentFault)>)> {
        let (mut stopping, mut faults) = (Vec::new(), Vec::new());
        for id in traps {
            let space = self.memory_of(process).and_then(|space| self.spaces.get(&space));
            let (Some(space), Some(state)) = (space, self.traps.get_mut(id)) else { continue };
            let general = self.tracees.get_mut(&thread).and_then(|tracee| tracee.general(thread).ok());
            let together = state.trap.filter.together.map(|number| self.together.entry(number).or_default());
            let general = general.map(|general| &*general);
            let verdict = state.hit(*id, process, thread, space, general, together);
            if verdict.stops {
                stopping.push(TrapId(*id));
            }
            faults.extend(verdict.fault.map(|fault| (TrapId(*id), fault)));
            if let Some(record) = verdict.record
                && !self.keep(record)
            {
                self.waiting_for_room.push(thread);
            }
        }
        (!stopping.is_empty()).then_some((stopping, faults))
    }

    /// The traps of a process at places of one kind.
    fn matching(&self, process: u32, thread: u32, is_meant: impl Fn(&TrapPlace) -> bool) -> Vec<u64> {
        let of_it = self.traps.iter().filter(|(_, one)| {
            one.processes.contains(&process)
                && is_meant(&one.trap.place)
                && one.trap.filter.thread.is_none_or(|only| only.0 == thread)
        });
        of_it.map(|(id, _)| *id).collect()
    }

    /// One instruction was run.
    pub(super) fn stepped(&mut self, thread: u32) {
        self.settle(thread);
        let Some(tracee) = self.tracees.get_mut(&thread) else { return };
        let process = tracee.process;
        let Some(ranges) = tracee.step.clone() else {
            // It was stepped for us.
            self.go_on(thread);
            return;
        };
        let pc = tracee.pc(thread).unwrap_or(0);
        let is_at_site = self
            .memory_of(process)
            .and_then(|space| self.spaces.get(&space))
            .is_some_and(|space| space.sites.contains_key(&pc));
        if is_at_site {
            // It is hit now, and not once more when it goes on.
            let before = self.events.len();
            self.without_going_on(|tracer| tracer.hit(thread, pc));
            if self.events.len() > before {
                return;
            }
        }
        if ranges.iter().any(|range| range.contains(&Addr(pc))) && self.mode == Mode::Running {
            self.count_stop(thread);
            self.start(thread);
        } else {
            self.event(process, thread, EventKind::Stepped);
        }
    }

    fn without_going_on(&mut self, work: impl FnOnce(&mut Self)) {
        let mode = std::mem::replace(&mut self.mode, Mode::Stopping);
        work(self);
        self.mode = mode;
    }

    /// Whether a debug register has stopped a thread; then that is dealt with.
    fn watched(&mut self, thread: u32) -> bool {
        let Some(process) = self.tracees.get(&thread).map(|tracee| tracee.process) else { return false };
        let Some(space) = self.spaces.get(&process).filter(|space| space.watches.iter().any(Option::is_some))
        else {
            return false;
        };
        let Ok(status) = debug_register(ThreadId(thread), 6) else { return false };
        let hit = space.watches.iter().enumerate().filter(|(index, _)| status >> index & 1 == 1);
        let traps: Vec<u64> = hit.filter_map(|(_, watch)| Some((*watch)?.trap)).collect();
        if traps.is_empty() {
            return false;
        }
        let _ = set_debug_register(ThreadId(thread), 6, 0);
        self.settle(thread);
        // A step that was done at the same time is told with it.
        self.decide(process, thread, &traps);
        true
    }

    /// A system call begins or ends.
    fn call(&mut self, thread: u32) {
        let Some(process) = self.tracees.get(&thread).map(|tracee| tracee.process) else { return };
        let call = raw::call(thread).ok().flatten();
        let Some(tracee) = self.tracees.get_mut(&thread) else { return };
        let (number, phase, kind) = match call {
            // It has stopped at it before, and stops once more since it is filtered.
            Some(Call::Entry { number, .. }) if tracee.call == Some(number) => {
                tracee.is_at_call = true;
                self.go_on(thread);
                return;
            }
            Some(Call::Entry { number, arguments }) => {
                tracee.call = Some(number);
                tracee.is_at_call = true;
                (Some(number), CallPhase::Entry, EventKind::CallEntry { number, arguments })
            }
            Some(Call::Exit { result }) => {
                let number = tracee.call.take();
                (number, CallPhase::Exit, EventKind::CallExit { number, result })
            }
            None => {
                self.go_on(thread);
                return;
            }
        };
        let traps = self.matching(process, thread, |place| match place {
            TrapPlace::Call { numbers, phase: wanted } => {
                (*wanted == phase || *wanted == CallPhase::Both)
                    && number.map_or(*numbers == Numbers::All, |number| numbers.contains(number as u32))
            }
            _ => false,
        });
        if !traps.is_empty() {
            self.count_stop(thread);
        }
        if self.verdicts(process, thread, &traps).is_some() {
            self.event(process, thread, kind);
        } else if !self.waiting_for_room.contains(&thread) {
            self.go_on(thread);
        }
    }

    /// A thread has made a thread or a process.
    fn made(&mut self, thread: u32, event: i32) {
        let Some(parent) = self.tracees.get(&thread).map(|tracee| tracee.process) else { return };
        let Ok(new) = raw::event_message(thread) else {
            self.go_on(thread);
            return;
        };
        self.pace.born(thread, new);
        let process = process_of(new).unwrap_or(if event == libc::PTRACE_EVENT_CLONE { parent } else { new });
        self.tracees.insert(new, Tracee::new(process));
        if process == parent {
            if let Some(status) = self.strangers.remove(&new) {
                self.status(new, status);
            }
            self.go_on(thread);
            return;
        }
        let by = match event {
            libc::PTRACE_EVENT_VFORK => NewProcess::Vfork,
            libc::PTRACE_EVENT_FORK => NewProcess::Fork,
            _ => NewProcess::Clone,
        };
        self.new_process(thread, parent, new, by);
    }

    fn new_process(&mut self, thread: u32, parent: u32, new: u32, by: NewProcess) {
        let Some(arch) = self.spaces.get(&parent).map(|space| space.arch) else { return };
        let Ok(mut space) = Space::open(new, arch) else {
            // It has ended already.
            self.tracees.remove(&new);
            self.strangers.remove(&new);
            self.go_on(thread);
            return;
        };
        let shares = by == NewProcess::Vfork;
        if shares {
            space.guest_of = self.memory_of(parent);
        }
        self.spaces.insert(new, space);
        self.await_first_stop(new);
        let stays = self.follow != Follow::Parent;
        if !shares {
            if stays {
                self.copy_traps(parent, new);
            } else {
                if let (Some(from), Some(into)) = (self.spaces.get(&parent), self.spaces.get(&new)) {
                    from.restore_into(into);
                }
                let _ = self.leave(new, Leave::AsItWas);
            }
        } else {
            // It uses its parent's memory, with what is in it, until it has its own.
            let _ = self.tracees.get_mut(&new).map(|tracee| tracee.run(new, raw::Run::On));
        }
        let traps = self.matching(parent, thread, |place| matches!(place, TrapPlace::Fork));
        let is_told = self.verdicts(parent, thread, &traps).is_some();
        if self.follow == Follow::Child && !shares {
            // Before the event, which is told though its process is none of ours any more.
            self.without_going_on(|tracer| {
                let _ = tracer.leave(parent, Leave::AsItWas);
            });
        }
        if is_told {
            self.event(parent, thread, EventKind::Forked { child: ProcessId(new), by });
        } else {
            if stays && !shares {
                self.go_on(new);
            }
            self.go_on(thread);
        }
    }

    /// Waits for the first stop of a new process, which comes at once.
    fn await_first_stop(&mut self, new: u32) {
        let mut status = self.strangers.remove(&new);
        let deadline = Instant::now() + GIVEN_UP_AFTER;
        while status.is_none() && Instant::now() < deadline {
            status = raw::wait_for(new);
        }
        if let Some(tracee) = self.tracees.get_mut(&new)
            && let Some(Status::Stopped { .. }) = status
        {
            tracee.is_new = false;
            tracee.state = State::Standing;
            tracee.forget_registers();
            self.watch(new);
        }
    }

    /// Another program begins.
    fn executed(&mut self, thread: u32) {
        let former = raw::event_message(thread).unwrap_or(thread);
        let Some(process) = self.tracees.get(&thread).map(|tracee| tracee.process) else { return };
        self.pace.renamed(former, thread);
        // All others have ended, and this one has the number of the first.
        for other in self.threads_of(process).into_iter().filter(|other| *other != thread) {
            self.pace.forget(other);
            self.tracees.remove(&other);
        }
        let was_guest = self.spaces.get(&process).is_some_and(|space| space.guest_of.is_some());
        if was_guest && self.follow == Follow::Parent {
            let _ = self.leave(process, Leave::AsItWas);
            return;
        }
        let arch = self.tracees.get_mut(&thread).and_then(|tracee| Some(tracee.general(thread).ok()?.arch()));
        let before = self.spaces.get(&process).map(|space| space.arch);
        if let Some(arch) = arch.or(before)
            && let Ok(space) = Space::open(process, arch)
        {
            self.spaces.insert(process, space);
            self.note_calls(process);
        }
        self.forget_code_traps_of(process);
        if let Some(tracee) = self.tracees.get_mut(&thread) {
            tracee.call = None;
            tracee.kept = None;
            tracee.passed = None;
        }
        self.event(process, thread, EventKind::Executed { former: ThreadId(former) });
    }

    /// A thread is about to end.
    fn exiting(&mut self, thread: u32) {
        let Some(process) = self.tracees.get(&thread).map(|tracee| tracee.process) else { return };
        let traps = self.matching(process, thread, |place| matches!(place, TrapPlace::ThreadExited));
        if self.verdicts(process, thread, &traps).is_some() {
            self.event(process, thread, EventKind::ThreadExited);
        } else {
            self.go_on(thread);
        }
    }

    /// Has a thread stop at what is watched in its process.
    pub(super) fn watch(&self, thread: u32) {
        let Some(process) = self.tracees.get(&thread).map(|tracee| tracee.process) else { return };
        let Some(space) = self.spaces.get(&process) else { return };
        let mut control = 0;
        for (index, watch) in space.watches.iter().enumerate() {
            if let Some(watch) = watch {
                let _ = set_debug_register(ThreadId(thread), index, watch.at);
                control |= 1 << (2 * index) | watch.kind << (16 + 4 * index);
            }
        }
        let has_any = control != 0 || debug_register(ThreadId(thread), 7).is_ok_and(|old| old != 0);
        if has_any {
            let _ = set_debug_register(ThreadId(thread), 7, control);
        }
    }
}

/// What goes into the control register: access, and length (Intel SDM volume 3, section 18.2.4).
pub(super) fn watch_kind(access: Option<DataAccess>, bytes: u8) -> u64 {
    let access = match access {
        None => 0,
        Some(DataAccess::Write) => 1,
        Some(DataAccess::Any) => 3,
    };
    let length = match bytes {
        2 => 1,
        4 => 3,
        8 => 2,
        _ => 0,
    };
    length << 2 | access
}

/// The process that a thread belongs to.
fn process_of(thread: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok())
}

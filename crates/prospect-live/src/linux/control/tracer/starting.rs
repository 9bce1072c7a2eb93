//! Taking processes under control, and letting them go.

use std::{os::fd::AsRawFd as _, time::Instant};

use prospect_process::{
    Addr, ProcessId, ThreadId, ThreadState,
    control::{EventKind, Follow, Leave},
};

use super::{
    CALL_WITHIN, OPTIONS, Tracer,
    displaced::Slots,
    raw::{self, Status},
    space::Space,
    tracee::{Pending, State, Tracee},
};
use crate::linux::{
    control::{launch::Prepared, wire::Failure},
    procfs, ptrace,
    snapshot::borrowed::Borrowed,
};

/// Room for copies of instructions, in one place.
const SLOT_AREA: u64 = 512 << 10;

/// Copies reach what their instructions mean from so far.
const REACH: u64 = 1 << 30;

impl Tracer {
    /// Starts a program. It stands before its first instruction then.
    pub(in super::super) fn launch(
        &mut self,
        program: &Prepared,
        ends_with_us: bool,
        signals: &raw::SignalSet,
        group: u32,
    ) -> Result<u32, Failure> {
        let failed = |error: &std::io::Error| Failure::system("start a process", error);
        let ((go, gone), (told, tell)) =
            (raw::pipe().map_err(|error| failed(&error))?, raw::pipe().map_err(|error| failed(&error))?);
        let Some(process) = raw::fork().map_err(|error| failed(&error))? else {
            drop((gone, told));
            raw::join_group(group);
            program.execute(&go, &tell, signals);
        };
        drop((go, tell));
        self.close_all_but(&[gone.as_raw_fd(), told.as_raw_fd()]);
        self.ends_with_us = ends_with_us;
        if let Some(numbers) = program.filtered_calls() {
            self.filtered_calls = numbers.to_vec();
            self.follow = Follow::Both;
        }
        let seized = ptrace::seize_with(ThreadId(process), self.options())
            .map_err(|error| Failure::system("trace a process", &error));
        if let Err(failure) = seized {
            let _ = raw::kill(process, libc::SIGKILL);
            raw::reap(process);
            return Err(failure);
        }
        let mut tracee = Tracee::new(process);
        tracee.is_new = false;
        self.tracees.insert(process, tracee);
        drop(gone);
        loop {
            match raw::wait_any(true) {
                Ok(Some((who, Status::Stopped { event: libc::PTRACE_EVENT_EXEC, .. }))) if who == process => {
                    break;
                }
                // Whatever comes to it before it is the program.
                Ok(Some((who, Status::Stopped { signal, event }))) if who == process => {
                    let signal = if event == 0 { signal } else { 0 };
                    let _ = raw::run(process, raw::Run::On, signal);
                }
                Ok(Some((who, _))) if who == process => {
                    self.tracees.clear();
                    let code = raw::told(&told).unwrap_or(libc::EIO);
                    return Err(Failure::System { doing: "run the program".into(), code });
                }
                _ => {}
            }
        }
        self.status(process, Status::Stopped { signal: libc::SIGTRAP, event: libc::PTRACE_EVENT_EXEC });
        // Nobody needs to be told that it began.
        self.events.clear();
        Ok(process)
    }

    /// Takes a process, which stands then.
    pub(in super::super) fn attach(&mut self, process: u32) -> Result<u32, Failure> {
        if self.spaces.contains_key(&process) {
            return Err(Failure::Unsupported("attach to a process that it has already".into()));
        }
        let failed = |error: &std::io::Error| Failure::system(format!("attach to process {process}"), error);
        let mut found = true;
        while std::mem::take(&mut found) {
            let threads = procfs::task_ids(ProcessId(process)).unwrap_or_default();
            for ThreadId(thread) in threads {
                if self.tracees.contains_key(&thread) {
                    continue;
                }
                match ptrace::seize_with(ThreadId(thread), OPTIONS)
                    .and_then(|()| ptrace::interrupt(ThreadId(thread)))
                {
                    Ok(()) => {
                        self.tracees.insert(thread, Tracee::new(process));
                        found = true;
                    }
                    Err(_) if has_ended(thread) => {}
                    // Of those that are not ours, one would die of the first breakpoint that it comes to.
                    Err(error) => {
                        self.give_up(process);
                        return Err(failed(&error));
                    }
                }
            }
        }
        if self.threads_of(process).is_empty() {
            return Err(failed(&std::io::Error::from_raw_os_error(libc::ESRCH)));
        }
        // Its threads must not be taken for those of a process that runs.
        let opened = self.open_space(process);
        if let Err(failure) = opened {
            self.give_up(process);
            return Err(failure);
        }
        self.await_stops(|_, tracee| tracee.process == process);
        // One that is on its way to a signal says so when it goes on.
        let threads = self.threads_of(process);
        if let Some(arch) = threads.iter().find_map(|thread| {
            let tracee = self.tracees.get_mut(thread).filter(|tracee| tracee.stands())?;
            Some(tracee.general(*thread).ok()?.arch())
        }) && let Some(space) = self.spaces.get_mut(&process)
        {
            space.arch = arch;
        }
        Ok(process)
    }

    /// Lets threads go that were asked to stop, before anything else was done with them.
    fn give_up(&mut self, process: u32) {
        self.await_stops(|_, tracee| tracee.process == process);
        let _ = self.leave(process, Leave::AsItWas);
    }

    fn open_space(&mut self, process: u32) -> Result<(), Failure> {
        let opened = Space::open(process, procfs::host_arch());
        let space = opened.map_err(|error| Failure::system("open the memory of the process", &error))?;
        self.spaces.insert(process, space);
        Ok(())
    }

    /// Lets a process go, with nothing of ours in it. Its threads must stand, as far as they can.
    pub(super) fn leave(&mut self, process: u32, leave: Leave) -> Result<(), Failure> {
        let process = self.come_back(process);
        self.return_all(process);
        self.forget_moments_of(process);
        let threads = self.threads_of(process);
        threads.iter().for_each(|thread| self.settle(*thread));
        self.forget_traps_of(process);
        self.events.retain(|event| event.process.0 != process);
        self.unmap_slots(process);
        if let Some(space) = self.spaces.get_mut(&process) {
            space.watches = [None; 4];
        }
        if leave == Leave::Stopped {
            let _ = raw::kill(process, libc::SIGSTOP);
        }
        for thread in &threads {
            self.watch(*thread);
            let Some(mut tracee) = self.tracees.remove(thread) else { continue };
            if !tracee.stands() {
                // It goes when it stops, or when this process ends.
                continue;
            }
            let _ = tracee.put_registers(*thread);
            let signal = tracee.pending.map_or(0, |pending| pending.signal);
            if let Some(info) = tracee.pending.and_then(|pending| pending.info) {
                let _ = raw::set_signal_info(*thread, &info);
            }
            let _ = ptrace::detach(ThreadId(*thread), signal);
        }
        self.spaces.remove(&process);
        Ok(())
    }

    /// Brings a thread that stands in the middle of an event of the kernel's to where it would run on, without running
    /// anything.
    pub(super) fn come_to_rest(&mut self, thread: u32) -> bool {
        let Some(tracee) = self.tracees.get_mut(&thread) else { return false };
        if tracee.pending.is_some() {
            return false;
        }
        match tracee.state {
            State::Running => return false,
            State::Standing => {}
            State::JobStopped => {
                // It stands where it would run on.
                tracee.state = State::Standing;
                tracee.rejoins = true;
                return true;
            }
        }
        if ptrace::interrupt(ThreadId(thread)).and_then(|()| tracee.run(thread, raw::Run::On)).is_err() {
            return false;
        }
        let deadline = Instant::now() + CALL_WITHIN;
        while Instant::now() < deadline {
            match raw::wait_for(thread) {
                Some(Status::Stopped { event: libc::PTRACE_EVENT_STOP, .. }) => {
                    if let Some(tracee) = self.tracees.get_mut(&thread) {
                        tracee.state = State::Standing;
                        crate::linux::arch::restart_call(ThreadId(thread));
                    }
                    return true;
                }
                Some(status) => {
                    self.status(thread, status);
                    return false;
                }
                None => {}
            }
        }
        false
    }

    /// A thread of a process that can be made to do something.
    pub(super) fn at_rest(&mut self, process: u32) -> Option<u32> {
        let mut threads = self.threads_of(process).into_iter();
        threads.find(|thread| {
            let has_event = self.events.iter().any(|event| event.thread.0 == *thread);
            !has_event && self.come_to_rest(*thread)
        })
    }

    /// Sees to it that there is room for copies of instructions near an address.
    pub(super) fn map_slots(&mut self, process: u32, near: u64) {
        let Some(space) = self.spaces.get(&process) else { return };
        let reaches = |slots: &Slots| slots.start().abs_diff(near) < REACH;
        if space.has_no_slots || space.slots.iter().any(reaches) {
            return;
        }
        let mapped = self.gap(process, near).and_then(|at| {
            let thread = self.at_rest(process)?;
            let mut borrowed = Borrowed::standing(ThreadId(thread), || {}).ok()?;
            let flags =
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE | libc::MAP_NORESERVE;
            let arguments =
                [at, SLOT_AREA, (libc::PROT_READ | libc::PROT_EXEC) as u64, flags as u64, u64::MAX, 0];
            let done =
                borrowed.call(|convention| convention.mmap, arguments, Instant::now() + CALL_WITHIN, |_| {});
            if let Some(tracee) = self.tracees.get_mut(&thread) {
                tracee.forget_registers();
                tracee.pending = borrowed.signal().map(|signal| Pending { signal, info: None });
            }
            (done.ok()? == at.cast_signed()).then_some(at)
        });
        let Some(space) = self.spaces.get_mut(&process) else { return };
        match mapped {
            Some(at) => space.slots.push(Slots::new(at, SLOT_AREA)),
            None => space.has_no_slots = true,
        }
    }

    /// Where nothing is mapped, near an address.
    fn gap(&self, process: u32, near: u64) -> Option<u64> {
        let mappings = procfs::mappings(ProcessId(process)).ok()?;
        let mut end = 0x1_0000u64;
        let mut best = None;
        let bounds = mappings.as_slice().iter().map(|mapping| (mapping.range.start, mapping.range.end));
        for (start, next) in bounds.chain([(Addr(0x7fff_ffff_f000), Addr(u64::MAX))]) {
            // Room on both sides, for what grows.
            let room = 64 * SLOT_AREA;
            if start.0.saturating_sub(end) >= 2 * room + SLOT_AREA {
                for at in [end + room, start.0 - room - SLOT_AREA] {
                    let at = at & !0xfff;
                    if best.is_none_or(|best: u64| at.abs_diff(near) < best.abs_diff(near)) {
                        best = Some(at);
                    }
                }
            }
            end = next.0;
        }
        best.filter(|at| at.abs_diff(near) < REACH)
    }

    fn unmap_slots(&mut self, process: u32) {
        let is_guest = self.spaces.get(&process).is_none_or(|space| space.guest_of.is_some());
        if is_guest || self.spaces.get(&process).is_none_or(|space| space.slots.is_empty()) {
            return;
        }
        let Some(thread) = self.at_rest(process) else { return };
        let Ok(mut borrowed) = Borrowed::standing(ThreadId(thread), || {}) else { return };
        let slots = self.spaces.get_mut(&process).map(|space| std::mem::take(&mut space.slots));
        for area in slots.unwrap_or_default() {
            let arguments = [area.start(), area.bytes(), 0, 0, 0, 0];
            let _ = borrowed.call(
                |convention| convention.munmap,
                arguments,
                Instant::now() + CALL_WITHIN,
                |_| {},
            );
        }
        if let Some(tracee) = self.tracees.get_mut(&thread) {
            tracee.forget_registers();
            tracee.pending = borrowed.signal().map(|signal| Pending { signal, info: None });
        }
    }

    /// An event that a process has ended is told even where nobody waited for it.
    pub(super) fn kill(&mut self, process: u32) -> Result<(), Failure> {
        raw::kill(process, libc::SIGKILL).map_err(|error| Failure::system("end the process", &error))?;
        let deadline = Instant::now() + CALL_WITHIN;
        while self.spaces.contains_key(&process) && Instant::now() < deadline {
            if let Ok(Some((thread, status))) = raw::wait_any(true) {
                self.status(thread, status);
            }
        }
        self.events.retain(|event| event.process.0 != process || matches!(event.kind, EventKind::Ended(_)));
        Ok(())
    }
}

/// Whether a thread has ended, and nobody has waited for it; the kernel refuses to have it traced then.
fn has_ended(thread: u32) -> bool {
    matches!(procfs::thread_state(ThreadId(thread)), None | Some(ThreadState::Zombie | ThreadState::Dead))
}

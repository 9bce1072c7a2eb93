//! What the program asks for.

use prospect_process::{
    Addr, Arch, ProcessId, RegisterSet, ThreadId,
    control::{Resume, Trap, TrapCounts, TrapId, TrapPlace},
};

use super::{GENERAL, Mode, Tracer, filters::TrapState, raw, space::Watch, stops::watch_kind};
use crate::linux::{
    control::wire::{Failure, Reply, Request},
    procfs, ptrace,
};

/// Room for what `XSAVE` writes, with the tiles of AMX.
const SET_BYTES: usize = 16 << 10;

/// Hosts whose breakpoint instruction is known.
const HAS_BREAKPOINTS: [Arch; 2] = [Arch::X86_64, Arch::I386];

impl Tracer {
    /// Does something, and says what came of it; `None` where nobody waits for that.
    pub(super) fn answer(&mut self, request: Request) -> Option<Reply> {
        let done = match request {
            Request::Interrupt => {
                self.is_interrupted = true;
                return None;
            }
            Request::Attach(process) => self
                .paused(|tracer| tracer.attach(process.0))
                .map(|process| Reply::Started(ProcessId(process))),
            Request::Resume(plan) => self.resume(plan),
            Request::Threads(process) => {
                Ok(Reply::Threads(self.threads_of(process.0).into_iter().map(ThreadId).collect()))
            }
            Request::Registers(thread, set) => Ok(Reply::Registers(self.registers(thread.0, set))),
            Request::SetRegisters(thread, set, bytes) => self.set_registers(thread.0, set, &bytes),
            Request::Borrow(thread) => self.borrow_thread(thread.0).map(|()| Reply::Done),
            Request::Return(thread) => self.return_thread(thread.0).map(|()| Reply::Done),
            Request::Checkpoint(process) => {
                self.paused(|tracer| tracer.keep_moment(process.0)).map(Reply::Checkpoint)
            }
            Request::ForgetCheckpoint(id) => {
                self.paused(|tracer| tracer.forget_moment(id)).map(|()| Reply::Done)
            }
            Request::GoBack(id) => self.paused(|tracer| tracer.go_back(id)).map(|(process, hidden)| {
                let hidden = hidden.into_iter().map(|(at, byte)| (Addr(at), byte)).collect();
                Reply::WentBack { process: ProcessId(process), hidden }
            }),
            Request::WriteMemory(process, at, bytes) => self.write_memory(process.0, at, &bytes),
            Request::SetTrap(process, trap) => self.paused(|tracer| tracer.set_trap(process.0, trap)),
            Request::ClearTrap(trap) => Ok(Reply::Counts(self.paused(|tracer| tracer.clear_trap(trap.0)))),
            Request::Counts(trap) => {
                let counts = self.traps.get(&trap.0).map_or_else(TrapCounts::default, |one| one.counts);
                Ok(Reply::Counts(counts))
            }
            Request::TakeRecords => Ok(Reply::Records(self.take_records())),
            Request::Follow(follow) => {
                self.follow = follow;
                Ok(Reply::Done)
            }
            Request::Detach(process, leave) => self
                .known(process.0)
                .and_then(|()| self.can_leave())
                .and_then(|()| self.paused(|tracer| tracer.leave(process.0, leave)).map(|()| Reply::Done)),
            Request::Kill(process) => {
                self.known(process.0).and_then(|()| self.kill(process.0)).map(|()| Reply::Done)
            }
        };
        Some(done.unwrap_or_else(Reply::Failed))
    }

    /// Does something for which all must stand, and lets them go on if they ran.
    fn paused<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let ran = self.mode == Mode::Running;
        self.stop_all();
        let result = work(self);
        if ran && self.events.is_empty() {
            self.run_all();
        } else if ran {
            // It has not been told yet.
            self.mode = Mode::Running;
        }
        result
    }

    fn known(&self, process: u32) -> Result<(), Failure> {
        let is_known = self.spaces.contains_key(&process);
        is_known.then_some(()).ok_or(Failure::NotControlled(ProcessId(process)))
    }

    /// Calls that are filtered fail when there is no tracer.
    fn can_leave(&self) -> Result<(), Failure> {
        let why = || Failure::Unsupported("let a program go whose system calls are filtered".into());
        if self.filtered_calls.is_empty() { Ok(()) } else { Err(why()) }
    }

    fn resume(&mut self, plan: Resume) -> Result<Reply, Failure> {
        if self.spaces.is_empty() && self.events.is_empty() {
            return Err(Failure::NothingLeft);
        }
        if self.announce() {
            // What happened at the same time comes first.
            return Ok(Reply::Done);
        }
        self.plan = plan;
        if self.is_interrupted {
            self.mode = Mode::Running;
        } else {
            self.run_all();
        }
        Ok(Reply::Done)
    }

    fn registers(&mut self, thread: u32, set: RegisterSet) -> Option<Vec<u8>> {
        let tracee = self.tracees.get_mut(&thread).filter(|tracee| tracee.stands())?;
        if set.0 == GENERAL {
            return Some(tracee.general(thread).ok()?.bytes().to_vec());
        }
        let mut bytes = vec![0; SET_BYTES];
        let length = ptrace::other_register_set(ThreadId(thread), set, &mut bytes).ok()?;
        bytes.truncate(length);
        Some(bytes)
    }

    fn set_registers(&mut self, thread: u32, set: RegisterSet, bytes: &[u8]) -> Result<Reply, Failure> {
        let tracee = self.tracees.get_mut(&thread).filter(|tracee| tracee.stands());
        let tracee = tracee.ok_or(Failure::NotStopped(ThreadId(thread)))?;
        let before = tracee.pc(thread);
        tracee.forget_registers();
        let written = raw::set_register_set(thread, set.0, bytes);
        if set.0 == GENERAL && tracee.pc(thread) != before {
            // Where it goes on now, it has not hit what is there.
            tracee.passed = None;
        }
        written.map(|()| Reply::Done).map_err(|error| Failure::system("write registers", &error))
    }

    fn write_memory(&mut self, process: u32, at: Addr, bytes: &[u8]) -> Result<Reply, Failure> {
        let space = self.memory_of(process).ok_or(Failure::NotControlled(ProcessId(process)))?;
        let space = self.spaces.get_mut(&space).ok_or(Failure::NotControlled(ProcessId(process)))?;
        space.write_plain(at.0, bytes).map(|()| Reply::Done).map_err(Failure::Memory)
    }

    fn set_trap(&mut self, process: u32, trap: Trap) -> Result<Reply, Failure> {
        self.known(process)?;
        let id = self.last_trap + 1;
        let hidden = self.put_in(process, id, &trap.place)?;
        self.last_trap = id;
        let is_call = matches!(trap.place, TrapPlace::Call { .. });
        self.traps.insert(id, TrapState::new(trap, process));
        if is_call {
            self.note_calls(process);
        }
        Ok(Reply::TrapSet { trap: TrapId(id), hidden })
    }

    /// Puts a trap into one process; says where bytes are hidden by it, and what they are.
    pub(super) fn put_in(
        &mut self,
        process: u32,
        id: u64,
        place: &TrapPlace,
    ) -> Result<Option<(Addr, Vec<u8>)>, Failure> {
        match place {
            TrapPlace::Code { hardware: false, .. } if !HAS_BREAKPOINTS.contains(&procfs::host_arch()) => {
                return Err(Failure::Unsupported("breakpoints on this architecture".into()));
            }
            TrapPlace::Code { at, hardware: false } => {
                self.map_slots(process, at.0);
                let space = self.memory_of(process).and_then(|space| self.spaces.get_mut(&space));
                let space = space.ok_or(Failure::NotControlled(ProcessId(process)))?;
                let original = space.insert(at.0, id).map_err(Failure::Memory)?;
                // Who stands there already stands behind it.
                for thread in self.threads_of(process) {
                    if let Some(tracee) = self.tracees.get_mut(&thread).filter(|tracee| tracee.stands())
                        && tracee.pc(thread) == Some(at.0)
                    {
                        tracee.passed = Some(at.0);
                    }
                }
                return Ok(Some((*at, vec![original])));
            }
            TrapPlace::Code { at, hardware: true } => {
                self.set_watch(process, Watch { trap: id, at: at.0, kind: watch_kind(None, 1) })?;
            }
            TrapPlace::Data { at, bytes, access } => {
                if !matches!(bytes, 1 | 2 | 4 | 8) || at.0 % u64::from((*bytes).max(1)) != 0 {
                    return Err(Failure::Unaligned { at: *at, bytes: *bytes });
                }
                let kind = watch_kind(Some(*access), *bytes);
                self.set_watch(process, Watch { trap: id, at: at.0, kind })?;
            }
            TrapPlace::ThreadExited => {
                for thread in self.threads_of(process) {
                    let options = self.options() | libc::PTRACE_O_TRACEEXIT;
                    let _ = ptrace::set_options(ThreadId(thread), options);
                }
            }
            _ => {}
        }
        Ok(None)
    }

    fn set_watch(&mut self, process: u32, watch: Watch) -> Result<(), Failure> {
        let space = self.spaces.get_mut(&process).ok_or(Failure::NotControlled(ProcessId(process)))?;
        let count = space.watches.len();
        let free =
            space.watches.iter_mut().find(|one| one.is_none()).ok_or(Failure::NoRegisterLeft(count))?;
        *free = Some(watch);
        let threads = self.threads_of(process);
        threads.iter().for_each(|thread| self.watch(*thread));
        Ok(())
    }

    fn clear_trap(&mut self, id: u64) -> TrapCounts {
        let Some(state) = self.traps.remove(&id) else { return TrapCounts::default() };
        for process in state.processes {
            self.take_out(process, id, &state.trap.place);
        }
        state.counts
    }

    /// Takes a trap out of one process.
    fn take_out(&mut self, process: u32, id: u64, place: &TrapPlace) {
        let Some(space) = self.spaces.get_mut(&process) else { return };
        match place {
            TrapPlace::Call { .. } => self.note_calls(process),
            TrapPlace::Code { at, hardware: false } => space.remove(at.0, id),
            TrapPlace::Code { .. } | TrapPlace::Data { .. } => {
                for watch in &mut space.watches {
                    if watch.is_some_and(|watch| watch.trap == id) {
                        *watch = None;
                    }
                }
                let threads = self.threads_of(process);
                threads.iter().for_each(|thread| self.watch(*thread));
            }
            _ => {}
        }
    }

    /// A process is let go, or has ended.
    pub(super) fn forget_traps_of(&mut self, process: u32) {
        self.forget_traps(process, |_| true);
    }

    /// The code of a process is another one now.
    pub(super) fn forget_code_traps_of(&mut self, process: u32) {
        self.forget_traps(process, |place| matches!(place, TrapPlace::Code { .. } | TrapPlace::Data { .. }));
    }

    fn forget_traps(&mut self, process: u32, which: impl Fn(&TrapPlace) -> bool) {
        let of_it =
            self.traps.iter().filter(|(_, one)| one.processes.contains(&process) && which(&one.trap.place));
        let of_it: Vec<(u64, TrapPlace)> = of_it.map(|(id, one)| (*id, one.trap.place.clone())).collect();
        for (id, place) in of_it {
            // Its counts can be asked for until it is taken away.
            if let Some(one) = self.traps.get_mut(&id) {
                one.processes.retain(|one| *one != process);
            }
            self.take_out(process, id, &place);
        }
    }

    /// A process that was made by another has the same traps: they are in its copy of the memory.
    pub(super) fn copy_traps(&mut self, from: u32, to: u32) {
        let Some(parent) = self.spaces.get(&from) else { return };
        let sites: Vec<(u64, Vec<u64>)> =
            parent.sites.iter().map(|(at, site)| (*at, site.traps.clone())).collect();
        let (slots, watches) = (parent.emptied_slots(), parent.watches);
        let originals: Vec<(u64, u8)> = parent.sites.iter().map(|(at, site)| (*at, site.original)).collect();
        let Some(child) = self.spaces.get_mut(&to) else { return };
        for (at, original) in originals {
            let _ = child.write(at, &[original]);
        }
        child.slots = slots;
        child.watches = watches;
        for (at, traps) in sites {
            for trap in traps {
                let _ = child.insert(at, trap);
            }
        }
        for one in self.traps.values_mut().filter(|one| one.processes.contains(&from)) {
            one.processes.push(to);
        }
        self.note_calls(to);
        self.threads_of(to).iter().for_each(|thread| self.watch(*thread));
    }

    fn take_records(&mut self) -> Vec<prospect_process::control::Record> {
        self.record_bytes = 0;
        self.has_told_of_records = false;
        let waiting = std::mem::take(&mut self.waiting_for_room);
        let records = std::mem::take(&mut self.records);
        for thread in waiting {
            if self.tracees.get(&thread).is_some_and(|tracee| tracee.stands()) {
                self.go_on(thread);
            }
        }
        records
    }
}

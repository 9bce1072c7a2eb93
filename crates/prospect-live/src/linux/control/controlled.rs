//! The program's half.

use std::{
    collections::{BTreeMap, HashMap},
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, PoisonError, RwLock},
    thread,
    time::{Duration, Instant},
};

use prospect_process::{
    Addr, Process, ProcessId, ProcessInfo, RegisterSet, Registers, Target, TargetError, ThreadId,
    control::{
        Control, ControlError, Event, EventKind, Follow, Interrupter, Leave, NewProcess, Record, Recording,
        Resume, Trap, TrapCounts, TrapError, TrapId, TrapPlace,
    },
};

use super::{
    channel::{Channel, News},
    memory::Hidden,
    raw,
    recording::Kept,
    tracer::GENERAL,
    view::View,
    wire::{Reply, Request},
};
use crate::linux::procfs;

/// How long a tracer is waited for that puts everything back.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// Processes that this program controls: a group that stops and runs together.
///
/// They are let go, as they were, when this is dropped, and when the program ends in whatever way.
#[derive(Debug)]
pub struct Controlled {
    pub(super) channel: Arc<Channel>,
    tracer: u32,
    follow: Follow,
    /// What they make stays under control.
    keeps_children: bool,
    processes: Vec<ProcessId>,
    known: HashMap<ProcessId, Known>,
    /// Where each trap hides bytes.
    pub(super) traps: HashMap<TrapId, (ProcessId, Addr)>,
    pub(super) kept: Kept,
}

/// One process.
#[derive(Debug)]
struct Known {
    info: Arc<ProcessInfo>,
    hidden: Hidden,
    /// As it stands; when it runs, what is read of it may be of any moment.
    view: View,
}

pub(super) fn wrong(reply: &Reply) -> ControlError {
    ControlError::TracerGone(format!("it said something else than was asked: {reply:?}"))
}

impl Controlled {
    pub(super) fn new(channel: Arc<Channel>, tracer: u32, keeps_children: bool) -> Self {
        Self {
            channel,
            tracer,
            follow: if keeps_children { Follow::Both } else { Follow::Parent },
            keeps_children,
            processes: Vec::new(),
            known: HashMap::new(),
            traps: HashMap::new(),
            kept: Kept::default(),
        }
    }

    pub(super) fn add(&mut self, process: ProcessId) -> Result<(), ControlError> {
        self.add_with(process, BTreeMap::new())
    }

    pub(super) fn add_with(
        &mut self,
        process: ProcessId,
        hidden: BTreeMap<Addr, u8>,
    ) -> Result<(), ControlError> {
        let failed = |error: procfs::ProcError| ControlError::System {
            doing: format!("look at process {process}"),
            error: std::io::Error::other(error),
        };
        let info = Arc::new(procfs::process_info(process).map_err(failed)?);
        let hidden: Hidden = Arc::new(RwLock::new(hidden));
        let view = View::new(info.clone(), self.channel.clone(), hidden.clone());
        self.known.insert(process, Known { info, hidden, view });
        if !self.processes.contains(&process) {
            self.processes.push(process);
        }
        Ok(())
    }

    pub(super) fn forget(&mut self, process: ProcessId) {
        self.processes.retain(|one| *one != process);
        self.known.remove(&process);
    }

    /// What was seen of processes is of the stop before.
    pub(super) fn renew_views(&mut self) {
        for Known { info, hidden, view } in self.known.values_mut() {
            *view = View::new(info.clone(), self.channel.clone(), hidden.clone());
        }
    }

    fn heard(&mut self, event: &Event) {
        self.renew_views();
        let process = event.process;
        match &event.kind {
            EventKind::Ended(_) => self.forget(process),
            // It has ended by now, if it cannot be looked at.
            EventKind::Executed { .. } => drop(self.add(process)),
            EventKind::Forked { child, by } if self.follow != Follow::Parent => {
                let hidden = self
                    .known
                    .get(&process)
                    .map(|known| known.hidden.read().unwrap_or_else(PoisonError::into_inner).clone());
                let _ = self.add_with(*child, hidden.unwrap_or_default());
                if self.follow == Follow::Child && *by != NewProcess::Vfork {
                    self.forget(process);
                }
                return;
            }
            _ => {}
        }
        // It may have come without a word of how it was made.
        if !self.processes.contains(&process) && process.0 != 0 && !matches!(event.kind, EventKind::Ended(_))
        {
            let _ = self.add(process);
        }
    }

    pub(super) fn done(&self, request: &Request) -> Result<(), ControlError> {
        match self.channel.ask(request)? {
            Reply::Done => Ok(()),
            reply => Err(wrong(&reply)),
        }
    }

    fn set_registers(
        &mut self,
        thread: ThreadId,
        set: RegisterSet,
        bytes: Vec<u8>,
    ) -> Result<(), ControlError> {
        self.done(&Request::SetRegisters(thread, set, bytes))?;
        self.renew_views();
        Ok(())
    }

    fn uncover(&self, trap: TrapId) {
        let Some((process, at)) = self.traps.get(&trap) else { return };
        let is_shared = self.traps.iter().any(|(one, place)| *one != trap && place == &(*process, *at));
        if let Some(known) = self.known.get(process).filter(|_| !is_shared) {
            known.hidden.write().unwrap_or_else(PoisonError::into_inner).remove(at);
        }
    }
}

impl Target for Controlled {
    fn processes(&self) -> &[ProcessId] {
        &self.processes
    }

    fn process(&self, id: ProcessId) -> Result<&dyn Process, TargetError> {
        let known = self.known.get(&id).ok_or(TargetError::NoSuchProcess(id))?;
        Ok(&known.view)
    }

    fn control(&mut self) -> Option<&mut dyn Control> {
        Some(self)
    }

    fn recording(&mut self) -> Option<&mut dyn Recording> {
        Some(self)
    }
}

impl Control for Controlled {
    fn resume(&mut self, how: &Resume) -> Result<(), ControlError> {
        self.kept.position += 1;
        self.done(&Request::Resume(how.clone()))
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<Event>, ControlError> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        match self.channel.news(deadline)? {
            Some(News::Event(event)) => {
                self.heard(&event);
                Ok(Some(event))
            }
            Some(News::Records) | None => Ok(None),
        }
    }

    fn interrupter(&self) -> Interrupter {
        let channel = self.channel.clone();
        Interrupter::new(move || {
            // An error: there is nothing left to stop.
            let _ = channel.tell(&Request::Interrupt);
        })
    }

    fn write_memory(&mut self, process: ProcessId, at: Addr, bytes: &[u8]) -> Result<(), ControlError> {
        self.done(&Request::WriteMemory(process, at, bytes.to_vec()))?;
        if let Some(known) = self.known.get_mut(&process) {
            let mut hidden = known.hidden.write().unwrap_or_else(PoisonError::into_inner);
            for (place, byte) in hidden.range_mut(at..at.wrapping_add(bytes.len() as u64).max(at)) {
                *byte = bytes[(place.0 - at.0) as usize];
            }
        }
        Ok(())
    }

    fn write_registers(&mut self, thread: ThreadId, registers: &Registers) -> Result<(), ControlError> {
        let set = RegisterSet(GENERAL);
        let Reply::Registers(Some(mut bytes)) = self.channel.ask(&Request::Registers(thread, set))? else {
            return Err(ControlError::NotStopped(thread));
        };
        let arch = registers.arch();
        let mut all = Registers::from_regset(arch, &bytes);
        let before = all.pc();
        for (row, value) in registers.known() {
            if let Some(id) = arch.info().by_name(row.name) {
                all.set(id, value);
            }
        }
        // A call that was to begin again would be looked for at the new place.
        for name in ["orig_rax", "orig_eax"] {
            if let Some(id) = arch.info().by_name(name).filter(|_| all.pc() != before) {
                all.set(id, u64::MAX);
            }
        }
        let new = all.to_regset();
        let length = bytes.len().min(new.len());
        bytes[..length].copy_from_slice(&new[..length]);
        self.set_registers(thread, set, bytes)
    }

    fn write_register_set(
        &mut self,
        thread: ThreadId,
        set: RegisterSet,
        bytes: &[u8],
    ) -> Result<(), ControlError> {
        self.set_registers(thread, set, bytes.to_vec())
    }

    fn borrow_thread(&mut self, thread: ThreadId) -> Result<(), ControlError> {
        self.done(&Request::Borrow(thread))?;
        self.renew_views();
        Ok(())
    }

    fn return_thread(&mut self, thread: ThreadId) -> Result<(), ControlError> {
        self.done(&Request::Return(thread))?;
        self.renew_views();
        Ok(())
    }

    fn set_trap(&mut self, process: ProcessId, trap: Trap) -> Result<TrapId, TrapError> {
        let is_code = matches!(trap.place, TrapPlace::Code { .. });
        match self.channel.try_to(&Request::SetTrap(process, trap))? {
            Reply::Failed(failure) => Err(failure.into()),
            Reply::TrapSet { trap, hidden } => {
                if let (Some((at, bytes)), Some(known)) = (hidden, self.known.get_mut(&process)) {
                    self.traps.insert(trap, (process, at));
                    let mut hidden = known.hidden.write().unwrap_or_else(PoisonError::into_inner);
                    hidden.extend((0..).zip(bytes).map(|(offset, byte)| (at.wrapping_add(offset), byte)));
                }
                // Room for copies of instructions may have been mapped.
                if let Some(known) = self.known.get_mut(&process).filter(|_| is_code) {
                    known.view.forget_mappings();
                }
                Ok(trap)
            }
            reply => Err(wrong(&reply).into()),
        }
    }

    fn clear_trap(&mut self, trap: TrapId) -> TrapCounts {
        let counts = match self.channel.ask(&Request::ClearTrap(trap)) {
            Ok(Reply::Counts(counts)) => counts,
            _ => TrapCounts::default(),
        };
        self.uncover(trap);
        self.traps.remove(&trap);
        counts
    }

    fn counts(&mut self, trap: TrapId) -> TrapCounts {
        match self.channel.ask(&Request::Counts(trap)) {
            Ok(Reply::Counts(counts)) => counts,
            _ => TrapCounts::default(),
        }
    }

    fn take_records(&mut self) -> Vec<Record> {
        match self.channel.ask(&Request::TakeRecords) {
            Ok(Reply::Records(records)) => records,
            _ => Vec::new(),
        }
    }

    fn follow(&mut self, follow: Follow) {
        if self.keeps_children {
            return;
        }
        self.follow = follow;
        // An error is the next request's too.
        let _ = self.done(&Request::Follow(follow));
    }

    fn detach(&mut self, process: ProcessId, leave: Leave) -> Result<(), ControlError> {
        let result = self.done(&Request::Detach(process, leave));
        if !self.keeps_children {
            self.forget(process);
            self.kept.forget(process);
        }
        result
    }

    fn kill(&mut self, process: ProcessId) -> Result<(), ControlError> {
        let result = self.done(&Request::Kill(process));
        self.forget(process);
        result
    }
}

/// Can be read from when there is news: [`Control::wait`] does not wait then.
impl AsFd for Controlled {
    fn as_fd(&self) -> BorrowedFd<'_> {
        raw::borrow(self.channel.descriptor(), self)
    }
}

impl Drop for Controlled {
    /// Waits until all is let go.
    fn drop(&mut self) {
        raw::hang_up(self.channel.descriptor());
        let deadline = Instant::now() + GONE_WITHIN;
        while !raw::has_ended(self.tracer) && Instant::now() < deadline {
            thread::sleep(Duration::from_micros(200));
        }
        self.channel.ended();
    }
}

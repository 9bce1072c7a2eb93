//! Threads that are made to do something else for a while: all that they had is kept here, where it outlives whoever asked.

use prospect_process::{RegisterSet, ThreadId};

use super::{
    Tracer, raw,
    tracee::{Pending, State},
};
use crate::linux::{arch::CallRegisters, control::wire::Failure, ptrace, snapshot::replaced::Replaced};

/// `si_code` of a signal that a thread was sent by `tgkill`.
const BY_THREAD: i32 = -6;

/// Signals that an instruction causes.
const FAULTS: [i32; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS];

/// What a thread had that was borrowed.
#[derive(Debug)]
pub(super) struct Kept {
    /// General registers, blocked signals, and the restartable sequence that it was in.
    replaced: Replaced,
    /// All other registers.
    sets: Vec<(RegisterSet, Vec<u8>)>,
    pending: Option<Pending>,
    call: Option<u64>,
    passed: Option<u64>,
}

impl Tracer {
    /// Keeps all that a thread has.
    pub(super) fn borrow_thread(&mut self, thread: u32) -> Result<(), Failure> {
        let not_stopped = Failure::NotStopped(ThreadId(thread));
        let Some(tracee) = self.tracees.get(&thread) else { return Err(not_stopped) };
        if tracee.kept.is_some() {
            return Err(Failure::Unsupported("lend a thread twice".into()));
        }
        match tracee.state {
            State::Running => return Err(not_stopped),
            State::JobStopped => {
                return Err(Failure::Unsupported("lend a thread that job control has stopped".into()));
            }
            State::Standing => {}
        }
        if tracee.is_at_call {
            return Err(Failure::Unsupported("lend a thread at the beginning of a system call".into()));
        }
        // One that is about to get a signal stands where its registers can be replaced; others are brought there.
        if tracee.pending.is_none() && !self.come_to_rest(thread) {
            return Err(not_stopped);
        }
        let failed = |error: std::io::Error| Failure::system("keep the registers of a thread", &error);
        let home = CallRegisters::of(ThreadId(thread)).map_err(failed)?;
        let replaced = Replaced::of(ThreadId(thread), home).map_err(failed)?;
        let Some(tracee) = self.tracees.get_mut(&thread) else { return Err(not_stopped) };
        let arch = tracee.general(thread).map_err(failed)?.arch();
        let sets = arch.info().other_sets.iter().filter_map(|set| Some((*set, register_set(thread, *set)?)));
        let pending = tracee.pending.take().map(|pending| Pending {
            info: pending.info.or_else(|| ptrace::signal_info(ThreadId(thread)).ok()),
            ..pending
        });
        let (call, passed) = (tracee.call.take(), tracee.passed.take());
        tracee.kept = Some(Box::new(Kept { replaced, sets: sets.collect(), pending, call, passed }));
        Ok(())
    }

    /// Puts it back.
    pub(super) fn return_thread(&mut self, thread: u32) -> Result<(), Failure> {
        let not_stopped = Failure::NotStopped(ThreadId(thread));
        let stands = self.tracees.get_mut(&thread).filter(|tracee| tracee.state == State::Standing);
        let Some(tracee) = stands else { return Err(not_stopped) };
        let Some(kept) = tracee.kept.take() else { return Err(not_stopped) };
        let failed = |error: std::io::Error| Failure::system("put back the registers of a thread", &error);
        if tracee.is_at_call {
            // What it was about to do is not done.
            let general = tracee.general(thread).map_err(failed)?;
            general.skip_call();
            tracee.put_registers(thread).map_err(failed)?;
        }
        // Signals that others have sent meanwhile are not lost.
        let own = tracee.pending.take_if(|pending| is_of_itself(tracee.process, thread, pending));
        let is_at_signal = own.is_some() || tracee.pending.is_some();
        if !is_at_signal && !self.come_to_rest(thread) {
            return Err(not_stopped);
        }
        let Some(tracee) = self.tracees.get_mut(&thread) else { return Err(not_stopped) };
        let Kept { replaced, sets, pending, call, passed } = *kept;
        for (set, bytes) in sets {
            if register_set(thread, set).is_some_and(|now| now != bytes) {
                // Some can only be read.
                let _ = raw::set_register_set(thread, set.0, &bytes);
            }
        }
        replaced.put().map_err(failed)?;
        tracee.forget_registers();
        (tracee.call, tracee.passed) = (call, passed);
        match pending {
            Some(pending) if is_at_signal && tracee.pending.is_none() => tracee.pending = Some(pending),
            // A fault comes again by itself.
            Some(Pending { signal, info: Some(info) })
                if FAULTS.contains(&signal) && raw::signal_code(&info) > 0 => {}
            Some(pending) => {
                let _ = raw::kill_thread(tracee.process, thread, pending.signal);
            }
            None => {}
        }
        Ok(())
    }

    /// What was borrowed in a process is put back, as far as it can be.
    pub(super) fn return_all(&mut self, process: u32) {
        for thread in self.threads_of(process) {
            let _ = self.return_thread(thread);
        }
    }
}

/// Whether a signal comes of what the thread has done itself.
fn is_of_itself(process: u32, thread: u32, pending: &Pending) -> bool {
    let info = pending.info.or_else(|| ptrace::signal_info(ThreadId(thread)).ok());
    let Some(info) = info else { return false };
    let code = raw::signal_code(&info);
    // `si_pid` of `siginfo_t`.
    let sender = u32::from_ne_bytes([info[16], info[17], info[18], info[19]]);
    FAULTS.contains(&pending.signal) && code > 0 || code == BY_THREAD && sender == process
}

fn register_set(thread: u32, set: RegisterSet) -> Option<Vec<u8>> {
    let mut bytes = vec![0; ptrace::EXTENDED_SET_BYTES];
    let length = ptrace::other_register_set(ThreadId(thread), set, &mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

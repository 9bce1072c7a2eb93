//! The copy of the target: found when it is made, ended, and waited for by the target.

use std::time::{Duration, Instant};

use prospect_process::{ProcessId, ThreadId};

use super::{
    super::{
        borrowed::{Borrowed, Told, wait_long},
        channel::Word,
        raw,
    },
    CALL_WITHIN, MOST_THREADS, STOP_WITHIN, SUSPEND_FILTERS, Vigil,
    facts::facts,
};
use crate::linux::{
    arch::CallConvention,
    ptrace::{self, Waited},
};

/// `PTRACE_O_EXITKILL`: the tracee ends with its tracer.
const END_WITH_US: i32 = 1 << 20;

/// Between two attempts to make the target wait for its child, at most.
const RETRY: Duration = Duration::from_millis(100);

/// The copy of the target.
#[derive(Clone, Copy)]
pub(super) struct Child {
    /// Its number here, and as the target has it.
    pub(super) id: ProcessId,
    pub(super) number: i64,
    pub(super) has_ended: bool,
}

impl Vigil {
    /// The child that was just made, which stops before it runs.
    pub(super) fn find_child(&mut self, parent: ThreadId, number: i64) -> Child {
        loop {
            match self.hear_of_tracees() {
                Some((id, waited)) if id != parent => {
                    // Without us it would have run on until now, though not far.
                    let _ = ptrace::set_options(id, END_WITH_US | libc::PTRACE_O_TRACESYSGOOD);
                    return Child { id: ProcessId(id.0), number, has_ended: waited == Waited::Ended };
                }
                Some(_) => {}
                None => raw::await_news(Duration::from_millis(100)),
            }
        }
    }

    /// Makes the child give up the table of files that it shares with the target, by the one system call that it ever does:
    /// what the target holds open, and whom that belongs to, must not depend on how long the child lives.
    pub(super) fn leave_files(&self, child: ProcessId) {
        /// `CLOSE_RANGE_UNSHARE` of `include/uapi/linux/close_range.h`: the table becomes its own first. Linux 5.9.
        const UNSHARE: u64 = 1 << 1;
        let id = ThreadId(child.0);
        let filter = facts(child, id).is_some_and(|facts| facts.has_filter);
        let options = END_WITH_US | libc::PTRACE_O_TRACESYSGOOD | if filter { SUSPEND_FILTERS } else { 0 };
        if ptrace::set_options(id, options).is_err() {
            return;
        }
        let all = u64::from(u32::MAX);
        let number = |calls: &CallConvention| calls.close_range;
        if let Ok(mut child) = Borrowed::standing(id, || {}) {
            let _ = child.call(number, [0, all, UNSHARE, 0], Instant::now() + CALL_WITHIN, |_| {});
        }
    }

    pub(super) fn end_child(&mut self) {
        let Some(child) = self.child.take() else { return };
        if !child.has_ended {
            raw::kill(child.id);
            self.pass("guardian: child killed");
            while wait_long(ThreadId(child.id.0)) != Waited::Ended {}
        }
        self.pass("guardian: child ended");
        let mut pause = Duration::from_millis(1);
        while !self.has_target_ended() {
            if self.reap(child.number) {
                self.pass("guardian: child waited for");
                return;
            }
            self.pass("guardian: child not waited for yet");
            raw::poll([self.target_end], pause);
            pause = (pause * 2).min(RETRY);
            self.hear_of_tracees();
        }
    }

    fn has_target_ended(&self) -> bool {
        let [has_ended] = raw::poll([self.target_end], Duration::ZERO);
        has_ended
    }

    /// Makes a thread of the target wait for the child, whose zombie would else stay for as long as the target lives.
    fn reap(&mut self, child: i64) -> bool {
        let mut threads = [ThreadId(0); MOST_THREADS];
        let count = raw::threads(self.target, &mut threads);
        let flags = (libc::__WALL | libc::WNOHANG) as u64;
        let arguments = [child.cast_unsigned(), 0, flags, 0];
        for id in self.preferred.into_iter().chain(threads.into_iter().take(count)) {
            let Ok(mut borrowed) = self.take(id, Instant::now() + STOP_WITHIN, || {}) else { continue };
            self.pass("guardian: held to wait for the child");
            let deadline = Instant::now() + CALL_WITHIN;
            let channel = &self.channel;
            let tell = |told: Told<'_>| {
                if let Told::Replacing(own) = told {
                    let _ = channel.send(Word::Replacing, 0, &own.write());
                }
            };
            let result = borrowed.call(|calls| calls.wait4, arguments, deadline, tell);
            self.pass("guardian: registers put back again");
            borrowed.let_go();
            // That there is no such child means that somebody else was faster, or it belongs to another parent by now.
            if result.is_ok_and(|result| result == child || result == -i64::from(libc::ECHILD)) {
                return true;
            }
        }
        false
    }
}

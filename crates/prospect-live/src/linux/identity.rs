//! Which process a number meant when it was opened. Numbers are given away again.

use std::{io, os::fd::BorrowedFd};

use prospect_process::{ProcessId, ThreadState};

use super::{
    LiveError,
    events::Ending,
    pidfd::{self, PidFd},
    procfs::{self, ProcError},
};

/// Tells a process from any that gets its number later.
#[derive(Debug)]
pub(crate) struct Identity {
    process: ProcessId,
    /// When it started. No two processes of one number start in the same clock tick.
    start_ticks: u64,
    /// Why there is none: the kernel is older than Linux 5.3, or the number is a thread's.
    descriptor: Result<PidFd, io::Error>,
}

impl Identity {
    /// Of the process that has this number now.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn of(process: ProcessId) -> Result<Self, ProcError> {
        let mut start_ticks = start_of(process)?;
        loop {
            let descriptor = PidFd::open(process);
            // The number may have changed hands in between.
            let now = start_of(process)?;
            if now == start_ticks {
                return Ok(Self { process, start_ticks, descriptor });
            }
            start_ticks = now;
        }
    }

    pub(crate) fn process(&self) -> ProcessId {
        self.process
    }

    /// The descriptor, which can be read from when the process has ended.
    pub(crate) fn descriptor(&self) -> Result<BorrowedFd<'_>, &io::Error> {
        use std::os::fd::AsFd as _;
        self.descriptor.as_ref().map(PidFd::as_fd)
    }

    /// Whether all of its threads have ended. A zombie has.
    pub(crate) fn has_ended(&self) -> bool {
        if let Ok(descriptor) = &self.descriptor {
            return descriptor.has_ended();
        }
        let mut buffer = Vec::new();
        match procfs::process_stat(self.process, &mut buffer) {
            Ok(stat) if stat.start_ticks != self.start_ticks => true,
            // The first thread may have ended while others live on.
            Ok(stat) => matches!(stat.state, ThreadState::Zombie | ThreadState::Dead) && stat.threads <= 1,
            Err(error) => matches!(error, ProcError::NoSuchProcess(_)),
        }
    }

    /// An error unless the number is still its own: what was learnt by number before was then learnt of it. It may be a
    /// zombie.
    pub(crate) fn check(&self) -> Result<(), LiveError> {
        if self.descriptor.as_ref().is_ok_and(|descriptor| !descriptor.has_ended()) {
            return Ok(());
        }
        match start_of(self.process) {
            Ok(start) if start != self.start_ticks => Err(LiveError::Ended(self.process)),
            Err(ProcError::NoSuchProcess(_)) => Err(LiveError::Ended(self.process)),
            // A file that cannot be read says nothing.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: i32) -> Result<(), LiveError> {
        let sent = match &self.descriptor {
            Ok(descriptor) => match descriptor.signal(signal) {
                Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => self.signal_by_number(signal)?,
                sent => sent,
            },
            Err(_) => self.signal_by_number(signal)?,
        };
        sent.map_err(|error| match error.raw_os_error() {
            Some(libc::ESRCH) => LiveError::Ended(self.process),
            _ => LiveError::NotSignalled { process: self.process, source: error },
        })
    }

    fn signal_by_number(&self, signal: i32) -> Result<io::Result<()>, LiveError> {
        self.check()?;
        Ok(pidfd::signal_by_number(self.process, signal))
    }

    /// How it ended, as far as the system says: a parent that waits for it takes that away on kernels before Linux 6.15.
    pub(crate) fn ending(&self) -> Ending {
        let Ok(descriptor) = &self.descriptor else { return Ending::Unknown };
        let of_zombie = || {
            let status = procfs::exit_status(self.process)?;
            // What was read was of this process if the number is its own still.
            self.check().is_ok().then_some(status)
        };
        // Its parent may come to wait for it at any moment, and each of these answers is for one side of that.
        let status = descriptor.status_of_child().or_else(of_zombie).or_else(|| descriptor.status_of_gone());
        status.map_or(Ending::Unknown, Ending::from_status)
    }
}

#[cfg(test)]
impl Identity {
    /// The process that would have had its number before it.
    pub(crate) fn predecessor(&self) -> Self {
        let descriptor = Err(io::ErrorKind::Unsupported.into());
        Self { process: self.process, start_ticks: self.start_ticks - 1, descriptor }
    }
}

fn start_of(process: ProcessId) -> Result<u64, ProcError> {
    procfs::process_stat(process, &mut Vec::new()).map(|stat| stat.start_ticks)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_number_that_was_given_away_is_not_taken_for_the_process() {
        let own = Identity::of(ProcessId(std::process::id())).unwrap();
        assert!(own.check().is_ok() && !own.has_ended());
        let before = own.predecessor();
        assert!(before.has_ended());
        assert!(matches!(before.check(), Err(LiveError::Ended(_))));
        assert!(matches!(before.signal(libc::SIGKILL), Err(LiveError::Ended(_))), "or this test ends here");
    }

    #[test]
    fn without_a_descriptor_the_start_time_tells() {
        let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let with = Identity::of(ProcessId(child.id())).unwrap();
        let descriptor = Err(io::ErrorKind::Unsupported.into());
        let without = Identity { process: with.process, start_ticks: with.start_ticks, descriptor };
        for identity in [&with, &without] {
            assert!(identity.check().is_ok() && !identity.has_ended());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for identity in [&with, &without] {
            assert!(identity.has_ended());
            assert!(matches!(identity.check(), Err(LiveError::Ended(_))));
        }
        assert_eq!(without.ending(), Ending::Unknown);
    }
}

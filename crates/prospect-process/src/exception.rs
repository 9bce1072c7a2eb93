//! Why a process was dumped: what its system says happened, in the system's own numbers.

mod mach;
mod windows;

use std::fmt;

use crate::{Addr, OperatingSystem, ProcessId, SignalInfo, ThreadId};

/// What happened in a process that it was dumped for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exception {
    /// The thread that it happened in.
    pub thread: ThreadId,
    /// The system whose numbers these are.
    pub system: OperatingSystem,
    /// What: on Linux the number of the signal, on Windows an `NTSTATUS`, on macOS a Mach exception (`EXC_…`).
    pub code: u32,
    /// More of it: on Linux `si_code`, on macOS the exception's first code.
    pub flags: u32,
    /// Where: on Windows the instruction; elsewhere what `si_addr` says, or the second code of the exception.
    pub address: Option<Addr>,
    /// What else there is: on Windows the parameters of the exception, on macOS its codes, on Linux the process and the user
    /// that sent the signal, where one did.
    pub parameters: Vec<u64>,
}

/// What was done to memory that could not be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Access {
    /// It was read.
    Read,
    /// It was written.
    Write,
    /// It was to be run.
    Execute,
}

/// What Breakpad's writers give as the code where nothing happened and the dump was asked for.
const REQUESTED: u32 = 0xffff_ffff;
/// What Crashpad's do (`CrashpadClient::kSimulatedExceptionCode`, and `0` on Mac).
const SIMULATED: u32 = 0x0517_a7ed;

impl Exception {
    /// That a thread got a signal of Linux.
    #[must_use]
    pub fn of_signal(thread: ThreadId, signal: &SignalInfo) -> Self {
        let sender =
            signal.sender.iter().flat_map(|(process, user)| [u64::from(process.0), u64::from(*user)]);
        Self {
            thread,
            system: OperatingSystem::Linux,
            code: signal.number.cast_unsigned(),
            flags: signal.code.cast_unsigned(),
            address: signal.address,
            parameters: sender.collect(),
        }
    }

    /// Whether nothing happened: somebody asked for the dump.
    #[must_use]
    pub fn is_request(&self) -> bool {
        matches!(self.code, REQUESTED | SIMULATED)
    }

    /// The signal, where it is one of Linux.
    #[must_use]
    pub fn signal(&self) -> Option<SignalInfo> {
        let is_linux = matches!(self.system, OperatingSystem::Linux | OperatingSystem::Android);
        let number = self.code.cast_signed();
        let code = self.flags.cast_signed();
        let sender = match *self.parameters.as_slice() {
            [process, user] if matches!(code, 0 | -1 | -6) => Some((ProcessId(process as u32), user as u32)),
            _ => None,
        };
        // Older writers of Breakpad have 0 for every `si_code`, and all have what lies where `si_addr` may be: of a signal that was
        // sent, the process and the user that sent it.
        let is_untold =
            code == 0 && sender.is_none() && self.address.is_some_and(|address| address != Addr(0));
        let is_told = !matches!(code, 0x80 | i32::MIN..=0);
        let is_fault = matches!(number, 4 | 5 | 7 | 8 | 11) && (is_told || is_untold);
        let address = self.address.filter(|_| is_fault);
        (is_linux && number > 0).then_some(SignalInfo { number, code, address, sender })
    }

    /// The system's name for it.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        match self.system {
            OperatingSystem::Linux | OperatingSystem::Android => self.signal()?.name(),
            OperatingSystem::MacOs | OperatingSystem::Ios => mach::name(self.code),
            OperatingSystem::Windows => windows::name(self.code),
            OperatingSystem::Other => None,
        }
    }

    /// What it means, where its name does not say so.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        match self.system {
            OperatingSystem::Linux | OperatingSystem::Android => self.signal()?.reason(),
            OperatingSystem::MacOs | OperatingSystem::Ios => mach::reason(self.code, self.flags),
            OperatingSystem::Windows => windows::reason(self.code, self.parameters.first().copied()),
            OperatingSystem::Other => None,
        }
    }

    /// The memory that could not be used, and what for where that is said.
    #[must_use]
    pub fn memory_fault(&self) -> Option<(Addr, Option<Access>)> {
        match self.system {
            OperatingSystem::Linux | OperatingSystem::Android => {
                let signal = self.signal().filter(|signal| matches!(signal.number, 7 | 11))?;
                Some((signal.address?, None))
            }
            OperatingSystem::MacOs | OperatingSystem::Ios => {
                let is_fault = self.code == mach::BAD_ACCESS && self.flags != mach::GENERAL_PROTECTION;
                Some((self.address.filter(|_| is_fault)?, None))
            }
            OperatingSystem::Windows => windows::memory_fault(self.code, &self.parameters),
            OperatingSystem::Other => None,
        }
    }
}

impl fmt::Display for Exception {
    /// As `SIGSEGV, address not mapped, at 0x10`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_request() {
            return f.write_str("no crash: the dump was asked for");
        }
        if let Some(signal) = self.signal() {
            return signal.fmt(f);
        }
        match self.name() {
            Some(name) => f.write_str(name)?,
            None => write!(f, "exception {:#x}", self.code)?,
        }
        self.reason().map_or(Ok(()), |reason| write!(f, ", {reason}"))?;
        match self.memory_fault() {
            Some((at, access)) => {
                let words = match access {
                    Some(Access::Read) => "reading",
                    Some(Access::Write) => "writing",
                    Some(Access::Execute) => "running",
                    None => "at",
                };
                write!(f, ", {words} {at}")
            }
            None => self.address.map_or(Ok(()), |address| write!(f, ", at {address}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exception(system: OperatingSystem, code: u32, flags: u32, parameters: &[u64]) -> Exception {
        let address = Some(Addr(0x1000));
        Exception { thread: ThreadId(1), system, code, flags, address, parameters: parameters.to_vec() }
    }

    #[test]
    fn each_system_has_its_words() {
        use OperatingSystem::{Linux, MacOs, Other, Windows};
        let says =
            |system, code, flags, parameters: &[u64]| exception(system, code, flags, parameters).to_string();
        assert_eq!(says(Linux, 11, 1, &[]), "SIGSEGV, address not mapped, at 0x1000");
        assert_eq!(says(Linux, 6, -6i32 as u32, &[7, 8]), "SIGABRT, sent by tkill, by process 7 of user 8");
        assert_eq!(
            says(Linux, 11, 0, &[]),
            "SIGSEGV, a fault or sent by kill, its writer does not say which, at 0x1000"
        );
        assert_eq!(says(Linux, 11, 0, &[7, 8]), "SIGSEGV, sent by kill, by process 7 of user 8");
        assert_eq!(says(Linux, u32::MAX, 0, &[]), "no crash: the dump was asked for");
        assert_eq!(
            says(Windows, 0xc000_0005, 0, &[1, 0x10]),
            "EXCEPTION_ACCESS_VIOLATION, memory that could not be accessed, writing 0x10"
        );
        assert_eq!(
            says(Windows, 0xc000_0094, 0, &[]),
            "EXCEPTION_INT_DIVIDE_BY_ZERO, integer division by zero, at 0x1000"
        );
        assert_eq!(
            says(Windows, 0xc000_0409, 0, &[7]),
            "STATUS_STACK_BUFFER_OVERRUN, abort was called, at 0x1000"
        );
        assert_eq!(says(Windows, 0x1234, 0, &[]), "exception 0x1234, at 0x1000");
        assert_eq!(says(MacOs, 1, 1, &[]), "EXC_BAD_ACCESS, address not mapped, at 0x1000");
        assert_eq!(says(Other, 1, 1, &[]), "exception 0x1, at 0x1000");
        let fault = exception(Windows, 0xc000_0005, 0, &[8, 0x10]).memory_fault();
        assert_eq!(fault, Some((Addr(0x10), Some(Access::Execute))));
        assert_eq!(exception(Windows, 0xc000_0005, 0, &[8]).memory_fault(), None);
    }

    #[test]
    fn a_signal_comes_back_as_it_was() {
        for signal in [
            SignalInfo { number: 11, code: 1, address: Some(Addr(0)), sender: None },
            SignalInfo { number: 6, code: -6, address: None, sender: Some((ProcessId(1), 0)) },
            SignalInfo::of_number(9),
        ] {
            assert_eq!(Exception::of_signal(ThreadId(1), &signal).signal(), Some(signal));
        }
    }
}

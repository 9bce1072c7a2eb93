//! What Linux says of a signal that a process got (`man 2 sigaction`, `siginfo_t`).

use std::fmt;

use crate::{Addr, Arch, ProcessId};

/// What a `siginfo_t` says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignalInfo {
    /// The signal's number.
    pub number: i32,
    /// Who sent it and why (`si_code`): above 0 the kernel, else a process.
    pub code: i32,
    /// Where in memory, or at which instruction, the fault was that the kernel sent it for.
    pub address: Option<Addr>,
    /// The process that sent it, and its user.
    pub sender: Option<(ProcessId, u32)>,
}

/// What the kernel sends where it does not say more (`SI_KERNEL`): no address then.
const SI_KERNEL: i32 = 0x80;

/// The length of a `siginfo_t` (`SI_MAX_SIZE`).
const SIGINFO_BYTES: usize = 128;

impl SignalInfo {
    /// Reads one (`include/uapi/asm-generic/siginfo.h`): `si_signo`, `si_errno`, `si_code`, and behind them, where a word may
    /// begin, what depends on the signal. `None` when the three numbers are not there.
    #[must_use]
    pub fn decode(arch: Arch, bytes: &[u8]) -> Option<Self> {
        let info = arch.info();
        let number =
            |at: usize| info.unsigned(bytes.get(at..at + 4)?).map(|number| (number as u32).cast_signed());
        let (signal, code) = (number(0)?, number(8)?);
        let fields = 12usize.next_multiple_of(usize::from(info.word_bytes));
        let is_fault = matches!(signal, 4 | 5 | 7 | 8 | 11) && code > 0 && code != SI_KERNEL;
        let address = || bytes.get(fields..).and_then(|bytes| info.word(bytes)).map(Addr);
        let sender =
            || Some((ProcessId(number(fields)?.cast_unsigned()), number(fields + 4)?.cast_unsigned()));
        Some(Self {
            number: signal,
            code,
            address: is_fault.then(address).flatten(),
            // `SI_USER`, `SI_QUEUE`, `SI_TKILL`.
            sender: matches!(code, 0 | -1 | -6).then(sender).flatten(),
        })
    }

    /// A `siginfo_t` of 128 bytes that says the same; what is not known is zero.
    #[must_use]
    pub fn encode(&self, arch: Arch) -> Box<[u8]> {
        let info = arch.info();
        let mut bytes = vec![0; SIGINFO_BYTES];
        let mut put = |at: usize, width: usize, value: u64| {
            let word = if info.big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
            let word = if info.big_endian { &word[8 - width..] } else { &word[..width] };
            bytes[at..at + width].copy_from_slice(word);
        };
        put(0, 4, self.number as u64);
        put(8, 4, self.code as u64);
        let word = usize::from(info.word_bytes);
        let fields = 12usize.next_multiple_of(word);
        if let Some(address) = self.address {
            put(fields, word, address.0);
        } else if let Some((process, user)) = self.sender {
            put(fields, 4, process.0.into());
            put(fields + 4, 4, user.into());
        }
        bytes.into()
    }

    /// A signal of which only the number is known.
    #[must_use]
    pub fn of_number(number: i32) -> Self {
        // No sender says so.
        Self { number, code: i32::MAX, address: None, sender: None }
    }

    /// The name of the signal. The architectures that are known number them alike.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        name(self.number)
    }

    /// What `si_code` means for this signal.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        Some(match (self.number, self.code) {
            (4, 1) => "illegal opcode",
            (4, 2) => "illegal operand",
            (4, 5) => "privileged opcode",
            (5, 1) => "breakpoint",
            (5, 2) => "trace trap",
            (7, 1) => "invalid alignment",
            (7, 2) => "no such physical address",
            (7, 3) => "hardware error",
            (8, 1) => "integer division by zero",
            (8, 2) => "integer overflow",
            (8, 3) => "floating point division by zero",
            (11, 1) => "address not mapped",
            (11, 2) => "access not permitted",
            (11, 3) => "failed bound checks",
            (11, 4) => "failed protection key checks",
            (_, SI_KERNEL) => "sent by the kernel",
            // Who sends one has no address: it is of a writer that has no `si_code`.
            (_, 0) if self.address.is_some() => "a fault or sent by kill, its writer does not say which",
            (_, 0) => "sent by kill",
            (_, -1) => "sent by sigqueue",
            (_, -6) => "sent by tkill",
            _ => return None,
        })
    }
}

impl fmt::Display for SignalInfo {
    /// As `SIGSEGV, address not mapped, at 0x10`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name)?,
            None => write!(f, "signal {}", self.number)?,
        }
        self.reason().map_or(Ok(()), |reason| write!(f, ", {reason}"))?;
        self.address.map_or(Ok(()), |address| write!(f, ", at {address}"))?;
        self.sender.map_or(Ok(()), |(process, user)| write!(f, ", by process {process} of user {user}"))
    }
}

/// `include/uapi/asm-generic/signal.h`.
fn name(number: i32) -> Option<&'static str> {
    const NAMES: [&str; 31] = [
        "SIGHUP",
        "SIGINT",
        "SIGQUIT",
        "SIGILL",
        "SIGTRAP",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGPIPE",
        "SIGALRM",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGCHLD",
        "SIGCONT",
        "SIGSTOP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGVTALRM",
        "SIGPROF",
        "SIGWINCH",
        "SIGIO",
        "SIGPWR",
        "SIGSYS",
    ];
    NAMES.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_an_address_and_a_kill_a_sender() {
        let mut bytes = [0; 128];
        for (at, number) in [(0, 11u32), (8, 1), (16, 0x10)] {
            bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        let info = SignalInfo::decode(Arch::X86_64, &bytes).unwrap();
        assert_eq!(info.to_string(), "SIGSEGV, address not mapped, at 0x10");
        let narrow = [6u32, 0, (-6i32).cast_unsigned(), 77, 1000].map(u32::to_be_bytes).concat();
        let info = SignalInfo::decode(Arch::Ppc, &narrow).unwrap();
        assert_eq!(info.to_string(), "SIGABRT, sent by tkill, by process 77 of user 1000");
        assert_eq!(SignalInfo::decode(Arch::Ppc, &narrow[..11]), None);
        assert_eq!(SignalInfo::decode(Arch::Ppc, &narrow[..12]).unwrap().sender, None);
        assert_eq!(SignalInfo::of_number(40).to_string(), "signal 40");
    }
}

//! What the kernel keeps of a thread's signals, read while it stands.

use prospect_process::{Arch, Signals, ThreadId};

use super::ptrace::{self, SIGNAL_INFO_BYTES, SignalInfo};

/// `PTRACE_EVENT_STOP` where `si_code` has the event.
const EVENT_STOP: i32 = libc::PTRACE_EVENT_STOP;

/// The signals of a thread of ours that stands.
pub(crate) fn of(thread: ThreadId, arch: Arch) -> Signals {
    let mut signals = Signals {
        pending: ptrace::pending_signals(thread),
        blocked: ptrace::blocked_signals(thread).unwrap_or(0),
        ..Signals::default()
    };
    if let Ok(info) = ptrace::signal_info(thread) {
        let (signal, code) = (number(&info, 0), number(&info, 8));
        let is_event = code >> 8 == EVENT_STOP;
        // It stands because we asked it to: no signal of its own.
        if !is_event || signal != libc::SIGTRAP {
            signals.current = u8::try_from(signal).unwrap_or(0);
        }
        if !is_event {
            signals.info = Some(if arch.info().word_bytes == 4 { narrow(&info) } else { info }.into());
        }
    }
    signals
}

fn number(info: &SignalInfo, at: usize) -> i32 {
    info[at..].first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes))
}

/// The same in the layout of 32-bit programs: what follows the three numbers has no gap before it, and its words are half as
/// long (`struct compat_siginfo` in `include/linux/compat.h`; `copy_siginfo_to_external32` in `kernel/signal.c`).
fn narrow(info: &SignalInfo) -> SignalInfo {
    let mut narrow = [0; SIGNAL_INFO_BYTES];
    let mut put = |to: usize, from: usize| narrow[to..to + 4].copy_from_slice(&info[from..from + 4]);
    for at in [0, 4, 8] {
        put(at, at);
    }
    let (signal, code) = (number(info, 0), number(info, 8));
    let fault = [libc::SIGILL, libc::SIGFPE, libc::SIGSEGV, libc::SIGBUS, libc::SIGTRAP].contains(&signal);
    match signal {
        // `si_addr`; `si_addr_lsb` or `si_lower` and `si_upper`.
        _ if fault && code > 0 => {
            [(12, 16), (16, 24), (20, 32), (24, 40)].into_iter().for_each(|(to, from)| put(to, from))
        }
        // `si_pid`, `si_uid`, `si_status`, `si_utime`, `si_stime`.
        libc::SIGCHLD => [(12, 16), (16, 20), (20, 24), (24, 32), (28, 40)]
            .into_iter()
            .for_each(|(to, from)| put(to, from)),
        // `si_call_addr`, `si_syscall`, `si_arch`.
        libc::SIGSYS if code > 0 => {
            [(12, 16), (16, 24), (20, 28)].into_iter().for_each(|(to, from)| put(to, from))
        }
        // `si_pid`, `si_uid`, `si_value`.
        _ => [(12, 16), (16, 20), (20, 24)].into_iter().for_each(|(to, from)| put(to, from)),
    }
    narrow
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_32_bit_programs_move_up() {
        let mut info = [0; SIGNAL_INFO_BYTES];
        info[0] = libc::SIGSEGV as u8;
        info[8] = 1;
        info[16..20].copy_from_slice(&0x1234_5678u32.to_le_bytes());
        let narrow = narrow(&info);
        assert_eq!((narrow[0], narrow[8]), (11, 1));
        assert_eq!(narrow[12..16], 0x1234_5678u32.to_le_bytes());
    }

    #[test]
    fn a_sender_is_kept() {
        let mut info = [0; SIGNAL_INFO_BYTES];
        info[0] = libc::SIGUSR1 as u8;
        info[16..24].copy_from_slice(&[1, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(narrow(&info)[12..20], [1, 0, 0, 0, 2, 0, 0, 0]);
    }
}

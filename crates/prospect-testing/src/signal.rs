//! Sending a signal to one process by its number.

use std::process::{Command, Stdio};

/// The signals that tests send. (Killing one's own child is `Child::kill`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Stop, as job control does.
    Stop,
    /// Stop, as Ctrl-Z does.
    TerminalStop,
    /// Go on.
    Continue,
    /// Begin: what a fixture that waits for it understands.
    User1,
    /// End, if you please.
    Terminate,
    /// `SIGWINCH`: nothing, where it is not handled.
    WindowChange,
    /// What Ctrl-C sends.
    Interrupt,
    /// `SIGUSR2`: the same.
    User2,
    /// End with a core.
    Abort,
    /// End.
    Kill,
}

/// Sends a signal to one process; says whether that was possible.
///
/// By the shell's `kill`, since the standard library has no safe call for it.
pub fn send(signal: Signal, pid: u32) -> bool {
    let name = match signal {
        Signal::Stop => "STOP",
        Signal::TerminalStop => "TSTP",
        Signal::Continue => "CONT",
        Signal::WindowChange => "WINCH",
        Signal::Abort => "ABRT",
        Signal::User1 => "USR1",
        Signal::Terminate => "TERM",
        Signal::Interrupt => "INT",
        Signal::User2 => "USR2",
        Signal::Kill => "KILL",
    };
    Command::new("sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "kill", name, &pid.to_string()])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

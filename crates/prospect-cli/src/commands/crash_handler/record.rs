//! What is known of a crash: `crash.json` in its directory.

use serde::{Deserialize, Serialize};

use crate::report::VERSION;

/// How far the handler came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// It is at work, or was ended in the middle.
    Unfinished,
    /// Something is missing.
    Partial,
    Complete,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unfinished => "unfinished",
            Self::Partial => "partial",
            Self::Complete => "complete",
        }
    }
}

/// A file with a core.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredCore {
    /// Its name in the directory of the crash.
    pub(crate) file: String,
    /// How long it is.
    pub(crate) bytes: u64,
    /// How much of the process's memory is in it, where that was counted.
    pub(crate) memory_bytes: Option<u64>,
}

/// One crash. All numbers are those of the kernel's first namespace.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CrashRecord {
    pub(crate) version: u32,
    pub(crate) state: State,
    /// Seconds since 1970.
    pub(crate) unix: u64,
    pub(crate) pid: u32,
    /// The thread that crashed.
    pub(crate) tid: u32,
    pub(crate) uid: u32,
    pub(crate) signal: i32,
    /// The name of that thread.
    pub(crate) thread_name: String,
    /// The name of the process, as its core has it.
    pub(crate) name: Option<String>,
    pub(crate) executable: Option<String>,
    pub(crate) arch: Option<String>,
    pub(crate) threads: Option<usize>,
    /// Signal and cause: `SIGSEGV, address not mapped, at 0x10`.
    pub(crate) reason: Option<String>,
    /// Where it crashed: the innermost call, and of a program that aborts the innermost one that is not of the C library.
    pub(crate) top: Option<String>,
    /// Where the memory was read: `process`, or `stream` where that was gone.
    pub(crate) memory_from: Option<String>,
    /// The smaller core.
    pub(crate) core: Option<StoredCore>,
    /// The whole core.
    pub(crate) full: Option<StoredCore>,
    /// For how long the process had to wait for the handler, and how long the handler took.
    pub(crate) held_ms: Option<f64>,
    pub(crate) took_ms: Option<f64>,
    /// What is missing, and why.
    pub(crate) missing: Vec<String>,
}

impl CrashRecord {
    /// What the kernel says of a crash.
    pub(crate) fn new(pid: u32, tid: u32, signal: i32, unix: u64, uid: u32, thread_name: String) -> Self {
        Self {
            version: VERSION,
            state: State::Unfinished,
            unix,
            pid,
            tid,
            uid,
            signal,
            thread_name,
            name: None,
            executable: None,
            arch: None,
            threads: None,
            reason: None,
            top: None,
            memory_from: None,
            core: None,
            full: None,
            held_ms: None,
            took_ms: None,
            missing: Vec::new(),
        }
    }

    /// The name of the process, as far as it is known.
    pub(crate) fn program(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.thread_name)
    }
}

/// A moment as year, month, day, hour, minute and second of UTC.
pub(crate) fn utc(unix: u64) -> [u64; 6] {
    // The last second of the year 9999: a longer number would be no date.
    let unix = unix.min(253_402_300_799);
    let (mut days, rest) = (unix / 86_400, unix % 86_400);
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    [year, month as u64 + 1, days + 1, rest / 3600, rest / 60 % 60, rest % 60]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_dates() {
        // `date -u -d @N`.
        assert_eq!(utc(0), [1970, 1, 1, 0, 0, 0]);
        assert_eq!(utc(951_782_399), [2000, 2, 28, 23, 59, 59]);
        assert_eq!(utc(951_782_400), [2000, 2, 29, 0, 0, 0]);
        assert_eq!(utc(1_795_295_463), [2026, 11, 21, 21, 11, 3]);
        assert_eq!(utc(4_107_542_399), [2100, 2, 28, 23, 59, 59]);
        assert_eq!(utc(u64::MAX), [9999, 12, 31, 23, 59, 59]);
    }
}

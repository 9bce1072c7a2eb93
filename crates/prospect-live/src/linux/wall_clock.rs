//! The clock on the wall (`man 3 localtime`), and the one that is never set (`man 2 clock_gettime`).
#![expect(unsafe_code, reason = "a call that libc declares unsafe is made here")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Hour, minute and second of a moment where this program runs (`TZ`, `/etc/localtime`); `None` of one that is no time
/// there.
#[must_use]
pub fn wall_clock(moment: SystemTime) -> Option<(u8, u8, u8)> {
    let seconds = moment.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let seconds = libc::time_t::try_from(seconds).ok()?;
    // SAFETY: zeros are a value of all its fields.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both outlive the call, which keeps no pointer to them.
    if unsafe { libc::localtime_r(&raw const seconds, &raw mut parts) }.is_null() {
        return None;
    }
    let part = |number: i32| u8::try_from(number).ok();
    Some((part(parts.tm_hour)?, part(parts.tm_min)?, part(parts.tm_sec)?))
}

/// How long the system runs, as `CLOCK_MONOTONIC` has it: without the time that it slept. Programs keep such moments in
/// their memory.
#[must_use]
pub fn monotonic_clock() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it outlives the call, which keeps no pointer to it.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    Duration::from_secs(part(now.tv_sec)) + Duration::from_nanos(part(now.tv_nsec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_the_same_everywhere() {
        let (hour, minute, second) = wall_clock(UNIX_EPOCH + Duration::from_secs(1_700_000_017)).unwrap();
        assert!(hour < 24 && minute < 60);
        assert_eq!(second, 37);
    }
}

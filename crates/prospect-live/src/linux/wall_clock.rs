//! The clock on the wall: `man 3 localtime`.
#![expect(unsafe_code, reason = "a call that libc declares unsafe is made here")]

use std::time::{SystemTime, UNIX_EPOCH};

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn seconds_are_the_same_everywhere() {
        let (hour, minute, second) = wall_clock(UNIX_EPOCH + Duration::from_secs(1_700_000_017)).unwrap();
        assert!(hour < 24 && minute < 60);
        assert_eq!(second, 37);
    }
}

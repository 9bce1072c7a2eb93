//! The units of time in `/proc`.

use std::{
    path::Path,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use super::{
    auxv::{self, Auxv},
    cursor::Cursor,
    file::read_all,
};

/// What the kernel's `USER_HZ` is wherever Prospect runs (`include/asm-generic/param.h`; alpha and ia64
/// differ).
const USUAL_TICKS: u64 = 100;

const NANOS: u64 = 1_000_000_000;

/// Clock ticks per second, as the kernel told this very process when it started (`AT_CLKTCK`): what
/// `sysconf(_SC_CLK_TCK)` answers.
fn ticks_per_second() -> u64 {
    static TICKS: OnceLock<u64> = OnceLock::new();
    *TICKS.get_or_init(|| {
        let bytes = read_all(Path::new("/proc/self/auxv"), auxv::LIMIT_BYTES).unwrap_or_default();
        let own = Auxv::parse(&bytes, size_of::<usize>() as u8, cfg!(target_endian = "big"));
        own.get(auxv::CLOCK_TICKS).filter(|ticks| (1..=NANOS).contains(ticks)).unwrap_or(USUAL_TICKS)
    })
}

/// The time that a number of clock ticks takes.
pub(super) fn duration(ticks: u64) -> Duration {
    let each = ticks_per_second();
    // Below 10^9 * 10^9, and the result below 10^9: both fit.
    Duration::new(ticks / each, (ticks % each * NANOS / each) as u32)
}

/// When the machine started: `btime` of `/proc/stat`, in whole seconds. Read once, so that the start times
/// of processes can be compared within a run even if the clock is set.
pub(super) fn boot_time() -> Option<SystemTime> {
    static BOOT: OnceLock<Option<SystemTime>> = OnceLock::new();
    *BOOT.get_or_init(|| {
        // The line is behind one per processor and a very long one of interrupts.
        let bytes = read_all(Path::new("/proc/stat"), 16 << 20).ok()?;
        parse_boot_time(&bytes)
    })
}

fn parse_boot_time(bytes: &[u8]) -> Option<SystemTime> {
    let line = bytes.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"btime "))?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(Cursor(line).decimal()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_time_is_found_among_the_other_lines() {
        let at = parse_boot_time(b"cpu 1 2\nintr 9 btime 5\nbtime 1700000000\nprocesses 3\n").unwrap();
        assert_eq!(at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(), 1_700_000_000);
        assert_eq!(parse_boot_time(b"btime x"), None);
        assert_eq!(parse_boot_time(b""), None);
    }

    #[test]
    fn ticks_become_time_without_overflow() {
        let each = ticks_per_second();
        assert_eq!(duration(each * 3 + each / 2), Duration::from_millis(3500));
        assert!(duration(u64::MAX) > Duration::from_secs(1));
    }
}

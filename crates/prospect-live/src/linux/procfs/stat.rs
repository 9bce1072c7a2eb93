//! `/proc/PID/stat` and `/proc/PID/task/TID/stat`: one line of numbers.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use prospect_process::{ProcessId, ThreadState};

use super::{ProcError, clock, cursor::Cursor, executable, file::read_once};

/// Room for any `stat` line: a name of at most 64 bytes and 52 numbers of at most 20 digits.
pub(super) const LINE_BYTES: usize = 2048;

/// The flag of a thread that belongs to the kernel (`PF_KTHREAD` in `include/linux/sched.h`).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// What is used of a `stat` line; of a process or of one thread, by where it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat<'a> {
    /// The number of the process or thread.
    pub id: u32,
    /// Its short name, any bytes.
    pub name: &'a [u8],
    /// What it is doing.
    pub state: ThreadState,
    /// Its parent process; 0 for none, or for one outside of our pid namespace.
    pub parent: u32,
    /// Its process group; 0 for none, or for one outside of our pid namespace.
    pub process_group: u32,
    /// Its session; 0 as well.
    pub session: u32,
    /// The kernel's flags for it (`PF_…`).
    pub flags: u64,
    /// Processor time in user mode, in clock ticks.
    pub user_ticks: u64,
    /// Processor time in the kernel, in clock ticks.
    pub system_ticks: u64,
    /// Its nice value.
    pub nice: i8,
    /// How many threads the process has, the first one counted even after it has ended.
    pub threads: u64,
    /// When it started, in clock ticks after the machine did.
    pub start_ticks: u64,
}

impl Stat<'_> {
    /// Whether this belongs to the kernel.
    #[must_use]
    pub fn is_kernel_thread(&self) -> bool {
        self.flags & KERNEL_THREAD != 0
    }

    /// The processor time that was used.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        clock::duration(self.user_ticks.saturating_add(self.system_ticks))
    }

    /// The part of the processor time that was used in the kernel.
    #[must_use]
    pub fn kernel_time(&self) -> Duration {
        clock::duration(self.system_ticks)
    }

    /// When it started, exact to a second: the kernel gives the moment of boot in seconds.
    #[must_use]
    pub fn started(&self) -> Option<SystemTime> {
        clock::boot_time()?.checked_add(clock::duration(self.start_ticks))
    }

    /// The name as text, with bytes that are not UTF-8 replaced.
    #[must_use]
    pub fn name_text(&self) -> String {
        String::from_utf8_lossy(self.name).into_owned()
    }
}

/// Reads a `stat` line; `None` when it ends before the start time or is none.
///
/// The name is put in parentheses without any escaping and may hold parentheses, blanks and newlines;
/// no field behind it can hold a parenthesis, so that the last one ends it.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Stat<'_>> {
    let open = bytes.iter().position(|byte| *byte == b'(')?;
    let close = bytes.iter().rposition(|byte| *byte == b')')?;
    let name = bytes.get(open + 1..close)?;
    let mut head = Cursor(&bytes[..open]);
    let id = u32::try_from(head.decimal()?).ok()?;
    let mut cursor = Cursor(&bytes[close + 1..]);
    cursor.literal(b' ')?;
    let state = ThreadState::from_code(cursor.byte()?);
    cursor.blanks();
    let parent = cursor.word().and_then(|word| Cursor(word).decimal())?;
    let mut field = |skipped: usize| {
        for _ in 0..skipped {
            cursor.word()?;
        }
        cursor.word().map(Cursor)
    };
    // -1 of a process that is about to go.
    let mut related = || Some(u32::try_from(field(0)?.signed()?).unwrap_or(0));
    let (process_group, session) = (related()?, related()?);
    let mut number = |skipped: usize| field(skipped)?.decimal();
    Some(Stat {
        id,
        name,
        state,
        parent: u32::try_from(parent).ok()?,
        process_group,
        session,
        flags: number(2)?,
        user_ticks: number(4)?,
        system_ticks: number(0)?,
        nice: i8::try_from(field(3)?.signed()?).ok()?,
        threads: field(0)?.decimal()?,
        start_ticks: field(1)?.decimal()?,
    })
}

/// The `stat` line of a process, read into `buffer`.
///
/// # Errors
/// When the process is gone.
pub fn process_stat(pid: ProcessId, buffer: &mut Vec<u8>) -> Result<Stat<'_>, ProcError> {
    let path = format!("/proc/{pid}/stat");
    let path = Path::new(&path);
    buffer.resize(LINE_BYTES, 0);
    let line = read_once(path, buffer).map_err(|error| ProcError::of_process(pid, path, error))?;
    parse(line)
        .ok_or_else(|| ProcError::Malformed { path: path.to_owned(), what: "fields up to the start time" })
}

/// Whether a process is about to run another program, and little is to be seen of that yet: no arguments, no environment. The kernel says
/// where that ends, `env_end`, last (`create_elf_tables` in `fs/binfmt_elf.c`). It looks so too where we may not look.
pub(crate) fn is_executing(pid: ProcessId) -> bool {
    let mut buffer = [0; LINE_BYTES];
    let line = read_once(Path::new(&format!("/proc/{pid}/stat")), &mut buffer);
    line.is_ok_and(|line| field(line, 51) == Some(b"0"))
}

/// A field of a line by its number in `man 5 proc_pid_stat`; the first one behind the name is 3.
fn field(line: &[u8], number: usize) -> Option<&[u8]> {
    let close = line.iter().rposition(|byte| *byte == b')')?;
    line.get(close + 2..)?.trim_ascii_end().split(|byte| *byte == b' ').nth(number.checked_sub(3)?)
}

/// How a zombie ended, as `wait` reports it; `None` where the process is none, or the kernel does not let us know.
pub(crate) fn exit_status(pid: ProcessId) -> Option<i32> {
    let mut buffer = [0; LINE_BYTES];
    let line = read_once(Path::new(&format!("/proc/{pid}/stat")), &mut buffer).ok()?;
    let status = parse_exit_status(line)?;
    // Whoever may not look is shown 0 (`do_task_stat` in `fs/proc/array.c`). The link asks for the same right.
    let denied = matches!(executable(pid), Err(ProcError::Denied { .. }));
    (status != 0 || !denied).then_some(status)
}

/// `exit_code` of a zombie's line.
fn parse_exit_status(line: &[u8]) -> Option<i32> {
    parse(line).filter(|stat| stat.state == ThreadState::Zombie)?;
    i32::try_from(Cursor(field(line, 52)?).signed()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str =
        " S 7 8 9 -1 -1 4194560 11 12 13 14 15 16 17 18 20 -5 3 0 1234567 22 23 18446744073709551615\n";

    #[test]
    fn fields_are_where_the_manual_says() {
        let line = format!("42 (cat){TAIL}");
        let stat = parse(line.as_bytes()).unwrap();
        assert_eq!((stat.id, stat.name, stat.state), (42, &b"cat"[..], ThreadState::Sleeping));
        assert_eq!((stat.parent, stat.flags, stat.threads), (7, 4_194_560, 3));
        assert_eq!((stat.process_group, stat.session, stat.nice), (8, 9, -5));
        assert_eq!((stat.user_ticks, stat.system_ticks, stat.start_ticks), (15, 16, 1_234_567));
        assert!(!stat.is_kernel_thread());
    }

    #[test]
    fn fields_are_counted_from_behind_the_name() {
        assert_eq!(field(b"1 (a) b) S 2 3\n", 3), Some(&b"S"[..]));
        assert_eq!(field(b"1 (a) b) S 2 3\n", 5), Some(&b"3"[..]));
        assert_eq!(field(b"1 (a) b) S 2 3\n", 6), None);
        assert_eq!(field(b"1 (a)", 3), None);
        assert!(!is_executing(ProcessId(std::process::id())));
    }

    #[test]
    fn the_status_of_a_zombie_is_the_last_field() {
        let line = |state: char, rest: &str| format!("1 (a) b) {state} 2{}{rest}\n", " 0".repeat(47));
        assert_eq!(parse_exit_status(line('Z', " 256").as_bytes()), Some(256));
        assert_eq!(parse_exit_status(line('Z', "").as_bytes()), None);
        assert_eq!(parse_exit_status(line('S', " 256").as_bytes()), None);
    }

    #[test]
    fn a_name_can_be_anything() {
        let names: [&[u8]; 8] =
            [b"", b")", b"(", b") R 1 (", b"a b", b"x\n1 (y) Z", b"\xff\xfe", b"((sd-pam))"];
        for name in names {
            let line = [b"1 (", name, b")", TAIL.as_bytes()].concat();
            let stat = parse(&line).unwrap();
            assert_eq!((stat.name, stat.state, stat.parent), (name, ThreadState::Sleeping, 7));
        }
    }

    #[test]
    fn short_lines_are_refused() {
        let line = format!("42 (cat){TAIL}");
        let needed = line.find("1234567").unwrap();
        for length in 0..=needed {
            assert_eq!(parse(&line.as_bytes()[..length]), None, "{length}");
        }
        assert!(parse(b")(").is_none());
        assert!(parse(b"4294967296 (x) S 1 ").is_none());
    }

    #[test]
    fn kernel_threads_are_told_by_their_flag() {
        let line = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 1 0 0 20 0 1 0 7 0 0\n";
        assert!(parse(line.as_bytes()).unwrap().is_kernel_thread());
    }
}

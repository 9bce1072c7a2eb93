//! `/proc/PID/status`: the lines that decide who may look at whom.

use std::path::{Path, PathBuf};

use prospect_process::{ProcessId, ThreadId, ThreadState};

use super::{ProcError, cursor::Cursor, file::read_all};

/// The file has about 60 lines; those of processor masks grow with the machine.
const LIMIT_BYTES: usize = 1 << 20;

/// What is used of a `status` file; of a process or of one thread, by where it was read. Lines that a kernel
/// does not write stay zero or empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// The short name, any bytes.
    pub name: Vec<u8>,
    /// What it is doing.
    pub state: ThreadState,
    /// The process that the thread belongs to.
    pub thread_group: u32,
    /// The parent process; 0 for none, or for one outside of our pid namespace.
    pub parent: u32,
    /// The thread that traces it; 0 for none, or for one outside of our pid namespace.
    pub tracer: u32,
    /// Real, effective, saved and file system user id.
    pub users: [u32; 4],
    /// Real, effective, saved and file system group id.
    pub groups: [u32; 4],
    /// Its number in each pid namespace from ours inwards.
    pub namespace_ids: Vec<u32>,
    /// How many threads the process has.
    pub threads: u64,
    /// The signals that were sent to this thread alone and not delivered yet, a bit for each from 1 on.
    pub pending_signals: u64,
    /// The signals that are held back from it. Those that it waits for with `sigwait` are not among them.
    pub blocked_signals: u64,
    /// The capabilities that it may use, a bit for each.
    pub permitted: u64,
    /// The capabilities that it uses now.
    pub effective: u64,
    /// The capabilities that it can ever get.
    pub bounding: u64,
    /// Whether it has given up gaining rights through `execve`.
    pub no_new_privileges: bool,
    /// 0 for none, 1 for strict mode, 2 for a filter.
    pub seccomp: u8,
}

/// Reads a `status` file; `None` when it lacks the thread group or the user ids.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Status> {
    let line = |key: &[u8]| {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(b":")).map(<[u8]>::trim_ascii_start)
    };
    let number = |key: &[u8]| line(key).and_then(|value| Cursor(value).decimal());
    let id = |key: &[u8]| number(key).and_then(|value| u32::try_from(value).ok());
    let mask = |key: &[u8]| line(key).and_then(|value| Cursor(value).hex()).unwrap_or(0);
    let four = |key: &[u8]| -> Option<[u32; 4]> { numbers(line(key)?, 4).try_into().ok() };
    Some(Status {
        name: line(b"Name").map(without_escapes).unwrap_or_default(),
        state: line(b"State")
            .and_then(<[u8]>::first)
            .map_or(ThreadState::Unknown, |code| ThreadState::from_code(*code)),
        thread_group: id(b"Tgid")?,
        parent: id(b"PPid").unwrap_or(0),
        tracer: id(b"TracerPid").unwrap_or(0),
        users: four(b"Uid")?,
        groups: four(b"Gid").unwrap_or_default(),
        // The kernel nests pid namespaces at most 32 deep (MAX_PID_NS_LEVEL).
        namespace_ids: line(b"NSpid").map(|value| numbers(value, 33)).unwrap_or_default(),
        threads: number(b"Threads").unwrap_or(0),
        pending_signals: mask(b"SigPnd"),
        blocked_signals: mask(b"SigBlk"),
        permitted: mask(b"CapPrm"),
        effective: mask(b"CapEff"),
        bounding: mask(b"CapBnd"),
        no_new_privileges: number(b"NoNewPrivs") == Some(1),
        seccomp: number(b"Seccomp").and_then(|mode| u8::try_from(mode).ok()).unwrap_or(0),
    })
}

/// The `status` of a process.
///
/// # Errors
/// When the process is gone.
pub fn process_status(pid: ProcessId) -> Result<Status, ProcError> {
    let path = PathBuf::from(format!("/proc/{pid}/status"));
    match read_all(&path, LIMIT_BYTES) {
        Ok(bytes) => parsed(&path, &bytes),
        Err(error) => Err(ProcError::of_process(pid, &path, error)),
    }
}

/// The `status` of one thread of a process.
///
/// # Errors
/// When the thread is gone.
pub fn thread_status(pid: ProcessId, tid: ThreadId) -> Result<Status, ProcError> {
    let path = PathBuf::from(format!("/proc/{pid}/task/{tid}/status"));
    match read_all(&path, LIMIT_BYTES) {
        Ok(bytes) => parsed(&path, &bytes),
        Err(error) => Err(ProcError::of_thread(pid, tid, &path, error)),
    }
}

/// The `status` of the calling thread: capabilities and seccomp filters are a thread's own.
pub(crate) fn own_status() -> Result<Status, ProcError> {
    let path = Path::new("/proc/thread-self/status");
    match read_all(path, LIMIT_BYTES) {
        Ok(bytes) => parsed(path, &bytes),
        Err(error) => Err(ProcError::of_file(path, error)),
    }
}

fn parsed(path: &Path, bytes: &[u8]) -> Result<Status, ProcError> {
    parse(bytes).ok_or_else(|| ProcError::Malformed { path: path.to_owned(), what: "the Tgid and Uid lines" })
}

/// The decimal numbers of a line, up to `limit` of them or to the first other thing.
fn numbers(line: &[u8], limit: usize) -> Vec<u32> {
    let mut cursor = Cursor(line);
    let mut found = Vec::new();
    while found.len() < limit {
        let Some(number) = cursor.decimal().and_then(|number| u32::try_from(number).ok()) else { break };
        found.push(number);
        cursor.blanks();
    }
    found
}

/// The kernel writes a newline in the name as `\n` and a backslash as `\\` (`proc_task_name` in
/// `fs/proc/array.c`).
fn without_escapes(name: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name;
    while let [byte, after @ ..] = rest {
        let (plain, length) = match (byte, after.first()) {
            (b'\\', Some(b'n')) => (b'\n', 2),
            (b'\\', Some(b'\\')) => (b'\\', 2),
            _ => (*byte, 1),
        };
        decoded.push(plain);
        rest = &rest[length..];
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"Name:\ta b\\n\\\\c\\x\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t77\nNgid:\t0\n\
        Pid:\t78\nPPid:\t5\nTracerPid:\t12\nUid:\t1000\t1001\t1002\t1003\nGid:\t7\t8\t9\t10\n\
        NSpid:\t78\t4\t1\nThreads:\t3\n\
        SigPnd:\t0000000000000001\nShdPnd:\t0000000000000002\nSigBlk:\tc000000000000004\n\
        CapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000080000\nCapBnd:\t1\n\
        NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";

    #[test]
    fn the_lines_are_found_by_their_whole_key() {
        let status = parse(TEXT).unwrap();
        assert_eq!(status.name, b"a b\n\\c\\x");
        assert_eq!(status.state, ThreadState::Sleeping);
        assert_eq!((status.thread_group, status.parent, status.tracer), (77, 5, 12));
        assert_eq!((status.users, status.groups), ([1000, 1001, 1002, 1003], [7, 8, 9, 10]));
        assert_eq!((status.namespace_ids.as_slice(), status.threads), (&[78, 4, 1][..], 3));
        assert_eq!((status.permitted, status.effective, status.bounding), (0x1ff_ffff_ffff, 1 << 19, 1));
        assert_eq!((status.pending_signals, status.blocked_signals), (1, 0xc000_0000_0000_0004));
        assert!(status.no_new_privileges);
        assert_eq!(status.seccomp, 2);
    }

    #[test]
    fn what_an_old_kernel_does_not_write_is_empty() {
        let status = parse(b"Name:\tx\nTgid:\t1\nUid:\t0\t0\t0\t0\n").unwrap();
        assert_eq!((status.tracer, status.seccomp, status.namespace_ids.len()), (0, 0, 0));
        assert_eq!(parse(b"Name:\tx\nTgid:\t1\nUid:\t0\t0\t0\n"), None);
        assert_eq!(parse(b"Name:\tx\nTgid:\t4294967296\nUid:\t0\t0\t0\t0\n"), None);
        assert_eq!(parse(b""), None);
    }
}

//! The processes that a process has started.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    io::ErrorKind,
    path::PathBuf,
};

use prospect_process::{ProcessId, ThreadId};

use super::{ProcError, TaskDirectory, cursor::Cursor, exists, file::read_all, process_ids, process_stat};

/// One thread's children: more than there can be processes.
const LIMIT_BYTES: usize = 64 << 20;

/// A process and the one that it is a child of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Child {
    /// The child.
    pub id: ProcessId,
    /// Its parent.
    pub parent: ProcessId,
}

/// The children of a process, whichever of its threads started them.
///
/// # Errors
/// When the process is gone.
pub fn children(pid: ProcessId) -> Result<Vec<ProcessId>, ProcError> {
    match listed_children(pid)? {
        Some(found) => Ok(found),
        None => Ok(family()?.remove(&pid).unwrap_or_default()),
    }
}

/// The children of a process, their children, and so on, nearest first; at most `limit` of them.
///
/// Processes come and go while this looks; it is exact only for a family that is held still.
///
/// # Errors
/// When the process is gone.
pub fn descendants(pid: ProcessId, limit: usize) -> Result<Vec<Child>, ProcError> {
    let first = listed_children(pid)?;
    let mut family = match first {
        Some(_) => None,
        None => Some(family()?),
    };
    let mut found = Vec::new();
    let mut seen = HashSet::from([pid]);
    let mut open = VecDeque::from([pid]);
    while let Some(parent) = open.pop_front() {
        let next = match &mut family {
            Some(family) => family.remove(&parent).unwrap_or_default(),
            // One that has ended since it was listed has no children any more.
            None => listed_children(parent).ok().flatten().unwrap_or_default(),
        };
        for id in next {
            // A number can be given to another process while we walk.
            if !seen.insert(id) {
                continue;
            }
            if found.len() == limit {
                return Ok(found);
            }
            found.push(Child { id, parent });
            open.push_back(id);
        }
    }
    Ok(found)
}

/// What the `children` files of a process's threads say; `None` on a kernel without `CONFIG_PROC_CHILDREN`.
fn listed_children(pid: ProcessId) -> Result<Option<Vec<ProcessId>>, ProcError> {
    let mut found = Vec::new();
    for ThreadId(tid) in TaskDirectory::open(pid)?.task_ids()? {
        let path = PathBuf::from(format!("/proc/{pid}/task/{tid}/children"));
        match read_all(&path, LIMIT_BYTES) {
            Ok(bytes) => found.extend(parse(&bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound && !exists("/proc/thread-self/children") => {
                return Ok(None);
            }
            // A thread that has ended leaves its children to the others.
            Err(error) => match ProcError::of_thread(pid, ThreadId(tid), &path, error) {
                ProcError::NoSuchThread(_) => {}
                other => return Err(other),
            },
        }
    }
    Ok(Some(found))
}

/// All processes by their parent, from the `stat` of each.
fn family() -> Result<HashMap<ProcessId, Vec<ProcessId>>, ProcError> {
    let mut family: HashMap<ProcessId, Vec<ProcessId>> = HashMap::new();
    let mut buffer = Vec::new();
    for pid in process_ids()? {
        if let Ok(stat) = process_stat(pid, &mut buffer) {
            family.entry(ProcessId(stat.parent)).or_default().push(pid);
        }
    }
    Ok(family)
}

/// Numbers with a blank behind each.
fn parse(bytes: &[u8]) -> Vec<ProcessId> {
    let mut cursor = Cursor(bytes);
    let mut found = Vec::new();
    while let Some(id) = cursor.decimal().and_then(|number| u32::try_from(number).ok()) {
        found.push(ProcessId(id));
        cursor.blanks();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_up_to_the_first_other_thing() {
        assert_eq!(parse(b"12 13 4 "), [ProcessId(12), ProcessId(13), ProcessId(4)]);
        assert_eq!(parse(b"12 x 4"), [ProcessId(12)]);
        assert!(parse(b"").is_empty());
    }

    #[test]
    fn the_slow_way_finds_the_same_children() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let own = ProcessId(std::process::id());
        let fast = listed_children(own).unwrap();
        let slow = family().unwrap().remove(&own).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(slow.contains(&ProcessId(child.id())));
        if let Some(fast) = fast {
            assert!(fast.contains(&ProcessId(child.id())));
        }
    }
}

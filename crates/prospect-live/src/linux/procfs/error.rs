//! What can go wrong with a file of `/proc`.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use prospect_process::{ProcessId, ThreadId};

/// Why something could not be learnt from `/proc`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcError {
    /// There is no process of that number, or `/proc` is mounted so that we do not see it (`hidepid`).
    #[error("no process {0}")]
    NoSuchProcess(ProcessId),
    /// The process has no thread of that number (any more).
    #[error("no thread {0}")]
    NoSuchThread(ThreadId),
    /// The kernel does not let us read it; [`permission::diagnose`](crate::linux::permission::diagnose)
    /// says why.
    #[error("permission denied: {}", path.display())]
    Denied {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be read for another reason; `NotFound` of an existing process is a kernel that was
    /// built without this file.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file does not look as its documentation says.
    #[error("{} is not understood: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was missing or wrong.
        what: &'static str,
    },
}

impl ProcError {
    /// The error of a failed read of a file of process `pid`.
    pub(crate) fn of_process(pid: ProcessId, path: &Path, source: io::Error) -> Self {
        let gone = is_gone(&source) || (source.kind() == ErrorKind::NotFound && is_missing(pid, None));
        if gone { Self::NoSuchProcess(pid) } else { Self::of_file(path, source) }
    }

    /// The error of a failed read of a file of thread `tid` of process `pid`.
    pub(crate) fn of_thread(pid: ProcessId, tid: ThreadId, path: &Path, source: io::Error) -> Self {
        let gone = is_gone(&source) || (source.kind() == ErrorKind::NotFound && is_missing(pid, Some(tid)));
        if gone { Self::NoSuchThread(tid) } else { Self::of_file(path, source) }
    }

    /// The error of a failed read of a file that belongs to no process.
    pub(crate) fn of_file(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        // EACCES from the file's mode, EPERM from the kernel's access check: the same thing to a user.
        if source.kind() == ErrorKind::PermissionDenied {
            Self::Denied { path }
        } else {
            Self::Io { path, source }
        }
    }
}

/// A file of `/proc` that was opened before its process ended answers ESRCH.
fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ESRCH)
}

/// Whether a "not found" means the process (or its thread) and not the one file, nor all of `/proc`.
fn is_missing(pid: ProcessId, tid: Option<ThreadId>) -> bool {
    let directory = match tid {
        Some(tid) => format!("/proc/{pid}/task/{tid}"),
        None => format!("/proc/{pid}"),
    };
    Path::new("/proc/self/stat").exists() && !Path::new(&directory).exists()
}

//! The symbolic links of `/proc/PID`: executable, current directory, root.

use std::{
    fs, io,
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use prospect_process::ProcessId;
use prospect_process::proc_maps::DELETED;

use super::ProcError;

/// Where a link of `/proc/PID` points.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkTarget {
    /// The path as the process's own mount namespace and root have it.
    pub path: Vec<u8>,
    /// Whether that name has been deleted, so that the path may lead to another file or to none.
    pub deleted: bool,
}

/// The executable of a process. `None` where there is none: a kernel thread, a zombie.
///
/// # Errors
/// When the process is gone or the kernel does not let us look.
pub fn executable(pid: ProcessId) -> Result<Option<LinkTarget>, ProcError> {
    target(pid, "exe")
}

/// The current directory of a process; `None` for a zombie.
///
/// # Errors
/// When the process is gone or the kernel does not let us look.
pub fn working_directory(pid: ProcessId) -> Result<Option<LinkTarget>, ProcError> {
    target(pid, "cwd")
}

/// The root directory of a process as its mount namespace has it: `/` unless it was changed with `chroot`.
/// `None` for a zombie.
///
/// # Errors
/// When the process is gone or the kernel does not let us look.
pub fn root(pid: ProcessId) -> Result<Option<LinkTarget>, ProcError> {
    target(pid, "root")
}

/// Whether a process finds the same files as we do under the same names: it shares our mount namespace
/// and our root.
///
/// # Errors
/// When the process is gone or the kernel does not let us look.
pub fn same_files(pid: ProcessId) -> Result<bool, ProcError> {
    let namespace = PathBuf::from(format!("/proc/{pid}/ns/mnt"));
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    let own = |path: &str| identity(Path::new(path)).map_err(|e| ProcError::of_file(Path::new(path), e));
    let theirs = |path: &Path| identity(path).map_err(|error| ProcError::of_process(pid, path, error));
    Ok(theirs(&namespace)? == own("/proc/self/ns/mnt")? && theirs(&root)? == own("/proc/self/root")?)
}

fn target(pid: ProcessId, name: &str) -> Result<Option<LinkTarget>, ProcError> {
    let link = PathBuf::from(format!("/proc/{pid}/{name}"));
    match fs::read_link(&link) {
        Ok(text) => Ok(Some(without_suffix(pid, &link, text.into_os_string().into_vec()))),
        // A process without the thing that the link is for, unless the process is gone too.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match ProcError::of_process(pid, &link, error) {
                gone @ ProcError::NoSuchProcess(_) => Err(gone),
                _ => Ok(None),
            }
        }
        Err(error) => Err(ProcError::of_process(pid, &link, error)),
    }
}

/// Takes ` (deleted)` away, unless a file of just that name is what the link points at.
fn without_suffix(pid: ProcessId, link: &Path, mut path: Vec<u8>) -> LinkTarget {
    if !path.ends_with(DELETED) {
        return LinkTarget { path, deleted: false };
    }
    let mut seen_from_here = format!("/proc/{pid}/root").into_bytes();
    seen_from_here.extend_from_slice(&path);
    let seen_from_here = PathBuf::from(std::ffi::OsString::from_vec(seen_from_here));
    if let (Ok(here), Ok(there)) = (identity(&seen_from_here), identity(link))
        && here == there
    {
        return LinkTarget { path, deleted: false };
    }
    path.truncate(path.len() - DELETED.len());
    LinkTarget { path, deleted: true }
}

/// Device and inode of what a path leads to.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

//! Files of `/proc` and of the system as they are, and the file descriptors of a process: what a crash report has of them.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
};

use prospect_process::ProcessId;

use super::file::{read_all, read_small};

/// A file of the system that has no end is cut.
const MOST_BYTES: usize = 4 << 20;
/// More descriptors are not listed.
const MOST_DESCRIPTORS: usize = 1 << 16;

/// Texts about a process and its system. What could not be read says why.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProcTexts {
    /// `/proc/cpuinfo`.
    pub cpu_info: io::Result<Vec<u8>>,
    /// `/proc/PID/status`.
    pub status: io::Result<Vec<u8>>,
    /// `/etc/lsb-release`, or where there is none `/etc/os-release`.
    pub release: io::Result<Vec<u8>>,
    /// `/proc/PID/auxv`.
    pub auxiliary_vector: io::Result<Vec<u8>>,
    /// `/proc/PID/limits`.
    pub limits: io::Result<Vec<u8>>,
    /// The system, as `uname -srvm` says it, with as much as is known.
    pub system: String,
}

/// A file descriptor of a process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Descriptor {
    /// Its number.
    pub number: u64,
    /// What it is: `file`, `directory`, `socket`, `pipe`, `character device`, `block device`, `anonymous`, `unknown`.
    pub kind: &'static str,
    /// Where it leads to: a path, or a name as `socket:[4711]`.
    pub name: Vec<u8>,
    /// Its kind and permissions (`st_mode`); 0 where that is not known.
    pub mode: u32,
}

/// The texts of a process.
#[must_use]
pub fn texts(id: ProcessId) -> ProcTexts {
    let read = |path: String| read_all(Path::new(&path), MOST_BYTES);
    let kernel = |name: &str| read_small(&format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    let machine = super::host_arch().info().name;
    let words = [kernel("ostype"), kernel("osrelease"), kernel("version"), machine.into()];
    ProcTexts {
        cpu_info: read("/proc/cpuinfo".into()),
        status: read(format!("/proc/{id}/status")),
        release: read("/etc/lsb-release".into()).or_else(|_| read("/etc/os-release".into())),
        auxiliary_vector: read(format!("/proc/{id}/auxv")),
        limits: read(format!("/proc/{id}/limits")),
        system: words.join(" "),
    }
}

/// The environment that a process was started with: `/proc/PID/environ`.
///
/// # Errors
/// When it cannot be read.
pub fn environment(id: ProcessId) -> io::Result<Vec<u8>> {
    read_all(Path::new(&format!("/proc/{id}/environ")), MOST_BYTES)
}

/// The file descriptors of a process, by number. Those that are closed meanwhile are passed over.
///
/// # Errors
/// When they cannot be listed: that takes the right to trace the process.
pub fn descriptors(id: ProcessId) -> io::Result<Vec<Descriptor>> {
    let directory = format!("/proc/{id}/fd");
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)?.take(MOST_DESCRIPTORS).flatten() {
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(link) = fs::read_link(entry.path()) else { continue };
        let about = fs::metadata(entry.path()).ok();
        let kind = about.as_ref().map_or("unknown", |about| {
            let kind = about.file_type();
            match () {
                () if kind.is_file() => "file",
                () if kind.is_dir() => "directory",
                () if kind.is_socket() => "socket",
                () if kind.is_fifo() => "pipe",
                () if kind.is_char_device() => "character device",
                () if kind.is_block_device() => "block device",
                // What has no file at all has no kind (`anon_inode:[eventfd]`).
                () => "anonymous",
            }
        });
        let mode = about.map_or(0, |about| about.mode());
        found.push(Descriptor { number, kind, name: link.into_os_string().into_encoded_bytes(), mode });
    }
    found.sort_by_key(|one| one.number);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn texts_and_descriptors_of_oneself() {
        let id = ProcessId(std::process::id());
        let texts = texts(id);
        let status = String::from_utf8(texts.status.unwrap()).unwrap();
        assert!(status.lines().any(|line| line == format!("Pid:\t{id}")), "{status}");
        assert!(texts.system.starts_with("Linux "), "{}", texts.system);
        assert!(!texts.limits.unwrap().is_empty() && !texts.auxiliary_vector.unwrap().is_empty());

        let path = std::env::current_exe().unwrap();
        let file = fs::File::open(&path).unwrap();
        let (reader, _writer) = io::pipe().unwrap();
        let found = descriptors(id).unwrap();
        let by_number = |number: i32| found.iter().find(|one| one.number == number as u64).unwrap();
        let own = by_number(file.as_raw_fd());
        assert_eq!((own.kind, own.name.as_slice()), ("file", path.as_os_str().as_encoded_bytes()));
        assert_eq!(by_number(reader.as_raw_fd()).kind, "pipe");
        assert!(texts.release.is_ok() || !Path::new("/etc/os-release").exists());
    }
}

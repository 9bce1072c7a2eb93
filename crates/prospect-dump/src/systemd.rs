//! The cores that `systemd-coredump` stores (`man 8 systemd-coredump`): files in one directory, with names that say what they
//! are of.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Where it stores them.
pub const DIRECTORY: &str = "/var/lib/systemd/coredump";

/// The kernel's name of a process has no more bytes.
const NAME_BYTES: usize = 15;

/// A stored core.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredCore {
    /// The file; it may be compressed.
    pub path: PathBuf,
    /// The name of the process.
    pub name: Vec<u8>,
    /// Its user.
    pub user: u32,
    /// Its number.
    pub process: u32,
    /// When it crashed.
    pub time: SystemTime,
}

impl StoredCore {
    /// From the name of its file: `core.NAME.UID.BOOT_ID.PID.TIME`, and how it is compressed; the time in microseconds since
    /// 1970. `None` when it is another file.
    #[must_use]
    pub fn from_path(path: &Path) -> Option<Self> {
        let mut parts = path.file_name()?.to_str()?.split('.');
        if parts.next() != Some("core") {
            return None;
        }
        let name = unescaped(parts.next()?);
        let user = parts.next()?.parse().ok()?;
        let _boot = parts.next()?;
        let process = parts.next()?.parse().ok()?;
        let time = Duration::from_micros(parts.next()?.parse().ok()?);
        let time = SystemTime::UNIX_EPOCH.checked_add(time)?;
        let is_whole =
            matches!(parts.next(), None | Some("zst" | "lz4" | "xz" | "gz")) && parts.next().is_none();
        is_whole.then(|| Self { path: path.to_owned(), name, user, process, time })
    }

    /// Whether it is meant by the number of a process, or by a name: also by one that is too long for the kernel.
    #[must_use]
    pub fn is_of(&self, wanted: &str) -> bool {
        let name = wanted.as_bytes();
        wanted.parse() == Ok(self.process) || self.name == name[..name.len().min(NAME_BYTES)]
    }
}

/// The cores in a directory, the newest first.
///
/// # Errors
/// When it cannot be read.
pub fn stored(directory: &Path) -> io::Result<Vec<StoredCore>> {
    let mut cores: Vec<StoredCore> =
        fs::read_dir(directory)?.filter_map(|entry| StoredCore::from_path(&entry.ok()?.path())).collect();
    cores.sort_by(|one, other| (other.time, &other.path).cmp(&(one.time, &one.path)));
    Ok(cores)
}

/// A name without what hides `.`, `/` and the like in it: `\x2e`.
fn unescaped(text: &str) -> Vec<u8> {
    let (bytes, mut name, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let escaped = bytes.get(at..at + 4).filter(|escape| escape.starts_with(b"\\x"));
        let escaped = escaped.and_then(|escape| std::str::from_utf8(&escape[2..]).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                name.push(value);
                at += 4;
            }
            None => {
                name.push(*byte);
                at += 1;
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_core_it_is() {
        let name =
            r"/c/core.my\x2eserver\x20x.1000.8f1f3ac0f5d94a1cb1a7c6dc3a7f8a5d.4711.1700000000000000.zst";
        let core = StoredCore::from_path(Path::new(name)).unwrap();
        assert_eq!((&*core.name, core.user, core.process), (&b"my.server x"[..], 1000, 4711));
        assert_eq!(core.time, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        assert!(core.is_of("4711") && core.is_of("my.server x") && !core.is_of("my"));
        for other in ["core", "core.1234", "core.a.b.c.d.e", "core.a.1.b.2.3.zip", "vmcore.a.1.b.2.3"] {
            assert_eq!(StoredCore::from_path(Path::new(other)), None, "{other}");
        }
        let long = StoredCore::from_path(Path::new("core.a-very-long-nam.0.b.2.3")).unwrap();
        assert!(long.is_of("a-very-long-name-indeed"));
    }
}

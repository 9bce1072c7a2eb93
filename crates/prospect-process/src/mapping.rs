//! The memory map of a process.

use std::{fmt, ops::Range};

use crate::Addr;

/// What a process may do with the bytes of a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions {
    /// Read them.
    pub read: bool,
    /// Change them.
    pub write: bool,
    /// Run them.
    pub execute: bool,
    /// See the changes of other processes, and show them its own.
    pub shared: bool,
}

impl fmt::Display for Permissions {
    /// As `/proc/PID/maps` writes them: `r-xp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |set, yes, no| if set { yes } else { no };
        write!(
            f,
            "{}{}{}{}",
            flag(self.read, 'r', '-'),
            flag(self.write, 'w', '-'),
            flag(self.execute, 'x', '-'),
            flag(self.shared, 's', 'p')
        )
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which file a mapping is of: the same for all mappings of one file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FileId {
    /// The device's major and minor number.
    pub device: (u32, u32),
    /// The file's number on it.
    pub inode: u64,
}

/// One range of addresses with one purpose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// First address, and the first one after it.
    pub range: Range<Addr>,
    /// What the process may do there.
    pub permissions: Permissions,
    /// Where the range begins in its file, in bytes.
    pub offset: u64,
    /// The file, or `None` for memory without one.
    pub file: Option<FileId>,
    /// The file's path as the process's own mount namespace has it, or a name in brackets such as
    /// `[stack]`, or nothing. Bytes, since paths are.
    pub name: Vec<u8>,
    /// Whether the file has no name any more.
    pub deleted: bool,
    /// What the process has asked of the kernel for it, where that was looked at.
    pub advice: Advice,
}

/// What a process has asked for with `madvise`: lines `VmFlags` of `/proc/PID/smaps`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Advice {
    /// Not in cores (`MADV_DONTDUMP`, `dd`).
    pub dont_dump: bool,
    /// Not in children (`MADV_DONTFORK`, `dc`).
    pub dont_fork: bool,
    /// Zero in children (`MADV_WIPEONFORK`, `wf`).
    pub wipe_on_fork: bool,
    /// A device's memory: reading it can have effects, or never end (`io`).
    pub device: bool,
    /// Of huge pages by `hugetlbfs` (`ht`): cores have a rule of their own for it.
    pub huge: bool,
}

impl Mapping {
    /// The size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.range.end.0.saturating_sub(self.range.start.0)
    }
}

/// A process's mappings, by address.
#[derive(Clone, Debug, Default)]
pub struct Mappings(Vec<Mapping>);

impl Mappings {
    /// Puts mappings in order. Those that end before they begin are dropped.
    #[must_use]
    pub fn new(mut mappings: Vec<Mapping>) -> Self {
        mappings.retain(|mapping| mapping.range.start < mapping.range.end);
        mappings.sort_by_key(|mapping| mapping.range.start);
        Self(mappings)
    }

    /// The mapping that holds an address.
    #[must_use]
    pub fn at(&self, at: Addr) -> Option<&Mapping> {
        let index = self.0.partition_point(|mapping| mapping.range.start <= at).checked_sub(1)?;
        self.0.get(index).filter(|mapping| mapping.range.contains(&at))
    }

    /// All of them, by address.
    #[must_use]
    pub fn as_slice(&self) -> &[Mapping] {
        &self.0
    }

    /// Every mapping, by address.
    pub fn iter(&self) -> std::slice::Iter<'_, Mapping> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Mappings {
    type Item = &'a Mapping;
    type IntoIter = std::slice::Iter<'a, Mapping>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

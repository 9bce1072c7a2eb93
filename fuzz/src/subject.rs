//! The ELF files that are damaged: fixtures with every kind of section, small enough to go through often.

use std::{cell::RefCell, fs, io::Write, path::PathBuf, process, sync::LazyLock};

/// Fixtures by name; those that cannot be built here are left out.
const NAMES: &[&str] = &[
    "deep",
    "inlines-cxx",
    "deep-zlib",
    "deep-zstd",
    "deep-mini-debug",
    "deep-32",
    "deep-dwo4",
    "deep-debug-frame",
    "inlines-dwz",
    "names-rust-v0-no-debug",
];

pub(crate) struct Subject {
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_32_bit: bool,
    /// Offsets behind what looks like a call: where unwinders believe that a call returns to.
    pub(crate) returns: Vec<u64>,
}

/// Offsets behind every `call rel32` (and behind what only looks like one).
pub(crate) fn returns(bytes: &[u8]) -> Vec<u64> {
    let calls = bytes.iter().enumerate().filter(|(_, byte)| **byte == 0xe8);
    let mut found: Vec<u64> = calls.map(|(at, _)| at as u64 + 5).take(4096).collect();
    found.push(0x1000);
    found
}

/// Every subject. Never empty: without a compiler it is this program itself.
pub(crate) static SUBJECTS: LazyLock<Vec<Subject>> = LazyLock::new(|| {
    let built = NAMES.iter().filter_map(|name| {
        let path = prospect_testing::fixture(name).ok()?.path();
        let bytes = fs::read(path).ok().filter(|bytes| bytes.len() < 1 << 20)?;
        let returns = returns(&bytes);
        Some(Subject { bytes, is_32_bit: name.ends_with("-32"), returns })
    });
    let mut subjects: Vec<Subject> = built.collect();
    if subjects.is_empty() {
        let bytes = fs::read("/proc/self/exe").unwrap_or_default();
        let returns = returns(&bytes);
        subjects.push(Subject { bytes, is_32_bit: false, returns });
    }
    subjects
});

/// Reads numbers from fuzz data; zeros when it is used up.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl Cursor<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    pub(crate) fn number(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.number() % limit.max(1) as u64).unwrap_or(0)
    }
}

/// Applies a list of changes to a file: each is a place, a kind, and bytes.
pub(crate) fn damage(file: &mut Vec<u8>, changes: &mut Cursor<'_>) {
    for _ in 0..64 {
        if changes.is_empty() || file.is_empty() {
            return;
        }
        let kind = changes.byte();
        // Headers decide most: half of all changes go to the first and the last kilobytes.
        let at = match kind >> 6 {
            0 => changes.below(file.len().min(2048)),
            1 => file.len() - 1 - changes.below(file.len().min(4096)),
            _ => changes.below(file.len()),
        };
        match kind & 7 {
            0 => file[at] ^= 1 << (changes.byte() & 7),
            1..=4 => {
                let width = 1 << ((kind & 7) - 1);
                let value = changes.number().to_le_bytes();
                for (place, byte) in file[at..].iter_mut().zip(&value[..width]) {
                    *place = *byte;
                }
            }
            5 => file[at] = [0, 0x7f, 0x80, 0xff][usize::from(changes.byte() & 3)],
            6 if changes.byte() == 0 => file.truncate(at),
            _ => {
                let length = usize::from(changes.byte());
                let from = changes.below(file.len());
                for offset in 0..length {
                    if let (Some(byte), true) = (file.get(from + offset).copied(), at + offset < file.len()) {
                        file[at + offset] = byte;
                    }
                }
            }
        }
    }
}

/// A file with these bytes, under a name that this thread uses again next time.
pub(crate) fn as_file(bytes: &[u8]) -> PathBuf {
    thread_local! {
        static PATH: RefCell<Option<Kept>> = const { RefCell::new(None) };
    }
    PATH.with_borrow_mut(|kept| {
        let kept = kept.get_or_insert_with(Kept::new);
        // A new file each time: one that is still mapped must not change under its reader.
        let _ = fs::remove_file(&kept.0);
        let _ = fs::File::create(&kept.0).and_then(|mut file| file.write_all(bytes));
        kept.0.clone()
    })
}

/// Removed when its thread ends.
struct Kept(PathBuf);

impl Kept {
    fn new() -> Self {
        let shared = PathBuf::from("/dev/shm");
        let home = if shared.is_dir() { shared } else { std::env::temp_dir() };
        Self(home.join(format!("prospect-fuzz-{}-{:?}", process::id(), std::thread::current().id())))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

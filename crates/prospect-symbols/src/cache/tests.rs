//! What the cache does, and what it does not believe.

mod files;
mod names;

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    sync::Arc,
    time::{Duration, SystemTime},
};

use prospect_process::BuildId;

use super::{format::BLOCK, *};
use crate::{
    binary::{Compression, FileBytes, FileStamp, Section},
    testing::{Random, TempDir},
};

/// A packed section, and a cache that it may be kept in.
struct Fixture {
    directory: TempDir,
    bytes: Vec<u8>,
    packed: Arc<FileBytes>,
    key: Key,
}

impl Fixture {
    fn new(length: usize) -> Self {
        let directory = TempDir::new();
        // Whatever the umask is.
        set_mode(&directory.path(""), 0o755);
        let mut random = Random(7);
        let bytes: Vec<u8> = (0..length).map(|_| (random.next() % 16) as u8).collect();
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&bytes).unwrap();
        let packed = Arc::new(FileBytes::Owned(encoder.finish().unwrap()));
        let key = key(b".debug_info", packed.len(), length);
        Self { directory, bytes, packed, key }
    }

    fn root(&self) -> PathBuf {
        self.directory.path("prospect")
    }

    /// The one file that there is, or none.
    fn file(&self) -> Option<PathBuf> {
        let mut found = files(&self.root());
        assert!(found.len() < 2, "{found:?}");
        found.pop()
    }

    /// The section as another run sees it.
    fn section(&self) -> Section {
        self.section_in(Cache::new(&self.root()))
    }

    fn section_in(&self, cache: Cache) -> Section {
        let packed = Some((Compression::Zlib, self.bytes.len()));
        let mut section = Section::new(self.packed.clone(), 0..self.packed.len(), packed);
        section.use_cache(Slot::new(Arc::new(cache), self.key.clone()));
        section
    }

    /// Has a run unpack the first bytes and keep them.
    fn store(&self, end: usize) {
        let section = self.section();
        assert!(self.bytes.starts_with(&section.at_least(0..end)[..end]));
        section.store();
    }

    /// Whether a run takes the first bytes from the cache; they are right in any case.
    fn hits(&self, end: usize) -> bool {
        let section = self.section();
        let ready = !section.needs_unpacking(end);
        let found = section.at_least(0..end);
        assert!(found.len() >= end && self.bytes.starts_with(found));
        // What was unpacked would be news.
        assert!(!ready || !section.has_news());
        ready
    }
}

fn key(section: &[u8], packed: usize, unpacked: usize) -> Key {
    Key::new(&BuildId(vec![0xab; 20]), section, packed, unpacked, stamp()).unwrap()
}

fn stamp() -> FileStamp {
    FileStamp { device: 1, inode: 2, length: 3, modified: (4, 5), changed: (6, 7) }
}

fn files(root: &Path) -> Vec<PathBuf> {
    fs::read_dir(root.join("sections")).into_iter().flatten().map(|file| file.unwrap().path()).collect()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_one_run_unpacked_the_next_one_has() {
    let fixture = Fixture::new(1 << 20);
    assert!(!fixture.hits(1000), "there is nothing yet");
    fixture.store(300_000);
    assert!(fixture.hits(1000) && fixture.hits(300_000));
    let path = fixture.file().unwrap();
    assert_eq!([mode(&fixture.root()), mode(path.parent().unwrap()), mode(&path)], [0o700, 0o700, 0o600]);
    // From the middle, and to the end of what there is.
    let section = fixture.section();
    assert_eq!(section.at_least(200_000..200_001)[..1000], fixture.bytes[200_000..201_000]);
    assert!(!section.has_news());
    assert_eq!(section.at_least(200_000..usize::MAX), &fixture.bytes[200_000..]);
    assert!(section.has_news());
}

#[test]
fn a_longer_beginning_takes_the_place_of_a_shorter_one_only() {
    let fixture = Fixture::new(1 << 20);
    fixture.store(100_000);
    assert!(!fixture.hits(500_000));
    let late = fixture.section();
    assert!(late.needs_unpacking(200_000));
    late.at_least(0..200_000);
    fixture.store(500_000);
    assert!(fixture.hits(500_000) && !fixture.hits(1 << 20));
    // It began before the longer one was there, and ends after it.
    late.store();
    assert!(fixture.hits(500_000));
    fixture.store(1 << 20);
    assert!(fixture.hits(1 << 20));
}

#[test]
fn later_unpacking_of_a_long_run_is_stored_too() {
    let fixture = Fixture::new(1 << 20);
    let section = fixture.section();
    section.at_least(0..100_000);
    section.store();
    assert!(!section.has_news());
    section.all();
    assert!(section.has_news());
    section.store();
    assert!(!section.has_news() && fixture.hits(1 << 20));
}

#[test]
fn pages_that_were_given_back_are_read_again() {
    let fixture = Fixture::new(1 << 20);
    fixture.store(1 << 20);
    let section = fixture.section();
    for _ in 0..2 {
        assert_eq!(section.at_least(0..1 << 20), fixture.bytes);
        section.release(0..usize::MAX);
    }
}

#[test]
fn a_file_may_go_while_it_is_read() {
    let fixture = Fixture::new(1 << 20);
    fixture.store(1 << 20);
    let section = fixture.section();
    section.at_least(0..10);
    fs::remove_dir_all(fixture.root()).unwrap();
    assert_eq!(section.all(), fixture.bytes);
    assert!(!section.has_news());
}

#[test]
fn what_is_damaged_is_removed_and_unpacked_anew() {
    let fixture = Fixture::new(1 << 20);
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 8] = [
        ("magic", |file| file[0] ^= 1),
        ("length", |file| file[33] ^= 1),
        ("table", |file| file[256] ^= 1),
        ("checksum", |file| file[252] ^= 1),
        ("body", |file| file[4096 + 77] ^= 0x10),
        ("truncated", |file| file.truncate(file.len() - 1)),
        ("longer", |file| file.push(0)),
        ("a hole", |file| file[4096..4096 + BLOCK].fill(0)),
    ];
    for (what, damage) in damages {
        fixture.store(1 << 20);
        let path = fixture.file().unwrap();
        let mut file = fs::read(&path).unwrap();
        damage(&mut file);
        fs::write(&path, &file).unwrap();
        let section = fixture.section();
        assert_eq!(section.at_least(0..10)[..10], fixture.bytes[..10], "{what}");
        assert_eq!(fixture.file(), None, "{what}");
        assert!(section.has_news(), "{what}");
        section.store();
        assert!(fixture.hits(10), "{what}");
        fs::remove_file(&path).unwrap();
    }
    fixture.store(1 << 20);
    let path = fixture.file().unwrap();
    fs::write(&path, b"").unwrap();
    assert!(!fixture.hits(10) && fixture.file().is_none());
}

#[test]
fn damage_is_found_where_it_is_read() {
    let fixture = Fixture::new(1 << 20);
    fixture.store(1 << 20);
    let path = fixture.file().unwrap();
    let mut file = fs::read(&path).unwrap();
    file[4096 + 5 * BLOCK] ^= 1;
    fs::write(&path, &file).unwrap();
    let section = fixture.section();
    let early = section.at_least(0..2 * BLOCK);
    assert!(fixture.file().is_some());
    assert_eq!(section.at_least(5 * BLOCK..5 * BLOCK + 9)[..9], fixture.bytes[5 * BLOCK..][..9]);
    assert!(fixture.file().is_none());
    // What was handed out is still there.
    assert_eq!(early, &fixture.bytes[..2 * BLOCK]);
    assert_eq!(section.all(), fixture.bytes);
}

#[test]
fn no_change_makes_a_file_say_something_else() {
    let fixture = Fixture::new(300_000);
    fixture.store(300_000);
    let path = fixture.file().unwrap();
    let original = fs::read(&path).unwrap();
    let mut random = Random(42);
    let mut hits = 0;
    for round in 0..500 {
        let mut file = original.clone();
        for _ in 0..1 + random.below(4) {
            let at = if random.below(2) == 0 { random.below(512) } else { random.below(file.len()) };
            file[at] = [0, 0xff, 0x7f, random.next() as u8][random.below(4)];
        }
        match random.below(16) {
            0 => file.truncate(random.below(original.len())),
            1 => file.extend_from_within(..random.below(original.len())),
            _ => {}
        }
        fs::write(&path, &file).unwrap();
        let section = fixture.section();
        let start = random.below(300_000);
        let end = start + random.below(300_000 - start + 1);
        hits += usize::from(!section.needs_unpacking(end));
        let found = section.at_least(start..end);
        assert!(found.len() >= end - start && fixture.bytes[start..].starts_with(found), "round {round}");
        assert_eq!(section.all(), fixture.bytes, "round {round}");
    }
    assert!(hits > 50, "nothing was tested: {hits}");
}

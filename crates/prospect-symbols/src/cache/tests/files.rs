//! Keys, directories, several writers, and room.

use super::*;

#[test]
fn what_is_of_another_file_is_not_taken() {
    let fixture = Fixture::new(1 << 20);
    fixture.store(1 << 20);
    let (path, packed) = (fixture.file().unwrap(), fixture.packed.len());
    let id = BuildId(vec![0xab; 20]);
    let changed = FileStamp { changed: (6, 8), ..stamp() };
    let others = [
        Key::new(&id, b".debug_info", packed, 1 << 20, changed).unwrap(),
        Key::new(&id, b".debug_line", packed, 1 << 20, stamp()).unwrap(),
        Key::new(&BuildId(vec![0xac; 20]), b".debug_info", packed, 1 << 20, stamp()).unwrap(),
    ];
    let cache = Cache::new(&fixture.root());
    for other in others {
        assert!(cache.open(&other).is_none());
        // Nor when it is put there under the other's name.
        fs::copy(&path, cache.path(&other)).unwrap();
        assert!(cache.open(&other).is_none());
        assert!(!cache.path(&other).exists());
    }
    for (packed, unpacked) in [(packed + 1, 1 << 20), (packed, (1 << 20) + 1)] {
        fixture.store(1 << 20);
        assert!(cache.open(&key(b".debug_info", packed, unpacked)).is_none());
    }
}

#[test]
fn only_what_is_worth_it_and_has_a_plain_name_gets_a_key() {
    let new = |id: &[u8], name: &[u8], length| Key::new(&BuildId(id.to_vec()), name, 9, length, stamp());
    assert!(new(&[1; 20], b".debug_info", WORTH_A_FILE).is_some());
    assert!(new(&[1; 32], b".debug_str_offsets.dwo", WORTH_A_FILE).is_some());
    assert!(new(&[1; 20], b".debug_info", WORTH_A_FILE - 1).is_none());
    for id in [&[][..], &[1; 3], &[1; 33]] {
        assert!(new(id, b".debug_info", 1 << 20).is_none());
    }
    for name in
        [&b".debug_/../../x"[..], b".text", b".debug_\0", b".debug_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
    {
        assert!(new(&[1; 20], name, 1 << 20).is_none());
    }
}

#[test]
fn a_directory_that_others_can_write_to_is_left_alone() {
    let fixture = Fixture::new(1 << 20);
    let (root, sections) = (fixture.root(), fixture.root().join("sections"));
    let parent = fixture.directory.path("");
    for (path, loose) in [(&root, 0o777), (&root, 0o720), (&sections, 0o702), (&parent, 0o777)] {
        let before = if *path == parent { 0o755 } else { 0o700 };
        fixture.store(100_000);
        assert!(fixture.hits(100_000));
        set_mode(path, loose);
        assert!(!fixture.hits(100_000), "{path:?} {loose:o}");
        fixture.store(200_000);
        set_mode(path, before);
        assert!(fixture.hits(100_000) && !fixture.hits(200_000), "{path:?} {loose:o}");
    }
    // As in a directory for everyone's temporary files.
    set_mode(&parent, 0o1777);
    assert!(fixture.hits(100_000));
}

#[test]
fn a_link_in_the_place_of_a_directory_is_not_followed() {
    let fixture = Fixture::new(1 << 20);
    fixture.store(100_000);
    let (root, aside) = (fixture.root(), fixture.directory.path("aside"));
    for path in [root.clone(), root.join("sections")] {
        fs::rename(&path, &aside).unwrap();
        symlink(&aside, &path).unwrap();
        assert!(!fixture.hits(100_000));
        fixture.store(200_000);
        fs::remove_file(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
        assert!(fixture.hits(100_000) && !fixture.hits(200_000));
    }
}

#[test]
fn a_directory_of_another_user_is_left_alone() {
    const NOBODY: u32 = 65_534;
    let fixture = Fixture::new(1 << 20);
    fixture.store(100_000);
    let (root, parent) = (fixture.root(), fixture.directory.path(""));
    let own = |path: &Path, user| std::os::unix::fs::chown(path, Some(user), None);
    if own(&root, NOBODY).is_err() {
        // Only root can give a directory away; for others, one that is not theirs is the root's.
        assert!(!directory::make(Path::new("/proc"), Path::new("/proc/self")));
        return;
    }
    assert!(!fixture.hits(100_000));
    own(&root, 0).unwrap();
    assert!(fixture.hits(100_000));
    // The cache of another user's home is not made: that user could not write there any more.
    fs::remove_dir_all(&root).unwrap();
    own(&parent, NOBODY).unwrap();
    fixture.store(100_000);
    assert!(!root.exists());
}

#[test]
fn what_cannot_be_written_is_no_error() {
    let fixture = Fixture::new(1 << 20);
    fixture.directory.write("prospect", b"a file");
    fixture.store(100_000);
    assert!(!fixture.hits(100_000));
    fs::remove_file(fixture.root()).unwrap();
    let missing = fixture.directory.path("no/such/home/prospect");
    let section = fixture.section_in(Cache::new(&missing));
    section.at_least(0..100_000);
    section.store();
    assert!(!missing.parent().unwrap().exists(), "a home is not made");
    // Root may write all the same.
    fixture.store(100_000);
    set_mode(&fixture.root().join("sections"), 0o500);
    fixture.store(200_000);
    assert!(fixture.hits(100_000));
    set_mode(&fixture.root().join("sections"), 0o700);
}

#[test]
fn several_may_write_at_once() {
    let fixture = Fixture::new(1 << 20);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let fixture = &fixture;
            scope.spawn(move || {
                for round in 1..20 {
                    fixture.store((writer * 17 + round) % 16 * BLOCK + 1);
                    fixture.hits(BLOCK * round / 2);
                    if round % 5 == 0 {
                        Cache::new(&fixture.root()).remove(&fixture.key);
                    }
                }
            });
        }
    });
    fixture.store(1 << 20);
    assert!(fixture.hits(1 << 20));
    assert!(fixture.file().is_some(), "nothing unfinished is left");
}

#[test]
fn the_files_that_were_not_used_for_the_longest_go_first() {
    let fixture = Fixture::new(1 << 20);
    fixture.store(100_000);
    let first = fixture.file().unwrap();
    let directory = first.parent().unwrap();
    let hours_ago = |path: &Path, hours: u64| {
        let time = SystemTime::now() - Duration::from_secs(3600 * hours);
        File::open(path).unwrap().set_modified(time).unwrap();
    };
    for (name, hours) in [("old", 9), ("older", 10), ("recent", 2)] {
        let copy = directory.join(name);
        fs::copy(&first, &copy).unwrap();
        hours_ago(&copy, hours);
    }
    for (name, hours) in [("1-1.tmp", 3), ("1-2.tmp", 0)] {
        fs::write(directory.join(name), b"x").unwrap();
        hours_ago(&directory.join(name), hours);
    }
    let length = fs::metadata(&first).unwrap().len();
    room::make(&[directory], 2 * length);
    let mut left: Vec<_> = files(&fixture.root());
    left.sort();
    let mut expected = [first.clone(), directory.join("1-2.tmp"), directory.join("recent")];
    expected.sort();
    assert_eq!(left, expected);
    // One that would not fit even alone is not written.
    let section = fixture.section_in(Cache { largest: length, ..Cache::new(&fixture.root()) });
    section.all();
    section.store();
    assert!(fixture.hits(100_000 - BLOCK));
    assert_eq!(fs::metadata(&first).unwrap().len(), length);
}

#[test]
fn a_file_that_is_used_again_is_young_again() {
    let fixture = Fixture::new(1 << 20);
    fixture.store(100_000);
    let path = fixture.file().unwrap();
    let old = SystemTime::now() - Duration::from_secs(7200);
    File::open(&path).unwrap().set_modified(old).unwrap();
    let unused = fixture.section();
    assert!(!unused.has_news());
    let section = fixture.section();
    section.at_least(0..10);
    assert!(section.has_news());
    section.store();
    assert!(!section.has_news());
    let age = SystemTime::now().duration_since(fs::metadata(&path).unwrap().modified().unwrap());
    assert!(age.unwrap_or_default() < Duration::from_secs(3600));
}

#[test]
fn the_directory_is_where_the_specification_says() {
    let path = |text: &str| Some(PathBuf::from(text));
    let named = directory::named;
    assert_eq!(named(path("/caches"), path("/homes/me")), path("/caches/prospect"));
    assert_eq!(named(None, path("/homes/me")), path("/homes/me/.cache/prospect"));
    assert_eq!(named(path("caches"), path("/homes/me")), path("/homes/me/.cache/prospect"));
    assert_eq!(named(path(""), path("/homes/me")), path("/homes/me/.cache/prospect"));
    assert_eq!((named(None, None), named(None, path("me"))), (None, None));
}

//! Compressed files: what comes out, what room it takes, and when it stops.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::Path,
    process::Command,
};

use prospect_dump::{Compression, UnpackError, UnpackProgress, Unpacked, unpack};
use prospect_testing::{Missing, Scratch, require, tool};

const MIB: usize = 1 << 20;

/// Bytes that do not compress, then zeros, then bytes again, and not a whole block at the end.
fn contents() -> Vec<u8> {
    let mut state = 1u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let mut bytes: Vec<u8> = (0..MIB).map(|_| noise()).collect();
    bytes.resize(9 * MIB, 0);
    bytes.extend((0..12_345).map(|_| noise()));
    bytes
}

/// Two frames, members or streams, one after the other.
fn packed(program: &str, parts: [&[u8]; 2], scratch: &Path) -> Result<Vec<u8>, Missing> {
    tool(program)?;
    let pack = |part: &[u8]| {
        let path = scratch.join("plain");
        fs::write(&path, part).unwrap();
        Command::new(program).args(["-1", "-c"]).arg(path).output().unwrap().stdout
    };
    Ok([pack(parts[0]), pack(parts[1])].concat())
}

fn unpacked(
    path: &Path,
    limit: u64,
    progress: &mut dyn FnMut(UnpackProgress),
) -> Result<Unpacked, UnpackError> {
    let file = File::open(path).unwrap();
    let compression = Compression::of_file(&file).unwrap().unwrap();
    unpack(&file, compression, path.parent().unwrap(), limit, progress)
}

fn bytes_of(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn assert_unpacks(program: &str) -> Result<(), Missing> {
    let scratch = Scratch::new("unpack");
    let bytes = contents();
    let packed = packed(program, [&bytes[..2 * MIB], &bytes[2 * MIB..]], scratch.path())?;
    let path = scratch.path().join("packed");
    fs::write(&path, &packed).unwrap();
    let mut last = None;
    let whole = unpacked(&path, u64::MAX, &mut |progress| last = Some(progress)).unwrap();
    assert!(whole.damage.is_none(), "{whole:?}");
    assert!(bytes_of(&whole.file) == bytes, "{program}");
    let length = packed.len() as u64;
    assert_eq!(last, Some(UnpackProgress { read: length, length }));
    // Zeros take no room.
    assert!(whole.file.metadata().unwrap().blocks() * 512 < 3 * MIB as u64, "{program}");
    // It has no name.
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 2);

    let error = unpacked(&path, 64 << 10, &mut |_| ()).unwrap_err();
    assert!(matches!(error, UnpackError::NoRoom { limit: 0x10000, .. }), "{error}");

    fs::write(&path, &packed[..packed.len() - 100]).unwrap();
    let cut = unpacked(&path, u64::MAX, &mut |_| ()).unwrap();
    assert!(cut.damage.is_some(), "{program}");
    let there = bytes_of(&cut.file);
    assert!(there.len() >= MIB && bytes.starts_with(&there), "{program}: {}", there.len());
    Ok(())
}

#[test]
fn zstd() {
    require!(assert_unpacks("zstd"));
}

#[test]
fn lz4() {
    require!(assert_unpacks("lz4"));
}

#[test]
fn xz() {
    require!(assert_unpacks("xz"));
}

#[test]
fn gzip() {
    require!(assert_unpacks("gzip"));
}

#[test]
fn any_bytes_are_no_panic() {
    let scratch = Scratch::new("unpack");
    let path = scratch.path().join("packed");
    let mut random = prospect_testing::Random::new(3);
    for magic in [&[0x28, 0xb5, 0x2f, 0xfd][..], &[4, 0x22, 0x4d, 0x18], b"\xfd7zXZ\0", &[0x1f, 0x8b, 8]] {
        for _ in 0..200 {
            let mut bytes = magic.to_vec();
            bytes.extend((0..random.below(300)).map(|_| random.number() as u8));
            fs::write(&path, bytes).unwrap();
            let _ = unpacked(&path, 1 << 20, &mut |_| ());
        }
    }
}

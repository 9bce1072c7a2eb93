//! Keeps the cache from growing without end.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// The end of the names of files that are being written.
pub(super) const UNFINISHED: &str = ".tmp";

/// Nobody writes at one file for longer: its writer was ended.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Removes the files that were not used for the longest until those of all directories together have no more than
/// `largest` bytes.
pub(super) fn make(directories: &[&Path], largest: u64) {
    let found = directories.iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten();
    let now = SystemTime::now();
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for file in found.flatten() {
        let Ok(metadata) = file.metadata() else { continue };
        let (path, used) = (file.path(), metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        if !metadata.is_file() {
            continue;
        }
        if path.to_string_lossy().ends_with(UNFINISHED) {
            if now.duration_since(used).is_ok_and(|age| age > ABANDONED) {
                let _ = fs::remove_file(path);
            }
            continue;
        }
        files.push((used, metadata.len(), path));
    }
    let mut sum = files.iter().fold(0_u64, |sum, (_, length, _)| sum.saturating_add(*length));
    files.sort();
    for (_, length, path) in files {
        if sum <= largest {
            break;
        }
        let _ = fs::remove_file(path);
        sum = sum.saturating_sub(length);
    }
}

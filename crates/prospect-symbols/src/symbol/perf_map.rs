//! `/tmp/perf-PID.map`: the names that just-in-time compilers give their code (Linux,
//! `tools/perf/Documentation/jit-interface.txt`).

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use prospect_process::{Addr, FileAccess, ProcessInfo};

/// What follows in a larger file is not read.
const LARGEST: u64 = 256 << 20;
/// The rest of a longer line is dropped.
const LONGEST_LINE: u64 = 16 << 10;

/// In a sane file few lines name the same address again.
const MOST_MATCHES: usize = 1 << 20;

/// The names of `addresses` (sorted), one answer for each. The file is read once and not kept: it may
/// be large, and grows while the process runs.
pub(super) fn find(info: &ProcessInfo, addresses: &[Addr]) -> Vec<Option<String>> {
    let nothing = || vec![None; addresses.len()];
    let Some(file) = Place::of(info).and_then(|place| place.open().ok()) else { return nothing() };
    names(BufReader::with_capacity(64 << 10, file.take(LARGEST)), addresses)
}

/// Where a process writes its map, and whose file it must be.
struct Place {
    path: PathBuf,
    /// The users that the process runs as; none where that is not known.
    users: Vec<u32>,
}

impl Place {
    /// In the process's own root, under the number that it has itself. `None` for one that does not run on this
    /// machine.
    fn of(info: &ProcessInfo) -> Option<Self> {
        let FileAccess { root, by_mapping, executable } = &info.files;
        let in_proc = by_mapping.as_deref().or(executable.as_deref())?.parent()?;
        let status = fs::read_to_string(in_proc.join("status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let numbers = |name: &str| field(name).into_iter().flat_map(str::split_ascii_whitespace);
        let id = numbers("NSpid:").next_back().and_then(|id| id.parse().ok()).unwrap_or(info.id.0);
        let users = numbers("Uid:").filter_map(|user| user.parse().ok()).collect();
        let root = root.as_deref().unwrap_or(Path::new("/"));
        Some(Self { path: root.join(format!("tmp/perf-{id}.map")), users })
    }

    /// Opens it, if it is a plain file of the process's user, or of root. Anybody may have put anything under that name.
    fn open(&self) -> io::Result<File> {
        let named = fs::symlink_metadata(&self.path)?;
        let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
        if !named.is_file() || !(named.uid() == 0 || self.users.contains(&named.uid())) {
            return Err(refused());
        }
        let file = File::open(&self.path)?;
        let opened = file.metadata()?;
        // It may have been replaced in between.
        if (opened.dev(), opened.ino()) == (named.dev(), named.ino()) { Ok(file) } else { Err(refused()) }
    }
}

/// Reads lines `START SIZE NAME`, numbers in hexadecimal. Of two lines for one address the later one
/// counts: code is thrown away and its memory used again.
fn names(mut lines: impl BufRead, addresses: &[Addr]) -> Vec<Option<String>> {
    let mut found = vec![None; addresses.len()];
    let (mut line, mut matches) = (Vec::new(), 0);
    while matches < MOST_MATCHES && next_line(&mut lines, &mut line).unwrap_or(false) {
        let Some((start, end, name)) = parse(&line) else { continue };
        let first = addresses.partition_point(|at| at.0 < start);
        let covered = addresses[first..].iter().take_while(|at| at.0 < end).count();
        matches += covered;
        for place in &mut found[first..first + covered] {
            *place = Some(String::from_utf8_lossy(name).into_owned());
        }
    }
    found
}

/// Reads a line without its end. `false` at the end of the file.
fn next_line(lines: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    lines.take(LONGEST_LINE).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() as u64 == LONGEST_LINE {
        lines.skip_until(b'\n')?;
    }
    Ok(!line.is_empty() || !lines.fill_buf()?.is_empty())
}

fn parse(line: &[u8]) -> Option<(u64, u64, &[u8])> {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let mut number = || {
        let digits = std::str::from_utf8(parts.next()?).ok()?;
        u64::from_str_radix(digits.strip_prefix("0x").unwrap_or(digits), 16).ok()
    };
    let (start, size) = (number()?, number()?);
    Some((start, start.saturating_add(size), parts.next()?.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_for_an_address_counts() {
        let map =
            b"1000 100 first\n\nbroken\nzz 10 x\n0x2000 0x10 a name with spaces \n1080 10 second\n1100 8";
        let addresses = [0xfff, 0x1000, 0x107f, 0x1080, 0x108f, 0x1090, 0x1100, 0x200f].map(Addr);
        let found = names(&map[..], &addresses);
        let found: Vec<_> = found.iter().map(Option::as_deref).collect();
        let (first, second) = (Some("first"), Some("second"));
        assert_eq!(found, [None, first, first, second, second, first, None, Some("a name with spaces")]);
    }

    #[test]
    fn a_file_of_somebody_else_or_of_another_kind_is_not_read() {
        let directory = std::env::temp_dir().join(format!("prospect-perf-map-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (path, link) = (directory.join("map"), directory.join("link"));
        fs::write(&path, "1000 10 name").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let open = |path: &Path, users: &[u32]| {
            Place { path: path.to_owned(), users: users.to_vec() }.open().is_ok()
        };
        // Whoever may give files away gives it to somebody.
        let _ = std::os::unix::fs::chown(&path, Some(4321), None);
        let owner = fs::metadata(&path).unwrap().uid();
        let seen = [
            open(&path, &[owner + 1, owner]),
            open(&path, &[owner + 1]),
            open(&path, &[]),
            open(&link, &[owner]),
            open(&directory, &[owner, 0]),
        ];
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(seen, [true, false, false, false, false], "owner {owner}");
    }

    #[test]
    fn a_line_that_is_too_long_does_not_hide_the_next_one() {
        let mut map = b"1000 10 ".to_vec();
        map.extend(std::iter::repeat_n(b'x', 100_000));
        map.extend_from_slice(b"\n2000 10 next");
        let found = names(&map[..], &[Addr(0x1000), Addr(0x2000)]);
        assert_eq!(found[0].as_ref().map(String::len), Some(LONGEST_LINE as usize - 8));
        assert_eq!(found[1].as_deref(), Some("next"));
    }
}

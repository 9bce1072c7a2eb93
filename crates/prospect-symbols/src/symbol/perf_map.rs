//! `/tmp/perf-PID.map`: the names that just-in-time compilers give their code (Linux,
//! `tools/perf/Documentation/jit-interface.txt`).

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
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
    let Some(path) = path(info) else { return nothing() };
    // The process may have put anything under that name.
    if !std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
        return nothing();
    }
    match File::open(&path) {
        Ok(file) => names(BufReader::with_capacity(64 << 10, file.take(LARGEST)), addresses),
        Err(_) => nothing(),
    }
}

/// Where the process writes its map: in its own root, under the number that it has itself. `None` for
/// one that does not run on this machine.
fn path(info: &ProcessInfo) -> Option<PathBuf> {
    let FileAccess { root, by_mapping, executable } = &info.files;
    let in_proc = by_mapping.as_deref().or(executable.as_deref())?.parent()?;
    let id = own_id(in_proc).unwrap_or(info.id.0);
    let root = root.as_deref().unwrap_or(Path::new("/"));
    Some(root.join(format!("tmp/perf-{id}.map")))
}

/// The number of the process in its innermost pid namespace.
fn own_id(in_proc: &Path) -> Option<u32> {
    let status = std::fs::read_to_string(in_proc.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_ascii_whitespace().next_back()?.parse().ok()
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
    fn a_line_that_is_too_long_does_not_hide_the_next_one() {
        let mut map = b"1000 10 ".to_vec();
        map.extend(std::iter::repeat_n(b'x', 100_000));
        map.extend_from_slice(b"\n2000 10 next");
        let found = names(&map[..], &[Addr(0x1000), Addr(0x2000)]);
        assert_eq!(found[0].as_ref().map(String::len), Some(LONGEST_LINE as usize - 8));
        assert_eq!(found[1].as_deref(), Some("next"));
    }
}

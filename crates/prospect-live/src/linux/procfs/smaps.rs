//! `/proc/PID/smaps`: the memory map with what the process has asked for each part of it.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use prospect_process::{Advice, Mapping, Mappings, ProcessId};

use super::{ProcError, maps, memory_view};

/// Longer lines are none of this file.
const LINE_BYTES: u64 = 64 << 10;

/// A buffer of this size.
const CHUNK_BYTES: usize = 64 << 10;

/// The mappings of a process with their [`Advice`]. The kernel walks all page tables for this file, which takes milliseconds
/// for each gigabyte in use: nothing to do while somebody stands still.
///
/// # Errors
/// When the process is gone or the kernel does not let us look.
pub fn advised_mappings(pid: ProcessId) -> Result<Mappings, ProcError> {
    let path = format!("/proc/{}/smaps", memory_view(pid));
    let path = Path::new(&path);
    let read = || parse(BufReader::with_capacity(CHUNK_BYTES, File::open(path)?));
    read().map(Mappings::new).map_err(|error| ProcError::of_process(pid, path, error))
}

/// The file has a line of `maps` for each mapping, and lines `Name: value` behind it; `VmFlags` is one of them.
fn parse(mut lines: impl BufRead) -> io::Result<Vec<Mapping>> {
    let (mut mappings, mut line): (Vec<Mapping>, Vec<u8>) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if io::Read::take(&mut lines, LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(mappings);
        }
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        if let (Some(flags), Some(mapping)) = (line.strip_prefix(b"VmFlags:"), mappings.last_mut()) {
            mapping.advice = advice(flags);
        } else if line.first().is_some_and(u8::is_ascii_hexdigit) {
            // Of the other names none reads as a mapping, also where it begins with such a letter.
            mappings.extend(maps::parse(line));
        }
    }
}

/// Words of two letters (`show_smap_vma_flags` in `fs/proc/task_mmu.c`).
fn advice(flags: &[u8]) -> Advice {
    let mut advice = Advice::default();
    for word in flags.split(|byte| *byte == b' ') {
        match word {
            b"dd" => advice.dont_dump = true,
            b"dc" => advice.dont_fork = true,
            b"wf" => advice.wipe_on_fork = true,
            b"io" => advice.device = true,
            b"ht" => advice.huge = true,
            _ => {}
        }
    }
    advice
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::linux::procfs;

    const TEXT: &str = "\
55d0c0000000-55d0c0001000 r--p 00000000 fe:00 77                         /bin/a\n\
Size:                  4 kB\nAnonymous:             0 kB\nVmFlags: rd mr mw me dd \n\
AnonHugePages:         0 kB\n\
7f0000000000-7f0000200000 rw-s 00000000 00:01 5                          /anon_hugepage (deleted)\n\
FilePmdMapped:         0 kB\nVmFlags: rd wr sh mr mw me ms ht io dc wf sd";

    #[test]
    fn flags_belong_to_the_mapping_above_them() {
        let mappings = parse(TEXT.as_bytes()).unwrap();
        assert_eq!(mappings.len(), 2);
        assert_eq!(mappings[0].advice, Advice { dont_dump: true, ..Advice::default() });
        assert_eq!((mappings[0].name.as_slice(), mappings[1].deleted), (&b"/bin/a"[..], true));
        let all = Advice { dont_dump: false, dont_fork: true, wipe_on_fork: true, device: true, huge: true };
        assert_eq!(mappings[1].advice, all);
        assert_eq!(parse(&b""[..]).unwrap(), []);
        assert_eq!(parse(&b"VmFlags: dd"[..]).unwrap(), []);
    }

    #[test]
    fn the_mappings_are_those_of_maps() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = ProcessId(child.id());
        let deadline = Instant::now() + Duration::from_secs(10);
        // Until its libraries are there.
        let (advised, plain) = loop {
            let both = (advised_mappings(pid).unwrap_or_default(), procfs::mappings(pid).unwrap_or_default());
            let ranges = |all: &Mappings| all.iter().map(|one| one.range.clone()).collect::<Vec<_>>();
            if Instant::now() > deadline
                || (both.1.as_slice().len() > 10 && ranges(&both.0) == ranges(&both.1))
            {
                break both;
            }
        };
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(advised.as_slice().len() > 10);
        let without = |mapping: &Mapping| Mapping { advice: Advice::default(), ..mapping.clone() };
        assert_eq!(advised.iter().map(without).collect::<Vec<_>>(), plain.as_slice());
        // The kernel's own page for the clock is no memory to read.
        let clock = |mapping: &&Mapping| mapping.name == b"[vvar]";
        assert!(advised.iter().find(clock).is_none_or(|mapping| mapping.advice.device));
    }
}

//! The memory map of a process in a core: what its segments say, and which files were mapped.

use std::collections::HashMap;

use prospect_process::{Addr, Advice, FileId, Mapping, Mappings, Permissions, proc_maps::DELETED};

use super::{header::Segment, layout::MappedFile};

/// What gives a mapping without a file its name.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Landmarks {
    /// An address in the kernel's code.
    pub(crate) vdso: Option<Addr>,
    /// An address in the stack of the first thread.
    pub(crate) stack: Option<Addr>,
}

/// The memory map. A core has no numbers of files, so that these are made up: equal for equal paths.
///
/// A file's range that no segment is for was left out whole, as debuggers do with what a file has: that it can be read and
/// run there is all that is to be assumed.
pub(crate) fn mappings(segments: &[Segment], files: &[MappedFile], landmarks: Landmarks) -> Mappings {
    let files = in_order(files);
    let mut cuts: Vec<Addr> = Vec::with_capacity(2 * (segments.len() + files.len()));
    cuts.extend(segments.iter().flat_map(|segment| [segment.range.start, segment.range.end]));
    cuts.extend(files.iter().flat_map(|file| [file.range.start, file.range.end]));
    cuts.sort_unstable();
    cuts.dedup();
    let mut numbers: HashMap<&[u8], u64> = HashMap::new();
    let (mut all, mut segment_index, mut file_index) = (Vec::new(), 0, 0);
    for cut in cuts.windows(2) {
        let (start, end) = (cut[0], cut[1]);
        while segments.get(segment_index).is_some_and(|segment| segment.range.end <= start) {
            segment_index += 1;
        }
        while files.get(file_index).is_some_and(|file| file.range.end <= start) {
            file_index += 1;
        }
        let segment = segments.get(segment_index).filter(|segment| segment.range.start <= start);
        let file = files.get(file_index).filter(|file| file.range.start <= start);
        if segment.is_none() && file.is_none() {
            continue;
        }
        let of_file = Permissions { read: true, execute: true, ..Permissions::default() };
        let holds = |at: Option<Addr>| at.is_some_and(|at| start <= at && at < end);
        let mut mapping = Mapping {
            range: start..end,
            permissions: segment.map_or(of_file, |segment| segment.permissions),
            offset: 0,
            file: None,
            name: Vec::new(),
            deleted: false,
            advice: Advice::default(),
        };
        if let Some(file) = file {
            let next = numbers.len() as u64 + 1;
            let inode = *numbers.entry(&file.path).or_insert(next);
            mapping.file = Some(FileId { device: (0, 0), inode });
            mapping.offset = file.offset.saturating_add(start.0 - file.range.start.0);
            mapping.deleted = file.path.ends_with(DELETED);
            mapping.name = file.path.strip_suffix(DELETED).unwrap_or(&file.path).to_vec();
        } else if holds(landmarks.vdso) {
            mapping.name = b"[vdso]".to_vec();
        } else if holds(landmarks.stack) {
            mapping.name = b"[stack]".to_vec();
        }
        all.push(mapping);
    }
    Mappings::new(all)
}

/// The ranges of files by address; of two that overlap, the later-starting one is left out.
fn in_order(files: &[MappedFile]) -> Vec<&MappedFile> {
    let mut sorted: Vec<&MappedFile> =
        files.iter().filter(|file| file.range.start < file.range.end).collect();
    sorted.sort_by_key(|file| file.range.start);
    let mut end = Addr(0);
    sorted.retain(|file| {
        let is_free = file.range.start >= end;
        end = if is_free { file.range.end } else { end };
        is_free
    });
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_and_files_are_cut_at_each_other() {
        let segment = |start: u64, end: u64, write: bool| Segment {
            range: Addr(start)..Addr(end),
            permissions: Permissions { read: true, write, ..Permissions::default() },
            offset: 0,
            dumped: 0,
            present: 0,
        };
        let file = |start: u64, end: u64, offset: u64, path: &[u8]| MappedFile {
            range: Addr(start)..Addr(end),
            offset,
            path: path.to_vec(),
        };
        let segments = [segment(0x1000, 0x4000, true), segment(0x8000, 0x9000, false)];
        let files = [
            file(0x2000, 0x3000, 0x5000, b"/a"),
            file(0x4000, 0x6000, 0, b"/b (deleted)"),
            file(0x5000, 0x7000, 0, b"/c"),
        ];
        let found =
            mappings(&segments, &files, Landmarks { vdso: Some(Addr(0x8000)), stack: Some(Addr(0x3fff)) });
        let rows: Vec<String> = found
            .iter()
            .map(|one| {
                let name = String::from_utf8_lossy(&one.name);
                format!(
                    "{}-{} {} {:x} {name} {}",
                    one.range.start, one.range.end, one.permissions, one.offset, one.deleted
                )
            })
            .collect();
        assert_eq!(
            rows,
            [
                "0x1000-0x2000 rw-p 0  false",
                "0x2000-0x3000 rw-p 5000 /a false",
                "0x3000-0x4000 rw-p 0 [stack] false",
                "0x4000-0x6000 r-xp 0 /b true",
                "0x8000-0x9000 r--p 0 [vdso] false",
            ]
        );
    }
}

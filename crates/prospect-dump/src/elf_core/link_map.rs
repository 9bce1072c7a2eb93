//! Which files were mapped, where no note says it: by the headers of the program in memory, and by what the dynamic linker knows.

use prospect_process::{
    Addr, Arch, Mappings, Memory, Modules,
    auxv::{self, Auxv},
    module::ElfImage,
};

use super::{
    header::Segment,
    layout::MappedFile,
    mappings::{self, Landmarks},
};

/// At most so many segments before an address are looked into for the header of its file.
const MOST_SEGMENTS: usize = 16;
/// A path is no longer (`PATH_MAX`).
const LONGEST_PATH: usize = 4096;

/// The ranges of the program and of the files that the dynamic linker has loaded. Their offsets rise as those in the files do,
/// and are no more than that.
pub(super) fn files(
    arch: Arch,
    vector: &Auxv,
    entry: Option<Addr>,
    memory: &dyn Memory,
    segments: &[Segment],
) -> Vec<MappedFile> {
    let in_program = vector.get(auxv::PROGRAM_HEADERS).map(Addr).or(entry);
    let path =
        vector.get(auxv::EXECUTABLE_PATH).and_then(|at| memory.read_c_string(Addr(at), LONGEST_PATH).ok());
    let path = path.filter(|path| !path.is_empty()).unwrap_or_else(|| b"[program]".to_vec());
    let program = in_program.map(|at| ranges(at, &path, arch, memory, segments)).unwrap_or_default();
    let mappings: Mappings = mappings::mappings(segments, &program, Landmarks::default());
    let modules = Modules::find(&mappings, memory, Some(&path));
    let mut files = program;
    for loaded in modules.loaded_files(arch, memory) {
        let is_known = files.iter().any(|file| file.range.contains(&loaded.dynamic));
        // The kernel's own code has no path of a file.
        if !is_known && loaded.path.starts_with(b"/") {
            files.extend(ranges(loaded.dynamic, &loaded.path, arch, memory, segments));
        }
    }
    files
}

/// What is loaded of the file that `at` lies in.
fn ranges(at: Addr, path: &[u8], arch: Arch, memory: &dyn Memory, segments: &[Segment]) -> Vec<MappedFile> {
    let Some((start, image)) = image_around(at, memory, segments) else { return Vec::new() };
    if image.arch != Some(arch) {
        return Vec::new();
    }
    // Loaded by pages: what is shared with the neighbour is the neighbour's, so that the smallest size will do.
    const PAGE: u64 = 4096;
    let mut end = Addr(0);
    let mut all = Vec::new();
    for load in &image.loads {
        let (from, to) = (load.start.to_addr(image.bias).0, load.end.to_addr(image.bias).0);
        let Some(to) = to.checked_next_multiple_of(PAGE) else { continue };
        let range = Addr(from & !(PAGE - 1)).max(end)..Addr(to);
        if range.start < range.end {
            end = range.end;
            let offset = range.start.0.wrapping_sub(start.0);
            all.push(MappedFile { range, offset, path: path.to_vec() });
        }
    }
    all
}

/// The nearest header before `at` of a file that `at` is loaded from.
fn image_around(at: Addr, memory: &dyn Memory, segments: &[Segment]) -> Option<(Addr, ElfImage)> {
    let before = segments.partition_point(|segment| segment.range.start <= at);
    let starts = segments[..before].iter().rev().take(MOST_SEGMENTS).map(|segment| segment.range.start);
    starts.into_iter().find_map(|start| {
        let image = ElfImage::read(start, memory)?;
        let is_within = image
            .loads
            .iter()
            .any(|load| (load.start.to_addr(image.bias)..load.end.to_addr(image.bias)).contains(&at));
        is_within.then_some((start, image))
    })
}

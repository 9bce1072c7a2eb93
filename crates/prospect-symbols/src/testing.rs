//! For tests: programs made by the real tools, and processes that have loaded them.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use prospect_process::{
    Addr, Advice, Arch, CapturedMemory, FileId, FrozenProcess, LinkAddr, Mapping, Mappings, Permissions,
    ProcessId, ProcessInfo,
};

use crate::Binary;

/// A directory that goes when it is dropped.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("prospect-symbols-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Compiles a C program.
    pub(crate) fn compile(&self, name: &str, source: &str, flags: &[&str]) -> PathBuf {
        self.compile_with("gcc", name, source, flags)
    }

    /// The same with any compiler like gcc.
    pub(crate) fn compile_with(&self, compiler: &str, name: &str, source: &str, flags: &[&str]) -> PathBuf {
        let source = self.write(&format!("{name}.c"), source.as_bytes());
        let path = self.path(name);
        // The language comes before the file, and libraries behind it.
        let (before, after): (Vec<&str>, Vec<&str>) = flags.iter().partition(|flag| flag.starts_with("-x"));
        // Some compilers leave what they split off where they were run.
        run_in(&self.0, compiler, &[&before[..], &[text(&source), "-o", text(&path)], &after].concat());
        path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a tool that the tests need, and returns what it wrote.
pub(crate) fn run(tool: &str, arguments: &[&str]) -> String {
    run_in(Path::new("."), tool, arguments)
}

fn run_in(directory: &Path, tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).env("LC_ALL", "C").current_dir(directory).output();
    let output = output.unwrap_or_else(|error| panic!("the tests need {tool}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The C library that gcc links with, with or without `-m32`.
pub(crate) fn libc(flags: &[&str]) -> PathBuf {
    let arguments: Vec<&str> = flags.iter().copied().chain(["-print-file-name=libc.so.6"]).collect();
    let path = PathBuf::from(run("gcc", &arguments).trim());
    assert!(path.is_absolute(), "gcc {flags:?} has no C library: {path:?}");
    path
}

/// The addresses of the symbols of a file that `nm` lists: (address, size, name).
pub(crate) fn nm(path: &Path, flags: &[&str]) -> Vec<(u64, u64, String)> {
    let arguments: Vec<&str> =
        ["--defined-only", "-S"].iter().chain(flags).copied().chain([text(path)]).collect();
    let number = |digits: &str| u64::from_str_radix(digits, 16).unwrap();
    let parse = |line: &str| {
        let parts: Vec<&str> = line.split_whitespace().collect();
        match parts.as_slice() {
            [start, size, "T" | "t" | "W" | "i", name] => {
                Some((number(start), number(size), (*name).to_owned()))
            }
            _ => None,
        }
    };
    run("nm", &arguments).lines().filter_map(parse).collect()
}

/// A file without its section table, as some strippers leave it.
pub(crate) fn without_section_table(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    let (offset, counts) = if bytes[4] == 2 { (40..48, 58..64) } else { (32..36, 46..52) };
    bytes[offset].fill(0);
    bytes[counts].fill(0);
    bytes
}

/// A process that has loaded one file, `bias` above where it was linked.
pub(crate) fn load(path: &Path, bias: u64) -> FrozenProcess {
    let binary = Binary::open(path).unwrap();
    load_segments(path, &fs::read(path).unwrap(), &segments(&binary), bias, binary.arch().unwrap())
}

/// Addresses as linked, place in the file, and whether the bytes may be run.
type SegmentParts = (Range<LinkAddr>, Range<usize>, bool);

fn segments(binary: &Binary) -> Vec<SegmentParts> {
    let parts = binary.headers().segments.iter();
    parts.map(|one| (one.range.clone(), one.file_range.clone(), one.executable)).collect()
}

fn load_segments(
    path: &Path,
    bytes: &[u8],
    segments: &[SegmentParts],
    bias: u64,
    arch: Arch,
) -> FrozenProcess {
    let mut mappings = Vec::new();
    let mut ranges = Vec::new();
    for (range, in_file, execute) in segments {
        let page = |at: u64| at & !0xfff;
        let start = range.start.to_addr(bias);
        let skew = (start.0 & 0xfff) as usize;
        mappings.push(Mapping {
            range: Addr(page(start.0))..Addr(page(range.end.to_addr(bias).0 + 0xfff)),
            permissions: Permissions { read: true, execute: *execute, ..Permissions::default() },
            offset: (in_file.start - skew) as u64,
            file: Some(FileId { device: (8, 1), inode: 5 }),
            name: text(path).into(),
            deleted: false,
            advice: Advice::default(),
        });
        ranges.push((start, in_file.len(), in_file.start));
    }
    let mut info = ProcessInfo::new(ProcessId(1), arch);
    info.executable = Some(text(path).into());
    let memory = CapturedMemory::new(bytes.to_vec(), ranges);
    FrozenProcess::new(info, Vec::new(), memory, Mappings::new(mappings))
}

/// Numbers that look random and are always the same.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 24
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// A file of another system (`cargo xtask fixtures --case images`).
pub(crate) fn image(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/images").join(name)
}

/// The addresses of the instructions of one, as linked.
pub(crate) fn instructions(name: &str) -> Vec<u64> {
    let text = fs::read_to_string(image(name)).unwrap();
    text.lines().map(|line| u64::from_str_radix(line, 16).unwrap()).collect()
}

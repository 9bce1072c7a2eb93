//! The names of a real program, whose debug information the real tools packed.

use prospect_process::{Addr, FrozenProcess};

use super::*;
use crate::{
    Binaries, Binary, ResolvedAddress, SearchOptions, Symbolizer,
    testing::{load, nm},
};

const BIAS: u64 = 0x5555_5555_0000;

const PROGRAM: &str = "
#include <iostream>
#include <map>
#include <string>
#include <vector>
static std::map<std::string, std::vector<int>> all;
__attribute__((noinline)) int grow(int n) { all[std::to_string(n)].push_back(n); return n; }
int main(int argc, char **argv) { std::cout << argv[0] << all.size(); return grow(argc); }
";

struct Program {
    directory: TempDir,
    process: FrozenProcess,
    addresses: Vec<Addr>,
}

impl Program {
    fn new() -> Self {
        let directory = TempDir::new();
        set_mode(&directory.path(""), 0o755);
        let flags = [
            "-xc++",
            "-g",
            "-O0",
            "-fno-eliminate-unused-debug-types",
            "-gz=zlib",
            "-Wl,--build-id",
            "-lstdc++",
        ];
        let path = directory.compile("program", PROGRAM, &flags);
        let functions = nm(&path, &[]);
        let addresses = functions.iter().map(|(start, size, _)| Addr(start + size / 2 + BIAS)).collect();
        Self { directory, process: load(&path, BIAS), addresses }
    }

    fn binaries(&self) -> Binaries {
        let cache = Some(self.directory.path("prospect"));
        Binaries::new(SearchOptions { cache, debug_directories: Vec::new(), ..SearchOptions::default() })
    }

    fn names(&self, binaries: &Binaries) -> Vec<ResolvedAddress> {
        Symbolizer::new(&self.process, binaries).resolve(&self.addresses)
    }

    fn files(&self) -> Vec<PathBuf> {
        files(&self.directory.path("prospect"))
    }
}

#[test]
fn names_are_the_same_from_the_cache_and_without_it() {
    let program = Program::new();
    let without = Binaries::new(SearchOptions { debug_directories: Vec::new(), ..SearchOptions::default() });
    let expected = program.names(&without);
    let lines = expected.iter().flat_map(|one| &one.frames).filter(|frame| frame.line.is_some()).count();
    assert!(lines > 100, "{lines}");
    assert!(!without.has_news());
    let first = program.binaries();
    assert_eq!(program.names(&first), expected);
    assert!(first.has_news() && program.files().is_empty(), "nothing is written before it is asked for");
    first.store();
    assert!(!first.has_news());
    let names: Vec<String> = program.files().iter().map(|file| file.display().to_string()).collect();
    assert!(names.iter().any(|name| name.contains(".debug_info-")), "{names:?}");
    let second = program.binaries();
    assert_eq!(program.names(&second), expected);
    assert!(!second.has_news(), "nothing was unpacked");
}

#[test]
fn a_changed_cache_gives_no_wrong_names() {
    let program = Program::new();
    let first = program.binaries();
    let expected = program.names(&first);
    first.store();
    let originals: Vec<(PathBuf, Vec<u8>)> =
        program.files().into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    assert!(!originals.is_empty());
    let mut random = Random(1);
    for round in 0..30 {
        for (path, original) in &originals {
            let mut file = original.clone();
            for _ in 0..random.below(4) {
                let at = random.below(file.len());
                file[at] ^= 1 << random.below(8);
            }
            if random.below(8) == 0 {
                file.truncate(random.below(original.len()));
            }
            fs::write(path, file).unwrap();
        }
        let binaries = program.binaries();
        assert_eq!(program.names(&binaries), expected, "round {round}");
        binaries.store();
    }
}

#[test]
fn a_file_that_was_changed_in_its_place_is_unpacked_anew() {
    let program = Program::new();
    let first = program.binaries();
    program.names(&first);
    first.store();
    let path = program.directory.path("program");
    // The same bytes; but only the system's word on that would be worth something.
    fs::write(&path, fs::read(&path).unwrap()).unwrap();
    let second = program.binaries();
    program.names(&second);
    assert!(second.has_news());
    assert!(Binary::open(&path).unwrap().stamp().is_some());
}

//! An index says what debug information says, and nothing that is not so.

mod definitions;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use prospect_process::LinkAddr;

use crate::{
    Binaries, IndexError, IndexReport, ModuleBinary, Names, ResolvedAddress, SearchOptions,
    symbol::names::VERY_MANY,
    testing::{Random, TempDir, nm, run, text},
};

/// Inlined calls into each other, loops, templates, a namespace without a name, and code in several sections.
const CXX: &str = r#"
#include <cstdio>
#include <map>
#include <string>
#include <vector>
namespace {
struct Counter { std::map<std::string, int> seen; int add(const std::string &s) { return ++seen[s]; } };
template <typename T> T twice(T x) { return x + x; }
}
namespace outer { namespace inner {
__attribute__((noinline)) int work(std::vector<int> &v) {
    int sum = 0;
    for (int &x : v) sum += twice(x);
    auto more = [&](int y) { return sum + y; };
    return more(3);
}
} }
int main(int argc, char **) {
    Counter counter;
    std::vector<int> v(argc, 2);
    for (int i = 0; i < argc; i++) counter.add(std::to_string(i));
    try { std::printf("%d\n", outer::inner::work(v)); } catch (...) { return 1; }
    return counter.add("x");
}
"#;

const RUST: &str = r#"
mod deep { pub mod er { pub trait Go { fn go(&self) -> u64; }
impl<T: Copy + Into<u64>> Go for Vec<T> { fn go(&self) -> u64 { self.iter().map(|x| (*x).into()).sum() } } } }
use deep::er::Go;
fn main() {
    let v: Vec<u32> = std::env::args().map(|a| a.len() as u32).collect();
    let mut map = std::collections::HashMap::new();
    map.insert(v.go(), format!("{:?}", v));
    println!("{map:?}");
}
"#;

struct Program {
    directory: TempDir,
    path: PathBuf,
}

impl Program {
    fn cxx(flags: &[&str]) -> Self {
        let directory = TempDir::new();
        let source = directory.write("program.cc", CXX.as_bytes());
        let path = directory.path("program");
        run("g++", &[&[text(&source), "-o", text(&path), "-g"], flags].concat());
        Self::new(directory, path)
    }

    fn new(directory: TempDir, path: PathBuf) -> Self {
        // Whatever the umask is.
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(directory.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        Self { directory, path }
    }

    fn cache(&self) -> PathBuf {
        self.directory.path("prospect")
    }

    fn binaries(&self) -> Binaries {
        Binaries::new(SearchOptions { cache: Some(self.cache()), ..SearchOptions::default() })
    }

    fn open(&self) -> Arc<ModuleBinary> {
        self.binaries().open(&self.path).unwrap()
    }

    fn without_index(&self) -> Arc<ModuleBinary> {
        Binaries::new(SearchOptions::default()).open(&self.path).unwrap()
    }

    fn build(&self) -> IndexReport {
        let binaries = self.binaries();
        let module = binaries.open(&self.path).unwrap();
        binaries.build_index(&module, &|_| {}).unwrap()
    }

    fn index(&self) -> Option<PathBuf> {
        let mut found = fs::read_dir(self.cache().join("index")).ok()?;
        let path = found.next()?.unwrap().path();
        assert!(found.next().is_none());
        Some(path)
    }

    /// Addresses all over the code, and around it; sorted.
    fn addresses(&self) -> Vec<LinkAddr> {
        let module = self.without_index();
        let text = module.binary.as_ref().unwrap().named_section(".text").unwrap();
        let (start, length) = (text.address.0, text.section.len() as u64);
        let step = (length / 3_000).max(1);
        let inside = (start.saturating_sub(64)..start + length + 64).step_by(step as usize);
        inside.chain([0, 1, u64::MAX]).map(LinkAddr).collect()
    }
}

fn resolve(module: &Arc<ModuleBinary>, addresses: &[LinkAddr]) -> Vec<ResolvedAddress> {
    // By the readers of debug information or the index on disk, not by one in memory.
    addresses.chunks(4096).flat_map(|some| module.resolve(some)).collect()
}

fn assert_same(program: &Program, with: &[ResolvedAddress], addresses: &[LinkAddr]) {
    let without = resolve(&program.without_index(), addresses);
    for ((with, without), at) in with.iter().zip(&without).zip(addresses) {
        assert_eq!(with, without, "{}: {:#x}", program.path.display(), at.0);
    }
}

/// Index, no index, and an index that is made in memory all say the same.
fn check(program: &Program) {
    let addresses = program.addresses();
    let report = program.build();
    assert_eq!(report.left_out, 0, "{report:?}");
    assert_eq!(fs::metadata(&report.path).unwrap().len(), report.size);
    let module = program.open();
    assert_same(program, &resolve(&module, &addresses), &addresses);
    // Raw names are the same too, and are those of the others.
    let some = &addresses[..addresses.len().min(4096)];
    let raw = each(&module, some, Names::Linkage);
    let without = program.without_index();
    assert_eq!(raw, each(&without, some, Names::Linkage));
    for (raw, shown) in raw.iter().zip(resolve(&module, &addresses)) {
        for (raw, shown) in raw.frames.iter().zip(&shown.frames) {
            assert_eq!(raw.linkage_name, shown.linkage_name);
            assert_eq!(raw.function, raw.linkage_name.clone().or_else(|| shown.function.clone()));
        }
    }
    // Few are not indexed in memory: those that the index does not know all of are read.
    for module in [&module, &without] {
        for (some, raw) in some.chunks(1000).zip(raw.chunks(1000)) {
            assert_eq!(each(module, some, Names::Linkage), raw);
        }
    }
    assert!(module.has_index() && !without.has_index());
    let debug = module.debug_info().unwrap();
    assert!(debug.index.take_touched().is_empty(), "units were read although they are in the index");
    for module in [module, program.without_index()] {
        // More than what is worth a part.
        let many: Vec<LinkAddr> =
            addresses.iter().copied().cycle().take(addresses.len().max(VERY_MANY)).collect();
        each(&module, &many, Names::Demangled);
        let found = each(&module, &many, Names::Demangled);
        assert_same(program, &found[..addresses.len()], &addresses);
        assert_eq!(found[addresses.len()..], found[..many.len() - addresses.len()]);
    }
}

/// What it is told of each address, once.
fn each(module: &Arc<ModuleBinary>, addresses: &[LinkAddr], names: Names) -> Vec<ResolvedAddress> {
    let mut each = vec![None; addresses.len()];
    module.resolve_each(addresses, names, |place, frames| {
        let frames = frames.iter().map(Into::into).collect();
        assert!(each[place].replace(ResolvedAddress { frames }).is_none());
    });
    each.into_iter().map(Option::unwrap).collect()
}

#[test]
fn an_index_says_what_the_debug_information_of_every_compiler_says() {
    for flags in [
        &["-O0", "-gdwarf-4"][..],
        &["-O2", "-gdwarf-5"],
        &["-O2", "-gdwarf-4", "-ffunction-sections", "-Wl,--gc-sections"],
        &["-O1", "-gdwarf-5", "-gz=zlib"],
        &["-O2", "-g1"],
    ] {
        check(&Program::cxx(flags));
    }
    for flags in [&["-O2", "-gdwarf-5"][..], &["-O0", "-gdwarf-4"]] {
        let directory = TempDir::new();
        let source = directory.write("program.c", include_str!("tests/program.c").as_bytes());
        let path = directory.path("program");
        run("clang", &[&[text(&source), "-o", text(&path), "-g", "-Wl,--build-id"], flags].concat());
        check(&Program::new(directory, path));
    }
}

#[test]
fn an_index_of_a_file_that_was_made_small_says_the_same() {
    let program = Program::cxx(&["-O2", "-gdwarf-4"]);
    run("dwz", &[text(&program.path)]);
    check(&program);
}

#[test]
fn an_index_says_what_rust_programs_say() {
    for optimized in ["0", "2"] {
        let directory = TempDir::new();
        let source = directory.write("program.rs", RUST.as_bytes());
        let path = directory.path("program");
        let level = format!("-Copt-level={optimized}");
        let build_id = "-Clink-arg=-Wl,--build-id";
        run("rustc", &[text(&source), "-o", text(&path), "-g", &level, build_id, "--edition=2021"]);
        check(&Program::new(directory, path));
    }
}

#[test]
fn what_cannot_be_indexed_is_read_as_before() {
    let directory = TempDir::new();
    let source = directory.write("program.cc", CXX.as_bytes());
    let (object, path) = (directory.path("program.o"), directory.path("program"));
    // The compiler puts the `.dwo` file beside the object.
    run("g++", &["-c", text(&source), "-o", text(&object), "-g", "-O2", "-gsplit-dwarf"]);
    run("g++", &[text(&object), "-o", text(&path)]);
    let split = Program::new(directory, path);
    let report = split.build();
    assert!(report.left_out >= 1, "{report:?}");
    let addresses = split.addresses();
    assert_same(&split, &resolve(&split.open(), &addresses), &addresses);

    // Two files that share debug information in a third.
    let directory = TempDir::new();
    let (path, other) = (directory.path("program"), directory.path("other"));
    let source = directory.write("program.cc", CXX.as_bytes());
    run("g++", &[text(&source), "-o", text(&path), "-g", "-gdwarf-4"]);
    fs::copy(&path, &other).unwrap();
    run("dwz", &["-m", text(&directory.path("common")), text(&path), text(&other)]);
    let shared = Program::new(directory, path);
    let binaries = shared.binaries();
    let module = binaries.open(&shared.path).unwrap();
    assert!(matches!(binaries.build_index(&module, &|_| {}), Err(IndexError::Impossible(_))));
    let addresses = shared.addresses();
    assert_same(&shared, &resolve(&module, &addresses), &addresses);
    binaries.store();
    assert_eq!(shared.index(), None);

    let nameless = Program::cxx(&["-O0", "-Wl,--build-id=none"]);
    let binaries = nameless.binaries();
    let module = binaries.open(&nameless.path).unwrap();
    assert!(matches!(binaries.build_index(&module, &|_| {}), Err(IndexError::Impossible(_))));
    let none = Binaries::new(SearchOptions::default());
    assert!(matches!(none.build_index(&module, &|_| {}), Err(IndexError::NoCache)));
}

#[test]
fn progress_goes_from_nothing_to_all() {
    let program = Program::cxx(&["-O0"]);
    let binaries = program.binaries();
    let module = binaries.open(&program.path).unwrap();
    let (most, total) = (AtomicU64::new(0), AtomicU64::new(0));
    let report = binaries.build_index(&module, &|progress| {
        assert!(progress.done <= progress.total);
        most.fetch_max(progress.done, Ordering::Relaxed);
        total.store(progress.total, Ordering::Relaxed);
    });
    assert!(report.unwrap().units >= 1);
    assert_eq!(most.into_inner(), total.into_inner());
}

#[test]
fn a_run_leaves_what_it_has_read() {
    let program = two_units();
    let all = program.addresses();
    let symbols = nm(&program.path, &[]);
    let bytes_of = |name: &str| -> Vec<LinkAddr> {
        let (start, size, _) = symbols.iter().find(|symbol| symbol.2 == name).unwrap();
        (*start..start + size).map(LinkAddr).collect()
    };
    for some in [&bytes_of("one"), &bytes_of("two"), &all] {
        let binaries = program.binaries();
        let module = binaries.open(&program.path).unwrap();
        let answers = resolve(&module, some);
        assert_same(&program, &answers, some);
        let had_news = binaries.has_news();
        binaries.store();
        assert!(!binaries.has_news());
        // The last run found all in the index.
        assert_eq!(had_news, some.len() != all.len());
        assert!(program.index().is_some());
    }
}

/// A program whose two halves are different units.
fn two_units() -> Program {
    let directory = TempDir::new();
    let one = directory.write(
        "one.c",
        b"int two(int); int one(int x) { return two(x) + 1; } int main(void) { return one(1); }",
    );
    let two = directory
        .write("two.c", b"static int half(int x) { return x / 2; } int two(int x) { return half(x) * 3; }");
    let path = directory.path("program");
    run("gcc", &[text(&one), text(&two), "-o", text(&path), "-g", "-O1"]);
    Program::new(directory, path)
}

#[test]
fn damaged_and_foreign_indexes_are_not_believed() {
    let program = two_units();
    let addresses = program.addresses();
    let path = program.build().path;
    let whole = fs::read(&path).unwrap();
    let expected = resolve(&program.without_index(), &addresses);
    let mut random = Random(11);
    let check = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).unwrap();
        assert_eq!(resolve(&program.open(), &addresses), expected, "{what}");
        // A second look removes what the first has found to be damaged, at the latest.
        let module = program.open();
        assert_eq!(resolve(&module, &addresses), expected, "{what}");
        resolve(&module, &addresses);
    };
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << random.below(8);
        check(&bytes, &format!("a bit at {at}"));
        assert!(!path.exists(), "the byte at {at} is in no checksum");
    }
    for length in (0..whole.len()).step_by(97) {
        check(&whole[..length], &format!("cut to {length}"));
        assert!(!path.exists(), "cut to {length}");
    }
    // That of another file with the same contents and the same build-id.
    let copy = program.directory.path("copy");
    fs::copy(&program.path, &copy).unwrap();
    let binaries = program.binaries();
    let module = binaries.open(&copy).unwrap();
    let theirs = binaries.build_index(&module, &|_| {}).unwrap().path;
    assert_ne!(theirs, path);
    check(&fs::read(&theirs).unwrap(), "of another file");
    assert!(!path.exists());
    fs::remove_file(theirs).unwrap();
    // And it is made again.
    program.build();
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn what_others_can_write_is_not_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let program = two_units();
    let path = program.build().path;
    let index = path.parent().unwrap();
    fs::set_permissions(index, fs::Permissions::from_mode(0o777)).unwrap();
    let module = program.open();
    assert!(!resolve(&module, &program.addresses()).is_empty());
    assert!(!module.debug_info().unwrap().index.take_touched().is_empty(), "the units were read");
    let binaries = program.binaries();
    assert!(matches!(binaries.build_index(&module, &|_| {}), Err(IndexError::NoCache)));
}

/// A program of this machine that has much debug information.
#[test]
fn an_index_of_these_tests_says_what_they_say() {
    let own = std::env::current_exe().unwrap();
    let directory = TempDir::new();
    let path = directory.path("program");
    fs::copy(&own, &path).unwrap();
    let program = Program::new(directory, path);
    if program.without_index().binary.as_ref().unwrap().build_id().is_some() {
        check(&program);
    }
    assert!(Path::new(&own).exists());
}

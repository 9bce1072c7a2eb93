//! On programs made by the real compilers, whose sources say themselves what is expected.

mod hostile;

use std::path::{Path, PathBuf};

use super::*;
use crate::testing::{TempDir, nm, run, text};

/// Two units: `main` calls from one into the other. What is inlined is marked with its line.
const MAIN: &str = "
int outer(int);
int main(int argc, char **argv) { (void)argv; return outer(argc); }
";
const OUTER: &str = "
static volatile int sink;
static inline __attribute__((always_inline)) void innermost(int x) {
    sink = x * 3; // innermost
}
static inline __attribute__((always_inline)) void middle(int x) {
    sink = x;
    innermost(x + 1); // middle
}
__attribute__((noinline)) int outer(int x) {
    middle(x); // outer
    return sink;
}
";

fn line_of(mark: &str) -> Option<u32> {
    let line = OUTER.lines().position(|line| line.ends_with(&format!("// {mark}"))).unwrap();
    Some(line as u32 + 1)
}

/// Builds the program; the flags come last.
fn build(dir: &TempDir, compiler: &str, flags: &[&str]) -> PathBuf {
    let main = dir.write("main.c", MAIN.as_bytes());
    let outer = dir.write("outer.c", OUTER.as_bytes());
    let program = dir.path("program");
    let files = [text(&main), text(&outer), "-o", text(&program), "-g"];
    // `.dwo` files are put where the compiler runs, or beside what it makes.
    let all: Vec<&str> = files.iter().chain(flags).copied().collect();
    run(compiler, &all);
    program
}

fn open(path: &Path) -> DebugInfo {
    DebugInfo::open(Arc::new(Binary::open(path).unwrap()), SplitDwarfSearch::beside(path), None).unwrap()
}

/// The addresses of a function's bytes.
fn bytes_of(path: &Path, function: &str) -> Vec<LinkAddr> {
    let symbols = nm(path, &[]);
    let (start, size, _) = symbols.iter().find(|(_, _, name)| name == function).unwrap();
    (*start..start + size).map(LinkAddr).collect()
}

fn frames(debug: &DebugInfo, addresses: Vec<LinkAddr>) -> Vec<Vec<DwarfFrame>> {
    resolve(&[(debug, addresses)]).remove(0)
}

/// The functions at addresses, as the entries that describe them.
fn functions(debug: &DebugInfo, addresses: &[LinkAddr]) -> Vec<Option<Vec<usize>>> {
    let tank = debug.tank();
    let entries = |&at| debug.with_functions_at(at, &mut tank.fuel(), |_, scopes, _| scopes.to_vec());
    addresses.iter().map(entries).collect()
}

/// That the functions at addresses are the same whether they were looked for one by one, for all addresses that are noted of a
/// unit, or were found when these were named.
fn check_functions(path: &Path) {
    let (alone, noted, named) = (open(path), open(path), open(path));
    let mut addresses = bytes_of(path, "outer");
    addresses.extend(bytes_of(path, "main"));
    let expected = functions(&alone, &addresses);
    assert!(expected.iter().all(Option::is_some), "{path:?}");
    frames(&named, addresses.clone());
    let units = lock(&named.units_at).clone();
    assert_eq!(functions(&named, &addresses), expected, "{path:?}");
    noted.note_units(units.into_iter());
    assert_eq!(functions(&noted, &addresses), expected, "{path:?}");
}

/// Every byte of `outer` belongs to it, and somewhere in it is the innermost call with its callers.
fn check(path: &Path, debug: &DebugInfo) {
    check_functions(path);
    let answers = frames(debug, bytes_of(path, "outer"));
    let names = |frames: &[DwarfFrame]| -> Vec<String> {
        frames.iter().map(|frame| frame.function.as_deref().unwrap().to_owned()).collect()
    };
    for answer in &answers {
        let (called, inlined) = answer.split_last().expect("covered");
        assert_eq!((called.function.as_deref(), called.inlined), (Some("outer"), false), "{path:?}");
        assert!(inlined.iter().all(|frame| frame.inlined));
        assert!(called.file.as_deref().unwrap().ends_with("/outer.c"), "{called:?}");
    }
    let deep = answers.iter().find(|answer| answer.len() == 3 && answer[0].line == line_of("innermost"));
    let deep = deep.unwrap_or_else(|| panic!("{path:?}: no innermost call in {answers:#?}"));
    assert_eq!(names(deep), ["innermost", "middle", "outer"]);
    assert_eq!(deep[1].line, line_of("middle"));
    assert_eq!(deep[2].line, line_of("outer"));
    let main = frames(debug, bytes_of(path, "main"));
    assert!(main.iter().all(|answer| names(answer) == ["main"]));
}

#[test]
fn every_version_of_either_compiler() {
    for compiler in ["gcc", "clang"] {
        for version in ["-gdwarf-2", "-gdwarf-3", "-gdwarf-4", "-gdwarf-5"] {
            let dir = TempDir::new();
            let path = build(&dir, compiler, &["-O1", version]);
            check(&path, &open(&path));
        }
    }
}

#[test]
fn the_64_bit_format_and_type_units() {
    for flags in
        [&["-O1", "-gdwarf64"][..], &["-O1", "-gdwarf-4", "-fdebug-types-section"], &["-O1", "-flto"]]
    {
        let dir = TempDir::new();
        let path = build(&dir, "gcc", flags);
        check(&path, &open(&path));
    }
}

#[test]
fn compressed_sections() {
    for packer in ["zlib-gabi", "zlib-gnu", "zstd"] {
        let dir = TempDir::new();
        let path = build(&dir, "gcc", &["-O1"]);
        run("objcopy", &[&format!("--compress-debug-sections={packer}"), text(&path)]);
        check(&path, &open(&path));
    }
}

#[test]
fn split_files_of_both_kinds_and_packages_of_them() {
    for (compiler, version) in
        [("gcc", "-gdwarf-4"), ("gcc", "-gdwarf-5"), ("clang", "-gdwarf-4"), ("clang", "-gdwarf-5")]
    {
        let dir = TempDir::new();
        let path = build_split(&dir, compiler, version);
        check(&path, &open(&path));
        if version == "-gdwarf-4" {
            let package = dir.path("program.dwp");
            run("dwp", &["-e", text(&path), "-o", text(&package)]);
            for name in ["main.dwo", "outer.dwo"] {
                std::fs::remove_file(dir.path(name)).unwrap();
            }
            check(&path, &open(&path));
        }
    }
}

/// Each file is compiled by itself: so the `.dwo` files are named after them.
fn build_split(dir: &TempDir, compiler: &str, version: &str) -> PathBuf {
    let mut objects = Vec::new();
    for (name, source) in [("main", MAIN), ("outer", OUTER)] {
        let source = dir.write(&format!("{name}.c"), source.as_bytes());
        let object = dir.path(&format!("{name}.o"));
        let flags = ["-c", "-O1", "-g", "-gsplit-dwarf", version];
        run(compiler, &[&flags[..], &[text(&source), "-o", text(&object)]].concat());
        objects.push(object);
    }
    let path = dir.path("program");
    run(compiler, &[text(&objects[0]), text(&objects[1]), "-o", text(&path)]);
    path
}

#[test]
fn a_split_file_of_another_build_is_not_believed() {
    let dir = TempDir::new();
    let path = build_split(&dir, "gcc", "-gdwarf-5");
    std::fs::copy(dir.path("main.dwo"), dir.path("outer.dwo")).unwrap();
    let answers = frames(&open(&path), bytes_of(&path, "outer"));
    assert!(answers.iter().flatten().all(|frame| frame.function.is_none()), "{answers:?}");
    // What the skeleton says itself stays.
    assert!(answers.iter().any(|answer| answer.first().is_some_and(|frame| frame.line.is_some())));
}

#[test]
fn aranges_may_be_missing_or_wrong() {
    let dir = TempDir::new();
    let path = build(&dir, "gcc", &["-O1"]);
    run("objcopy", &["--remove-section=.debug_aranges", text(&path)]);
    check(&path, &open(&path));

    let other = build(&dir, "gcc", &["-O1"]);
    let aranges = dir.path("aranges");
    let dump = format!("--dump-section=.debug_aranges={}", text(&aranges));
    run("objcopy", &[&dump, text(&other)]);
    let mut bytes = std::fs::read(&aranges).unwrap();
    let second = bytes.len() / 2;
    // Both tables say that their code is in the other unit.
    let (first_unit, second_unit) = (bytes[6..10].to_vec(), bytes[second + 6..second + 10].to_vec());
    bytes[6..10].copy_from_slice(&second_unit);
    bytes[second + 6..second + 10].copy_from_slice(&first_unit);
    std::fs::write(&aranges, bytes).unwrap();
    let update = format!("--update-section=.debug_aranges={}", text(&aranges));
    run("objcopy", &[&update, text(&other)]);
    check(&other, &open(&other));
}

#[test]
fn names_in_a_supplementary_file() {
    let dir = TempDir::new();
    let path = build(&dir, "gcc", &["-O1"]);
    let twin = dir.path("twin");
    std::fs::copy(&path, &twin).unwrap();
    let alternative = dir.path("alternative");
    run("dwz", &["-m", text(&alternative), text(&path), text(&twin)]);
    let mut search = SplitDwarfSearch::beside(&path);
    search.supplementary = Some(Arc::new(Binary::open(&alternative).unwrap()));
    let debug = DebugInfo::open(Arc::new(Binary::open(&path).unwrap()), search, None).unwrap();
    check(&path, &debug);
}

#[test]
fn functions_without_linkage_names_are_qualified() {
    let dir = TempDir::new();
    let source = "
        namespace place { namespace {
            struct Hidden { __attribute__((noinline)) static int go(int x) { volatile int y = x; return y; } };
        } __attribute__((noinline)) int shown(int x) { return Hidden::go(x) + 1; } }
        int main(int argc, char **) { return place::shown(argc); }";
    let source = dir.write("a.cc", source.as_bytes());
    let path = dir.path("program");
    run("g++", &["-g", "-O1", text(&source), "-o", text(&path)]);
    let debug = open(&path);
    let hidden = nm(&path, &[]).into_iter().find(|(_, _, name)| name.contains("Hidden")).unwrap().2;
    let name = |symbol: &str| frames(&debug, bytes_of(&path, symbol))[0].last().unwrap().clone();
    assert_eq!(name(&hidden).function.as_deref(), Some("place::(anonymous namespace)::Hidden::go"));
    let shown = name("_ZN5place5shownEi");
    assert_eq!(
        (shown.function.as_deref(), shown.linkage_name.as_deref()),
        // The linkage name says it all.
        (None, Some("_ZN5place5shownEi"))
    );
}

#[test]
fn nested_functions_are_not_taken_for_the_outer_one() {
    let dir = TempDir::new();
    let source = "
        #include <stdio.h>
        int around(int a) {
            int nested(int b) { return printf(\"%d\", b) + a; }
            int (*volatile pointer)(int) = nested;
            return pointer(a);
        }
        int main(int argc, char **argv) { (void)argv; return around(argc); }";
    for flags in [&["-g", "-O0"], &["-g", "-O1"]] {
        let path = dir.compile("program", source, flags);
        let debug = open(&path);
        let nested = nm(&path, &[]).into_iter().find(|(_, _, name)| name.starts_with("nested")).unwrap().2;
        for (symbol, expected) in [(nested.as_str(), "nested"), ("around", "around"), ("main", "main")] {
            for answer in frames(&debug, bytes_of(&path, symbol)) {
                assert_eq!(answer.last().unwrap().function.as_deref(), Some(expected), "{flags:?}");
            }
        }
    }
}

#[test]
fn rust_programs() {
    let dir = TempDir::new();
    let source = "
        mod place {
            #[inline(always)] fn inner(x: u32) -> u32 { std::hint::black_box(x) + 1 }
            #[inline(never)] #[unsafe(no_mangle)] pub fn outer(x: u32) -> u32 { inner(x) * 2 }
        }
        fn main() { std::process::exit(place::outer(7) as i32) }";
    let source = dir.write("a.rs", source.as_bytes());
    let path = dir.path("program");
    run("rustc", &["--edition=2024", "-g", "-Copt-level=1", text(&source), "-o", text(&path)]);
    let debug = open(&path);
    let answers = frames(&debug, bytes_of(&path, "outer"));
    let inlined = answers.iter().find(|answer| answer.len() >= 2).expect("an inlined call");
    let names = inlined.iter().map(|frame| frame.linkage_name.as_deref().or(frame.function.as_deref()));
    let names: Vec<&str> = names.map(Option::unwrap).collect();
    // Without a linkage name, since `no_mangle`: so it is qualified.
    assert_eq!(names.last(), Some(&"a::place::outer"));
    assert!(names[names.len() - 2].contains("inner"), "{names:?}");
}

#[test]
fn several_modules_at_once_and_addresses_of_none() {
    let (first, second) = (TempDir::new(), TempDir::new());
    let paths = [build(&first, "gcc", &["-O1"]), build(&second, "clang", &["-O1"])];
    let debugs = [open(&paths[0]), open(&paths[1])];
    let ask = |at: usize| {
        // In no order, twice, and with some that are nowhere.
        let mut addresses = bytes_of(&paths[at], "outer");
        addresses.reverse();
        addresses.push(addresses[0]);
        addresses.extend([LinkAddr(0), LinkAddr(1), LinkAddr(u64::MAX)]);
        (&debugs[at], addresses)
    };
    let answers = resolve(&[ask(0), ask(1), (&debugs[0], Vec::new())]);
    assert!(answers[2].is_empty());
    for (answers, (debug, addresses)) in answers.iter().zip([ask(0), ask(1)]) {
        assert_eq!(answers.len(), addresses.len());
        let (nowhere, somewhere) = answers.split_at(answers.len() - 3);
        assert!(somewhere.iter().all(Vec::is_empty));
        assert_eq!(nowhere, frames(debug, addresses[..nowhere.len()].to_vec()));
        assert!(nowhere.iter().all(|answer| answer.last().unwrap().function.as_deref() == Some("outer")));
    }
}

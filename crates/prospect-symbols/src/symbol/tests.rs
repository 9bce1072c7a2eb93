//! Names and lines are compared with those of binutils, for real programs.

use std::{fs, path::Path};

use prospect_process::{Arch, CapturedMemory, FrozenProcess, Mappings, ProcessId, ProcessInfo};

use super::*;
use crate::{
    SearchOptions,
    testing::{Random, TempDir, load, nm, run, text},
};

const BIAS: u64 = 0x5555_5555_0000;

const PROGRAM: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static inline __attribute__((always_inline)) int innermost(int n) {
    return n * 2 + printf("%d", n);
}
static inline __attribute__((always_inline)) int inner(int n) {
    return innermost(n) + innermost(n + 1);
}
__attribute__((noinline)) static int outer(int n) {
    return n > 0 ? outer(n - 1) + inner(n) : 1;
}
int main(int argc, char **argv) {
    puts(argv[0]);
    void *copy = malloc(argc);
    memset(copy, argc, argc);
    int (*volatile late)(const char *) = puts;
    free(copy);
    return outer(argc) + late(argv[0]);
}
"#;

fn options() -> SearchOptions {
    SearchOptions { debug_directories: Vec::new(), ..SearchOptions::default() }
}

fn resolve(path: &Path, addresses: &[u64]) -> Vec<ResolvedAddress> {
    let process = load(path, BIAS);
    let addresses: Vec<Addr> = addresses.iter().map(|at| LinkAddr(*at).to_addr(BIAS)).collect();
    Symbolizer::new(&process, &Binaries::new(options())).resolve(&addresses)
}

/// What `addr2line -i` says of each address: the functions with `file:line`, the innermost first.
fn addr2line(path: &Path, addresses: &[u64]) -> Vec<Vec<String>> {
    let texts: Vec<String> = addresses.iter().map(|at| format!("{at:#x}")).collect();
    let mut arguments = vec!["-f", "-i", "-a", "-C", "-e", text(path)];
    arguments.extend(texts.iter().map(String::as_str));
    let output = run("addr2line", &arguments);
    let mut found: Vec<Vec<String>> = Vec::new();
    let mut lines = output.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("0x") {
            found.push(Vec::new());
            continue;
        }
        let place = lines.next().unwrap().split(" (disc").next().unwrap();
        found.last_mut().unwrap().push(format!("{line} {place}"));
    }
    found
}

fn frame_text(frame: &SourceFrame) -> String {
    let file = frame.file.as_deref().unwrap_or("??");
    let line = frame.line.map_or("?".to_owned(), |line| line.to_string());
    format!("{} {file}:{line}", frame.function.as_deref().unwrap_or("??"))
}

#[test]
fn functions_and_lines_are_those_of_addr2line() {
    let directory = TempDir::new();
    for flags in [&["-g", "-O2"][..], &["-g", "-O0"], &["-g", "-O2", "-gdwarf-4"], &["-g1", "-O2"]] {
        let path = directory.compile("program", PROGRAM, flags);
        let addresses: Vec<u64> = nm(&path, &[])
            .iter()
            .filter(|one| ["main", "outer"].contains(&one.2.as_str()))
            .flat_map(|(start, size, _)| *start..start + size)
            .collect();
        assert!(addresses.len() > 50);
        for (at, (ours, expected)) in
            addresses.iter().zip(resolve(&path, &addresses).iter().zip(addr2line(&path, &addresses)))
        {
            let frames: Vec<String> = ours.frames.iter().map(frame_text).collect();
            assert_eq!(frames, expected, "{at:#x} {flags:?}");
            let inlined: Vec<bool> = ours.frames.iter().map(|frame| frame.inlined).collect();
            assert!(inlined.iter().rev().skip(1).all(|inlined| *inlined) && !inlined[inlined.len() - 1]);
        }
    }
}

#[test]
fn entries_of_the_procedure_linkage_table_are_those_of_objdump() {
    let directory = TempDir::new();
    for flags in [
        &["-O2"][..],
        &["-O2", "-no-pie", "-fno-pie"],
        &["-O2", "-Wl,-z,now"],
        &["-O2", "-fcf-protection=full", "-Wl,-z,ibtplt"],
        &["-O2", "-m32"],
        &["-O2", "-m32", "-no-pie", "-fno-pie"],
        &["-O2", "-m32", "-Wl,-z,now"],
    ] {
        let path = directory.compile("program", PROGRAM, flags);
        let listing = run("objdump", &["-d", "--no-show-raw-insn", text(&path)]);
        let entries: Vec<(u64, &str)> = listing
            .lines()
            .filter_map(|line| {
                let (address, name) = line.strip_suffix(">:")?.split_once(" <")?;
                let is_named = name.ends_with("@plt") && !name.starts_with('*');
                is_named.then(|| (u64::from_str_radix(address, 16).unwrap(), name))
            })
            .collect();
        assert!(entries.len() >= 2, "{flags:?} {entries:?}");
        let addresses: Vec<u64> = entries.iter().flat_map(|(start, _)| [*start, start + 5]).collect();
        let found = resolve(&path, &addresses);
        for (pair, (start, name)) in found.chunks(2).zip(&entries) {
            for one in pair {
                let found = one.frames.first().and_then(|frame| frame.function.as_deref());
                assert_eq!(found, Some(*name), "{start:#x} {flags:?}");
            }
        }
    }
}

#[test]
fn a_function_of_assembly_has_its_symbol_and_the_line_of_the_debug_information() {
    let directory = TempDir::new();
    let assembly = directory
        .write("bare.s", b".text\n.globl bare\nbare:\n  nop\n  nop\n  ret\n.section .note.GNU-stack\n");
    let source = format!("{PROGRAM}\nextern void bare(void); void (*use_it)(void) = bare;");
    let path = directory.compile("program", &source, &["-g", "-Wa,-g", text(&assembly)]);
    let bare = run("nm", &[text(&path)]);
    let bare = bare.lines().find_map(|line| line.strip_suffix(" T bare")).unwrap();
    let bare = u64::from_str_radix(bare, 16).unwrap();
    let found = resolve(&path, &[bare + 1]);
    let [frame] = &found[0].frames[..] else { panic!("{found:?}") };
    assert_eq!(frame.function.as_deref(), Some("bare"));
    assert_eq!(frame.line, Some(5));
    assert_eq!(frame.file.as_deref(), Some(text(&assembly)));
}

#[test]
fn cpp_names_are_demangled_with_and_without_debug_information() {
    let directory = TempDir::new();
    let source = "namespace space { template <class T> struct Box { T held; __attribute__((noinline)) \
                  T get(int n) const { return held + n; } }; } \
                  int main(int argc, char **) { space::Box<long> box{argc}; return box.get(argc); }";
    for flags in [&["-xc++", "-O1", "-g"][..], &["-xc++", "-O1"]] {
        let path = directory.compile("program", source, flags);
        let (start, ..) = nm(&path, &[]).into_iter().find(|one| one.2.starts_with("_ZN")).unwrap();
        let found = resolve(&path, &[start]);
        let [frame] = &found[0].frames[..] else { panic!("{found:?}") };
        assert_eq!(frame.function.as_deref(), Some("space::Box<long>::get(int) const"), "{flags:?}");
        assert_eq!(frame.line.is_some(), flags.contains(&"-g"));
    }
}

#[test]
fn addresses_may_come_in_any_order_and_twice() {
    let directory = TempDir::new();
    let path = directory.compile("program", PROGRAM, &["-O0", "-g"]);
    let functions = nm(&path, &[]);
    let at = |name: &str| functions.iter().find(|one| one.2 == name).unwrap().0;
    let (main, outer) = (at("main"), at("outer"));
    let found = resolve(&path, &[main, 0xffff_0000_0000, outer, main, outer]);
    let names: Vec<Option<&str>> =
        found.iter().map(|one| one.frames.last().and_then(|frame| frame.function.as_deref())).collect();
    assert_eq!(names, [Some("main"), None, Some("outer"), Some("main"), Some("outer")]);
    assert!(resolve(&path, &[]).is_empty());
}

#[test]
fn code_outside_of_all_modules_is_named_by_the_perf_map_in_the_root_of_the_process() {
    let directory = TempDir::new();
    // A process in a pid namespace and a root of its own, as `/proc` shows it.
    directory.write("proc/77/status", b"Name:\tx\nNSpid:\t77\t9\nThreads:\t1\n");
    directory.write("root/tmp/perf-9.map", b"7f0000001000 80 Jitted::method\n");
    let mut info = ProcessInfo::new(ProcessId(77), Arch::X86_64);
    info.files.by_mapping = Some(directory.path("proc/77/map_files"));
    info.files.root = Some(directory.path("root"));
    let process = FrozenProcess::new(info, Vec::new(), CapturedMemory::default(), Mappings::new(Vec::new()));
    let binaries = Binaries::new(options());
    let found =
        Symbolizer::new(&process, &binaries).resolve(&[Addr(0x7f00_0000_1080), Addr(0x7f00_0000_1010)]);
    assert_eq!(found[0].frames, []);
    assert_eq!(found[1].frames[0].function.as_deref(), Some("Jitted::method"));
}

#[test]
fn a_program_that_was_changed_at_random_is_named_without_harm() {
    let directory = TempDir::new();
    let path = directory.compile("program", PROGRAM, &["-g", "-O2", "-Wl,--build-id=none"]);
    let process = load(&path, BIAS);
    let addresses: Vec<Addr> = nm(&path, &[])
        .iter()
        .flat_map(|(start, size, _)| [*start, start + size / 2])
        .map(|at| LinkAddr(at).to_addr(BIAS))
        .collect();
    let original = fs::read(&path).unwrap();
    let mut random = Random(11);
    for _ in 0..400 {
        let mut bytes = original.clone();
        for _ in 0..1 + random.below(10) {
            let at = random.below(bytes.len());
            bytes[at] = [0, 0xff, 0x7f, random.next() as u8][random.below(4)];
        }
        let changed = directory.write("changed", &bytes);
        let binaries = Binaries::new(SearchOptions { executable: Some(changed.clone()), ..options() });
        let _ = Symbolizer::new(&process, &binaries).resolve(&addresses);
        fs::remove_file(changed).unwrap();
    }
}

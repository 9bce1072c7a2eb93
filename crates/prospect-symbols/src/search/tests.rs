//! Files that fit and files that do not, made by the real tools.

mod server;

use std::fs;

use prospect_process::{FrozenProcess, LinkAddr, Process};

use super::*;
use crate::{
    Binary, Symbolizer,
    testing::{TempDir, load, nm, run, text},
};

const BIAS: u64 = 0x5555_5555_0000;

const PROGRAM: &str = r#"
#include <stdio.h>
static __attribute__((noinline)) int hidden(int n) { return printf("%d", n) + VALUE; }
__attribute__((noinline)) int shown(int n) { return hidden(n) - 1; }
int main(int argc, char **argv) { puts(argv[0]); return shown(argc); }
"#;

/// A program with debug information, and the same in two files.
struct Split {
    directory: TempDir,
    /// What the process runs.
    stripped: PathBuf,
    /// The debug information.
    debug: PathBuf,
    /// The middle of the function `hidden`, as linked.
    hidden: u64,
}

impl Split {
    fn new(flags: &[&str]) -> Self {
        Self::of_source(PROGRAM, flags)
    }

    fn of_source(source: &str, flags: &[&str]) -> Self {
        let directory = TempDir::new();
        let flags: Vec<&str> = ["-g", "-O2", "-DVALUE=1"].iter().chain(flags).copied().collect();
        let full = directory.compile("full", source, &flags);
        let (stripped, debug) = (directory.path("bin/program"), directory.path("debug/program.debug"));
        fs::create_dir_all(stripped.parent().unwrap()).unwrap();
        fs::create_dir_all(debug.parent().unwrap()).unwrap();
        run("objcopy", &["--only-keep-debug", text(&full), text(&debug)]);
        run("strip", &["-o", text(&stripped), text(&full)]);
        let functions = nm(&full, &[]);
        let (start, size, _) = functions.iter().find(|one| one.2.starts_with("hidden")).unwrap();
        let hidden = start + size / 2;
        fs::remove_file(full).unwrap();
        Self { directory, stripped, debug, hidden }
    }

    fn add_debug_link(&self) {
        let section = format!("--add-gnu-debuglink={}", text(&self.debug));
        run("objcopy", &[&section, text(&self.stripped)]);
    }

    fn by_build_id(&self) -> PathBuf {
        let id = Binary::open(&self.stripped).unwrap().build_id().unwrap().to_string();
        let path = self.directory.path(&format!("ids/.build-id/{}/{}.debug", &id[..2], &id[2..]));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(&self.debug, &path).unwrap();
        path
    }

    fn options(&self) -> SearchOptions {
        SearchOptions { debug_directories: vec![self.directory.path("ids")], ..SearchOptions::default() }
    }

    fn process(&self) -> FrozenProcess {
        load(&self.stripped, BIAS)
    }
}

fn module(process: &FrozenProcess, binaries: &Binaries) -> Arc<ModuleBinary> {
    binaries.get(&process.modules().as_slice()[0], process.info(), process.memory())
}

/// The name of the function at an address, and whether its line is known.
fn name(process: &FrozenProcess, binaries: &Binaries, at: u64) -> Option<(String, bool)> {
    let found = Symbolizer::new(process, binaries).resolve(&[Addr(at.wrapping_add(BIAS))]);
    let frame = found[0].frames.last()?;
    Some((frame.function.clone()?, frame.line.is_some()))
}

fn hidden_with_line() -> Option<(String, bool)> {
    Some(("hidden".into(), true))
}

fn outcomes(module: &ModuleBinary, what: Sought) -> Vec<SearchOutcome> {
    module.trail().into_iter().filter(|step| step.what == what).map(|step| step.outcome).collect()
}

#[test]
fn a_debug_file_is_found_by_its_build_id() {
    let split = Split::new(&["-Wl,--build-id"]);
    let (process, binaries) = (split.process(), Binaries::new(split.options()));
    assert_eq!(name(&process, &binaries, split.hidden), None, "there is no debug file yet");
    let path = split.by_build_id();
    let binaries = Binaries::new(split.options());
    assert_eq!(name(&process, &binaries, split.hidden), hidden_with_line());
    let module = module(&process, &binaries);
    assert_eq!(module.debug_path(), Some(path.as_path()));
    assert_eq!(outcomes(&module, Sought::BuildId), [SearchOutcome::Found]);
    assert!(module.problems().is_empty());
}

#[test]
fn a_debug_file_of_another_build_is_not_believed() {
    let split = Split::new(&["-Wl,--build-id"]);
    let other = Split::of_source(&format!("{PROGRAM}\nint more = 1;"), &["-Wl,--build-id"]);
    fs::copy(&other.debug, split.by_build_id()).unwrap();
    let (process, binaries) = (split.process(), Binaries::new(split.options()));
    assert_eq!(name(&process, &binaries, split.hidden), None);
    let module = module(&process, &binaries);
    assert!(matches!(outcomes(&module, Sought::BuildId)[..], [SearchOutcome::WrongBuild { .. }]));
    let [problem] = &module.problems()[..] else { panic!("{:?}", module.problems()) };
    assert!(problem.contains("is another build"), "{problem}");
}

#[test]
fn a_debug_link_leads_to_the_file_with_its_checksum() {
    let split = Split::new(&["-Wl,--build-id=none"]);
    split.add_debug_link();
    let places = ["bin/program.debug", "bin/.debug/program.debug"].map(|place| split.directory.path(place));
    let in_debug_directory = split.directory.path(&format!(
        "ids/{}/program.debug",
        text(split.stripped.parent().unwrap()).trim_start_matches('/')
    ));
    for place in places.iter().chain([&in_debug_directory]) {
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(&split.debug, place).unwrap();
        let (process, binaries) = (split.process(), Binaries::new(split.options()));
        assert_eq!(name(&process, &binaries, split.hidden), hidden_with_line(), "{place:?}");
        assert_eq!(module(&process, &binaries).debug_path(), Some(place.as_path()));
        // A file that was changed since is not the one that is meant.
        let changed = [fs::read(place).unwrap(), vec![0]].concat();
        fs::write(place, changed).unwrap();
        let (process, binaries) = (split.process(), Binaries::new(split.options()));
        assert_eq!(name(&process, &binaries, split.hidden), None, "{place:?}");
        let module = module(&process, &binaries);
        assert!(outcomes(&module, Sought::DebugLink).contains(&SearchOutcome::WrongCrc));
        assert!(module.problems()[0].contains("checksum"), "{:?}", module.problems());
        fs::remove_file(place).unwrap();
    }
}

#[test]
fn equal_build_ids_stand_for_the_checksum() {
    let split = Split::new(&["-Wl,--build-id"]);
    split.add_debug_link();
    let place = split.directory.path("bin/program.debug");
    fs::write(&place, [fs::read(&split.debug).unwrap(), vec![0]].concat()).unwrap();
    let (process, binaries) = (split.process(), Binaries::new(split.options()));
    assert_eq!(name(&process, &binaries, split.hidden), hidden_with_line());
}

#[test]
fn a_debug_link_to_the_stripped_file_itself_is_no_debug_file() {
    let split = Split::new(&["-Wl,--build-id"]);
    split.add_debug_link();
    let process = split.process();
    fs::copy(&split.stripped, split.directory.path("bin/program.debug")).unwrap();
    let binaries = Binaries::new(split.options());
    assert_eq!(name(&process, &binaries, split.hidden), None);
    assert!(matches!(
        outcomes(&module(&process, &binaries), Sought::DebugLink)[0],
        SearchOutcome::Malformed(_)
    ));
}

#[test]
fn a_file_that_was_replaced_is_not_believed() {
    let split = Split::new(&["-Wl,--build-id"]);
    let process = split.process();
    let other = Split::of_source(&format!("{PROGRAM}\nint more = 1;"), &["-Wl,--build-id"]);
    fs::remove_file(&split.stripped).unwrap();
    fs::copy(&other.stripped, &split.stripped).unwrap();
    let binaries = Binaries::new(split.options());
    let module = module(&process, &binaries);
    let [problem] = &module.problems()[..] else { panic!("{:?}", module.problems()) };
    assert!(problem.contains("in memory") && problem.contains("on disk"), "{problem}");
    assert_eq!(outcomes(&module, Sought::Memory), [SearchOutcome::Found]);
    // What memory holds serves to unwind, and leads to the right debug file.
    let at = LinkAddr(split.hidden);
    assert!(module.unwind_row(at).unwrap().is_some());
    assert_eq!(module.binary.as_ref().unwrap().build_id(), process.modules().as_slice()[0].build_id.as_ref());
}

#[test]
fn the_debug_file_of_a_deleted_program_is_found_by_the_build_id_in_memory() {
    let split = Split::new(&["-Wl,--build-id"]);
    let process = split.process();
    split.by_build_id();
    fs::remove_file(&split.stripped).unwrap();
    let binaries = Binaries::new(split.options());
    assert_eq!(name(&process, &binaries, split.hidden), hidden_with_line());
}

#[test]
fn without_build_ids_the_segments_must_be_the_same() {
    let split = Split::new(&["-Wl,--build-id=none"]);
    let process = split.process();
    let binaries = Binaries::new(split.options());
    assert_eq!(outcomes(&module(&process, &binaries), Sought::Binary), [SearchOutcome::FoundUnverified]);
    let larger = format!("{PROGRAM}\nchar large[100000] = {{1}};");
    let other = Split::of_source(&larger, &["-Wl,--build-id=none"]);
    fs::remove_file(&split.stripped).unwrap();
    fs::copy(&other.stripped, &split.stripped).unwrap();
    let binaries = Binaries::new(split.options());
    assert_eq!(outcomes(&module(&process, &binaries), Sought::Binary), [SearchOutcome::WrongLayout]);
    assert!(module(&process, &binaries).unwind_row(LinkAddr(split.hidden)).unwrap().is_some());
}

#[test]
fn packed_symbols_are_read() {
    let split = Split::new(&["-Wl,--build-id=none"]);
    let mini = split.directory.path("mini");
    run(
        "objcopy",
        &["-S", "--remove-section=.debug*", "--keep-symbol=hidden", text(&split.debug), text(&mini)],
    );
    run("xz", &["--keep", text(&mini)]);
    let section = format!(".gnu_debugdata={}.xz", text(&mini));
    run("objcopy", &["--add-section", &section, text(&split.stripped)]);
    let (process, binaries) = (split.process(), Binaries::new(split.options()));
    assert_eq!(name(&process, &binaries, split.hidden), Some(("hidden".into(), false)));
    assert_eq!(outcomes(&module(&process, &binaries), Sought::MiniDebugInfo), [SearchOutcome::Found]);
    // Whatever is in its place, there is no harm in it.
    let packed = fs::read(mini.with_extension("xz")).unwrap();
    let whole = fs::read(&split.stripped).unwrap();
    let place = whole.windows(packed.len()).position(|bytes| bytes == packed).unwrap();
    let mut random = crate::testing::Random(7);
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..1 + random.below(3) {
            bytes[place + random.below(packed.len())] = random.next() as u8;
        }
        fs::remove_file(&split.stripped).unwrap();
        fs::write(&split.stripped, bytes).unwrap();
        let _ = name(&process, &Binaries::new(split.options()), split.hidden);
    }
}

#[test]
fn the_supplementary_file_must_have_the_build_id_that_the_link_says() {
    let split = Split::new(&["-Wl,--build-id"]);
    let shared = Split::of_source(&format!("{PROGRAM}\nint more = 1;"), &["-Wl,--build-id"]);
    let id = Binary::open(&shared.stripped).unwrap().build_id().unwrap().clone();
    for (id, expected) in [(id.0, true), (vec![1; 20], false)] {
        let link = [b"../shared.debug\0".to_vec(), id].concat();
        let link = split.directory.write("link", &link);
        let with_link = split.directory.path("ids/with-link");
        let debug = split.by_build_id();
        let section = format!(".gnu_debugaltlink={}", text(&link));
        run("objcopy", &["--add-section", &section, text(&debug), text(&with_link)]);
        fs::rename(&with_link, &debug).unwrap();
        fs::copy(&shared.debug, debug.parent().unwrap().join("../shared.debug")).unwrap();
        let (process, binaries) = (split.process(), Binaries::new(split.options()));
        assert_eq!(name(&process, &binaries, split.hidden), hidden_with_line());
        let found = outcomes(&module(&process, &binaries), Sought::Supplementary);
        assert_eq!(found.iter().any(SearchOutcome::is_found), expected, "{found:?}");
    }
}

#[test]
fn without_names_no_debug_file_is_opened() {
    let split = Split::new(&["-Wl,--build-id"]);
    split.by_build_id();
    split.add_debug_link();
    let process = split.process();
    let binaries = Binaries::new(SearchOptions { names: false, ..split.options() });
    assert_eq!(name(&process, &binaries, split.hidden), None);
    let module = module(&process, &binaries);
    assert!(module.unwind_row(LinkAddr(0)).unwrap().is_none());
    assert!(module.unwind_row(LinkAddr(split.hidden)).unwrap().is_some());
    assert!(module.trail().iter().all(|step| step.what == Sought::Binary), "{:?}", module.trail());
}

#[test]
fn a_walk_does_not_look_for_the_debug_file() {
    let split = Split::new(&["-Wl,--build-id"]);
    split.by_build_id();
    let (process, binaries) = (split.process(), Binaries::new(split.options()));
    let module = module(&process, &binaries);
    assert!(module.unwind_row(LinkAddr(split.hidden)).unwrap().is_some());
    assert!(module.done().iter().all(|step| step.what == Sought::Binary));
}

#[test]
fn unwind_information_in_the_debug_file_is_the_last_resort() {
    let split = Split::new(&["-Wl,--build-id", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"]);
    let at = LinkAddr(split.hidden);
    let (process, binaries) = (split.process(), Binaries::new(split.options()));
    assert!(module(&process, &binaries).unwind_row(at).unwrap().is_none());
    split.by_build_id();
    let binaries = Binaries::new(split.options());
    assert!(module(&process, &binaries).unwind_row(at).unwrap().is_some());
}

#[test]
fn a_sysroot_and_a_named_executable_come_first() {
    let split = Split::new(&["-Wl,--build-id"]);
    let process = split.process();
    let sysroot = split.directory.path("root");
    let inside = below(Some(&sysroot), &split.stripped);
    fs::create_dir_all(inside.parent().unwrap()).unwrap();
    fs::rename(&split.stripped, &inside).unwrap();
    let found =
        |options| module(&process, &Binaries::new(options)).binary.as_ref().unwrap().path().to_owned();
    assert_eq!(found(SearchOptions { sysroot: Some(sysroot.clone()), ..split.options() }), inside);
    let elsewhere = split.directory.path("elsewhere");
    fs::rename(&inside, &elsewhere).unwrap();
    assert_eq!(found(SearchOptions { executable: Some(elsewhere.clone()), ..split.options() }), elsewhere);
    assert_eq!(found(split.options()), split.stripped, "memory, under the name of the file");
}

#[test]
fn a_module_is_opened_once_for_all_threads() {
    let split = Split::new(&["-Wl,--build-id"]);
    let (process, binaries) = (split.process(), Binaries::new(split.options()));
    let found: Vec<Arc<ModuleBinary>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| module(&process, &binaries))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(found.iter().all(|one| Arc::ptr_eq(one, &found[0])));
    assert_eq!(binaries.opened().len(), 1);
    // The same build elsewhere in memory is the same file.
    let again = load(&split.stripped, 0x7777_0000_0000);
    assert!(Arc::ptr_eq(&module(&again, &binaries), &found[0]));
}

#[test]
fn paths_stay_below_their_root() {
    let below = |path: &str| below(Some(Path::new("/root")), Path::new(path));
    assert_eq!(below("/lib/a.so"), PathBuf::from("/root/lib/a.so"));
    assert_eq!(below("/../../etc/./a"), PathBuf::from("/root/etc/a"));
}

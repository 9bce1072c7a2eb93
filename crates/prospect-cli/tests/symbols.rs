//! `prospect symbols`: what there is of a program's symbols, and where it was found, on programs made by the real tools.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use prospect_testing::{Outcome, Running, Scratch, Tool, require, tool};
use serde_json::Value;

const SOURCE: &str = "#include <stdio.h>\n#include <unistd.h>\n\
    __attribute__((noinline)) static int hidden(int n) { return printf(\"%d\", n) + VALUE; }\n\
    int main(int argc, char **argv) {\n  if (argc > 5) return hidden(argc);\n  puts(\"READY\");\n  fflush(stdout);\n  \
    for (;;) pause();\n}\n";

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A directory with a program in it.
struct Program {
    scratch: Scratch,
    path: PathBuf,
}

impl Program {
    fn new(flags: &[&str]) -> Self {
        let scratch = Scratch::new("symbols");
        let (source, path) = (scratch.path().join("program.c"), scratch.path().join("bin/program"));
        fs::write(&source, SOURCE).unwrap();
        fs::create_dir(scratch.path().join("bin")).unwrap();
        let all = ["-DVALUE=1", "-g", "-O1", "-Wl,--build-id", "-o", text(&path), text(&source)];
        run("gcc", &[flags, &all].concat());
        Self { scratch, path }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn build_id(&self) -> String {
        let module = module(&[text(&self.path)]);
        module["build_id"].as_str().unwrap().to_owned()
    }

    /// Takes the debug information out of it, to a file of this name.
    fn split_off(&self, name: &str) -> PathBuf {
        let debug = self.at(name);
        fs::create_dir_all(debug.parent().unwrap()).unwrap();
        run("objcopy", &["--only-keep-debug", text(&self.path), text(&debug)]);
        run("strip", &[text(&self.path)]);
        debug
    }
}

fn look(arguments: &[&str]) -> Outcome {
    prospect().run(&[&["symbols", "--json"], arguments].concat())
}

/// What is said of the one module of a file, which is complete.
fn module(arguments: &[&str]) -> Value {
    let outcome = look(arguments);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let report: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    report["modules"][0].clone()
}

/// The files of a module that have this role.
fn files<'a>(module: &'a Value, role: &str) -> Vec<&'a Value> {
    module["files"].as_array().unwrap().iter().filter(|file| file["role"] == role).collect()
}

fn file<'a>(module: &'a Value, role: &str) -> &'a Value {
    files(module, role).first().copied().unwrap_or_else(|| panic!("no {role} in {module:#}"))
}

/// Where something was found, of all places where it was looked for.
fn found<'a>(module: &'a Value, what: &str) -> Option<&'a str> {
    let steps = module["searched"].as_array().unwrap().iter();
    steps.filter(|step| step["what"] == what && step["found"] == true).find_map(|step| step["path"].as_str())
}

fn outcomes<'a>(module: &'a Value, what: &str) -> Vec<&'a str> {
    let steps = module["searched"].as_array().unwrap().iter();
    steps.filter(|step| step["what"] == what).filter_map(|step| step["outcome"].as_str()).collect()
}

fn units(file: &Value) -> u64 {
    file["units"].as_array().unwrap().iter().map(|count| count["units"].as_u64().unwrap()).sum()
}

#[test]
fn a_program_with_all_in_one_file() {
    for version in [4, 5] {
        let program = Program::new(&[&format!("-gdwarf-{version}")]);
        let module = module(&[text(&program.path)]);
        let own = file(&module, "own");
        // What the start-up code of the C library was built with may differ.
        let counts = own["units"].as_array().unwrap();
        assert!(counts.iter().any(|count| count["dwarf"] == version), "{own:#}");
        assert_eq!(own["bytes"], fs::metadata(&program.path).unwrap().len());
        assert!(own["symbols"].as_u64().unwrap() > own["dynamic_symbols"].as_u64().unwrap());
        assert!(own["unwind_sections"].as_array().unwrap().contains(&".eh_frame".into()));
        assert!(files(&module, "debug").is_empty() && module["problems"].as_array().unwrap().is_empty());
    }
}

#[test]
fn a_debug_file_that_a_link_names() {
    let program = Program::new(&[]);
    let debug = program.split_off("bin/.debug/program.debug");
    let before = module(&[text(&program.path)]);
    assert!(files(&before, "debug").is_empty() && file(&before, "own")["symbols"].is_null());
    run("objcopy", &[&format!("--add-gnu-debuglink={}", text(&debug)), text(&program.path)]);
    let module = module(&[text(&program.path)]);
    assert_eq!(found(&module, "debug link"), Some(text(&debug)));
    let file = file(&module, "debug");
    assert_eq!(file["path"], text(&debug));
    assert!(units(file) > 0 && file["symbols"].as_u64().unwrap() > 0);
    // For people.
    let said = prospect().run(&["symbols", text(&program.path)]);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains(&format!("debug link: {} (found)", text(&debug))), "{said}");
    assert!(
        said.lines().any(|line| line.starts_with("  debug file") && line.contains("DWARF 5 in 1 unit")),
        "{said}"
    );
}

#[test]
fn a_debug_file_by_build_id_in_a_directory_that_is_named() {
    let program = Program::new(&[]);
    let id = program.build_id();
    let debug = program.split_off(&format!("ids/.build-id/{}/{}.debug", &id[..2], &id[2..]));
    let without = module(&[text(&program.path)]);
    assert_eq!(found(&without, "build-id"), None);
    assert!(!outcomes(&without, "build-id").is_empty(), "nothing was looked for");
    let with = module(&[text(&program.path), "--debug-dir", text(&program.at("ids"))]);
    assert_eq!(found(&with, "build-id"), Some(text(&debug)));
    assert_eq!(file(&with, "debug")["build_id"], id.as_str());
}

#[test]
fn a_debug_file_of_another_build_is_said_and_is_no_failure() {
    let program = Program::new(&[]);
    let id = program.build_id();
    program.split_off(&format!("ids/.build-id/{}/{}.debug", &id[..2], &id[2..]));
    let other = Program::new(&["-DOTHER", "-O2"]);
    let wrong = other.split_off("other.debug");
    fs::copy(&wrong, program.at(&format!("ids/.build-id/{}/{}.debug", &id[..2], &id[2..]))).unwrap();
    let module = module(&[text(&program.path), "--debug-dir", text(&program.at("ids"))]);
    assert!(files(&module, "debug").is_empty());
    assert!(outcomes(&module, "build-id").contains(&"another build"));
    let problem = module["problems"][0].as_str().unwrap();
    assert!(problem.contains(&id) && problem.contains("is another build"), "{problem}");
}

#[test]
fn debug_information_that_several_files_share() {
    require!(tool("dwz"));
    let (one, two) = (Program::new(&[]), Program::new(&["-DOTHER", "-O2"]));
    let (shared, copy) = (one.at("shared"), one.scratch.copy_of(&two.path));
    run("dwz", &["-m", text(&shared), text(&one.path), text(&copy)]);
    for path in [&one.path, &copy] {
        let module = module(&[text(path)]);
        assert_eq!(found(&module, "supplementary file"), Some(text(&shared)), "{module:#}");
        assert!(units(file(&module, "supplementary")) > 0);
    }
    fs::remove_file(&shared).unwrap();
    let module = module(&[text(&one.path)]);
    assert!(files(&module, "supplementary").is_empty());
    assert!(outcomes(&module, "supplementary file").contains(&"not there"));
}

#[test]
fn the_small_symbol_table_of_a_stripped_program() {
    require!(tool("xz"));
    let program = Program::new(&[]);
    let mini = program.at("mini");
    // As Fedora does it: a file with the symbols alone, packed.
    run(
        "objcopy",
        &["-S", "--remove-section=.comment", "--keep-symbol=hidden", text(&program.path), text(&mini)],
    );
    run("xz", &[text(&mini)]);
    run("strip", &[text(&program.path)]);
    let add = format!(".gnu_debugdata={}", text(&program.at("mini.xz")));
    run("objcopy", &["--add-section", &add, text(&program.path)]);
    let module = module(&[text(&program.path)]);
    assert_eq!(found(&module, "mini debug info"), Some(text(&program.path)));
    let mini = file(&module, "mini-debug-info");
    assert!(mini["symbols"].as_u64().unwrap() >= 1 && mini["bytes"].is_null(), "{mini:#}");
    assert!(file(&module, "own")["symbols"].is_null());
}

/// A program of two files whose debug information is apart, in its own directory.
fn split_program(compiler: &str, version: u32) -> (Scratch, PathBuf) {
    let scratch = Scratch::new("split");
    let build = scratch.path().join("build");
    fs::create_dir(&build).unwrap();
    for (name, source) in [
        ("one.c", "int two(int); int main(void) { return two(1); }"),
        ("two.c", "int two(int n) { return n; }"),
    ] {
        fs::write(build.join(name), source).unwrap();
    }
    let flags = [&format!("-gdwarf-{version}"), "-gsplit-dwarf", "-O1", "-Wl,--build-id"];
    let compile = |arguments: &[&str]| {
        let output = Command::new(compiler).current_dir(&build).args(flags).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    compile(&["-c", "one.c", "-o", "one.o"]);
    compile(&["-c", "two.c", "-o", "two.o"]);
    compile(&["one.o", "two.o", "-o", "program"]);
    let path = build.join("program");
    (scratch, path)
}

fn move_all(from: &Path, to: &Path, extension: &str) {
    fs::create_dir_all(to).unwrap();
    let mut moved = 0;
    for entry in fs::read_dir(from).unwrap().flatten() {
        if entry.path().extension().is_some_and(|one| one == extension) {
            fs::rename(entry.path(), to.join(entry.file_name())).unwrap();
            moved += 1;
        }
    }
    assert!(moved > 0, "no .{extension} in {}", from.display());
}

#[test]
fn split_files_are_found_wherever_they_are() {
    require!(tool("clang"));
    for (compiler, version) in [("gcc", 4), ("gcc", 5), ("clang", 4), ("clang", 5)] {
        let (scratch, built) = split_program(compiler, version);
        let build = built.parent().unwrap();
        let [elsewhere, debug] = ["elsewhere", "debug"].map(|name| scratch.path().join(name));
        let check = |path: &Path, arguments: &[&str], directory: Option<&Path>| {
            let module = module(&[&[text(path)], arguments].concat());
            let expected = if directory.is_some() { 2 } else { 0 };
            let case = format!("{compiler} {version} {path:?} {arguments:?}: {module:#}");
            assert_eq!(
                (&module["skeletons"], &module["split_units"]),
                (&2.into(), &expected.into()),
                "{case}"
            );
            match directory {
                Some(directory) => {
                    assert!(found(&module, "split file").unwrap().starts_with(text(directory)), "{case}")
                }
                None => assert!(outcomes(&module, "split file").contains(&"not there"), "{case}"),
            }
            // No place is looked at twice.
            let mut places: Vec<_> =
                module["searched"].as_array().unwrap().iter().map(|step| step["path"].as_str()).collect();
            let all = places.len();
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), all, "{case}");
        };
        // Where the compiler put them.
        fs::create_dir(&elsewhere).unwrap();
        let program = elsewhere.join("program");
        fs::rename(&built, &program).unwrap();
        check(&program, &[], Some(build));
        // In a directory that is named.
        move_all(build, &debug, "dwo");
        check(&program, &[], None);
        check(&program, &["--debug-dir", text(&debug)], Some(&debug));
        // Beside the program.
        move_all(&debug, &elsewhere, "dwo");
        check(&program, &[], Some(&elsewhere));
        // Another build's are not taken.
        fs::copy(elsewhere.join("one.dwo"), elsewhere.join("two.dwo")).unwrap();
        let module = module(&[text(&program)]);
        assert_eq!(module["split_units"], 1);
        assert!(module["problems"][0].as_str().unwrap().contains("no split unit"), "{module:#}");
    }
}

/// Packs the split files of a program, and takes them away.
fn pack(program: &Path, version: u32) -> PathBuf {
    let build = program.parent().unwrap();
    // The one of binutils does not know version 5.
    let dwp = if version == 4 { "dwp" } else { "llvm-dwp" };
    let output = Command::new(dwp).current_dir(build).args(["-e", "program", "-o", "program.dwp"]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    move_all(build, &build.join("gone"), "dwo");
    build.join("program.dwp")
}

#[test]
fn packages_of_split_files_are_found_wherever_they_are() {
    require!(tool("clang"));
    require!(tool("llvm-dwp"));
    for (compiler, version) in [("gcc", 4), ("gcc", 5), ("clang", 4), ("clang", 5)] {
        let (scratch, program) = split_program(compiler, version);
        let beside = pack(&program, version);
        let check = |arguments: &[&str], package: Option<&Path>| {
            let module = module(&[&[text(&program)], arguments].concat());
            let expected = if package.is_some() { 2 } else { 0 };
            let case = format!("{compiler} {version} {arguments:?}: {module:#}");
            assert_eq!(
                (&module["skeletons"], &module["split_units"]),
                (&2.into(), &expected.into()),
                "{case}"
            );
            let steps = module["searched"].as_array().unwrap().iter();
            let mut found = steps.filter(|step| step["what"] == "split package" && step["found"] == true);
            assert!(package.is_none_or(|package| found.any(|step| step["path"] == text(package))), "{case}");
        };
        check(&[], Some(&beside));
        // Below a directory that is named: there itself, and as the program lies below the root.
        let debug = scratch.path().join("debug");
        let below = debug.join(beside.strip_prefix("/").unwrap());
        fs::create_dir_all(below.parent().unwrap()).unwrap();
        fs::rename(&beside, debug.join("program.dwp")).unwrap();
        check(&[], None);
        check(&["--debug-dir", text(&debug)], Some(&debug.join("program.dwp")));
        fs::rename(debug.join("program.dwp"), &below).unwrap();
        check(&["--debug-dir", text(&debug)], Some(&below));
        // One of another build that lies beside the program does not hide it.
        let (_other, stale) = split_program(if compiler == "gcc" { "clang" } else { "gcc" }, version);
        fs::copy(pack(&stale, version), &beside).unwrap();
        check(&[], None);
        check(&["--debug-dir", text(&debug)], Some(&below));
    }
}

#[test]
fn all_modules_of_a_process_and_a_file_that_was_replaced() {
    let program = Program::new(&[]);
    let id = program.build_id();
    let running = Running::start(&mut Command::new(&program.path));
    let outcome = look(&[&running.arg()]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let report: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert_eq!((&report["pid"], &report["file"]), (&running.pid().into(), &Value::Null));
    let modules = report["modules"].as_array().unwrap();
    assert!(modules.iter().any(|module| module["path"].as_str().unwrap().contains("libc.so")));
    assert_eq!(file(&modules[0], "own")["build_id"], id.as_str());
    // Another program under the same name.
    let other = Program::new(&["-DOTHER", "-O2"]);
    fs::remove_file(&program.path).unwrap();
    fs::copy(&other.path, &program.path).unwrap();
    let said = look(&["--exe", text(&program.path), &running.arg()]);
    assert_eq!(said.code(), Some(0), "{said:?}");
    let report: Value = serde_json::from_slice(&said.stdout).unwrap();
    let module = &report["modules"][0];
    assert_eq!((&module["build_id"], &module["deleted"]), (&id.as_str().into(), &true.into()));
    assert!(files(module, "own").is_empty(), "the new file is believed: {module:#}");
    assert_eq!(file(module, "memory")["build_id"], id.as_str());
    let problem = module["problems"][0].as_str().unwrap();
    assert!(problem.contains(&other.build_id()) && problem.contains(&id), "{problem}");
}

#[test]
fn what_cannot_be_looked_at_is_said() {
    let scratch = Scratch::new("no-binary");
    let script = scratch.path().join("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    let outcome = look(&[text(&script)]);
    assert_eq!(outcome.code(), Some(1));
    assert!(outcome.stderr.contains("ELF") && outcome.stderr.contains(text(&script)), "{outcome:?}");
    let outcome = look(&[text(&scratch.path().join("nothing"))]);
    assert_eq!(outcome.code(), Some(3));
    assert!(outcome.stderr.contains("there is no file"), "{outcome:?}");
    assert_eq!(look(&[]).code(), Some(2));
    assert_eq!(look(&["--debug-dir", "/nowhere/at/all", "/bin/sh"]).code(), Some(3));
    // One that cannot be looked at does not keep the other from being shown.
    let program = Program::new(&[]);
    let outcome = look(&[text(&script), text(&program.path)]);
    assert_eq!(outcome.code(), Some(1));
    let report: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert_eq!(report["file"], text(&program.path));
}

#[test]
fn a_whole_index_is_built_and_used() {
    let program = Program::new(&[]);
    let cache = program.at("cache");
    // Whatever the umask is.
    fs::create_dir(&cache).unwrap();
    let mut permissions = fs::metadata(program.scratch.path()).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    fs::set_permissions(program.scratch.path(), permissions.clone()).unwrap();
    fs::set_permissions(&cache, permissions).unwrap();
    let with_cache = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prospect"));
        Tool::finish(command.args(arguments).env("XDG_CACHE_HOME", &cache))
    };
    let outcome = with_cache(&["symbols", "--index", "--json", text(&program.path)]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let report: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    let built = &report["indexes"][0];
    assert_eq!((&built["path"], &built["problem"]), (&text(&program.path).into(), &Value::Null));
    let index = Path::new(built["index"].as_str().unwrap());
    assert_eq!(built["bytes"], fs::metadata(index).unwrap().len());
    assert!(built["units"].as_u64().unwrap() >= 1 && built["left_out"] == 0, "{built:#}");
    // Nothing else is there, and looking at the program adds nothing.
    let before = fs::read(index).unwrap();
    let address = ["addr2line", "-f", "-e", text(&program.path), "main"];
    let outcome = with_cache(&address);
    assert!(String::from_utf8_lossy(&outcome.stdout).starts_with("main\n"), "{outcome:?}");
    let beside: Vec<_> = fs::read_dir(index.parent().unwrap()).unwrap().flatten().collect();
    assert_eq!((beside.len(), fs::read(index).unwrap()), (1, before));
    // Without one, what addr2line has read is kept.
    fs::remove_file(index).unwrap();
    with_cache(&address);
    assert!(index.exists());

    let outcome = with_cache(&["symbols", "--index", text(&program.path)]);
    let shown = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert!(shown.contains(built["index"].as_str().unwrap()) && shown.contains("units"), "{shown}");
    run("strip", &[text(&program.path)]);
    let outcome = with_cache(&["symbols", "--index", text(&program.path)]);
    assert_eq!(outcome.code(), Some(5), "{outcome:?}");
}

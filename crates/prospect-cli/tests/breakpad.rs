//! Dumps of programs of which only Breakpad's symbol file is left: the same stacks as with the program.
//!
//! The symbol files are made here of what the program itself says: its symbols, its lines at each address, its unwind rows.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    fs,
    ops::{ControlFlow, Range},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use prospect::{
    process::{Arch, LinkAddr},
    symbols::{Binaries, CfaRule, ModuleBinary, RegisterRule, SearchOptions, SourceFrame, UnwindRow},
};
use prospect_testing::{HttpServer, Outcome, Report, Running, Scratch, Tool, fixture, require};

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

/// A dump of a program that is gone, and its symbol file.
struct Case {
    scratch: Scratch,
    dump: String,
    /// The frames that it has with the program.
    frames: Vec<String>,
}

impl Case {
    fn new(program: &Path, args: &[&str]) -> Self {
        let scratch = Scratch::new("breakpad");
        let program = scratch.copy_of(program);
        let running = Running::start(Command::new(&program).args(args));
        running.settle();
        let dump = scratch.path().join("a.dmp").to_str().unwrap().to_owned();
        let pid = running.arg();
        let outcome = prospect().run(&["dump", "--format", "minidump", "-o", &dump, &pid]);
        assert_eq!(outcome.code(), Some(0), "{}", outcome.text());
        let frames = frames(&stack(&dump, &[]).report());
        write_symbol_file(&program, &scratch.path().join("symbols"));
        fs::remove_file(program).unwrap();
        Self { scratch, dump, frames }
    }

    fn directory(&self) -> PathBuf {
        self.scratch.path().join("symbols")
    }
}

fn stack(dump: &str, more: &[&str]) -> Outcome {
    let outcome = prospect().run(&[&["stack", "--json", dump], more].concat());
    assert!(matches!(outcome.code(), Some(0 | 5)), "{outcome:?}");
    outcome
}

/// Where the frames of the first thread are, and how they were found.
fn frames(report: &Report) -> Vec<String> {
    let threads = report.threads();
    let frames = threads.first().unwrap().frames();
    let text = frames.iter().map(|frame| {
        let (pc, inline) = (frame.pc(), frame.is_inline());
        format!("{pc:#x} {:?} {:?} {} {inline}", frame.function(), frame.place(), frame.trust())
    });
    text.collect()
}

/// Writes `NAME/BUILD/NAME.sym`.
fn write_symbol_file(program: &Path, directory: &Path) {
    let name = program.file_name().unwrap().to_str().unwrap();
    let module = Binaries::new(SearchOptions::default()).open(program).unwrap();
    let binary = module.binary.as_ref().unwrap();
    let id = &binary.build_id().unwrap().0;
    let mut build: String = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]
        .map(|index: usize| format!("{:02X}", id[index]))
        .concat();
    build.push('0');
    let base = binary.loads().map(|load| load.start.0).min().unwrap() & !0xfff;
    let mut text = format!("MODULE Linux x86_64 {build} {name}\nINFO CODE_ID 00\n");
    let functions = functions(program, base);
    write_functions(&mut text, &module, &functions, base);
    write_rows(&mut text, &module, &functions, base);
    let folder = directory.join(name).join(&build);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{name}.sym")), text).unwrap();
}

/// The functions of a program, from where it begins.
fn functions(program: &Path, base: u64) -> BTreeMap<u64, (u64, String)> {
    let listed = Command::new("nm").args(["-S", "--defined-only"]).arg(program).output().unwrap();
    let mut functions = BTreeMap::new();
    for line in String::from_utf8(listed.stdout).unwrap().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let [start, size, "t" | "T", name] = *words.as_slice() {
            let [start, size] = [start, size].map(|word| u64::from_str_radix(word, 16).unwrap());
            functions.insert(start - base, (size, name.to_owned()));
        }
    }
    assert!(functions.len() > 3);
    functions
}

fn write_functions(
    text: &mut String,
    module: &Arc<ModuleBinary>,
    functions: &BTreeMap<u64, (u64, String)>,
    base: u64,
) {
    let (mut files, mut origins): (HashMap<String, usize>, HashMap<String, usize>) = Default::default();
    let number = |known: &mut HashMap<String, usize>, name: &Option<String>| {
        let next = known.len();
        *known.entry(name.clone().unwrap_or_default()).or_insert(next)
    };
    let mut records = String::new();
    for (start, (size, name)) in functions {
        let addresses: Vec<LinkAddr> = (*start..start + size).map(|at| LinkAddr(base + at)).collect();
        let resolved: Vec<Vec<SourceFrame>> =
            module.resolve(&addresses).into_iter().map(|found| found.frames).collect();
        let (mut lines, mut inlined) = (String::new(), String::new());
        let mut at = 0;
        for same in resolved.chunk_by(|one, next| one == next) {
            let (from, size) = (start + at, same.len() as u64);
            at += size;
            let frames = &same[0];
            let Some(line) = frames.first().and_then(|inner| inner.line) else { continue };
            let file = number(&mut files, &frames[0].file);
            writeln!(lines, "{from:x} {size:x} {line} {file}").unwrap();
            for (depth, pair) in frames.windows(2).rev().enumerate() {
                let (line, file) = (pair[1].line.unwrap_or(0), number(&mut files, &pair[1].file));
                let origin = number(&mut origins, &pair[0].function);
                writeln!(inlined, "INLINE {depth} {line} {file} {origin} {from:x} {size:x}").unwrap();
            }
        }
        let named =
            resolved.first().and_then(|frames| frames.last()).and_then(|outer| outer.function.as_ref());
        writeln!(records, "FUNC m {start:x} {size:x} 0 {}", named.unwrap_or(name)).unwrap();
        records += &inlined;
        records += &lines;
    }
    for (kind, known) in [("FILE", files), ("INLINE_ORIGIN", origins)] {
        known.iter().for_each(|(name, number)| writeln!(text, "{kind} {number} {name}").unwrap());
    }
    *text += &records;
}

/// The rows of each function as the changes from one to the next.
fn write_rows(text: &mut String, module: &ModuleBinary, functions: &BTreeMap<u64, (u64, String)>, base: u64) {
    let mut rows: BTreeMap<u64, (u64, Vec<String>)> = BTreeMap::new();
    module.unwind_binary().unwrap().every_unwind_row(|Range { start, end }, row| {
        if let Some(rules) = row.ok().and_then(rules) {
            rows.insert(start.0 - base, (end.0 - base, rules));
        }
        ControlFlow::Continue(())
    });
    let mut changes = 0;
    for (start, (size, _)) in functions {
        let mut of_function = rows.range(start..&(start + size));
        let Some((first, (_, rules))) = of_function.next() else { continue };
        writeln!(text, "STACK CFI INIT {first:x} {:x} {}", start + size - first, rules.join(" ")).unwrap();
        let mut before = rules;
        for (at, (_, rules)) in of_function {
            let changed: Vec<&str> =
                rules.iter().filter(|rule| !before.contains(rule)).map(String::as_str).collect();
            writeln!(text, "STACK CFI {at:x} {}", changed.join(" ")).unwrap();
            (before, changes) = (rules, changes + 1);
        }
    }
    assert!(changes > 3);
}

/// The rules of a row, of every register that is ever saved.
fn rules(row: &UnwindRow) -> Option<Vec<String>> {
    let info = Arch::X86_64.info();
    let CfaRule::Register(base, offset) = row.cfa else { return None };
    let mut rules = vec![format!(".cfa: ${} {offset} +", info.register(base).name)];
    for id in info.preserved().filter(|id| *id != info.sp).chain([info.pc]) {
        let name = info.register(id).name;
        let rule = row.rules.iter().find(|(of, _)| *of == id).map(|(_, rule)| rule);
        rules.push(match rule {
            Some(RegisterRule::AtCfa(offset)) if id == info.pc => format!(".ra: .cfa {offset} + ^"),
            Some(RegisterRule::AtCfa(offset)) => format!("${name}: .cfa {offset} + ^"),
            Some(RegisterRule::Undefined) if id == info.pc => ".ra: .undef".to_owned(),
            None | Some(RegisterRule::SameValue) => format!("${name}: ${name}"),
            Some(_) => return None,
        });
    }
    Some(rules)
}

fn assert_same(name: &str, args: &[&str]) {
    let fixture = require!(fixture(name));
    let case = Case::new(&fixture.path(), args);
    assert!(case.frames.len() > 3, "{:#?}", case.frames);
    assert_ne!(frames(&stack(&case.dump, &[]).report()), case.frames, "the program is not needed");
    for option in ["--symbol-dir", "--debug-dir"] {
        let outcome = stack(&case.dump, &[option, case.directory().to_str().unwrap()]);
        assert_eq!(frames(&outcome.report()), case.frames, "{}", outcome.text());
        assert!(outcome.report().warnings().iter().all(|warning| !warning.contains("nothing usable of")));
    }
}

#[test]
fn deep_frames_of_every_size() {
    assert_same("deep", &["60"]);
}

#[test]
fn inlined_calls() {
    assert_same("inlines", &[]);
    assert_same("inlines-cxx", &[]);
}

#[test]
fn what_was_looked_for_is_listed() {
    let fixture = require!(fixture("deep"));
    let case = Case::new(&fixture.path(), &["3"]);
    let directory = case.directory();
    let symbols = prospect().run(&["symbols", "--symbol-dir", directory.to_str().unwrap(), &case.dump]);
    let found = |text: &str| text.lines().any(|line| line.contains("deep.sym") && line.contains("(found)"));
    assert!(found(&symbols.text()), "{}", symbols.text());
    // Another build is not believed.
    let file = files_below(&directory).pop().unwrap();
    let text =
        fs::read_to_string(&file).unwrap().replacen("MODULE Linux x86_64 ", "MODULE Linux x86_64 9", 1);
    fs::write(&file, text).unwrap();
    let outcome = stack(&case.dump, &["--symbol-dir", directory.to_str().unwrap()]);
    assert_ne!(frames(&outcome.report()), case.frames);
    assert!(outcome.report().warnings().iter().any(|warning| warning.contains("it is of the build 9")));
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn a_symbol_server_is_asked_once() {
    let fixture = require!(fixture("deep"));
    let case = Case::new(&fixture.path(), &["20"]);
    let server = HttpServer::of_files(case.directory());
    let run = || {
        let mut command = prospect().command(&["stack", "--json", &case.dump, "--symbols-url", server.url()]);
        command.env("DEBUGINFOD_CACHE_PATH", case.scratch.path().join("cache"));
        Tool::finish(&mut command)
    };
    let first = run();
    assert_eq!(frames(&first.report()), case.frames, "{}", first.text());
    let asked = server.asked();
    assert!(asked > 0);
    assert_eq!(frames(&run().report()), case.frames);
    assert_eq!(server.asked(), asked, "what was fetched, or not there, is remembered");
}

//! `prospect addr2line` beside the programs that it stands in for: the same bytes for every option, the same answers for
//! thousands of addresses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
    thread,
};

use prospect_testing::{Missing, Outcome, Scratch, Tool, fixture, require, tool};

/// C and C++ with inlined calls, a static function, a template, assembler without lines, and code in a section of its own.
const SOURCE: &str = r#"
#include <stdio.h>
#define OWN __attribute__((noinline, noclone))
#ifdef __cplusplus
// Of inlined functions without linkage names, binutils shows the name of the function around them.
#define static
#endif
static inline __attribute__((always_inline)) int inner(int x) {
    int sum = 0;
    for (int i = 0; i < x; i++) sum += i * x;
    return sum;
}
static OWN int leaf(int x) {
    return inner(x) + inner(x + 1);
}
__attribute__((section(".text.other"), noinline)) int elsewhere(int x) { return leaf(x) * 2; }
#ifdef __cplusplus
namespace zoo {
struct Cage { int kept; OWN int feed(int x); };
int Cage::feed(int x) { return inner(kept) + x; }
template <typename T> OWN T twice(T x) { return x + T(inner(int(x))); }
}
#endif
int main(int count, char **) {
    int sum = leaf(count) + elsewhere(count);
#ifdef __cplusplus
    zoo::Cage cage = {count};
    sum += cage.feed(1) + zoo::twice(count) + int(zoo::twice(2.0 * count));
#endif
    if (count > 10) printf("%d\n", inner(sum));
    return sum & 1;
}
"#;

struct Programs {
    c: PathBuf,
    cpp: PathBuf,
    clang: PathBuf,
}

static PROGRAMS: LazyLock<Result<Programs, Missing>> = LazyLock::new(|| {
    for name in ["gcc", "g++", "clang", "addr2line"] {
        tool(name)?;
    }
    // What is static is never dropped: among the build's own files it is in nobody's way.
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("addr2line");
    fs::create_dir_all(&directory).unwrap();
    let build = |name: &str, compiler: &str, flags: &[&str]| {
        let language = if name == "c" { "c" } else { "cpp" };
        let source = directory.join(format!("{name}.{language}"));
        fs::write(&source, SOURCE.replace("char **", if name == "c" { "char **unused" } else { "char **" }))
            .unwrap();
        let path = directory.join(name);
        let status = Command::new(compiler).args(flags).arg("-o").arg(&path).arg(&source).status().unwrap();
        assert!(status.success());
        path
    };
    Ok(Programs {
        c: build("c", "gcc", &["-g", "-O2"]),
        cpp: build("c++", "g++", &["-g", "-O2"]),
        clang: build("clang", "clang++", &["-g", "-O1"]),
    })
});

fn programs() -> Result<&'static Programs, Missing> {
    PROGRAMS.as_ref().map_err(Clone::clone)
}

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

fn ours(style: &str, file: &Path, arguments: &[&str]) -> Outcome {
    let mut all = vec!["addr2line", "--no-cache", "--style", style, "-e", file.to_str().unwrap()];
    all.extend(arguments);
    prospect().run(&all)
}

fn theirs(name: &str, file: &Path, arguments: &[&str]) -> Outcome {
    Tool::finish(Command::new(name).arg("-e").arg(file).args(arguments).env_remove("DEBUGINFOD_URLS"))
}

fn assert_same(style: &str, file: &Path, arguments: &[&str]) {
    let name = if style == "eu" { "eu-addr2line" } else { "addr2line" };
    let (ours, theirs) = (ours(style, file, arguments), theirs(name, file, arguments));
    assert_eq!(ours.text(), theirs.text(), "{style} {} {arguments:?}\n{}", file.display(), ours.stderr);
    assert_eq!(ours.code(), theirs.code(), "{style} {arguments:?}\n{}", ours.stderr);
}

fn output(name: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(name).args(arguments).arg(file).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

/// The code of the functions whose names hold one of [`WRITTEN`], without the padding between them.
fn functions(file: &Path) -> Vec<Range<u64>> {
    let function = |line: &str| {
        let [start, size, _, name] = line.split_whitespace().collect::<Vec<_>>()[..] else { return None };
        let start = hex(start)?;
        WRITTEN.iter().any(|wanted| name.contains(wanted)).then_some(start..start + hex(size)?)
    };
    output("nm", &["-S"], file).lines().filter_map(function).collect()
}

/// The addresses of their instructions.
fn instructions(file: &Path) -> Vec<u64> {
    let functions = functions(file);
    let text = output("objdump", &["-d", "--no-show-raw-insn"], file);
    let all = text.lines().filter_map(|line| hex(line.split_once(':')?.0.trim()));
    let found: Vec<u64> = all.filter(|at| functions.iter().any(|one| one.contains(at))).collect();
    assert!(found.len() > 20, "{}", file.display());
    found
}

fn texts(addresses: &[u64]) -> Vec<String> {
    addresses.iter().map(|at| format!("{at:#x}")).collect()
}

/// What was written in C or C++: what the compiler adds has no lines, and only its symbols' files, which we leave out.
const WRITTEN: &[&str] = &["main", "leaf", "elsewhere", "feed", "twice"];

#[test]
fn every_option_of_binutils_prints_the_same_bytes() {
    let programs = require!(programs());
    for file in [&programs.c, &programs.cpp] {
        let mut addresses = texts(&instructions(file));
        addresses.extend(["0".into(), "0x7fffffffffffffff".into()]);
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        for options in [
            &[][..],
            &["-f"],
            &["-i"],
            &["-s"],
            &["-a"],
            &["-p"],
            &["-f", "-i"],
            &["-f", "-s", "-C"],
            &["-fiCpa"],
            &["-Cfip"],
            &["-p", "-i"],
            &["-a", "-p", "-i"],
            &["-f", "-r"],
            &["-f", "-R", "-b", "elf64-x86-64"],
            &["--functions", "--inlines", "--addresses", "--basenames"],
            &["--pretty-print", "--functions", "--demangle"],
            &["--demangle=auto", "-f"],
            &["--demangle=gnu-v3", "-fi"],
        ] {
            assert_same("binutils", file, &[options, &addresses].concat());
        }
        for text in [
            "main",
            "main+4",
            "main+0x4",
            "main+010",
            "main+zz",
            "12zz",
            "zzz",
            "",
            " 0x10 ",
            "nosuch+4",
            "0xffffffffffffffffff",
        ] {
            assert_same("binutils", file, &["-a", "-f", text]);
        }
        assert_same("binutils", file, &["-j", ".text", "-f", "0x4", "0x10", "0x20"]);
        assert_same("binutils", file, &["--section=.text.other", "-a", "-f", "0x0"]);
    }
}

#[test]
fn every_option_of_elfutils_prints_the_same_bytes() {
    require!(tool("eu-addr2line"));
    let programs = require!(programs());
    for file in [&programs.c, &programs.cpp] {
        let mut addresses = texts(&instructions(file));
        addresses.insert(0, "0".into());
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        for options in [
            &[][..],
            &["-f"],
            &["-i"],
            &["-s", "-f"],
            &["-a"],
            &["-F"],
            &["-S"],
            &["-x"],
            &["-A", "-f"],
            &["--relative"],
            &["-f", "-i"],
            &["-fiC"],
            &["--pretty-print"],
            &["--pretty-print", "-i", "-a", "-f"],
            &["--pretty-print", "-i", "-a", "-f", "-S", "-F"],
            &["--functions", "--inlines", "--addresses", "--symbols"],
            &["--symbols-sections", "--flags", "--absolute"],
        ] {
            assert_same("eu", file, &[options, &addresses].concat());
        }
        for text in ["main", "main+4", "main+0x4", "zzz", "12zz", ""] {
            assert_same("eu", file, &["-a", "-f", text]);
        }
    }
}

/// Runs it with questions on stdin.
fn asked(command: &mut Command, questions: &str) -> (String, Option<i32>) {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let questions = questions.to_owned();
    let asking = thread::spawn(move || stdin.write_all(questions.as_bytes()));
    let output = child.wait_with_output().unwrap();
    asking.join().unwrap().unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

fn command(file: &Path, options: &[&str]) -> Command {
    let mut command = prospect().command(&["addr2line", "--no-cache", "-e", file.to_str().unwrap()]);
    command.args(options);
    command
}

#[test]
fn lines_of_stdin_are_read_as_the_originals_read_them() {
    let programs = require!(programs());
    let long = format!("{:0200}\n", 1060);
    for questions in [
        "",
        "\n",
        "0x10\n20",
        "main\nmain+4\nzzz\n\n  0x10\n0x10 junk\n\t20\r\nmain",
        &long,
        "0x10\0\n0x20\n",
    ] {
        let ours = asked(&mut command(&programs.c, &["-f", "-a"]), questions);
        let theirs = asked(Command::new("addr2line").args(["-f", "-a", "-e"]).arg(&programs.c), questions);
        assert_eq!(ours, theirs, "{questions:?}");
    }
}

#[test]
fn who_asks_and_waits_is_answered_at_once() {
    let programs = require!(programs());
    let mut child =
        command(&programs.c, &["-f"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let (lines, answers) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        while stdout.read_line(&mut line).is_ok_and(|count| count > 0) {
            let _ = lines.send(std::mem::take(&mut line));
        }
    });
    let deadline = std::time::Duration::from_secs(20);
    for _ in 0..3 {
        stdin.write_all(b"main\n").unwrap();
        // Its stdin stays open: only an answer to each line can arrive.
        assert_eq!(answers.recv_timeout(deadline).as_deref(), Ok("main\n"));
        assert!(answers.recv_timeout(deadline).is_ok_and(|place| place.contains("c.c:")));
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

/// Names and lines, in short the oracle (`cargo xtask oracle --addr2line`), for every byte of what we compiled.
#[test]
fn every_byte_of_code_has_the_answer_of_binutils() {
    let programs = require!(programs());
    let mut count = 0;
    for file in [&programs.c, &programs.cpp] {
        let bytes = functions(file).into_iter().flatten();
        let questions: String = bytes.map(|at| format!("{at:x}\n")).collect();
        count += questions.lines().count();
        let ours = asked(&mut command(file, &["-f", "-i", "-a"]), &questions);
        let theirs = asked(Command::new("addr2line").args(["-f", "-i", "-a", "-e"]).arg(file), &questions);
        assert_eq!(ours, theirs, "{}", file.display());
    }
    assert!(count > 500, "{count}");
}

/// So many that several threads share them, and that they are indexed in memory where there is no index: each answer is the
/// one of binutils. Then the same with an index.
#[test]
fn very_many_addresses_have_the_answers_of_binutils() {
    for name in ["gcc", "addr2line"] {
        require!(tool(name));
    }
    let scratch = Scratch::new("addr2line-many");
    let function = |number: usize| format!("int leaf{number}(int x) {{\n    return x * {number} + 1;\n}}\n");
    let source: String = (0..1500).map(function).collect();
    let path = scratch.path().join("many.c");
    fs::write(&path, source + "int main(void) { return 0; }\n").unwrap();
    let file = path.with_extension("");
    let made = Command::new("gcc").args(["-g", "-O0", "-o"]).arg(&file).arg(&path).status().unwrap();
    assert!(made.success());
    let questions: String = functions(&file).into_iter().flatten().map(|at| format!("{at:x}\n")).collect();
    // One more than two threads get, without an index.
    assert!(questions.lines().count() > 2 * 8192, "{}", questions.lines().count());
    let theirs = asked(Command::new("addr2line").args(["-f", "-a", "-e"]).arg(&file), &questions);
    // From stdin, they come as fast as a pipe carries them.
    let list = scratch.path().join("questions");
    fs::write(&list, &questions).unwrap();
    let all = format!("@{}", list.display());
    let ours = Tool::finish(&mut command(&file, &["-f", "-a", &all]));
    assert!(ours.text() == theirs.0, "without an index");

    let cached = |arguments: &[&str]| {
        let mut command = prospect().command(arguments);
        command.env("XDG_CACHE_HOME", scratch.path());
        command
    };
    let name = file.to_str().unwrap();
    let made = Tool::finish(&mut cached(&["symbols", "--index", name]));
    assert_eq!(made.code(), Some(0), "{made:?}");
    let ours = Tool::finish(&mut cached(&["addr2line", "-f", "-a", "-e", name, &all]));
    assert!(ours.text() == theirs.0, "with an index");
}

/// Without lines, the file of a local symbol is the one that the symbol table has before it.
#[test]
fn local_symbols_have_their_files() {
    for name in ["gcc", "addr2line"] {
        require!(tool(name));
    }
    let scratch = Scratch::new("addr2line-files");
    let source = |name: &str, more: &str| {
        let path = scratch.path().join(name);
        let text = "__attribute__((noinline, noclone)) static int leaf(int x) { return x * 3; }\n";
        fs::write(&path, format!("{text}{more}")).unwrap();
        path
    };
    let one = source("one.c", "int elsewhere(int x) { return leaf(x) + 1; }\n");
    let two = source("two.c", "int elsewhere(int); int main(int x) { return leaf(elsewhere(x)); }\n");
    let file = scratch.path().join("program");
    let made = Command::new("gcc").args(["-O1", "-o"]).arg(&file).args([one, two]).status().unwrap();
    assert!(made.success());
    let questions: String = functions(&file).into_iter().flatten().map(|at| format!("{at:x}\n")).collect();
    let ours = asked(&mut command(&file, &["-f", "-a"]), &questions);
    assert!(ours.0.contains("\nleaf\none.c:?\n") && ours.0.contains("\nleaf\ntwo.c:?\n"), "{}", ours.0);
    let theirs = asked(Command::new("addr2line").args(["-f", "-a", "-e"]).arg(&file), &questions);
    // Of a symbol without such a file, binutils says ":?".
    let plain = |text: &str| text.replace("??:?", ":?").replace("??:0", ":?");
    assert_eq!(plain(&ours.0), plain(&theirs.0));
}

/// Binutils loses inlined calls of clang's programs; LLVM knows them.
#[test]
fn every_instruction_of_clangs_code_has_the_answer_of_llvm() {
    require!(tool("llvm-addr2line"));
    let programs = require!(programs());
    let file = &programs.clang;
    let questions = texts(&instructions(file)).join("\n");
    let ours = asked(&mut command(file, &["-f", "-i"]), &questions);
    let theirs = asked(Command::new("llvm-addr2line").args(["-f", "-i", "-e"]).arg(file), &questions);
    // A line that is not known is 0 in LLVM's answers. It shows discriminators as binutils does in later versions only.
    let plain = |text: &str| -> Vec<String> {
        let plain = |line: &str| line.split(" (discriminator").next().unwrap_or(line).replace(":?", ":0");
        text.lines().map(plain).collect()
    };
    assert_eq!(plain(&ours.0), plain(&theirs.0));
}

#[test]
fn a_process_is_asked_with_its_own_addresses_and_is_not_stopped() {
    let fixture = require!(fixture("deep"));
    let running = fixture.start(&["4"]);
    let pid = running.pid().to_string();
    let report = prospect().stack(running.pid(), &[]);
    let frame = report.thread(running.pid()).frame("main");
    for arguments in [&["-e", &pid][..], &["--pid", &pid], &["--style", "eu", "-p", &pid]] {
        // A return address: its call lies before it.
        let at = format!("{:#x}", frame.pc() - 1);
        let outcome = prospect().run(&[&["addr2line", "-f"], arguments, &[&at]].concat());
        assert_eq!(outcome.code(), Some(0), "{outcome:?}");
        let text = outcome.text();
        let place = format!("deep.c:{}", fixture.line_of("main"));
        assert!(text.starts_with("main\n") && text.contains(&place), "{arguments:?} {text}");
    }
    let outcome = prospect().run(&["addr2line", "-f", "--pid", &pid, "main"]);
    assert!(outcome.text().starts_with("main\n"), "{outcome:?}");
}

#[test]
fn json_has_all_that_is_known_of_each_address() {
    let programs = require!(programs());
    let outcome = ours("binutils", &programs.cpp, &["--json", "main", "0"]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let reports: Vec<serde_json::Value> =
        outcome.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(reports.len(), 2);
    assert_eq!(reports[0]["version"], 1);
    assert_eq!(reports[0]["query"], "main");
    assert_eq!(reports[0]["address"], reports[0]["offset"]);
    assert_eq!(reports[0]["symbol"]["name"], "main");
    assert_eq!(reports[0]["symbol"]["offset"], 0);
    assert_eq!(reports[0]["frames"][0]["function"], "main");
    assert!(reports[0]["frames"][0]["line"].is_number());
    assert_eq!(reports[1]["frames"].as_array().map(Vec::len), Some(0));
}

#[test]
fn what_cannot_be_done_is_said() {
    let scratch = Scratch::new("addr2line-wrong");
    let text = scratch.path().join("text");
    fs::write(&text, "no program").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = prospect().command(&[&["addr2line"], arguments].concat());
        Tool::finish(command.current_dir(scratch.path()))
    };
    for (arguments, code, said) in [
        (&["-e", "/nonexistent/file", "0"][..], 1, "No such file"),
        (&["0"], 1, "'a.out': No such file"),
        (&["-e", "text", "0"], 1, "not a usable binary"),
        (&["--core", "text", "0"], 1, "text: no core file"),
        (&["-k", "0"], 1, "kernel"),
        (&["-M", "text", "0"], 1, "maps files"),
        (&["-e", "text", "@."], 1, "directory"),
        (&["--pid", "4194305", "0"], 3, "process"),
        (&["--demangle=nonsense", "-e", "text", "0"], 1, "unknown demangling style"),
        (&["--nonsense"], 2, "nonsense"),
    ] {
        let outcome = run(arguments);
        assert_eq!(outcome.code(), Some(code), "{arguments:?} {outcome:?}");
        assert!(outcome.stderr.contains(said), "{arguments:?} {}", outcome.stderr);
        assert!(outcome.stdout.is_empty());
    }
    let programs = require!(programs());
    let outcome = ours("binutils", &programs.c, &["-j", ".nosuch", "0"]);
    assert_eq!(outcome.code(), Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("cannot find section .nosuch"));
}

//! `prospect addr2line` and what it is asked about: files that were not linked yet, variables, code without lines, arguments in files,
//! very many addresses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use prospect_testing::{Missing, Outcome, Random, Scratch, Tool, require, tool};

/// Code in sections of their own, inlined calls, variables of every kind.
const SOURCE: &str = r#"
int given = 7;
static long hidden[4] = {1, 2, 3, 4};
int zeroed[8];
const char word[] = "abc";
static inline __attribute__((always_inline)) int inner(int x) {
    int sum = 0;
    for (int i = 0; i < x; i++) sum += i * x;
    return sum;
}
static __attribute__((noinline)) int leaf(int x) { return inner(x) + given + (int)hidden[x & 3]; }
__attribute__((section(".text.other"))) int other(int x) { return leaf(x) * 2; }
__attribute__((section(".init.text"))) int start(int x) { return leaf(x) * 3; }
int top(int x) { return leaf(x) + zeroed[x & 7] + word[x & 3]; }
#ifdef MAIN
int main(int count, char **all) { (void)all; return top(count); }
#endif
"#;

fn compiled(scratch: &Scratch, name: &str, flags: &[&str]) -> Result<PathBuf, Missing> {
    tool("gcc")?;
    let source = scratch.path().join("source.c");
    fs::write(&source, SOURCE).unwrap();
    let path = scratch.path().join(name);
    let status = Command::new("gcc").args(flags).arg("-o").arg(&path).arg(&source).status().unwrap();
    assert!(status.success());
    Ok(path)
}

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

fn ours(file: &Path, arguments: &[&str]) -> Outcome {
    prospect().run(&[&["addr2line", "--no-cache", "-e", file.to_str().unwrap()], arguments].concat())
}

fn assert_same(style: &str, file: &Path, arguments: &[&str]) {
    let name = if style == "eu" { "eu-addr2line" } else { "addr2line" };
    let ours = ours(file, &[&["--style", style], arguments].concat());
    let theirs =
        Tool::finish(Command::new(name).arg("-e").arg(file).args(arguments).env_remove("DEBUGINFOD_URLS"));
    assert_eq!(ours.text(), theirs.text(), "{style} {} {arguments:?}\n{}", file.display(), ours.stderr);
    assert_eq!(ours.code(), theirs.code(), "{style} {arguments:?}\n{}", ours.stderr);
}

/// A number that `nm` says of a symbol.
fn listed(file: &Path, name: &str, column: usize) -> u64 {
    let output = Command::new("nm").arg("-S").arg(file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.ends_with(&format!(" {name}"))).unwrap();
    u64::from_str_radix(line.split(' ').nth(column).unwrap(), 16).unwrap()
}

fn address(file: &Path, name: &str) -> u64 {
    listed(file, name, 0)
}

fn size(file: &Path, name: &str) -> u64 {
    listed(file, name, 1)
}

#[test]
fn files_that_were_not_linked_are_answered_as_binutils_answers() {
    require!(tool("addr2line"));
    let scratch = Scratch::new("addr2line-object");
    let kinds: [(&str, &[&str]); 4] = [
        ("dwarf5.o", &["-c", "-O2", "-gdwarf-5"]),
        ("dwarf4.o", &["-c", "-O2", "-gdwarf-4"]),
        ("packed.o", &["-c", "-O2", "-g", "-gz=zlib"]),
        // Linked together, but not to an end: as kernel modules are.
        ("module.ko", &["-r", "-O2", "-g", "-Wl,--build-id"]),
    ];
    for (name, flags) in kinds {
        let file = require!(compiled(&scratch, name, flags));
        // Not the bytes between them, which belong to no function.
        let leaf = (0..size(&file, "leaf")).chain([address(&file, "top"), address(&file, "top") + 8]);
        let bytes: Vec<String> = leaf.map(|at| format!("{at:x}")).collect();
        let bytes: Vec<&str> = bytes.iter().map(String::as_str).collect();
        assert_same("binutils", &file, &[&["-f", "-i", "-a"], &bytes[..]].concat());
        for section in [".text", ".text.other", ".init.text"] {
            assert_same("binutils", &file, &["-f", "-i", "-a", "-j", section, "0", "3", "5"]);
            if tool("eu-addr2line").is_ok() {
                assert_same("eu", &file, &["-f", "-i", "-a", "-j", section, "0", "3", "5"]);
            }
        }
        // Binutils forgets which section a symbol is in, and takes names that begin with a digit for numbers.
        for function in ["top", "leaf", "other", "start"] {
            let outcome = ours(&file, &["-f", "-i", function]);
            let text = outcome.text();
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines[lines.len() - 2], function, "{name} {outcome:?}");
            assert!(lines[lines.len() - 1].contains("source.c:"), "{name} {outcome:?}");
        }
        let outcome = ours(&file, &["-j", ".nosuch", "0"]);
        assert_eq!(outcome.code(), Some(1));
        assert!(outcome.stderr.contains("cannot find section .nosuch"), "{outcome:?}");
    }
}

#[test]
fn broken_files_that_were_not_linked_do_no_harm() {
    let scratch = Scratch::new("addr2line-broken-object");
    let file = require!(compiled(&scratch, "whole.o", &["-c", "-O2", "-g"]));
    let whole = fs::read(&file).unwrap();
    let mut random = Random::new(7);
    let broken = scratch.path().join("broken.o");
    for _ in 0..60 {
        let mut bytes = whole.clone();
        for _ in 0..1 + random.below(6) {
            let headers = whole.len() - random.below(whole.len().min(2500)) - 1;
            let at = if random.below(3) == 0 { random.below(64) } else { headers };
            bytes[at] = random.below(256) as u8;
        }
        bytes.truncate(whole.len() - if random.below(4) == 0 { random.below(whole.len()) } else { 0 });
        fs::write(&broken, &bytes).unwrap();
        let outcome = ours(&broken, &["-f", "-i", "0", "0x10", "top"]);
        assert!(matches!(outcome.code(), Some(0 | 1)), "{outcome:?}");
    }
}

#[test]
fn variables_have_the_names_that_elfutils_shows() {
    require!(tool("eu-addr2line"));
    let scratch = Scratch::new("addr2line-data");
    let file = require!(compiled(&scratch, "program", &["-g", "-O2", "-DMAIN"]));
    let places: Vec<String> = [("given", 0), ("hidden", 8), ("zeroed", 4), ("word", 1)]
        .iter()
        .map(|(name, offset)| format!("{:#x}", address(&file, name) + offset))
        .collect();
    let mut places: Vec<&str> = places.iter().map(String::as_str).collect();
    places.extend(["given", "hidden+8", "zeroed", "word+2"]);
    for options in [&["-f"][..], &["-S"], &["-x"], &["-f", "-S"], &["-a", "-f", "--pretty-print"]] {
        assert_same("eu", &file, &[options, &places].concat());
    }
    // Binutils has no name here, or that of a label before it.
    let outcome = ours(&file, &["-f", places[1]]);
    assert_eq!(outcome.text(), "hidden\n??:0\n");
}

#[test]
fn code_without_lines_has_the_file_of_its_local_symbol() {
    require!(tool("addr2line"));
    let scratch = Scratch::new("addr2line-local");
    let file = require!(compiled(&scratch, "program", &["-O2", "-DMAIN"]));
    let crt = format!("{:#x}", address(&file, "register_tm_clones"));
    let own = format!("{:#x}", address(&file, "leaf"));
    let outcome = ours(&file, &["-f", &crt, &own]);
    assert_eq!(outcome.text(), "register_tm_clones\ncrtstuff.c:?\nleaf\nsource.c:?\n");
    for options in [&["-f"][..], &["-f", "-i"], &["-p"], &["-s", "-f", "-a"], &[]] {
        assert_same("binutils", &file, &[options, &[&crt, &own]].concat());
    }
}

#[test]
fn arguments_stand_in_files_too() {
    require!(tool("addr2line"));
    let scratch = Scratch::new("addr2line-arguments");
    let file = require!(compiled(&scratch, "a program", &["-g", "-O2", "-DMAIN"]));
    let path = |name: &str, text: &str| {
        fs::write(scratch.path().join(name), text).unwrap();
        name.to_owned()
    };
    path("options", "-f\n -a\t'-s' \"-i\"");
    path("addresses", r"main top+0x1 @nested");
    path("nested", "leaf");
    path("file", r"-e a\ program");
    path("empty", " \n");
    path("endless", "@endless");
    let run = |program: &mut Command, arguments: &[&str]| {
        Tool::finish(program.args(arguments).current_dir(scratch.path()).env_remove("DEBUGINFOD_URLS"))
    };
    for arguments in [
        &["@file", "@options", "main"][..],
        &["@options", "-e", "a program", "@addresses", "@empty"],
        &["@file", "-f", "@nosuchfile"],
        &["@file", "-f", "@endless", "main"],
        &["@file", "@.", "main"],
    ] {
        let ours = run(&mut prospect().command(&["addr2line"]), arguments);
        let theirs = run(&mut Command::new("addr2line"), arguments);
        assert_eq!(
            (ours.text(), ours.code()),
            (theirs.text(), theirs.code()),
            "{arguments:?} {}",
            ours.stderr
        );
        assert_eq!(ours.stderr.is_empty(), theirs.stderr.is_empty(), "{arguments:?} {}", ours.stderr);
    }
    // Those of elfutils do not know that.
    let eu = run(&mut prospect().command(&["addr2line", "--style", "eu"]), &["-e", "a program", "@nested"]);
    assert_eq!(eu.code(), Some(1), "{eu:?}");
    assert!(eu.stderr.contains("@nested"), "{eu:?}");
    assert!(file.exists());
}

/// So many addresses are shared out over the processors: their answers are the same, and in order.
#[test]
fn very_many_addresses_have_the_answers_of_few() {
    let program = Path::new(env!("CARGO_BIN_EXE_prospect"));
    let mut random = Random::new(5);
    let start = address(program, "main");
    let few: Vec<String> = (0..600).map(|_| format!("{:#x}", start + random.below(4000) as u64)).collect();
    let mut child = prospect()
        .command(&["addr2line", "--no-cache", "-f", "-i", "-a", "-e", program.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Others between them, so that none of them was answered before.
    let others = (0..25_000).map(|number| format!("{:#x}", start + 4000 + number));
    let questions: String =
        few.iter().cloned().chain(others).chain(few.iter().cloned()).map(|one| one + "\n").collect();
    let asking = thread::spawn(move || stdin.write_all(questions.as_bytes()));
    let output = child.wait_with_output().unwrap();
    asking.join().unwrap().unwrap();
    let many = String::from_utf8(output.stdout).unwrap();
    let one_by_one: String = few
        .chunks(100)
        .map(|some| {
            let some: Vec<&str> = some.iter().map(String::as_str).collect();
            ours(program, &[&["-f", "-i", "-a"], &some[..]].concat()).text().to_owned()
        })
        .collect();
    assert!(many.starts_with(&one_by_one) && many.ends_with(&one_by_one));
    assert!(many.lines().count() > 50_000);
}

#[test]
fn files_are_looked_for_where_the_other_commands_look() {
    require!(tool("objcopy"));
    let scratch = Scratch::new("addr2line-search");
    let whole = require!(compiled(&scratch, "whole", &["-g", "-O2", "-DMAIN", "-Wl,--build-id"]));
    let stripped = scratch.path().join("stripped");
    let elsewhere = scratch.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let run =
        |arguments: &[&str]| assert!(Command::new("objcopy").args(arguments).status().unwrap().success());
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let debug = text(&elsewhere.join("stripped.debug"));
    run(&["--only-keep-debug", &text(&whole), &debug]);
    run(&["-g", &format!("--add-gnu-debuglink={debug}"), &text(&whole), &text(&stripped)]);
    let notes = Command::new("readelf").arg("-n").arg(&whole).output().unwrap();
    let notes = String::from_utf8(notes.stdout).unwrap();
    let id = notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: ")).unwrap();
    let by_id = elsewhere.join(".build-id").join(&id[..2]);
    fs::create_dir_all(&by_id).unwrap();
    fs::copy(&debug, by_id.join(format!("{}.debug", &id[2..]))).unwrap();
    let place = |arguments: &[&str]| ours(&stripped, arguments).text().to_owned();
    assert_eq!(place(&["-s", "main"]), "??:?\n", "no symbol's file: main is no local one");
    let wanted = text(&elsewhere);
    assert_eq!(place(&["-s", "--debug-dir", &wanted, "main"]), "source.c:16\n");
    let list = format!("/nonexistent:-{wanted}:.debug");
    assert!(place(&["--style", "eu", "-s", "--debuginfo-path", &list, "main"]).starts_with("source.c:16:"));
    for (option, code) in [("--debug-dir", 3), ("--sysroot", 3)] {
        let outcome = ours(&stripped, &[option, "/no/such/directory", "main"]);
        assert_eq!(outcome.code(), Some(code), "{outcome:?}");
    }
    let outcome = ours(&stripped, &["--debuginfod", "--no-debuginfod", "main"]);
    assert_eq!(outcome.code(), Some(2), "{outcome:?}");
}

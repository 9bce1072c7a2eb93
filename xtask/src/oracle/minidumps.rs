//! `cargo xtask oracle --minidump`: stacks of minidumps beside those of the process that they are of. Ours are read by us, lldb and
//! `minidump-stackwalk`; those of `minidump-writer` by us, and those of programs of which only a symbol file is left.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use prospect_testing::{Missing, Scratch, Signal, Tool, send, tool};
use serde_json::Value;

use super::{
    compare::same_function,
    programs::{self, Program},
    symbol_files,
    witness::{self, Frame, Stacks},
};
use crate::workspace;

/// The programs that are looked at, with their arguments.
const FIXTURES: [(&str, &[&str]); 6] = [
    ("threads", &["40", "12"]),
    ("deep", &["200"]),
    ("deep-32", &["60"]),
    ("sigalt", &[]),
    ("sigalt-32", &["info"]),
    ("bench-threads", &["200", "30"]),
];

/// Where a tool is that is not on the path; a driver of `minidump-writer` is given the number of a process and a file.
const DUMP_SYMS: &str = "PROSPECT_DUMP_SYMS";
const STACKWALK: &str = "PROSPECT_MINIDUMP_STACKWALK";
const DRIVER: &str = "PROSPECT_BENCH_MINIDUMP_WRITER";

/// The driver that is built on demand.
const DRIVER_MANIFEST: &str = "[package]\nname = \"driver\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[dependencies]\n\
                               minidump-writer = \"0.13\"\n[workspace]\n";
const DRIVER_CODE: &str = r#"//! PID FILE: a minidump by minidump-writer.
fn main() {
    let words: Vec<String> = std::env::args().collect();
    let pid = words[1].parse().expect("the number of a process");
    let mut options = std::fs::File::options();
    let mut file = options.create(true).read(true).write(true).truncate(true).open(&words[2]).expect("a file");
    let mut writer = minidump_writer::minidump_writer::MinidumpWriterConfig::new(pid, pid);
    writer.stop_timeout(std::time::Duration::from_secs(2));
    writer.write(&mut file).expect("a minidump");
}
"#;

/// What is asked.
struct Tools {
    prospect: Tool,
    stackwalk: Result<PathBuf, Missing>,
    driver: Result<PathBuf, Missing>,
    dump_syms: Result<PathBuf, Missing>,
    lldb: Result<(), Missing>,
}

/// How one reader's stacks compare with the live ones.
#[derive(Default)]
struct Agreement {
    frames: usize,
    places: usize,
    names: usize,
    differences: Vec<String>,
}

/// Compares. What is not installed is skipped, unless `install` says to build it in the target directory.
pub(super) fn run(only: Option<&str>, install: bool, show: usize) -> Result<()> {
    let tools = Tools {
        prospect: Tool::at(workspace::build_checked_prospect()?),
        stackwalk: stackwalk(install)?,
        driver: driver(install)?,
        dump_syms: dump_syms(install)?,
        lldb: tool("lldb").map(drop),
    };
    let missing = [&tools.stackwalk, &tools.driver, &tools.dump_syms].map(|tool| tool.as_ref().err());
    let missing = missing.into_iter().chain([tools.lldb.as_ref().err()]);
    missing.flatten().for_each(|missing| println!("skipped: {missing}"));
    println!(
        "{:<14} {:<32} {:>7} {:>7} {:>7}",
        "program", "written by > read by", "frames", "places", "names"
    );
    let is_wanted = |name: &str| only.is_none_or(|only| name.contains(only));
    let real = programs::REAL.iter().filter(|(name, _)| *name == "python3" && is_wanted(name));
    let fixtures = FIXTURES.iter().filter(|(name, _)| is_wanted(name));
    let all = real
        .map(|(name, start)| (*name, start()))
        .chain(fixtures.map(|(name, args)| (*name, programs::start_fixture(name, args))));
    let (mut compared, mut differing) = (0, Vec::new());
    for (name, program) in all {
        let program = match program {
            Ok(program) => program,
            Err(missing) => {
                println!("{name:<14} skipped: {missing}");
                continue;
            }
        };
        let Asked { live, said } = ask(&tools, &program)?;
        let mut agreed = Vec::new();
        for Said { writer, reader, stacks } in said {
            let Agreement { frames, places, names, differences } = match stacks {
                Ok(stacks) => compare(&live, &stacks),
                Err(error) => Agreement::none(&live, &error),
            };
            let who = format!("{writer} > {reader}");
            println!("{name:<14} {who:<32} {frames:>7} {places:>7} {names:>7}");
            differences.iter().take(show).for_each(|line| println!("    {line}"));
            compared += frames;
            agreed.push((writer, reader, frames, places));
        }
        for (writer, reader, frames, places) in &agreed {
            // A reader that does no better with what others write of the same process is itself the reason; what no reader finds in
            // the other writer's dump is not in it.
            let most = |is_meant: &dyn Fn(&str, &str) -> bool| {
                let meant = agreed.iter().filter(|(writer, reader, ..)| is_meant(writer, reader));
                meant.map(|(.., places)| *places).max()
            };
            let best = match (*writer, *reader) {
                (OURS | CORE, OURS) => *frames,
                (_, OURS) => most(&|by, one| by == *writer && one != OURS).unwrap_or(*frames),
                // Without another dump, nothing tells whose fault it is.
                (OURS, _) => most(&|by, one| by != OURS && one == *reader).unwrap_or(0),
                _ => 0,
            };
            if *places < best {
                differing.push(format!("{name}, {writer} > {reader}: {places} of {frames}"));
            }
        }
    }
    if let Ok(dump_syms) = &tools.dump_syms {
        for (name, args) in FIXTURES.iter().filter(|(name, _)| is_wanted(name)) {
            let (whole, alone) = symbol_files::ask(&tools.prospect, dump_syms, name, args)?;
            let Agreement { frames, places, names, differences } = compare(&whole, &alone);
            println!("{name:<14} {:<32} {frames:>7} {places:>7} {names:>7}", "prospect, with symbol file");
            differences.iter().take(show).for_each(|line| println!("    {line}"));
            compared += frames;
            if names < frames {
                differing.push(format!("{name}, with its symbol file: {names} of {frames}"));
            }
        }
    }
    ensure!(compared > 0, "nothing was compared");
    ensure!(differing.is_empty(), "frames differ: {}", differing.join("; "));
    Ok(())
}

/// The command of ours, and its cores.
const OURS: &str = "prospect";
const CORE: &str = "prospect, core";

/// What was said of one program.
struct Asked {
    live: Stacks,
    said: Vec<Said>,
}

/// What a reader says of a dump.
struct Said {
    writer: &'static str,
    reader: &'static str,
    stacks: Result<Stacks>,
}

/// The live stacks of a program that is held still, and those of its dumps: ours last.
fn ask(tools: &Tools, program: &Program) -> Result<Asked> {
    let pid = program.running.pid();
    let scratch = Scratch::new("oracle-minidump");
    let [ours, theirs, core] = ["ours.dmp", "theirs.dmp", "core"].map(|name| scratch.path().join(name));
    let executable = fs::read_link(format!("/proc/{pid}/exe"))?;
    program.hold()?;
    let live = witness::prospect(&tools.prospect, &pid.to_string())?;
    let mut written = Vec::new();
    // It writes no other registers than those of its own architecture.
    let is_wide = fs::read(&executable)?.get(4) == Some(&2);
    if let Some(driver) = tools.driver.as_ref().ok().filter(|_| is_wide) {
        program.hold()?;
        let output = witness::limited(driver).arg(pid.to_string()).arg(&theirs).output()?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "minidump-writer: {words}");
        written.push(("minidump-writer", &theirs));
    }
    for (writer, path) in [(CORE, &core), (OURS, &ours)] {
        program.hold()?;
        let outcome = tools.prospect.run(&["dump", "-q", "-o", &path.to_string_lossy(), &pid.to_string()]);
        ensure!(matches!(outcome.code(), Some(0 | 5)), "prospect dump: {}", outcome.stderr);
        written.push((writer, path));
    }
    let mut said = Vec::new();
    for (writer, dump) in written {
        let mut add = |reader, stacks| said.push(Said { writer, reader, stacks });
        add(OURS, witness::prospect(&tools.prospect, &dump.to_string_lossy()));
        if tools.lldb.is_ok() {
            add("lldb", lldb(dump, &executable));
        }
        if let Some(tool) = tools.stackwalk.as_ref().ok().filter(|_| writer != CORE) {
            add("stackwalk", stackwalk_says(tool, dump));
        }
    }
    send(Signal::Continue, pid);
    Ok(Asked { live, said })
}

impl Agreement {
    /// Of a reader that says nothing.
    fn none(live: &Stacks, error: &anyhow::Error) -> Self {
        let frames = live.values().map(Vec::len).sum();
        let words = format!("{error:#}").lines().next().unwrap_or_default().chars().take(120).collect();
        Self { frames, differences: vec![words], ..Self::default() }
    }
}

/// Holds what a reader says against what is live: frame by frame.
fn compare(live: &Stacks, theirs: &Stacks) -> Agreement {
    let mut all = Agreement::default();
    for (tid, own) in live {
        let other = theirs.get(tid).map_or(&[][..], Vec::as_slice);
        all.frames += own.len();
        let pairs = own.iter().zip(other);
        let places = pairs.clone().take_while(|(own, other)| own.pc == other.pc).count();
        all.places += places;
        let is_same = |(own, other): &(&Frame, &Frame)| same_name(own, other);
        all.names += pairs.take(places).filter(is_same).count();
        if places < own.len() {
            let place = |frames: &[Frame]| {
                let frame = frames.get(places);
                frame.map_or("nothing".into(), |frame| format!("{:#x} {:?}", frame.pc, frame.function))
            };
            all.differences.push(format!("thread {tid} #{places}: {} live, {}", place(own), place(other)));
        }
    }
    all
}

fn same_name(own: &Frame, other: &Frame) -> bool {
    // Names of the same place are told apart by a number.
    let theirs = other.function.as_deref().map(|name| name.split("_alias").next().unwrap_or(name));
    same_function(theirs, own.function.as_deref())
}

/// What `minidump-stackwalk` says, with the files of this machine.
fn stackwalk_says(tool: &Path, dump: &Path) -> Result<Stacks> {
    let output = witness::limited(tool).args(["--json", "--use-local-debuginfo"]).arg(dump).output()?;
    let value: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("minidump-stackwalk: {}", String::from_utf8_lossy(&output.stderr).trim()))?;
    let mut stacks = Stacks::new();
    for thread in value["threads"].as_array().into_iter().flatten() {
        let frame = |frame: &Value| {
            let at = u64::from_str_radix(frame["offset"].as_str()?.strip_prefix("0x")?, 16).ok()?;
            // Of callers, it says where the call is: in the byte before the one that it returns to.
            let is_innermost = frame["trust"] == "context";
            let function = frame["function"].as_str().map(str::to_owned);
            Some(Frame { pc: if is_innermost { at } else { at + 1 }, function })
        };
        let frames = thread["frames"].as_array().into_iter().flatten().filter_map(frame).collect();
        stacks.insert(thread["thread_id"].as_u64().unwrap_or(0) as u32, frames);
    }
    Ok(stacks)
}

/// What lldb says.
fn lldb(dump: &Path, program: &Path) -> Result<Stacks> {
    let mut command = witness::limited("lldb");
    command.args(["--no-lldbinit", "--batch", "-c"]).arg(dump).arg(program);
    let output = command.args(["-o", "thread list", "-o", "thread backtrace all"]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (mut numbers, mut stacks, mut current) = (Vec::new(), Stacks::new(), None);
    for line in text.lines().map(|line| line.trim_start_matches([' ', '*'])) {
        if let Some(rest) = line.strip_prefix("thread #") {
            let (index, rest) = rest.split_once([':', ',']).unwrap_or((rest, ""));
            let index: u32 = index.trim().parse().unwrap_or(0);
            match rest.trim().strip_prefix("tid = ") {
                Some(rest) => {
                    let tid = rest.split([',', ' ']).next().and_then(|tid| tid.parse().ok());
                    numbers.push((index, tid.unwrap_or(0)));
                }
                None => current = numbers.iter().find(|(one, _)| *one == index).map(|(_, tid)| *tid),
            }
        } else if let (Some(tid), Some(frame)) = (current, lldb_frame(line)) {
            stacks.entry(tid).or_default().push(frame);
        }
    }
    ensure!(!stacks.is_empty(), "lldb: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(stacks)
}

/// A line like ``frame #1: 0x00007f085e1408ec libc.so.6`__clone3 at clone3.S:81``, that is not one of an inlined call.
fn lldb_frame(line: &str) -> Option<Frame> {
    let rest = line.strip_prefix("frame #")?.split_once(": 0x")?.1;
    let (pc, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    if rest.contains(" [inlined] ") {
        return None;
    }
    let name = rest.split_once('`').map(|(_, name)| name.split(" at ").next().unwrap_or(name));
    let name = name.map(|name| name.split(" + ").next().unwrap_or(name));
    let function = name.filter(|name| !name.starts_with("___lldb_unnamed")).map(str::to_owned);
    Some(Frame { pc: u64::from_str_radix(pc, 16).ok()?, function })
}

/// `minidump-stackwalk`: the one that is named, is on the path, or was installed for this.
fn stackwalk(install: bool) -> Result<Result<PathBuf, Missing>> {
    let root = workspace::scratch_directory("minidump-stackwalk")?;
    let built = root.join("bin/minidump-stackwalk");
    let build = || {
        let mut args = ["install", "--locked", "--quiet", "--root"].map(OsString::from).to_vec();
        args.extend([root.clone().into_os_string(), "minidump-stackwalk".into()]);
        cargo(&args, &root)
    };
    find("minidump-stackwalk", STACKWALK, built.clone(), install.then_some(&build))
}

/// `dump_syms`: the one that is named, is on the path, or was installed for this (Mozilla's).
fn dump_syms(install: bool) -> Result<Result<PathBuf, Missing>> {
    let root = workspace::scratch_directory("dump_syms")?;
    let built = root.join("bin/dump_syms");
    let build = || {
        let mut args = ["install", "--locked", "--quiet", "--root"].map(OsString::from).to_vec();
        args.extend([root.clone().into_os_string(), "dump_syms".into()]);
        cargo(&args, &root)
    };
    find("dump_syms", DUMP_SYMS, built.clone(), install.then_some(&build))
}

/// A driver of `minidump-writer`: the one that is named, or was built for this.
fn driver(install: bool) -> Result<Result<PathBuf, Missing>> {
    let root = workspace::scratch_directory("minidump-writer")?;
    let built = root.join("target/release/driver");
    let build = || {
        fs::create_dir_all(root.join("src"))?;
        fs::write(root.join("Cargo.toml"), DRIVER_MANIFEST)?;
        fs::write(root.join("src/main.rs"), DRIVER_CODE)?;
        let manifest = root.join("Cargo.toml").into_os_string();
        cargo(
            &["build".into(), "--release".into(), "--quiet".into(), "--manifest-path".into(), manifest],
            &root,
        )
    };
    find("minidump-writer", DRIVER, built.clone(), install.then_some(&build))
}

fn find(
    name: &str,
    variable: &str,
    built: PathBuf,
    build: Option<&dyn Fn() -> Result<()>>,
) -> Result<Result<PathBuf, Missing>> {
    if let Some(path) = env::var_os(variable) {
        return Ok(Ok(path.into()));
    }
    if tool(name).is_ok() {
        return Ok(Ok(name.into()));
    }
    if !built.exists() {
        let Some(build) = build else {
            return Ok(Err(Missing::new(format!(
                "{name}: --install builds it, or {variable} says where it is"
            ))));
        };
        build()?;
    }
    Ok(Ok(built))
}

/// Runs cargo, in whose directory for results others would be mixed with ours.
fn cargo(args: &[OsString], root: &Path) -> Result<()> {
    let status = Command::new("cargo").args(args).env("CARGO_TARGET_DIR", root.join("target")).status()?;
    if !status.success() {
        bail!("cargo {args:?}: {status}");
    }
    Ok(())
}

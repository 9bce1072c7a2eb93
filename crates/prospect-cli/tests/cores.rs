//! Cores: the same stacks as of the live process, what the process died of, values, compressed and damaged files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use prospect_testing::{
    Fixture, Missing, Outcome, Report, Running, Scratch, Tool, abort, crash, fixture, fixtures_directory,
    gcore, kernel_cores, require, tool, with_cores,
};

fn prospect() -> Tool {
    Tool::at(env!("CARGO_BIN_EXE_prospect"))
}

fn run(args: &[&str], core: &Path) -> Outcome {
    prospect().run(&[args, &[core.to_str().unwrap()]].concat())
}

fn stack(args: &[&str], core: &Path) -> Report {
    let outcome = run(&[&["stack", "--json"], args].concat(), core);
    assert!(matches!(outcome.code(), Some(0 | 5)), "{outcome:?}");
    outcome.report()
}

/// A process gives the same stacks alive, held, and from its cores: ours by a stop and by a snapshot, gdb's and the kernel's; and from
/// its minidumps: of a freeze, and of all memory.
fn assert_same_everywhere(fixture: &Fixture, args: &[&str]) -> Result<(), Missing> {
    kernel_cores()?;
    let scratch = Scratch::new("same");
    let running = Running::start(&mut with_cores(&fixture.command(args), scratch.path()));
    let live = prospect().stack(running.pid(), &[]);
    let held = prospect().stack(running.pid(), &["--hold"]);
    let of_gdb = gcore(running.pid(), scratch.path()).map(|core| {
        let report = stack(&[], &core);
        fs::remove_file(core).unwrap();
        report
    });
    let ways: [&[&str]; 5] = [
        &["--mode", "stop"],
        &["--mode", "snapshot"],
        &["--format", "minidump"],
        &["--format", "minidump", "--full"],
        &["--format", "minidump", "--full", "--mode", "stop"],
    ];
    let of_ours = ways.map(|way| {
        let core = scratch.path().join("dump");
        let args = ["dump", "-q", "-o", core.to_str().unwrap(), &running.arg()];
        let outcome = prospect().run(&[&args, way].concat());
        assert_eq!(outcome.code(), Some(0), "{outcome:?}");
        let report = stack(&[], &core);
        fs::remove_file(core).unwrap();
        report
    });
    let of_kernel = stack(&[], &abort(running, scratch.path()));
    assert!(live.threads().iter().any(|thread| thread.frames().len() > 2), "{live:?}");
    assert_eq!(live.frames(), held.frames());
    for (way, ours) in ways.iter().zip(&of_ours) {
        assert_eq!(live.frames(), ours.frames(), "{way:?}");
    }
    assert_eq!(live.frames(), of_kernel.frames());
    assert_eq!(live.is_complete(), of_kernel.is_complete());
    assert_eq!(live.frames(), of_gdb?.frames());
    Ok(())
}

macro_rules! same_stack_everywhere {
    ($($test:ident: $fixture:literal $args:expr),* $(,)?) => {
        $(#[test]
        fn $test() {
            let fixture = require!(fixture($fixture));
            require!(assert_same_everywhere(&fixture, $args));
        })*
    };
}

same_stack_everywhere! {
    same_stack_of_deep_recursion: "deep" &["200"],
    same_stack_of_32_bits: "deep-32" &["50"],
    same_stack_of_a_static_program: "deep-static" &["50"],
    same_stack_of_a_static_pie: "deep-static-pie" &["50"],
    same_stack_at_a_fixed_address: "deep-no-pie" &["50"],
    same_stack_of_a_stripped_program: "deep-stripped" &["50"],
    same_stack_by_frame_pointers: "deep-frame-pointers" &["50"],
    same_stack_of_many_threads: "threads" &["20", "10"],
    same_stack_in_a_signal_handler: "sigalt" &[],
}

/// The fixture's core, and the directory that it is in.
fn crashed(name: &str, args: &[&str]) -> Result<(Fixture, Scratch, PathBuf), Missing> {
    kernel_cores()?;
    let fixture = fixture(name)?;
    let scratch = Scratch::new("core");
    let core = crash(&fixture.command(args), scratch.path());
    Ok((fixture, scratch, core))
}

fn assert_crash(name: &str) -> Result<(), Missing> {
    let (fixture, _scratch, core) = crashed(name, &["3"])?;
    let report = stack(&["--locals"], &core);
    let (threads, signal) = (report.threads(), &report.value()["core"]["signal"]);
    assert_eq!((threads.len(), report.value()["mode"].as_str()), (4, Some("core")));
    assert_eq!(
        (signal["name"].as_str(), signal["address"].as_str()),
        (Some("SIGSEGV"), Some("0x10")),
        "{signal}"
    );
    assert_eq!(signal["reason"], "address not mapped");
    // The one that crashed comes first.
    assert_eq!(signal["tid"].as_u64(), threads[0].tid().map(u64::from));
    threads[0].assert_calls(&["inner", "inner", "inner", "inner", "main"]);
    assert_eq!(threads[0].frames()[0].place(), Some(("crash.c", fixture.line_of("crash"))));
    let arguments = threads[0].frames()[0].value()["arguments"].to_string();
    assert!(arguments.contains("depth") && arguments.contains("4.5"), "{arguments}");
    for thread in &threads[1..] {
        assert!(thread.frames().iter().any(|frame| frame.is("waiter")), "{thread}");
    }
    let text = run(&["print"], &core);
    assert!(text.text().contains("depth = 0\nfactor = 4.5"), "{text:?}");
    let text = prospect().run(&[
        "print",
        core.to_str().unwrap(),
        "--frame",
        "main",
        "global.weight",
        "own",
        "text",
        "constant",
    ]);
    let text = text.text();
    for wanted in ["global.weight = 3.5", "own = 42", "text = \"constant text\"", "\"constant text\""] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let all = prospect().run(&["print", "--all-threads", core.to_str().unwrap(), "own", "number"]).text();
    for own in [100, 101, 102] {
        assert!(all.contains(&format!("own = {own}")), "{all}");
    }
    Ok(())
}

#[test]
fn a_crash_is_told_with_its_values() {
    require!(assert_crash("crash"));
}

#[test]
fn a_crash_of_32_bits_is_told_with_its_values() {
    require!(assert_crash("crash-32"));
}

#[test]
fn a_crash_of_a_static_program_is_told_with_its_values() {
    require!(assert_crash("crash-static"));
}

#[test]
fn every_command_takes_a_core() {
    let (fixture, _scratch, core) = require!(crashed("crash", &["1"]));
    let text = run(&["stack"], &core);
    assert_eq!(text.code(), Some(0), "{text:?}");
    assert!(text.text().contains("SIGSEGV, address not mapped, at 0x10  in thread"), "{text:?}");
    // What the kernel leaves out of a core is code and constants.
    assert!(text.text().contains("code and constants that the core left out are from"), "{text:?}");

    let info = run(&["info", "--json"], &core).report();
    assert_eq!(info.value()["core"]["signal"]["number"], 11);
    assert_eq!(info.value()["executable"].as_str().map(Path::new), Some(&*fixture.path()));
    assert_eq!(info.value()["threads"].as_array().unwrap().len(), 2);
    let modules = info.value()["modules"].as_array().unwrap();
    assert!(modules.iter().all(|module| module["build_id"].is_string()), "{modules:?}");
    assert!(info.value()["mappings"].as_array().unwrap().iter().any(|one| one["name"] == "[stack]"));

    let target = core.to_str().unwrap();
    let found = prospect().run(&["find", "--json", target, "inner"]);
    let found = found.report();
    let address = found.value()["found"][0]["address"].as_str().unwrap().to_owned();
    let named = prospect().run(&["addr2line", "-f", "--core", target, &address]);
    assert!(named.text().starts_with("inner\n"), "{named:?}");
    let symbols = run(&["symbols", "--json"], &core);
    assert!(symbols.text().contains("crash"), "{symbols:?}");

    for (args, code) in
        [(&["stack", "--hold"][..], 2), (&["stack", "--every", "1s"], 2), (&["print", "--hold"], 2)]
    {
        let outcome = run(args, &core);
        assert_eq!(outcome.code(), Some(code), "{outcome:?}");
        assert!(outcome.stderr.contains("is for live processes"), "{outcome:?}");
    }
    let outcome = run(&["stack"], &fixture.path());
    assert_eq!(outcome.code(), Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("is no core"), "{outcome:?}");
}

/// Compressed by each program that is there; cut in the middle; stored as systemd does.
#[test]
fn compressed_cores_are_unpacked() {
    let (_, scratch, core) = require!(crashed("crash", &["2"]));
    let whole = stack(&[], &core).frames();
    for (program, ending) in [("zstd", "zst"), ("lz4", "lz4"), ("xz", "xz"), ("gzip", "gz")] {
        require!(tool(program));
        let packed = scratch.path().join(format!("packed.{ending}"));
        let bytes = Command::new(program).args(["-1", "-c"]).arg(&core).output().unwrap().stdout;
        fs::write(&packed, &bytes).unwrap();
        assert_eq!(stack(&[], &packed).frames(), whole, "{program}");
        fs::write(&packed, &bytes[..bytes.len() - bytes.len() / 8]).unwrap();
        let cut = stack(&[], &packed);
        assert!(
            cut.warnings().iter().any(|warning| warning.contains("could be unpacked")),
            "{program}: {cut:?}"
        );
        assert_eq!(cut.threads().len(), whole.len(), "{program}");
        fs::write(&packed, &bytes[..bytes.len().min(12)]).unwrap();
        assert_eq!(run(&["stack"], &packed).code(), Some(1), "{program}");
    }
    // One with frames that are to be passed over.
    if tool("pzstd").is_ok() {
        let packed = scratch.path().join("frames.zst");
        let packer = Command::new("pzstd").args(["-q", "-p", "2", "-o"]).arg(&packed).arg(&core).status();
        assert!(packer.unwrap().success());
        assert_eq!(stack(&[], &packed).frames(), whole);
    }
    let stored = scratch.path().join("stored");
    fs::create_dir(&stored).unwrap();
    let bytes = Command::new("zstd").args(["-1", "-c"]).arg(&core).output().unwrap().stdout;
    let name = "0123456789abcdef0123456789abcdef";
    fs::write(stored.join(format!("core.crash.0.{name}.4711.1700000000000000.zst")), bytes).unwrap();
    fs::write(stored.join(format!("core.crash.0.{name}.4710.1600000000000000.zst")), b"older").unwrap();
    let directory = stored.to_str().unwrap();
    for wanted in ["crash", "4711"] {
        let outcome = prospect().run(&["stack", "--json", "--coredump", wanted, "--coredump-dir", directory]);
        assert_eq!(outcome.report().frames(), whole, "{outcome:?}");
    }
    let outcome = prospect().run(&["stack", "--coredump", "other", "--coredump-dir", directory]);
    assert_eq!((outcome.code(), outcome.stderr.contains("no core of other")), (Some(3), true), "{outcome:?}");
    let outcome = prospect().run(&["stack", "--coredump", "other", "--coredump-dir", "/no/such/directory"]);
    assert_eq!((outcome.code(), outcome.stderr.contains("no stored cores")), (Some(3), true), "{outcome:?}");
}

/// More zeros than anybody waits for, in a small file.
#[test]
fn a_core_that_never_ends_is_given_up_in_time() {
    require!(tool("zstd"));
    let scratch = Scratch::new("endless");
    let (zeros, packed) = (scratch.path().join("zeros"), scratch.path().join("endless.zst"));
    fs::write(&zeros, vec![0; 64 << 20]).unwrap();
    let frame = Command::new("zstd").args(["-1", "-c"]).arg(&zeros).output().unwrap().stdout;
    fs::write(&packed, frame.repeat(4096)).unwrap();
    let outcome = run(&["stack", "--timeout", "0.5"], &packed);
    assert_eq!(outcome.code(), Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("could not be read in time"), "{outcome:?}");
}

#[test]
fn what_a_truncated_core_lacks_is_said() {
    let (_, scratch, core) = require!(crashed("crash", &["2"]));
    let bytes = fs::read(&core).unwrap();
    let cut = scratch.path().join("cut");
    // The stack of the first thread lies at the end.
    fs::write(&cut, &bytes[..bytes.len() - (256 << 10)]).unwrap();
    let report = stack(&[], &cut);
    assert_eq!(report.threads().len(), 3);
    assert!(!report.is_complete());
    let first = report.threads()[0].tid().unwrap();
    let warnings = report.warnings().join("\n");
    for wanted in
        ["the core is truncated", "bytes of memory in", &format!("the stack of thread {first} is missing")]
    {
        assert!(warnings.contains(wanted), "{wanted}: {warnings}");
    }
    // The others are whole.
    report.threads()[1..].iter().for_each(|thread| thread.assert_whole());
    let info = run(&["info"], &cut);
    assert_eq!(info.code(), Some(5), "{info:?}");
    assert!(info.text().contains("missing: the core is truncated"), "{info:?}");
}

/// Another build has taken the place of the program: nothing is read from it.
#[test]
fn a_file_of_another_build_is_not_believed() {
    require!(kernel_cores());
    let (program, other) = (require!(fixture("crash")), require!(fixture("deep")));
    let scratch = Scratch::new("replaced");
    let copy = scratch.copy_of(&program.path());
    let core = crash(&Command::new(&copy), scratch.path());
    fs::copy(other.path(), &copy).unwrap();
    let report = stack(&[], &core);
    let files = report.value()["core"]["files"].to_string();
    assert!(!files.contains(copy.to_str().unwrap()), "{files}");
    assert!(report.warnings().iter().any(|warning| warning.contains("build")), "{report:?}");
    // Where its own file is named, it is.
    let exe = program.path();
    let report = stack(&["--exe", exe.to_str().unwrap()], &core);
    report.threads()[0].assert_calls(&["inner", "inner", "inner", "inner", "main"]);
    let files = report.value()["core"]["files"].to_string();
    assert!(files.contains(exe.to_str().unwrap()) && !files.contains("false"), "{files}");
}

/// Builds the fixture for another machine, has it crash in qemu, and compares with gdb.
fn assert_foreign(compiler: &str, emulator: &str) -> Result<(), Missing> {
    tool(compiler)?;
    tool(emulator)?;
    let scratch = Scratch::new("foreign");
    let program = scratch.path().join("crash");
    let source = fixtures_directory().join("crash.c");
    let mut build = Command::new(compiler);
    build
        .args(["-O1", "-g", "-static", "-pthread", "-I"])
        .arg(fixtures_directory())
        .arg("-o")
        .arg(&program)
        .arg(source);
    if !build.output().unwrap().status.success() {
        return Err(Missing::new(format!("{compiler} makes no static programs")));
    }
    let mut emulated = Command::new("sh");
    emulated.args(["-c", "ulimit -c unlimited; exec \"$0\" \"$1\"", emulator]).arg(&program);
    let _ = Tool::finish(emulated.current_dir(scratch.path()));
    // qemu is a program itself, whose core the kernel writes.
    let is_guest = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "core");
    let mut paths = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path());
    let core = paths.find(is_guest).ok_or_else(|| Missing::new(format!("{emulator} writes no cores")))?;
    // Without its program, a core of qemu has no names: it leaves code out.
    let nameless = stack(&[], &core);
    assert!(nameless.warnings().iter().any(|warning| warning.contains("--exe")), "{nameless:?}");
    let exe = program.to_str().unwrap();
    let report = stack(&["--exe", exe], &core);
    assert!(report.warnings().iter().any(|warning| warning.contains("unverified")), "{report:?}");
    assert_eq!(report.value()["core"]["signal"]["name"], "SIGSEGV");
    let thread = report.threads()[0];
    thread.assert_calls(&["inner", "inner", "inner", "inner", "main"]);
    let printed =
        prospect().run(&["print", "--exe", exe, core.to_str().unwrap(), "--frame", "main", "global.weight"]);
    assert!(printed.text().contains("global.weight = 3.5"), "{printed:?}");
    if tool("gdb-multiarch").is_ok() {
        let mut gdb = Command::new("gdb-multiarch");
        gdb.args(["-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex", "bt", exe]).arg(&core);
        let gdb = Tool::finish(&mut gdb).text();
        // The innermost frame is at the beginning of a line, whose address gdb leaves out.
        let callers = gdb.lines().filter(|line| line.starts_with('#') && !line.starts_with("#0"));
        let callers: Vec<u64> = callers.filter_map(|line| Some(hex(line.split("0x").nth(1)?))).collect();
        let ours: Vec<u64> = thread.physical()[1..].iter().map(|frame| frame.pc()).collect();
        assert!(callers.len() >= 4 && ours.starts_with(&callers[..4]), "{ours:x?} {gdb}");
    }
    Ok(())
}

fn hex(text: &str) -> u64 {
    let digits = text.split(|letter: char| !letter.is_ascii_hexdigit()).next().unwrap();
    u64::from_str_radix(digits, 16).unwrap()
}

macro_rules! foreign_cores {
    ($($test:ident: $compiler:literal $emulator:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            require!(assert_foreign($compiler, $emulator));
        })*
    };
}

foreign_cores! {
    a_core_of_aarch64: "aarch64-linux-gnu-gcc" "qemu-aarch64",
    a_core_of_arm: "arm-linux-gnueabihf-gcc" "qemu-arm",
    a_core_of_ppc64le: "powerpc64le-linux-gnu-gcc" "qemu-ppc64le",
    a_core_of_ppc64: "powerpc64-linux-gnu-gcc" "qemu-ppc64",
    a_core_of_ppc: "powerpc-linux-gnu-gcc" "qemu-ppc",
    a_core_of_s390x: "s390x-linux-gnu-gcc" "qemu-s390x",
    a_core_of_riscv64: "riscv64-linux-gnu-gcc" "qemu-riscv64",
}

/// A core of qemu has neither code nor headers of libraries: they are where the dynamic linker has loaded them, and their files
/// below a directory that is named.
#[test]
fn libraries_of_a_core_without_headers() {
    let root = "/usr/aarch64-linux-gnu";
    require!(tool("aarch64-linux-gnu-gcc"));
    require!(tool("qemu-aarch64"));
    let scratch = Scratch::new("sysroot");
    let program = scratch.path().join("crash");
    let mut build = Command::new("aarch64-linux-gnu-gcc");
    build.args(["-O1", "-g", "-pthread", "-I"]).arg(fixtures_directory()).arg("-o").arg(&program);
    assert!(build.arg(fixtures_directory().join("crash.c")).output().unwrap().status.success());
    let mut emulated = Command::new("sh");
    emulated.args(["-c", "ulimit -c unlimited; exec qemu-aarch64 -L \"$0\" \"$1\"", root]).arg(&program);
    let _ = Tool::finish(emulated.current_dir(scratch.path()));
    let is_guest = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "core");
    let mut paths = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path());
    let core = require!(paths.find(is_guest).ok_or_else(|| Missing::new("qemu-aarch64 writes no cores")));
    let report = stack(&["--exe", program.to_str().unwrap(), "--sysroot", root], &core);
    report.threads()[0].assert_whole();
    let in_libc =
        |frame: &prospect_testing::Frame<'_>| frame.module().is_some_and(|path| path.ends_with("libc.so.6"));
    assert!(report.threads()[0].frames().iter().any(in_libc), "{report:?}");
    // A program of another layout is not taken.
    let other = require!(fixture("crash"));
    let report = stack(&["--exe", other.path().to_str().unwrap()], &core);
    assert!(report.warnings().iter().any(|warning| warning.contains("--exe")), "{report:?}");
}

/// A core that delve writes of a Go program: threads and goroutines.
#[test]
fn a_core_of_delve() {
    require!(tool("dlv"));
    let fixture = require!(fixture("goroutines"));
    let (scratch, running) = (Scratch::new("delve"), fixture.start(&[]));
    let (core, script) = (scratch.path().join("go.core"), scratch.path().join("script"));
    fs::write(&script, format!("dump {}\nquit -c\n", core.display())).unwrap();
    let mut dlv = Command::new("dlv");
    dlv.args(["attach", &running.arg(), "--allow-non-terminal-interactive=true", "--init"]).arg(&script);
    let outcome = Tool::finish(&mut dlv);
    assert!(core.exists(), "{outcome:?}");
    let report = stack(&["--goroutines"], &core);
    let main = report.value()["goroutines"]["all"].as_array().unwrap();
    assert!(main.iter().any(|one| one["id"] == 1 && one.to_string().contains("main.main")), "{report:?}");
}

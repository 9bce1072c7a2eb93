//! What is done to a program after it was linked: stripping, splitting and packing its debug information.

use std::{fs, io, path::Path, process::Command};

use crate::{catalogue::Step, compile::run};

/// The tools that a step needs.
pub(crate) fn tools(step: Step) -> &'static [&'static str] {
    match step {
        Step::Strip | Step::Zstd | Step::DebugLink | Step::WrongDebugLink | Step::BuildIdDirectory => {
            &["objcopy", "readelf"]
        }
        Step::MiniDebugInfo => &["objcopy", "nm", "xz"],
        Step::Package => &["llvm-dwp"],
        Step::PackageGnu => &["dwp"],
        Step::AltLink => &["dwz"],
    }
}

pub(crate) fn apply(step: Step, program: &Path) -> io::Result<()> {
    match step {
        Step::Strip => objcopy(program, &["--strip-all"]),
        Step::Zstd => objcopy(program, &["--compress-debug-sections=zstd"]),
        Step::MiniDebugInfo => mini_debug_info(program),
        Step::DebugLink => debug_link(program),
        Step::WrongDebugLink => {
            debug_link(program)?;
            // The padding in the ELF header: no reader looks at it, but the CRC does.
            let path = program.with_extension("debug");
            let mut bytes = fs::read(&path)?;
            bytes[15] ^= 1;
            fs::write(path, bytes)
        }
        Step::BuildIdDirectory => build_id_directory(program),
        Step::Package => package("llvm-dwp", program),
        Step::PackageGnu => package("dwp", program),
        Step::AltLink => {
            let directory = directory(program);
            fs::copy(program, directory.join("copy"))?;
            let mut dwz = Command::new("dwz");
            dwz.args(["-m", "alt.debug"]).arg(program).arg("copy");
            run(&mut dwz, directory)
        }
    }
}

fn directory(program: &Path) -> &Path {
    program.parent().unwrap_or(Path::new("."))
}

fn objcopy(program: &Path, args: &[&str]) -> io::Result<()> {
    run(Command::new("objcopy").args(args).arg(program), directory(program))
}

fn copy_to(program: &Path, args: &[&str], output: &Path) -> io::Result<()> {
    run(Command::new("objcopy").args(args).arg(program).arg(output), directory(program))
}

fn debug_link(program: &Path) -> io::Result<()> {
    let debug = program.with_extension("debug");
    copy_to(program, &["--only-keep-debug"], &debug)?;
    objcopy(program, &["--strip-all"])?;
    objcopy(program, &[&format!("--add-gnu-debuglink={}", debug.display())])
}

fn build_id_directory(program: &Path) -> io::Result<()> {
    let notes = Command::new("readelf").arg("-n").arg(program).output()?;
    let notes = String::from_utf8_lossy(&notes.stdout).into_owned();
    let id = notes
        .split("Build ID:")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .ok_or_else(|| io::Error::other("no build-id"))?;
    let (first, rest) = id.split_at(2);
    let home = directory(program).join("debug/.build-id").join(first);
    fs::create_dir_all(&home)?;
    copy_to(program, &["--only-keep-debug"], &home.join(format!("{rest}.debug")))?;
    objcopy(program, &["--strip-all"])
}

/// As distributions do it: the names of functions that the dynamic symbols lack, in a small ELF file, packed.
fn mini_debug_info(program: &Path) -> io::Result<()> {
    let names = |args: &[&str]| -> io::Result<Vec<String>> {
        let output = Command::new("nm").args(args).arg(program).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let functions = text.lines().filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let is_function = matches!(words.get(1), Some(&("T" | "t" | "D")));
            is_function.then(|| words.first().map(|name| (*name).to_owned())).flatten()
        });
        Ok(functions.collect())
    };
    let dynamic = names(&["-D", "--format=posix", "--defined-only"])?;
    let mut keep = names(&["--format=posix", "--defined-only"])?;
    keep.retain(|name| !dynamic.contains(name));
    let home = directory(program);
    let list = home.join("keep");
    fs::write(&list, keep.join("\n"))?;
    let (debug, mini) = (home.join("full.debug"), home.join("mini"));
    copy_to(program, &["--only-keep-debug"], &debug)?;
    let keep = format!("--keep-symbols={}", list.display());
    run(
        Command::new("objcopy")
            .args(["-S", "--remove-section=.gdb_index", "--remove-section=.comment"])
            .arg(keep)
            .arg(&debug)
            .arg(&mini),
        home,
    )?;
    run(Command::new("xz").arg("--force").arg(&mini), home)?;
    objcopy(program, &["--strip-all"])?;
    objcopy(program, &["--add-section", &format!(".gnu_debugdata={}", home.join("mini.xz").display())])?;
    for path in [list, debug, home.join("mini.xz")] {
        fs::remove_file(path)?;
    }
    Ok(())
}

fn package(tool: &str, program: &Path) -> io::Result<()> {
    let home = directory(program);
    let objects: Vec<_> = fs::read_dir(home)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "dwo"))
        .collect();
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    run(Command::new(tool).args(&objects).arg("-o").arg(home.join(format!("{name}.dwp"))), home)?;
    objects.iter().try_for_each(fs::remove_file)
}

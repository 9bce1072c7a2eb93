//! What the command keeps between runs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{fmt::Write as _, fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use prospect_testing::{Running, Scratch, Tool};

/// A program with packed debug information that is worth keeping.
fn program(directory: &Path) -> std::path::PathBuf {
    let mut source = String::from("#include <stdio.h>\n#include <unistd.h>\n");
    for number in 0..1500 {
        writeln!(source, "struct s{number} {{ int first{number}; char *second{number}; }};").unwrap();
        writeln!(source, "struct s{number} *v{number};").unwrap();
    }
    source +=
        "__attribute__((noinline)) int deep(void) { puts(\"READY\"); fflush(stdout); return pause(); }\n";
    source += "int main(void) { return deep() + 1; }\n";
    let (file, path) = (directory.join("program.c"), directory.join("program"));
    fs::write(&file, source).unwrap();
    let mut compiler = Command::new("gcc");
    compiler.args(["-g", "-O0", "-gz=zlib", "-Wl,--build-id", "-o"]).arg(&path).arg(&file);
    assert!(compiler.status().unwrap().success());
    path
}

fn stack(running: &Running, cache_home: &Path, more: &[&str]) {
    let pid = running.pid().to_string();
    let tool = Tool::at(env!("CARGO_BIN_EXE_prospect"));
    let mut command = tool.command(&["stack", "--json", &pid]);
    let outcome = Tool::finish(command.args(more).env("XDG_CACHE_HOME", cache_home));
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    assert!(outcome.stderr.is_empty(), "{outcome:?}");
    let text = outcome.text();
    let named = text.contains("\"deep\"") && text.contains("program.c");
    assert_eq!(named, !more.contains(&"--no-names"), "{text}");
}

#[test]
fn the_second_run_takes_what_the_first_one_unpacked() {
    let scratch = Scratch::new("cache");
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let running = Running::start(&mut Command::new(program(scratch.path())));
    let caches = scratch.path().join("caches");
    let kept = || -> Vec<_> {
        let files = fs::read_dir(caches.join("prospect/sections")).into_iter().flatten().flatten();
        let mut kept: Vec<_> =
            files.map(|file| (file.path(), file.metadata().unwrap().modified().unwrap())).collect();
        kept.sort();
        kept
    };
    stack(&running, &caches, &["--no-cache"]);
    stack(&running, &caches, &["--no-names"]);
    assert!(!caches.exists(), "nothing was to be kept");
    stack(&running, &caches, &[]);
    let first = kept();
    assert!(first.iter().any(|(path, _)| path.to_string_lossy().contains(".debug_info-")), "{first:?}");
    stack(&running, &caches, &[]);
    assert_eq!(kept(), first, "nothing new was unpacked");
    // What an index knows is not asked of the sections any more.
    assert!(fs::read_dir(caches.join("prospect/index")).unwrap().next().is_some());
    fs::remove_dir_all(caches.join("prospect/index")).unwrap();
    for (path, _) in &first {
        fs::write(path, b"broken").unwrap();
    }
    stack(&running, &caches, &[]);
    assert!(kept().iter().all(|(path, _)| fs::metadata(path).unwrap().len() > 1000));
    // Where there can be no cache, all goes on without.
    stack(&running, Path::new("/dev/null"), &[]);
}

//! What a test needs of the machine, declared, so that a skipped test is listed and never looks like a passed one.

use std::{
    env,
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::Command,
    sync::LazyLock,
};

/// Something that the machine lacks.
#[derive(Clone, Debug)]
pub struct Missing(String);

impl Missing {
    /// Lacking what the sentence says.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value of a requirement (`Result<T, Missing>`); where it is missing, the test is listed as skipped and ends.
///
/// ```no_run
/// # use prospect_testing::{fixture, require, tool};
/// fn a_test() {
///     require!(tool("gdb"));
///     let deep = require!(fixture("deep"));
/// #   let _ = deep;
/// }
/// ```
#[macro_export]
macro_rules! require {
    ($requirement:expr) => {
        match $requirement {
            Ok(value) => value,
            Err(missing) => {
                $crate::note_skipped(module_path!(), &missing);
                return;
            }
        }
    };
}

/// A program on the search path.
///
/// # Errors
/// When it is not there.
pub fn tool(name: &str) -> Result<(), Missing> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut homes = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = homes.any(|home| {
        fs::metadata(home.join(name))
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    });
    if found { Ok(()) } else { Err(Missing::new(format!("{name} is not installed"))) }
}

/// To be root.
///
/// # Errors
/// When the test runs as someone else.
pub fn root() -> Result<(), Missing> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if is_root { Ok(()) } else { Err(Missing::new("the test does not run as root")) }
}

/// A compiler, a C library and a kernel for 32-bit x86.
///
/// # Errors
/// When a program of that kind cannot be built and run.
pub fn supports_32_bit() -> Result<(), Missing> {
    static RESULT: LazyLock<Result<(), Missing>> = LazyLock::new(|| {
        let scratch = crate::Scratch::new("bits");
        let (source, program) = (scratch.path().join("one.c"), scratch.path().join("one"));
        let built = fs::write(&source, "#include <stdio.h>\nint main(void) { return 0; }\n").is_ok()
            && Command::new("gcc")
                .arg("-m32")
                .arg("-o")
                .arg(&program)
                .arg(&source)
                .output()
                .is_ok_and(|o| o.status.success());
        if !built {
            return Err(Missing::new("gcc -m32 does not work here"));
        }
        let ran = Command::new(&program).status().is_ok_and(|status| status.success());
        if ran { Ok(()) } else { Err(Missing::new("the kernel runs no 32-bit programs")) }
    });
    RESULT.clone()
}

/// Lists the running test as skipped: in the file that `PROSPECT_SKIP_LIST` names, else on standard error.
pub fn note_skipped(module: &str, missing: &Missing) {
    let thread = std::thread::current();
    let line = format!("{module}::{}: {missing}\n", thread.name().unwrap_or("?"));
    let listed = env::var_os("PROSPECT_SKIP_LIST").is_some_and(|path| {
        // One write call to a file opened for appending: lines of several processes do not mix.
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .is_ok_and(|mut file| file.write_all(line.as_bytes()).is_ok())
    });
    if !listed {
        let _ = std::io::stderr().write_all(format!("SKIPPED {line}").as_bytes());
    }
}

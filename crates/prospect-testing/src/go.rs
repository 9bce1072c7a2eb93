//! Go programs by every release of Go that is here.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{Mutex, PoisonError},
};

use crate::{
    compile::{fixtures_directory, run, target_directory},
    require::{Missing, tool},
};

/// More releases of Go: their directories (`GOROOT`), with colons between them.
const MORE: &str = "PROSPECT_GO_ROOTS";

static ONE: Mutex<()> = Mutex::new(());

/// One release of Go.
#[derive(Clone, Debug)]
pub struct GoToolchain {
    program: PathBuf,
    root: Option<PathBuf>,
    /// What it says that it is: `go1.22.10`.
    pub release: String,
}

/// How a Go program is built.
#[derive(Clone, Copy, Debug, Default)]
pub struct GoBuild {
    /// Without symbols and debug information.
    pub stripped: bool,
    /// So that it can be loaded anywhere.
    pub pie: bool,
    /// For 32-bit x86.
    pub i386: bool,
    /// With code in C, linked by the C compiler.
    pub cgo: bool,
}

/// The Go on the search path, and those whose directories `PROSPECT_GO_ROOTS` names.
///
/// # Errors
/// When there is none.
pub fn go_toolchains() -> Result<Vec<GoToolchain>, Missing> {
    let on_path = tool("go").map(|()| (PathBuf::from("go"), None));
    let more = env::var_os(MORE).unwrap_or_default();
    let more = env::split_paths(&more).map(|root| (root.join("bin/go"), Some(root)));
    let all: Vec<GoToolchain> =
        on_path.iter().cloned().chain(more).filter_map(|(program, root)| toolchain(program, root)).collect();
    if all.is_empty() { Err(Missing::new("go is not installed")) } else { Ok(all) }
}

fn toolchain(program: PathBuf, root: Option<PathBuf>) -> Option<GoToolchain> {
    let mut one = GoToolchain { program, root, release: String::new() };
    let output = one.command().args(["env", "GOVERSION"]).output().ok()?;
    one.release = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!one.release.is_empty()).then_some(one)
}

impl GoToolchain {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("GOTOOLCHAIN", "local")
            .env("GO111MODULE", "off")
            .env_remove("GOFLAGS")
            .env_remove("GOROOT");
        if let Some(root) = &self.root {
            command.env("GOROOT", root);
        }
        command
    }

    /// A program of one source, built now if it was not built before.
    ///
    /// # Panics
    /// When it does not compile.
    #[must_use]
    pub fn build(&self, source: &str, how: GoBuild) -> PathBuf {
        let directory = target_directory().join("fixtures").join("go");
        let source = fixtures_directory().join(source);
        let text = fs::read(&source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
        let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
        let stem = source.file_stem().unwrap_or_default().to_string_lossy();
        let GoBuild { stripped, pie, i386, cgo } = how;
        let name = format!(
            "{stem}-{}{}{}{}{}-{hash:016x}",
            self.release,
            if stripped { "-stripped" } else { "" },
            if pie { "-pie" } else { "" },
            if i386 { "-386" } else { "" },
            if cgo { "-cgo" } else { "" },
        );
        let path = directory.join(name);
        // The cache of the compiler serves one after the other better.
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        if !path.exists() {
            // Making it under another name first is atomic for others that want it too.
            let made = path.with_extension(process::id().to_string());
            self.make(&source, how, &directory, &made)
                .and_then(|()| fs::rename(&made, &path))
                .unwrap_or_else(|error| panic!("cannot build {}: {error}", path.display()));
        }
        path
    }

    fn make(&self, source: &Path, how: GoBuild, directory: &Path, output: &Path) -> std::io::Result<()> {
        fs::create_dir_all(directory)?;
        let mut command = self.command();
        command.env("GOCACHE", directory.join("cache")).env("CGO_ENABLED", if how.cgo { "1" } else { "0" });
        command.env("GOARCH", if how.i386 { "386" } else { "amd64" });
        command.arg("build").arg("-trimpath");
        if how.pie {
            command.arg("-buildmode=pie");
        }
        if how.stripped {
            command.arg("-ldflags=-s -w");
        }
        command.arg("-o").arg(output).arg(source);
        run(&mut command, directory)
    }
}

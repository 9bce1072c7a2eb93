//! Compiling fixture programs when they are first asked for.
//!
//! A program is built in a directory of its own that stays where it was made (debug information names it),
//! and is published by a symbolic link whose name carries a hash of everything that went in. Making a link is
//! atomic, so tests and processes may build the same fixture at once: one of them wins.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::{Arc, LazyLock, Mutex, OnceLock},
};

use crate::{
    catalogue::{CATALOGUE, Compiler, Recipe},
    require::{Missing, tool},
    running::Running,
    steps,
    tool::Tool,
};

/// A program that was built for tests.
#[derive(Clone, Debug)]
pub struct Fixture {
    recipe: &'static Recipe,
    directory: PathBuf,
}

type Slot = Arc<OnceLock<Result<Fixture, Missing>>>;
static BUILT: LazyLock<Mutex<HashMap<&'static str, Slot>>> = LazyLock::new(Mutex::default);

/// The fixture of this name, built now if it was not built before.
///
/// # Errors
/// When a tool that it is made with is missing.
///
/// # Panics
/// When there is no such fixture, or it does not compile.
pub fn fixture(name: &str) -> Result<Fixture, Missing> {
    let recipe = CATALOGUE
        .iter()
        .find(|recipe| recipe.name == name)
        .unwrap_or_else(|| panic!("no fixture is called {name}"));
    let slot = {
        let mut built = BUILT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Arc::clone(built.entry(recipe.name).or_default())
    };
    slot.get_or_init(|| build(recipe)).clone()
}

/// The directory of the sources.
#[must_use]
pub fn fixtures_directory() -> PathBuf {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    home.ancestors().nth(2).unwrap_or(home).join("fixtures")
}

impl Recipe {
    /// The program of this recipe, whether it is in the catalogue or not: built now if it was not built before.
    ///
    /// # Errors
    /// When a tool that it is made with is missing.
    ///
    /// # Panics
    /// When it does not compile.
    pub fn fixture(&'static self) -> Result<Fixture, Missing> {
        build(self)
    }
}

impl Fixture {
    /// The program.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.join(self.recipe.name)
    }

    /// The directory of the program and of all that was made with it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How it was made.
    #[must_use]
    pub fn recipe(&self) -> &'static Recipe {
        self.recipe
    }

    /// The address of a symbol, as the file says it (`nm`).
    ///
    /// # Panics
    /// When it has none of that name.
    #[must_use]
    pub fn symbol(&self, name: &str) -> u64 {
        let said = Tool::finish(Command::new("nm").arg(self.path())).text();
        let mut lines = said.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let address = lines.find_map(|line| match line[..] {
            [address, _, symbol] if symbol == name => u64::from_str_radix(address, 16).ok(),
            _ => None,
        });
        address.unwrap_or_else(|| panic!("{} has no symbol {name}", self.path().display()))
    }

    /// A command that runs it.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.path());
        command.args(args);
        command
    }

    /// Starts it and waits until it says that it is ready.
    #[must_use]
    pub fn start(&self, args: &[&str]) -> Running {
        Running::start(&mut self.command(args))
    }

    /// The line of its source that carries `mark: MARK`.
    #[must_use]
    pub fn line_of(&self, mark: &str) -> u64 {
        let path = fixtures_directory().join(self.recipe.source);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let is_marked = |line: &str| {
            line.split_once("mark: ").is_some_and(|(_, rest)| rest.split_whitespace().next() == Some(mark))
        };
        let index = text.lines().position(is_marked);
        index.unwrap_or_else(|| panic!("{} has no mark {mark}", path.display())) as u64 + 1
    }
}

fn build(recipe: &'static Recipe) -> Result<Fixture, Missing> {
    let published =
        target_directory().join("fixtures").join(format!("{}-{:016x}", recipe.name, hash(recipe)));
    if let Ok(directory) = fs::canonicalize(&published) {
        return Ok(Fixture { recipe, directory });
    }
    tool(compiler(recipe.compiler))?;
    if let Some(step) = recipe.step {
        for name in steps::tools(step) {
            tool(name)?;
        }
    }
    if recipe.flags.contains(&"-m32") {
        crate::require::supports_32_bit()?;
    }
    let directory = published.with_extension(process::id().to_string());
    make(recipe, &directory)
        .unwrap_or_else(|error| panic!("cannot build {} in {}: {error}", recipe.name, directory.display()));
    if std::os::unix::fs::symlink(&directory, &published).is_err() {
        // Another process was faster, or left a link to a directory that is gone.
        match fs::canonicalize(&published) {
            Ok(theirs) => {
                let _ = fs::remove_dir_all(&directory);
                return Ok(Fixture { recipe, directory: theirs });
            }
            Err(_) => {
                let _ = fs::remove_file(&published);
                let _ = std::os::unix::fs::symlink(&directory, &published);
            }
        }
    }
    let directory = fs::canonicalize(&directory).unwrap_or(directory);
    Ok(Fixture { recipe, directory })
}

fn make(recipe: &Recipe, directory: &Path) -> io::Result<()> {
    let _ = fs::remove_dir_all(directory);
    fs::create_dir_all(directory)?;
    let directory = &fs::canonicalize(directory)?;
    for library in recipe.libraries {
        let output =
            format!("lib{}.so", Path::new(library).file_stem().unwrap_or_default().to_string_lossy());
        // A library has the C library of its program.
        let of_musl = matches!(recipe.compiler, Compiler::MuslGcc);
        let mut command = Command::new(compiler(if of_musl { Compiler::MuslGcc } else { Compiler::Gcc }));
        command.args(["-O2", "-g", "-fPIC", "-shared", "-I"]).arg(fixtures_directory());
        command.arg("-o").arg(directory.join(output)).arg(source(library)?);
        run(&mut command, directory)?;
    }
    let mut command = Command::new(compiler(recipe.compiler));
    let output = directory.join(recipe.name);
    match recipe.compiler {
        Compiler::Rustc => {
            command.args(["--edition", "2024", "--crate-name", "fixture"]).args(recipe.flags);
            command.arg("-o").arg(&output).arg(source(recipe.source)?);
        }
        Compiler::Go => {
            command.env("GO111MODULE", "off").env("GOCACHE", directory.join("go-cache"));
            command.arg("build").args(recipe.flags).arg("-o").arg(&output).arg(source(recipe.source)?);
        }
        Compiler::Gcc
        | Compiler::Gxx
        | Compiler::Clang
        | Compiler::Clangxx
        | Compiler::MuslGcc
        | Compiler::Aarch64Gcc => {
            // Compiling and linking apart keeps .dwo files under names of our own.
            let object = directory.join("fixture.o");
            command.args(recipe.flags.iter().filter(|flag| !flag.starts_with("-Wl,")));
            if recipe.flags.contains(&"-m32") {
                // Where Debian keeps <asm/…> without gcc-multilib, which removes every cross compiler.
                command.args(["-idirafter", "/usr/include/x86_64-linux-gnu"]);
            }
            command.args(["-pthread", "-I"]).arg(fixtures_directory());
            command.arg("-c").arg("-o").arg(&object).arg(source(recipe.source)?);
            run(&mut command, directory)?;
            command = Command::new(compiler(recipe.compiler));
            command
                .args(recipe.flags)
                .arg("-pthread")
                .arg("-o")
                .arg(&output)
                .arg(&object)
                .args(["-ldl", "-lm"]);
        }
    }
    run(&mut command, directory)?;
    let _ = fs::remove_dir_all(directory.join("go-cache"));
    let _ = fs::remove_file(directory.join("fixture.o"));
    recipe.step.map_or(Ok(()), |step| steps::apply(step, &output))
}

fn source(name: &str) -> io::Result<PathBuf> {
    fs::canonicalize(fixtures_directory().join(name))
}

fn compiler(compiler: Compiler) -> &'static str {
    match compiler {
        Compiler::Gcc => "gcc",
        Compiler::Gxx => "g++",
        Compiler::Clang => "clang",
        Compiler::Clangxx => "clang++",
        Compiler::MuslGcc => "musl-gcc",
        Compiler::Aarch64Gcc => "aarch64-linux-gnu-gcc",
        Compiler::Rustc => "rustc",
        Compiler::Go => "go",
    }
}

/// Runs one tool; what it prints becomes the error when it fails.
pub(crate) fn run(command: &mut Command, directory: &Path) -> io::Result<()> {
    let output = command.current_dir(directory).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!("{command:?}: {}\n{said}", output.status)))
}

/// FNV-1a over the recipe, its sources and the headers.
fn hash(recipe: &Recipe) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut mix = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    };
    mix(format!("{recipe:?}").as_bytes());
    let headers = ["fixture.h", "checksum.h", "bench/gap.h"];
    for name in [recipe.source].into_iter().chain(recipe.libraries.iter().copied()).chain(headers) {
        mix(&fs::read(fixtures_directory().join(name)).unwrap_or_default());
    }
    hash
}

/// Cargo's target directory: the one above this program that carries its tag.
pub(crate) fn target_directory() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program
        .ancestors()
        .find(|directory| directory.join("CACHEDIR.TAG").exists())
        .map_or_else(|| std::env::temp_dir().join("prospect-target"), Path::to_path_buf)
}

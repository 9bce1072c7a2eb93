//! From a source to a session.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use prospect_dump::{UnpackError, UnpackProgress, elf_core::CoreError, minidump::MinidumpError};
use prospect_live::{Freeze, LiveError, LiveProcess};
use prospect_process::{FreezePlan, Modules, ProcessId};
use prospect_symbols::{Binaries, SearchOptions, SymbolReaders};

use crate::{
    GoroutinesError, LaunchError, Launched, Session,
    core_files::{FilesOfDump, linked_where_files_say, minidump_over_files, over_files},
    dump_source::{self, Dump, UnpackListener},
    goroutines::{GoRuntime, RawGoroutines},
    memo::Memo,
    session::View,
    type_memo::TypeMemo,
    walk::WalkOptions,
};

/// What can be opened.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Source {
    /// A process of this machine.
    Process(ProcessId),
    /// An ELF core: this file. It may be compressed with zstd, xz, lz4 or gzip; it is unpacked then into a file without a name
    /// in the directory for temporary files.
    Core(PathBuf),
    /// A minidump: this file, which may be compressed as a core may. What a file is, its first bytes say: it is read as what it
    /// is also where it is given as the other.
    Minidump(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(id) => write!(f, "process {id}"),
            Self::Core(path) => write!(f, "core {}", path.display()),
            Self::Minidump(path) => write!(f, "minidump {}", path.display()),
        }
    }
}

impl From<u32> for Source {
    fn from(pid: u32) -> Self {
        Self::Process(ProcessId(pid))
    }
}

impl From<ProcessId> for Source {
    fn from(pid: ProcessId) -> Self {
        Self::Process(pid)
    }
}

/// How a live process is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// Stop it for a moment, copy registers and stacks, let it go on, and read the copy. Of this program itself
    /// nothing is stopped: each thread is [asked with a signal](prospect_live::own::OwnProcess).
    #[default]
    Freeze,
    /// Keep it stopped for as long as the session lives. This program itself cannot be.
    Hold,
    /// Do not stop it: each thread is seen at another moment, and running ones not at all.
    NoStop,
}

impl Mode {
    /// The word for it in output; part of the JSON schema.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Hold => "hold",
            Self::NoStop => "no-stop",
        }
    }
}

/// Why something cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A live process cannot be looked at.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// A core cannot be read.
    #[error("{}: {error}", path.display())]
    Core {
        /// The file.
        path: PathBuf,
        /// Why.
        error: CoreError,
    },
    /// A minidump cannot be read.
    #[error("{}: {error}", path.display())]
    Minidump {
        /// The file.
        path: PathBuf,
        /// Why.
        error: MinidumpError,
    },
    /// A compressed dump cannot be unpacked.
    #[error("{}: {error}", path.display())]
    Unpack {
        /// The file.
        path: PathBuf,
        /// Why.
        error: UnpackError,
    },
    /// A command cannot be started, or ended too soon.
    #[error(transparent)]
    Launch(#[from] LaunchError),
}

/// At most so many bytes of the stacks of goroutines are copied, unless there are very many.
const GOROUTINE_BYTES: usize = 256 << 20;

/// How to open.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    mode: Mode,
    timeout: Duration,
    walk: WalkOptions,
    plan: FreezePlan,
    goroutines: bool,
    search: SearchOptions,
    symbols: SymbolReaders,
    unpacking: Option<UnpackListener>,
    left_out: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            timeout: Duration::from_secs(5),
            walk: WalkOptions::default(),
            plan: FreezePlan::stacks(),
            goroutines: false,
            search: SearchOptions::default(),
            symbols: SymbolReaders::standard(),
            unpacking: None,
            left_out: true,
        }
    }
}

impl OpenOptions {
    /// Freeze, five seconds, at most 10,000 frames a thread, names from the places that distributions use.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How a live process is looked at.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// How long threads are waited for. What has not stopped by then is reported.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The most frames of a stack.
    #[must_use]
    pub fn frame_limit(mut self, frames: usize) -> Self {
        self.walk.frame_limit = frames;
        self
    }

    /// Whether stacks [say](prospect_stack::Stack::explanations) how each frame was found, and why the steppers
    /// that were asked before did not find it.
    #[must_use]
    pub fn explain(mut self, explain: bool) -> Self {
        self.walk.explain = explain;
        self
    }

    /// What a freeze copies.
    #[must_use]
    pub fn plan(mut self, plan: FreezePlan) -> Self {
        self.plan = plan;
        self
    }

    /// Whether floating point and vector registers are copied too: variables can be in them.
    #[must_use]
    pub fn register_sets(mut self, copied: bool) -> Self {
        self.plan.register_sets = copied;
        self
    }

    /// Where files are looked for: all of it at once, instead of what was said so far.
    #[must_use]
    pub fn search(mut self, search: SearchOptions) -> Self {
        self.search = search;
        self
    }

    /// Whether memory that a dump left out is read from the files that were mapped; it is where nothing is said.
    #[must_use]
    pub fn left_out(mut self, is_read: bool) -> Self {
        self.left_out = is_read;
        self
    }

    /// Whether a freeze copies the goroutines of a Go program and their stacks too, so that [`Session::goroutines`] has
    /// them as they were then. The process is held longer for that, by milliseconds for 10,000 of them.
    #[must_use]
    pub fn goroutines(mut self, goroutines: bool) -> Self {
        self.goroutines = goroutines;
        self
    }

    /// Whether symbols and debug information are read. Without, only unwind information is.
    #[must_use]
    pub fn names(mut self, names: bool) -> Self {
        self.search.names = names;
        self
    }

    /// Who is asked for names, instead of the [standard](SymbolReaders::standard) readers; or those with a reader of one's
    /// own [before](SymbolReaders::first) or [behind](SymbolReaders::then) them.
    #[must_use]
    pub fn symbols(mut self, readers: SymbolReaders) -> Self {
        self.symbols = readers;
        self
    }

    /// Is told again and again how far the unpacking of a compressed dump has come.
    #[must_use]
    pub fn unpacking(mut self, listener: impl Fn(UnpackProgress) + Send + Sync + 'static) -> Self {
        self.unpacking = Some(UnpackListener(Arc::new(listener)));
        self
    }

    /// A file to take for the executable.
    #[must_use]
    pub fn executable(mut self, path: impl Into<PathBuf>) -> Self {
        self.search.executable = Some(path.into());
        self
    }

    /// A directory that holds the process's files under the paths that it knows them by.
    #[must_use]
    pub fn sysroot(mut self, path: impl Into<PathBuf>) -> Self {
        self.search.sysroot = Some(path.into());
        self
    }

    /// One more directory with separate debug files, looked at before the usual ones.
    #[must_use]
    pub fn debug_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.search.debug_directories.insert(0, path.into());
        self
    }

    /// One more directory with symbol files of Breakpad, laid out as on a symbol server (`NAME/BUILD/NAME.sym`).
    #[must_use]
    pub fn symbol_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.search.symbol_directories.push(path.into());
        self
    }

    /// A directory to keep unpacked debug information in between runs, and to take it from; without one,
    /// nothing is kept. See [`cache_directory`](prospect_symbols::cache_directory) and
    /// [`Binaries::store`].
    #[must_use]
    pub fn cache(mut self, directory: impl Into<PathBuf>) -> Self {
        self.search.cache = Some(directory.into());
        self
    }

    /// Opens a source.
    ///
    /// # Errors
    /// When there is no such thing, or the system does not let us look at it.
    pub fn open(&self, source: impl Into<Source>) -> Result<Session, OpenError> {
        self.open_with(&source.into(), &self.binaries())
    }

    fn open_with(&self, source: &Source, binaries: &Arc<Binaries>) -> Result<Session, OpenError> {
        match source {
            Source::Process(id) => self.look(&LiveProcess::open(*id)?, binaries, &Arc::default()),
            Source::Core(path) | Source::Minidump(path) => self.read_dump(path, binaries),
        }
    }

    fn read_dump(&self, path: &Path, binaries: &Arc<Binaries>) -> Result<Session, OpenError> {
        let view = match dump_source::open(path, self.unpacking.as_ref())? {
            Dump::Core(core) if self.left_out => {
                let (core, files) = over_files(*core, &self.search);
                View::Core(Box::new(core), files)
            }
            Dump::Core(core) => View::Core(core, FilesOfDump::default()),
            Dump::Minidump(dump) => {
                let dump = linked_where_files_say(*dump, &self.search);
                let (dump, files) = match self.left_out {
                    true => minidump_over_files(dump, &self.search),
                    false => (dump, FilesOfDump::default()),
                };
                View::Minidump(Box::new(dump), files)
            }
        };
        Ok(self.session(view, None, binaries, &Arc::default()))
    }

    /// Opens several sources, one after the other, each when the iterator comes to it: one that cannot be opened does not
    /// keep the others from being. Files that several of them have mapped are read once.
    pub fn open_all<S: Into<Source>>(
        &self,
        sources: impl IntoIterator<Item = S>,
    ) -> impl Iterator<Item = (Source, Result<Session, OpenError>)> {
        let binaries = self.binaries();
        sources.into_iter().map(move |source| {
            let source: Source = source.into();
            let session = self.open_with(&source, &binaries);
            (source, session)
        })
    }

    /// Starts a command, lets it run for so long, and opens it. It is ended when the session is closed or dropped, unless
    /// it is [kept](Session::keep_launched).
    ///
    /// # Errors
    /// When it cannot be started, has ended by then, or the system does not let us look at it.
    pub fn launch(&self, command: &mut Command, run_for: Duration) -> Result<Session, OpenError> {
        let launched = Launched::start(command, run_for)?;
        let mut session = self.open(launched.id())?;
        session.launched = Some(launched);
        Ok(session)
    }

    /// A cache of files that looks where this says.
    pub(crate) fn binaries(&self) -> Arc<Binaries> {
        Arc::new(Binaries::new(self.search.clone()))
    }

    /// Looks at a process as it is now.
    pub(crate) fn look(
        &self,
        live: &LiveProcess,
        binaries: &Arc<Binaries>,
        memo: &Arc<Memo>,
    ) -> Result<Session, OpenError> {
        let mut goroutines = None;
        let (view, pause) = match self.mode {
            Mode::Freeze if self.goroutines => {
                // All that can be known before it is stopped.
                let runtime = go_runtime(live, binaries)?;
                let Freeze { process, pause } = live.freeze_with(&self.plan, self.timeout, |process| {
                    let found = runtime.map(|runtime| {
                        let raw = RawGoroutines::read(&runtime, process.memory());
                        (runtime, raw)
                    });
                    let stacks =
                        found.as_ref().map_or_else(|_| Vec::new(), |(_, raw)| raw.stacks(GOROUTINE_BYTES));
                    goroutines = Some(found);
                    stacks
                })?;
                (View::Frozen(Box::new(process)), pause)
            }
            Mode::Freeze => {
                let Freeze { process, pause } = live.freeze(&self.plan, self.timeout)?;
                (View::Frozen(Box::new(process)), pause)
            }
            Mode::Hold => {
                let held = if self.plan.register_sets {
                    live.stop_with_register_sets(self.timeout)?
                } else {
                    live.stop(self.timeout)?
                };
                (View::Held(held), None)
            }
            Mode::NoStop => (View::Frozen(Box::new(live.glance(&self.plan)?)), None),
        };
        let session = self.session(view, Some(self.mode), binaries, memo);
        Ok(Session { pause, goroutines, ..session })
    }

    pub(crate) fn session(
        &self,
        view: View,
        mode: Option<Mode>,
        binaries: &Arc<Binaries>,
        memo: &Arc<Memo>,
    ) -> Session {
        Session {
            view,
            mode,
            pause: None,
            binaries: binaries.clone(),
            symbols: self.symbols.clone(),
            walk: self.walk,
            memo: memo.clone(),
            types: TypeMemo::default(),
            goroutines: None,
            launched: None,
        }
    }
}

/// Where the goroutines of a process are that runs. Its list may grow while it is sought.
fn go_runtime(
    live: &LiveProcess,
    binaries: &Binaries,
) -> Result<Result<GoRuntime, GoroutinesError>, OpenError> {
    let mappings = live.mappings()?;
    let info = live.info();
    let modules = Modules::find(&mappings, live.memory(), info.executable.as_deref());
    let find = || GoRuntime::find(info, &modules, live.memory(), binaries);
    Ok(find().or_else(|_| find()))
}

/// Opens a source as [`OpenOptions::default`] says.
///
/// # Errors
/// When there is no such thing, or the system does not let us look at it.
pub fn open(source: impl Into<Source>) -> Result<Session, OpenError> {
    OpenOptions::new().open(source)
}

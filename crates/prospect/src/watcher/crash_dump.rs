//! Makes the dump of a process that crashes.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use prospect_dump::{
    elf_core::{self, SparseFile, WriteError, WriteOptions},
    minidump::{CrashContext, Options},
};
use prospect_live::{LiveError, LiveProcess, procfs};
use prospect_process::{Addr, ProcessInfo, RegisterSet, RegisterSets, Registers, SignalInfo, ThreadId};
use prospect_stack::signal_context;

use super::{CrashRequest, crashed::Crashed, file_name};
use crate::{
    dump_live::{DumpError, DumpMode, DumpPlan, keep_still},
    minidump_live,
    signal_frame::extended_state,
};

/// What a dump of a crash is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum CrashDumpFormat {
    /// A minidump: stacks, registers, and what crash reports need.
    #[default]
    Minidump,
    /// An ELF core, of the memory that the process's own filter selects.
    Core,
}

impl CrashDumpFormat {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minidump => "minidump",
            Self::Core => "core",
        }
    }
}

/// How dumps of crashes are made, and where.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CrashDumpOptions {
    /// The directory that they are written to. It has to be there.
    pub directory: PathBuf,
    /// Their names, made as those of cores. See [`with_name`](Self::with_name).
    pub name: Option<String>,
    /// What they are.
    pub format: CrashDumpFormat,
    /// How long one is at most, in bytes of the file for a minidump, and of memory for a core.
    pub limit: Option<u64>,
    /// Whether values are replaced on stacks, in a minidump: see [`Options::sanitize_stack`].
    pub sanitize: bool,
    /// How long threads are waited for that do not stop.
    pub timeout: Duration,
}

impl CrashDumpOptions {
    /// Minidumps in a directory.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            name: None,
            format: CrashDumpFormat::default(),
            limit: None,
            sanitize: false,
            timeout: Duration::from_secs(2),
        }
    }

    /// The same with another format.
    #[must_use]
    pub fn with_format(mut self, format: CrashDumpFormat) -> Self {
        self.format = format;
        self
    }

    /// The same with other names: `%p` becomes the process, `%i` the thread, `%e` the process's short name, `%s` the
    /// signal's number, `%t` the time in seconds since 1970, `%u` the user (`man 5 core`). Without it, `%e.%p.%t.dmp`,
    /// or `core.%e.%p.%t`. Where a file of the name is there, a number is added.
    #[must_use]
    pub fn with_name(mut self, name: Option<String>) -> Self {
        self.name = name;
        self
    }

    /// The same with a limit: of the file for a minidump, of the memory in it for a core.
    #[must_use]
    pub fn with_limit(mut self, bytes: Option<u64>) -> Self {
        self.limit = bytes;
        self
    }

    /// The same with values on stacks replaced, or not.
    #[must_use]
    pub fn with_sanitized_stacks(mut self, sanitize: bool) -> Self {
        self.sanitize = sanitize;
        self
    }

    /// The same with another time for threads to stop.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// A dump that was made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CrashDump {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub format: CrashDumpFormat,
    /// How long the file is, with its holes.
    pub bytes: u64,
    /// Whose it is.
    pub process: ProcessInfo,
    /// The thread that crashed, or asked.
    pub thread: ThreadId,
    /// Its signal; `None` when it asked.
    pub signal: Option<SignalInfo>,
    /// For how long the process was held.
    pub pause: Option<Duration>,
    /// What is missing, a sentence each.
    pub warnings: Vec<String>,
}

/// Why there is no dump.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CrashDumpError {
    /// There were too many of its user.
    #[error("too many dumps of user {user}")]
    TooMany {
        /// Which.
        user: u32,
    },
    /// It has ended.
    #[error("the process has ended")]
    Ended,
    /// It is not what it says: the thread is none of its own, or the process another user's.
    #[error("the request is not true: {0}")]
    Untrue(&'static str),
    /// It could not be dumped.
    #[error(transparent)]
    Dump(#[from] DumpError),
    /// There is no place for the dump.
    #[error("{}: {source}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl From<LiveError> for CrashDumpError {
    fn from(error: LiveError) -> Self {
        Self::Dump(error.into())
    }
}

pub(super) fn make(request: &CrashRequest, options: &CrashDumpOptions) -> Result<CrashDump, CrashDumpError> {
    if request.refused {
        return Err(CrashDumpError::TooMany { user: request.user });
    }
    let live = LiveProcess::open(request.process)?;
    let status = procfs::process_status(request.process).map_err(LiveError::from)?;
    // As long as the client is there, the number is its own.
    if request.has_gone() {
        return Err(CrashDumpError::Ended);
    }
    if status.users.first() != Some(&request.user) {
        return Err(CrashDumpError::Untrue("its user is another"));
    }
    let thread = thread_of(&live, request.thread, status.namespace_ids.len() > 1)?;
    let crash = Interrupted::read(&live, request);

    let default_name = match options.format {
        CrashDumpFormat::Minidump => "%e.%p.%t.dmp",
        CrashDumpFormat::Core => "core.%e.%p.%t",
    };
    let template = options.name.as_deref().unwrap_or(default_name);
    let name = file_name::fill_in(template, request, &live.info().name);
    let file = Unfinished::create(&options.directory, name)?;
    let mut output = file.file.try_clone().and_then(SparseFile::new).map_err(|error| file.error(error))?;
    let plan = DumpPlan::new().with_timeout(options.timeout);
    let (process, pause, mut warnings) = match options.format {
        CrashDumpFormat::Minidump => {
            let mut context = CrashContext::new(thread);
            context.signal = crash.signal.clone();
            if let Some(registers) = crash.registers {
                context = context.with_registers(registers, crash.sets);
            }
            let wanted = Options::new()
                .crash_context(Some(&context))
                .minidump_size_limit(options.limit)
                .sanitize_stack(options.sanitize);
            let dumped = minidump_live(&live, &plan, wanted, &mut output)?;
            let missing = dumped.written.soft_errors.iter().map(ToString::to_string).collect();
            (dumped.process, dumped.pause, missing)
        }
        CrashDumpFormat::Core => {
            let info = crash.signal.as_ref().map(|_| request.request.signal_info.as_slice());
            let number = u8::try_from(request.signal()).unwrap_or(0);
            // It stands still anyway: it waits for us. A child of it would take the memory twice.
            let plan = plan.with_mode(Some(DumpMode::Stop));
            let dumped = keep_still(&live, &plan, options.limit, |process, _| {
                let process = Crashed::new(
                    process,
                    thread,
                    info.map(|info| (number, info)),
                    crash.registers,
                    &crash.sets,
                );
                elf_core::write(&process, &WriteOptions::new().limit(options.limit), &mut output)
            })?;
            (dumped.process, dumped.pause, Vec::new())
        }
    };
    if crash.registers.is_none() && crash.signal.is_some() {
        warnings.push(
            "the registers of the crash could not be read; they are those of its signal handler".into(),
        );
    }
    drop(output);
    let (path, bytes) = file.finish()?;
    let (format, signal) = (options.format, crash.signal);
    Ok(CrashDump { path, format, bytes, process, thread, signal, pause, warnings })
}

/// The thread that a process means by a number of its own namespace.
fn thread_of(live: &LiveProcess, wanted: ThreadId, is_inner: bool) -> Result<ThreadId, CrashDumpError> {
    let is_it = |thread: ThreadId| {
        if !is_inner {
            return thread == wanted;
        }
        let status = procfs::thread_status(live.info().id, thread);
        status.is_ok_and(|status| status.namespace_ids.last() == Some(&wanted.0))
    };
    let threads = live.threads()?;
    let thread = threads.iter().map(|thread| thread.id).find(|thread| is_it(*thread));
    thread.ok_or(CrashDumpError::Untrue("it has no such thread"))
}

/// What the kernel saved when it called the handler, which waits: it does not change.
struct Interrupted {
    signal: Option<SignalInfo>,
    registers: Option<Registers>,
    sets: RegisterSets,
}

impl Interrupted {
    fn read(live: &LiveProcess, request: &CrashRequest) -> Self {
        let (arch, memory) = (live.info().arch, live.memory());
        let signal = SignalInfo::decode(arch, &request.request.signal_info).filter(|_| request.signal() != 0);
        let context = Addr(request.request.context);
        let registers = signal_context(arch, memory, context).filter(|_| context.0 != 0);
        let is_known = registers.is_some() && arch == prospect_process::Arch::X86_64;
        let extended = is_known.then(|| extended_state(memory, context)).flatten();
        let mut sets = RegisterSets::new();
        if let Some(bytes) = extended {
            const FXSAVE_BYTES: usize = 512;
            if let Some(legacy) = bytes.get(..FXSAVE_BYTES) {
                sets.push((RegisterSet::FLOAT, legacy.into()));
            }
            if bytes.len() > FXSAVE_BYTES {
                sets.push((RegisterSet::X86_EXTENDED, bytes.into()));
            }
        }
        Self { signal, registers, sets }
    }
}

/// A file that goes unless it is finished. Only its owner may read it.
struct Unfinished {
    file: File,
    directory: PathBuf,
    name: String,
    temporary: PathBuf,
}

impl Unfinished {
    /// So many dumps of one name are kept.
    const MOST_OF_A_NAME: u32 = 1000;

    fn create(directory: &Path, name: String) -> Result<Self, CrashDumpError> {
        // One of its own in each directory, whoever else makes dumps there.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let temporary = directory.join(format!(".{name}.{}.{count}", std::process::id()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&temporary);
        let file = file.map_err(|source| CrashDumpError::File { path: temporary.clone(), source })?;
        Ok(Self { file, directory: directory.into(), name, temporary })
    }

    fn error(&self, source: io::Error) -> CrashDumpError {
        CrashDumpError::File { path: self.temporary.clone(), source }
    }

    /// Gives it its name. Says which, and how long it is.
    fn finish(self) -> Result<(PathBuf, u64), CrashDumpError> {
        let length = self.file.metadata().map_err(|error| self.error(error))?.len();
        for number in 0..Self::MOST_OF_A_NAME {
            let name = if number == 0 { self.name.clone() } else { format!("{}.{number}", self.name) };
            let path = self.directory.join(name);
            // Unlike a renaming, it replaces nothing.
            match fs::hard_link(&self.temporary, &path) {
                Ok(()) => return Ok((path, length)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(CrashDumpError::File { path, source: error }),
            }
        }
        Err(self.error(io::ErrorKind::AlreadyExists.into()))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.temporary);
    }
}

impl From<WriteError> for CrashDumpError {
    fn from(error: WriteError) -> Self {
        Self::Dump(error.into())
    }
}

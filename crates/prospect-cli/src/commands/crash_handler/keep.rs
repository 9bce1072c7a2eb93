//! What becomes of a small core: stacks as text and as JSON, and the core itself, compressed.

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::{
        fd::AsRawFd as _,
        unix::fs::{FileExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
    time::Instant,
};

use prospect::{
    Call, OpenOptions, RedactRule, Session, Source, ThreadStack,
    dump::elf_core::{self, CoreFilter, ElfCore, Output, Selection, SparseFile, WriteOptions},
    stack::Frame,
    symbols::SearchOptions,
};
use rustix::fs::{SeekFrom, seek};

use super::{
    capture::Captured,
    record::{CrashRecord, StoredCore},
    store::Crash,
};
use crate::{
    commands::dump::compress::Compression,
    report::{self, CoreReport, Layout, StackReport},
};

const CHUNK_BYTES: usize = 1 << 20;

/// The directory that the process had for its root, where that is not ours: in a container its files are elsewhere. It can be looked into
/// when the process has gone.
pub(super) struct Root(Option<File>);

impl Root {
    pub(super) fn of(pid: u32) -> Self {
        let path = format!("/proc/{pid}/root");
        let identity = |path: &str| std::fs::metadata(path).map(|there| (there.dev(), there.ino())).ok();
        let is_other = identity(&path).is_some_and(|there| identity("/") != Some(there));
        Self(is_other.then(|| File::open(&path).ok()).flatten())
    }

    fn path(&self) -> Option<PathBuf> {
        self.0.as_ref().map(|file| format!("/proc/self/fd/{}", file.as_raw_fd()).into())
    }

    /// How files of the process are found. Nothing is kept for later runs: nothing is written but the crash.
    fn options(&self) -> OpenOptions {
        let search = SearchOptions { sysroot: self.path(), cache: None, ..SearchOptions::default() };
        OpenOptions::new().search(search)
    }
}

impl Captured {
    fn source(&self) -> Source {
        Source::Core(format!("/proc/self/fd/{}", self.file.as_raw_fd()).into())
    }
}

/// The stacks in a small core.
pub(super) struct Stacks {
    session: Session,
    report: StackReport,
}

impl Stacks {
    /// Walks them, without names.
    pub(super) fn walk(captured: &Captured, root: &Root, shown_as: &Path) -> Result<Self, String> {
        let source = captured.source();
        let session = root.options().open(source.clone()).map_err(|error| error.to_string())?;
        let threads = session.unnamed_stacks(|_| true);
        let core = CoreReport::of(&source, &session).map(|core| CoreReport { path: shown_as.into(), ..core });
        let report = StackReport {
            target: session.process().info().clone(),
            mode: None,
            pause: None,
            core,
            threads,
            goroutines: None,
            warnings: Vec::new(),
            values: HashMap::new(),
            named: false,
            late: false,
            look: None,
            unchanged: HashMap::new(),
        };
        Ok(Self { session, report })
    }

    /// Finds the names, and says where it crashed.
    pub(super) fn name(&mut self) -> Option<String> {
        let frames = self.report.threads.iter().flat_map(ThreadStack::frames);
        let names = self.session.names_of(frames.map(Frame::for_lookup).collect());
        self.report.threads.iter_mut().for_each(|stack| stack.take_names(&names));
        self.report.named = true;
        self.report.warnings = self.session.warnings();
        top(self.report.threads.first()?)
    }

    /// Writes them as they are now.
    pub(super) fn write(&self, crash: &Crash) -> io::Result<()> {
        let layout =
            Layout { addresses: true, registers: false, merge: false, explain: false, variables: None };
        crash.write("stacks.txt", report::plain_stack_text(&self.report, layout).as_bytes())?;
        let layout = Layout { registers: true, ..layout };
        let mut json = report::stack_json_line(&self.report, layout)?;
        json.push('\n');
        crash.write("stacks.json", json.as_bytes())
    }
}

/// The innermost call; of a program that has raised the signal itself, the innermost one outside of the C library.
fn top(thread: &ThreadStack) -> Option<String> {
    let in_c_library = |call: &Call<'_>| {
        let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        call.module.is_some_and(|module| {
            let name = name(&module.path);
            ["libc.so", "libc-", "libpthread", "ld-musl", "libc.musl"]
                .iter()
                .any(|start| name.starts_with(start))
        })
    };
    let call = thread.calls().find(|call| !in_c_library(call)).or_else(|| thread.calls().next())?;
    let mut text = match (call.function, call.module) {
        (Some(function), _) => function.to_owned(),
        (None, Some(module)) => format!("{}+{:#x}", module.path, module.offset.0),
        (None, None) => format!("{:#x}", call.frame.code.addr().0),
    };
    if let (Some(file), Some(line)) = (call.file, call.line) {
        text.push_str(&format!(" ({}:{line})", file.rsplit('/').next().unwrap_or(file)));
    }
    Some(text)
}

/// The name of the file of the small core.
pub(super) fn core_name() -> String {
    let suffix = if compression().is_some() { Compression::SUFFIX } else { "" };
    format!("core{suffix}")
}

fn compression() -> Option<Compression> {
    "zstd:3".parse().ok()
}

/// Stores the small core, without what rules zero in it. Where they cannot be followed until the deadline, nothing is stored.
pub(super) fn store(
    captured: &Captured,
    root: &Root,
    rules: &[RedactRule],
    until: Instant,
    crash: &Crash,
    record: &mut CrashRecord,
) -> io::Result<()> {
    let name = core_name();
    let written = crash.create(&name).and_then(|file| {
        let mut output: Box<dyn Output> = match compression() {
            Some(compression) => compression.around(Box::new(file.try_clone()?))?,
            None => Box::new(SparseFile::new(file.try_clone()?)?),
        };
        if rules.is_empty() {
            copy(&captured.file, output.as_mut())?;
            output.finish()?;
        } else {
            redact(captured, root, rules, until, output.as_mut()).map_err(io::Error::other)?;
        }
        Ok(file.metadata()?.len())
    });
    let bytes = written.inspect_err(|_| crash.remove(&name))?;
    record.core = Some(StoredCore { file: name, bytes, memory_bytes: Some(captured.written.memory_bytes) });
    Ok(())
}

/// Writes a core of it in which bytes are zeroed.
fn redact(
    captured: &Captured,
    root: &Root,
    rules: &[RedactRule],
    until: Instant,
    to: &mut dyn Output,
) -> Result<(), String> {
    // What it left out stays out.
    let opened = root.options().left_out(false).open(captured.source());
    let session = opened.map_err(|error| error.to_string())?;
    let redaction = session.redaction(rules).map_err(|error| error.to_string())?;
    let earlier = session.core().and_then(ElfCore::dump_note);
    let options = WriteOptions::new()
        .selection(Selection::Filter(CoreFilter(u32::MAX)))
        .redaction(Some(&redaction))
        .earlier(earlier.as_ref())
        .deadline(Some(until));
    elf_core::write(session.process(), &options, to).map(|_| ()).map_err(|error| error.to_string())
}

/// Copies a file with its holes.
fn copy(from: &File, to: &mut dyn Output) -> io::Result<()> {
    let length = from.metadata()?.len();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while at < length {
        // Behind the last data there is an error.
        let data = seek(from, SeekFrom::Data(at)).unwrap_or(length).clamp(at, length);
        to.zeros(data - at)?;
        at = data;
        let hole = seek(from, SeekFrom::Hole(data)).unwrap_or(length).clamp(data, length);
        while at < hole {
            let wanted = (hole - at).min(buffer.len() as u64) as usize;
            let read = from.read_at(&mut buffer[..wanted], at)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            to.bytes(&buffer[..read])?;
            at += read as u64;
        }
    }
    Ok(())
}

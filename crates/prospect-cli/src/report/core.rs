//! What is said of a dump besides what is said of its process.

use std::path::PathBuf;

use prospect::{
    MemoryFile, Session, Source,
    process::{SignalInfo, ThreadId},
};
use serde::Serialize;

use super::{
    json::Hex,
    style::{Page, Printable, WARNING},
};

/// A dump, and why it was written.
#[derive(Clone, Debug)]
pub(crate) struct CoreReport {
    pub(crate) path: PathBuf,
    /// Whether it is a minidump, and no core.
    pub(crate) is_minidump: bool,
    /// The thread and the words for what happened in it.
    pub(crate) happened: Option<(ThreadId, String)>,
    pub(crate) signal: Option<(ThreadId, SignalInfo)>,
    /// Files that memory was read from.
    pub(crate) files: Vec<MemoryFile>,
}

impl CoreReport {
    /// `None` for a process that is alive.
    pub(crate) fn of(source: &Source, session: &Session) -> Option<Self> {
        let (Source::Core(path) | Source::Minidump(path)) = source else { return None };
        let exception = session.process().info().exception.as_ref();
        let signal = exception.and_then(|exception| Some((exception.thread, exception.signal()?)));
        Some(Self {
            path: path.clone(),
            is_minidump: session.minidump().is_some(),
            happened: exception.map(|exception| (exception.thread, exception.to_string())),
            signal: signal.filter(|_| exception.is_some_and(|exception| !exception.is_request())),
            files: session.memory_files(),
        })
    }

    /// The word for what kind of dump it is.
    pub(crate) fn format(&self) -> &'static str {
        if self.is_minidump { "minidump" } else { "core" }
    }

    /// A line: the signal, and the thread that got it.
    pub(crate) fn signal_line(&self, page: &mut Page) {
        if let Some((thread, words)) = &self.happened {
            page.styled(WARNING, Printable(words));
            page.push(format_args!("  in thread {thread}"));
            page.end_line();
        }
    }

    /// The sentence on memory that is not from the core.
    pub(crate) fn files_line(&self, page: &mut Page) {
        let verified = self.files.iter().filter(|file| file.verified);
        let names: Vec<String> = verified.map(|file| file.path.display().to_string()).collect();
        if !names.is_empty() {
            page.push("code and constants that the core left out are from ");
            page.push(Printable(&names.join(", ")));
            page.push(" (the same build-id)");
            page.end_line();
        }
    }

    pub(super) fn json(&self) -> CoreJson {
        let signal = |(thread, info): &(ThreadId, SignalInfo)| SignalJson {
            tid: thread.0,
            number: info.number,
            name: info.name(),
            reason: info.reason(),
            address: info.address.map(|at| Hex(at.0)),
            sender_pid: info.sender.map(|(process, _)| process.0),
            sender_uid: info.sender.map(|(_, user)| user),
        };
        let file =
            |file: &MemoryFile| FileJson { path: file.path.display().to_string(), verified: file.verified };
        CoreJson {
            format: self.format(),
            path: self.path.display().to_string(),
            signal: self.signal.as_ref().map(signal),
            files: self.files.iter().map(file).collect(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct CoreJson {
    format: &'static str,
    path: String,
    signal: Option<SignalJson>,
    files: Vec<FileJson>,
}

#[derive(Serialize)]
struct SignalJson {
    tid: u32,
    number: i32,
    name: Option<&'static str>,
    reason: Option<&'static str>,
    address: Option<Hex>,
    sender_pid: Option<u32>,
    sender_uid: Option<u32>,
}

#[derive(Serialize)]
struct FileJson {
    path: String,
    verified: bool,
}

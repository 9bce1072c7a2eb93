//! The output of `prospect crash-watch`.

use std::io::Write as _;

use prospect::watcher::CrashDump;
use serde::Serialize;

use super::{
    info::size_text,
    json::{self, Bytes, VERSION},
    milliseconds,
};

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    pid: u32,
    name: &'a str,
    tid: u32,
    signal: Option<Signal>,
    file: Bytes,
    format: &'static str,
    bytes: u64,
    pause_ms: Option<f64>,
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Signal {
    number: i32,
    name: Option<&'static str>,
    code: i32,
    address: Option<String>,
}

/// Prints one dump as a line of JSON.
pub(crate) fn crash_dump_json(dump: &CrashDump) -> std::io::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    let signal = dump.signal.as_ref().map(|signal| Signal {
        number: signal.number,
        name: signal.name(),
        code: signal.code,
        address: signal.address.map(|at| at.to_string()),
    });
    json::print(&Report {
        version: VERSION,
        pid: dump.process.id.0,
        name: &dump.process.name,
        tid: dump.thread.0,
        signal,
        file: Bytes::new(dump.path.as_os_str().as_bytes()),
        format: dump.format.as_str(),
        bytes: dump.bytes,
        pause_ms: dump.pause.map(milliseconds),
        warnings: &dump.warnings,
    })
}

/// Prints one dump for people.
pub(crate) fn crash_dump_text(dump: &CrashDump) -> std::io::Result<()> {
    let why = dump.signal.as_ref().map_or_else(
        || "asked for it".to_owned(),
        |signal| {
            let name = signal.name().map_or_else(|| format!("signal {}", signal.number), str::to_owned);
            signal.address.map_or_else(|| name.clone(), |at| format!("{name} at {at}"))
        },
    );
    let mut output = std::io::stdout().lock();
    let (process, thread) = (&dump.process, dump.thread);
    // Names are the process's own choice.
    let name = process.name.escape_debug();
    let (path, size) = (dump.path.display(), size_text(dump.bytes));
    writeln!(output, "process {} {name}, thread {thread}: {why}: {path} ({size})", process.id)?;
    for warning in &dump.warnings {
        writeln!(output, "  {}", warning.escape_debug())?;
    }
    output.flush()
}

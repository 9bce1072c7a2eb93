//! The output of `prospect crash-handler status`.

use std::{io, path::PathBuf};

use serde::Serialize;

use super::{
    info::size_text,
    json::{self, VERSION},
    style::{HEADING, PLACE, PLAIN, Page, Printable, Table, WARNING},
};
use crate::commands::crash_handler::{Counters, CrashRecord, Installed, State, Stored, utc};

/// A cell that is wider does not push the others away.
const WIDEST: usize = 48;

/// What is installed and stored.
pub(crate) struct CrashesReport {
    pub(crate) directory: PathBuf,
    pub(crate) pattern: String,
    pub(crate) installed: Installed,
    /// What the pattern was before.
    pub(crate) earlier: Option<String>,
    pub(crate) counters: Counters,
    /// The oldest first.
    pub(crate) crashes: Vec<Stored>,
}

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    directory: String,
    core_pattern: &'a str,
    installed: bool,
    earlier_core_pattern: Option<&'a str>,
    stored: u64,
    only_counted: u64,
    last_counted: Option<LastCounted<'a>>,
    failed: u64,
    last_failure: Option<&'a str>,
    disk_bytes: u64,
    crashes: Vec<Crash<'a>>,
}

#[derive(Serialize)]
struct LastCounted<'a> {
    unix: u64,
    name: &'a str,
}

#[derive(Serialize)]
struct Crash<'a> {
    path: String,
    disk_bytes: u64,
    /// Null where what is known of it cannot be read.
    crash: Option<&'a CrashRecord>,
}

impl CrashesReport {
    fn disk_bytes(&self) -> u64 {
        self.crashes.iter().map(|crash| crash.disk_bytes).sum()
    }
}

pub(crate) fn crashes_json(report: &CrashesReport) -> io::Result<()> {
    let counters = &report.counters;
    let crash = |crash: &'_ Stored| crash.path.display().to_string();
    json::print(&Report {
        version: VERSION,
        directory: report.directory.display().to_string(),
        core_pattern: &report.pattern,
        installed: report.installed == Installed::Own,
        earlier_core_pattern: report.earlier.as_deref(),
        stored: counters.stored,
        only_counted: counters.only_counted,
        last_counted: counters.last_counted.as_ref().map(|(unix, name)| LastCounted { unix: *unix, name }),
        failed: counters.failed,
        last_failure: counters.last_failure.as_deref(),
        disk_bytes: report.disk_bytes(),
        crashes: report
            .crashes
            .iter()
            .map(|one| Crash { path: crash(one), disk_bytes: one.disk_bytes, crash: one.record.as_ref() })
            .collect(),
    })
}

pub(crate) fn crashes_text(report: &CrashesReport) -> io::Result<()> {
    let mut page = Page::new();
    match report.installed {
        Installed::Own => page.styled(HEADING, "installed"),
        Installed::Other => page.styled(WARNING, "not installed: another program takes the cores"),
        Installed::Files => page.styled(WARNING, "not installed: the kernel writes cores into files"),
    }
    page.end_line();
    let mut table = Table::indented(2);
    table.entry("core_pattern", Printable(&report.pattern));
    if let Some(earlier) = &report.earlier {
        table.entry("before", Printable(earlier));
    }
    let (count, counters) = (report.crashes.len(), &report.counters);
    let sizes = size_text(report.disk_bytes());
    table.entry("crashes", format_args!("{count} in {}, {sizes}", report.directory.display()));
    if let Some((unix, name)) = &counters.last_counted {
        let text = format!("{}, the last of {name} at {}", counters.only_counted, time(*unix));
        table.entry("only counted", Printable(&text));
    }
    if let Some(why) = &counters.last_failure {
        table.entry("failures", Printable(&format!("{}, the last: {why}", counters.failed)));
    }
    table.write(&mut page, usize::MAX);
    if count > 0 {
        page.end_line();
        crashes(&report.crashes).write(&mut page, WIDEST);
    }
    page.print()
}

fn crashes(crashes: &[Stored]) -> Table {
    let mut table = Table::default();
    for name in ["TIME", "PID", "PROGRAM", "SIGNAL", "SIZE", "WHERE"] {
        table.cell(HEADING, name);
    }
    table.end_row();
    for crash in crashes {
        let name = crash.path.file_name().unwrap_or_default().to_string_lossy();
        match &crash.record {
            Some(record) => {
                table.cell(PLAIN, time(record.unix));
                table.cell(PLAIN, record.pid);
                table.cell(PLAIN, Printable(record.program()));
                let signal = format!("signal {}", record.signal);
                table.cell(PLAIN, Printable(record.reason.as_deref().unwrap_or(&signal)));
                table.cell(PLAIN, size_text(crash.disk_bytes));
                table.cell(PLAIN, Printable(record.top.as_deref().unwrap_or("?")));
            }
            None => {
                table.cell(WARNING, format_args!("{}: {}", Printable(&name), "crash.json makes no sense"))
            }
        }
        table.end_row();
        if let Some(record) = &crash.record {
            table.note(PLACE, Printable(&crash.path.display().to_string()));
            if record.state != State::Complete {
                let missing = record.missing.join("; ");
                table.note(WARNING, format_args!("{}: {}", record.state.as_str(), Printable(&missing)));
            }
        }
    }
    table
}

/// A moment in UTC.
fn time(unix: u64) -> String {
    let [year, month, day, hour, minute, second] = utc(unix);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

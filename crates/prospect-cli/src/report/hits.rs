//! The output of `prospect break`.

use std::{io, time::Duration};

use prospect::{
    VERSION,
    process::{Addr, ThreadId},
};
use serde::Serialize;

use super::{
    json,
    style::{FUNCTION, HEADING, PLACE, Page, Printable, WARNING},
};

/// What a trap was set for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HitKind {
    Breakpoint,
    Syscall,
    Watch,
    Catch,
}

/// A call of a stack.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Called {
    #[serde(serialize_with = "address")]
    pub(crate) address: Addr,
    pub(crate) function: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
    pub(crate) inlined: bool,
}

/// One hit.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) kind: HitKind,
    /// Since the command began.
    pub(crate) time: Duration,
    pub(crate) thread: ThreadId,
    /// Which of the breakpoints, or what else was asked for.
    pub(crate) label: String,
    /// Where; not of system calls.
    pub(crate) place: Option<Called>,
    /// The log, the arguments, the values.
    pub(crate) text: Option<String>,
    pub(crate) stack: Vec<Called>,
}

/// What came of a breakpoint and the like.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Total {
    pub(crate) kind: HitKind,
    pub(crate) label: String,
    pub(crate) places: usize,
    pub(crate) hits: u64,
    pub(crate) matched: u64,
    /// How often a condition or a log had no value.
    pub(crate) faults: u64,
    /// Why it is not in force, or not everywhere; or slower than it could be.
    pub(crate) notes: Vec<String>,
}

fn address<S: serde::Serializer>(at: &Addr, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(at)
}

pub(crate) fn hit_text(hit: &Hit) -> io::Result<()> {
    let mut page = Page::new();
    page.styled(PLACE, format_args!("{:>11.6} ", hit.time.as_secs_f64()));
    page.push(format_args!("[{}] ", hit.thread));
    match &hit.place {
        Some(place) if hit.kind == HitKind::Breakpoint => called(&mut page, place),
        _ => page.styled(FUNCTION, Printable(&hit.label)),
    }
    if let Some(text) = &hit.text {
        page.push(format_args!(": {}", Printable(text)));
    }
    let where_it_was = match hit.kind {
        HitKind::Watch => Some(" before "),
        HitKind::Catch => Some(" in "),
        _ => None,
    };
    if let (Some(place), Some(word)) = (&hit.place, where_it_was) {
        page.push(word);
        called(&mut page, place);
    }
    page.end_line();
    for (number, call) in hit.stack.iter().enumerate() {
        page.push(format_args!("  #{number} "));
        called(&mut page, call);
        page.end_line();
    }
    page.print()
}

fn called(page: &mut Page, call: &Called) {
    match &call.function {
        Some(function) => page.styled(FUNCTION, Printable(function)),
        None => page.styled(FUNCTION, call.address),
    }
    if let (Some(file), Some(line)) = (&call.file, call.line) {
        let name = file.rsplit('/').next().unwrap_or(file);
        page.styled(PLACE, format_args!(" {}:{line}", Printable(name)));
    }
    if call.inlined {
        page.styled(PLACE, " (inlined)");
    }
}

pub(crate) fn hit_json(hit: &Hit) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        version: &'a str,
        event: &'a str,
        kind: HitKind,
        seconds: f64,
        thread: u32,
        label: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        place: Option<&'a Called>,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        stack: &'a [Called],
    }
    json::print(&Line {
        version: VERSION,
        event: "hit",
        kind: hit.kind,
        seconds: hit.time.as_secs_f64(),
        thread: hit.thread.0,
        label: &hit.label,
        place: hit.place.as_ref(),
        text: hit.text.as_deref(),
        stack: &hit.stack,
    })
}

pub(crate) fn totals_text(totals: &[Total], why: &str) -> io::Result<()> {
    let mut page = Page::new();
    page.styled(HEADING, format_args!("{why}\n"));
    for total in totals {
        page.push(format_args!("  {:>9} hits ", total.hits));
        if total.matched != total.hits {
            page.push(format_args!("{:>9} matched ", total.matched));
        }
        page.styled(FUNCTION, Printable(&total.label));
        if total.kind == HitKind::Breakpoint && total.places != 1 {
            page.styled(PLACE, format_args!(" at {} places", total.places));
        }
        if total.faults > 0 {
            page.styled(WARNING, format_args!(" {} without a value", total.faults));
        }
        page.end_line();
        for note in &total.notes {
            page.styled(WARNING, format_args!("            {}\n", Printable(note)));
        }
    }
    page.print()
}

pub(crate) fn totals_json(totals: &[Total], why: &str) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        version: &'a str,
        event: &'a str,
        why: &'a str,
        totals: &'a [Total],
    }
    json::print(&Line { version: VERSION, event: "totals", why, totals })
}

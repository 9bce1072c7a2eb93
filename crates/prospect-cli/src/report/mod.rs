//! What the command prints: for people, and for scripts.

mod convert;
mod core;
mod core_diff;
mod core_info;
mod core_picture;
mod core_shrink;
mod crash_watch;
mod crashes;
mod doctor;
mod dump;
mod find;
mod goroutines;
mod hits;
mod index;
mod info;
mod json;
mod manifest;
mod merge;
mod minidump;
mod print;
mod search;
mod style;
mod symbols;
mod text;
mod value;
mod variables;

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use prospect::{
    CallValues, FrameName, Goroutines, Mode, ThreadStack,
    process::{ProcessInfo, ThreadId},
};

pub(crate) use self::core::CoreReport;
pub(crate) use convert::{ConvertReport, convert_json, convert_text};
pub(crate) use core_diff::{CoreDiffReport, diff_json, diff_text};
pub(crate) use core_info::{CoreInfoReport, SegmentReport, core_info_json, core_info_text};
pub(crate) use core_shrink::{ShrinkReport, shrink_json, shrink_text};
pub(crate) use crash_watch::{crash_dump_json, crash_dump_text};
pub(crate) use crashes::{CrashesReport, crashes_json, crashes_text};
pub(crate) use doctor::{Check, DoctorReport, Verdict, doctor_json, doctor_text};
pub(crate) use dump::{DumpReport, Made, dump_json, dump_text};
pub(crate) use find::{FindReport, FoundRow, find_json, find_text};
pub(crate) use hits::{Called, Hit, HitKind, Total, hit_json, hit_text, totals_json, totals_text};
pub(crate) use index::{IndexReport, ModuleIndex, index_json, index_text};
pub(crate) use info::{InfoReport, ModuleReport, info_json, info_text};
pub(crate) use json::print as json_line;
pub(crate) use json::{VERSION, ended_json, stack_json, stack_json_line};
pub(crate) use manifest::manifest_json;
pub(crate) use minidump::MinidumpReport;
pub(crate) use print::{PrintLayout, PrintReport, Printed, PrintedFrame, print_json, print_text};
pub(crate) use style::print_plain;
pub(crate) use symbols::{ModuleSymbols, Subject, SymbolsReport, symbols_json, symbols_text};
pub(crate) use text::{event_text, look_text, plain_stack_text, stack_text};
pub(crate) use variables::Variables;

/// The stacks of a process, ready to be printed: owned values, read from a process that runs on.
#[derive(Debug)]
pub(crate) struct StackReport {
    pub(crate) target: ProcessInfo,
    /// `None` of one in a dump.
    pub(crate) mode: Option<Mode>,
    /// What is said of the core that it is in.
    pub(crate) core: Option<CoreReport>,
    /// For how long it was held; `None` when it was not.
    pub(crate) pause: Option<Duration>,
    pub(crate) threads: Vec<ThreadStack>,
    /// The goroutines, where they were asked for instead of threads.
    pub(crate) goroutines: Option<Goroutines>,
    /// What a reader should know before believing the names.
    pub(crate) warnings: Vec<String>,
    /// The values of the variables of the calls of each frame, by the thread and the frame's number, as many as were read.
    pub(crate) values: HashMap<(ThreadId, usize), Vec<CallValues>>,
    /// Whether the names are there.
    pub(crate) named: bool,
    /// Whether time ran out before all was there.
    pub(crate) late: bool,
    /// Which look this is, of those that are made again and again.
    pub(crate) look: Option<LookReport>,
    /// At how many looks before this one a thread's stack was the same.
    pub(crate) unchanged: HashMap<ThreadId, u64>,
}

/// When a look was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LookReport {
    /// From 1.
    pub(crate) number: u64,
    pub(crate) at: SystemTime,
    /// After the first one.
    pub(crate) since: Duration,
}

/// What of a report is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) addresses: bool,
    pub(crate) registers: bool,
    pub(crate) merge: bool,
    pub(crate) explain: bool,
    pub(crate) variables: Option<Variables>,
}

impl StackReport {
    /// The values of the variables of each call, in the order of [`ThreadStack::calls`]; `None` where they were not read.
    fn values_of(&self, stack: &ThreadStack) -> Vec<Option<&CallValues>> {
        let frames = stack.names.iter().enumerate();
        let of_frame = |(index, name): (usize, &FrameName)| {
            let values = self.values.get(&(stack.thread.id, index));
            let calls = name.resolved.frames.len().max(1);
            (0..calls).map(move |call| values.and_then(|values| values.get(call)))
        };
        frames.flat_map(of_frame).collect()
    }

    /// Whether every thread has a whole stack.
    pub(crate) fn is_complete(&self) -> bool {
        let is_whole =
            |all: &Goroutines| all.unread == 0 && all.all.iter().all(|one| one.stack.end.is_complete());
        !self.late
            && self.threads.iter().all(ThreadStack::is_complete)
            && self.goroutines.as_ref().is_none_or(is_whole)
    }
}

/// Milliseconds with three digits: microseconds are what a pause is measured in.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

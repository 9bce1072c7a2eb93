//! The text of `prospect stack`, for people.

use std::fmt;

use prospect::{
    Call, CallValues, Mode, ThreadStack,
    live::{Event, wall_clock},
    process::{Registers, ThreadState},
    stack::{Explanation, StackEnd, Trust},
};

use super::{
    Layout, LookReport, StackReport,
    goroutines::goroutines_text,
    merge, milliseconds,
    style::{FUNCTION, HEADING, PLACE, PLAIN, Page, Printable, Table, WARNING},
};

/// A function name that is longer does not push the places of all others to the right.
const WIDEST: usize = 48;

/// Says that a round of looks begins.
pub(crate) fn look_text(look: &LookReport) -> std::io::Result<()> {
    let mut page = Page::new();
    if look.number > 1 {
        page.end_line();
    }
    let since = look.since.as_secs_f64();
    match wall_clock(look.at) {
        Some((hour, minute, second)) => {
            page.styled(HEADING, format_args!("look {} at {hour:02}:{minute:02}:{second:02}", look.number));
        }
        None => page.styled(HEADING, format_args!("look {}", look.number)),
    }
    page.push(format_args!("  {since:.1} s after the start"));
    page.end_line();
    page.print()
}

/// Says that something has happened to a process.
pub(crate) fn event_text(event: &Event) -> std::io::Result<()> {
    let mut page = Page::new();
    page.styled(WARNING, format_args!("{event}"));
    page.end_line();
    page.print()
}

/// Prints a report.
pub(crate) fn stack_text(report: &StackReport, layout: Layout) -> std::io::Result<()> {
    let mut page = Page::new();
    write_stacks(&mut page, report, layout);
    page.print()
}

/// The same as plain text.
pub(crate) fn plain_stack_text(report: &StackReport, layout: Layout) -> String {
    let mut page = Page::plain();
    write_stacks(&mut page, report, layout);
    page.text().to_owned()
}

fn write_stacks(page: &mut Page, report: &StackReport, layout: Layout) {
    heading(page, report);
    for warning in &report.warnings {
        page.styled(WARNING, format_args!("warning: {}", Printable(warning)));
        page.end_line();
    }
    if let Some(goroutines) = &report.goroutines {
        goroutines_text(page, &goroutines.all, layout);
    } else if layout.merge {
        for group in merge::groups(&report.threads) {
            let count = group.len();
            page.end_line();
            page.styled(HEADING, format_args!("{count} thread{}", plural(count)));
            for (index, thread) in group.iter().enumerate() {
                page.push(if index == 0 { ": " } else { ", " });
                page.push(Label(thread));
            }
            page.end_line();
            stack(page, group[0], &[], layout);
        }
    } else {
        for thread in &report.threads {
            page.end_line();
            page.styled(HEADING, format_args!("thread {}", Label(thread)));
            if report.mode.is_some() || thread.thread.state != ThreadState::Unknown {
                page.push(format_args!(" {}", thread.thread.state));
            }
            if let Some(looks @ 1..) = report.unchanged.get(&thread.thread.id) {
                let looks = looks + 1;
                page.styled(PLACE, format_args!("  the same stack at {looks} looks"));
            }
            page.end_line();
            if let Some(registers) = thread.registers.as_ref().filter(|_| layout.registers) {
                register_table(page, registers);
            }
            stack(page, thread, &report.values_of(thread), layout);
        }
    }
}

fn heading(page: &mut Page, report: &StackReport) {
    let target = &report.target;
    page.styled(HEADING, format_args!("process {} {}", target.id, Printable(&target.name)));
    if let Some(path) = &target.executable {
        page.push(format_args!("  {}", Printable(&String::from_utf8_lossy(path))));
    }
    page.push(format_args!("  {}  ", target.arch.info().name));
    match &report.goroutines {
        Some(goroutines) => {
            let count = goroutines.all.len();
            let release = Printable(&goroutines.release.text);
            page.push(format_args!("{release}  {count} goroutine{}  ", plural(count)));
        }
        None => {
            let count = report.threads.len();
            page.push(format_args!("{count} thread{}  ", plural(count)));
        }
    }
    match (report.mode, report.pause) {
        (Some(Mode::NoStop), _) => {
            page.styled(WARNING, "not stopped: a racy view, each thread at another moment")
        }
        (_, Some(pause)) => page.push(format_args!("stopped for {:.3} ms", milliseconds(pause))),
        (_, None) => {}
    }
    if let Some(core) = &report.core {
        page.push(format_args!("{} {}", core.format(), core.path.display()));
        page.end_line();
        core.signal_line(page);
        core.files_line(page);
        return;
    }
    page.end_line();
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// A thread's number and name.
struct Label<'a>(&'a ThreadStack);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thread = &self.0.thread;
        write!(f, "{}", thread.id)?;
        thread.name.as_ref().map_or(Ok(()), |name| write!(f, " \"{}\"", Printable(name)))
    }
}

fn stack(page: &mut Page, thread: &ThreadStack, values: &[Option<&CallValues>], layout: Layout) {
    if let Some(reason) = &thread.thread.not_stopped {
        page.styled(WARNING, format_args!("  {reason}"));
        page.end_line();
        for (what, fact) in
            [("wait channel", &thread.thread.wait_channel), ("system call", &thread.thread.syscall)]
        {
            if let Some(fact) = fact {
                page.push(format_args!("  {what}: {}\n", Printable(fact)));
            }
        }
    }
    frames(page, thread.calls(), values, thread.explained_end(), layout);
    walk_end(page, thread.end(), layout);
}

/// The calls of a stack.
pub(super) fn frames<'a>(
    page: &mut Page,
    calls: impl Iterator<Item = Call<'a>>,
    values: &[Option<&CallValues>],
    explained_end: Option<&Explanation>,
    layout: Layout,
) {
    let mut table = Table::indented(2);
    for (number, call) in calls.enumerate() {
        table.cell(PLAIN, format_args!("#{number}"));
        if layout.addresses {
            let digits = usize::from(call.frame.registers.arch().info().word_bytes) * 2;
            table.cell(PLACE, format_args!("0x{:0digits$x}", call.frame.code.addr().0));
        }
        table.cell(FUNCTION, Function(&call));
        table.cell(PLACE, Place(&call));
        table.cell(WARNING, Remark(&call));
        table.end_row();
        if let Some(explanation) = call.explanation.filter(|_| layout.explain && !call.inlined) {
            table.note(PLACE, Printable(&explanation.to_string()));
        }
        if let Some(variables) = layout.variables {
            variables.notes(&mut table, values.get(number).copied().flatten());
        }
    }
    if let Some(explanation) = explained_end.filter(|_| layout.explain) {
        table.note(PLACE, Printable(&format!("has no caller, {explanation}")));
    }
    table.write(page, WIDEST);
}

/// Why there are no more calls, where some are missing.
pub(super) fn walk_end(page: &mut Page, end: Option<&StackEnd>, layout: Layout) {
    if let Some(end) = end.filter(|end| !end.is_complete()) {
        page.styled(WARNING, format_args!("  the walk ended here: {}", Printable(&ending(end, layout))));
        page.end_line();
    }
}

/// Why there are no more frames. Of a frame that no stepper knows how to leave, what call frame information says is
/// enough for most; `--explain` and JSON have what every stepper said.
fn ending(end: &StackEnd, layout: Layout) -> String {
    let StackEnd::NoStepper(declined) = end else { return end.to_string() };
    if layout.explain {
        return end.to_string();
    }
    match declined.iter().find(|one| one.stepper == "cfi") {
        Some(one) => format!("no way to the caller is known ({})", one.reason),
        None => end.to_string(),
    }
}

/// The name of a function, or what there is instead of one.
struct Function<'a>(&'a Call<'a>);

impl fmt::Display for Function<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.function, self.0.module) {
            (Some(name), _) => fmt::Display::fmt(&Printable(name), f),
            (None, Some(_)) => offset(self.0, f),
            (None, None) => fmt::Display::fmt(&self.0.frame.code.addr(), f),
        }
    }
}

/// The source line; without one, the place in the module.
struct Place<'a>(&'a Call<'a>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.file, self.0.module, self.0.function) {
            (Some(file), ..) => {
                fmt::Display::fmt(&Printable(file), f)?;
                let numbers = [self.0.line, self.0.column].into_iter().map_while(|number| number);
                numbers.into_iter().try_for_each(|number| write!(f, ":{number}"))
            }
            (None, Some(_), Some(_)) => offset(self.0, f),
            (None, Some(module), None) => fmt::Display::fmt(&Printable(&module.path), f),
            (None, None, _) => f.write_str("in no module"),
        }
    }
}

fn offset(call: &Call<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(module) = call.module else { return Ok(()) };
    write!(f, "{}+{:#x}", Printable(file_name(&module.path)), module.offset.0)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What a reader should know of a frame: nothing, mostly.
struct Remark<'a>(&'a Call<'a>);

impl fmt::Display for Remark<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trust = self.0.frame.trust;
        match (self.0.inlined, matches!(trust, Trust::CallFrameInfo | Trust::Given)) {
            (false, true) => Ok(()),
            (true, true) => f.write_str("[inlined]"),
            (false, false) => write!(f, "[by {trust}]"),
            (true, false) => write!(f, "[inlined, by {trust}]"),
        }
    }
}

fn register_table(page: &mut Page, registers: &Registers) {
    let digits = usize::from(registers.arch().info().word_bytes) * 2;
    for (index, (info, value)) in registers.known().enumerate() {
        let end = if index % 4 == 3 { "\n" } else { " " };
        page.push(format_args!("{:>8} 0x{value:0digits$x}{end}", info.name));
    }
    page.end_line();
}

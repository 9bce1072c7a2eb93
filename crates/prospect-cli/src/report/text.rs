//! The text of `prospect stack`, for people.

use std::fmt::Write as _;

use anstyle::Style;
use prospect::{
    Call, Mode, ThreadStack,
    process::Registers,
    stack::Trust,
};

use super::{
    Layout, StackReport, merge, milliseconds,
    style::{FUNCTION, HEADING, PLACE, Table, WARNING, printable, styled},
};

/// A function name that is longer does not push the places of all others to the right.
const WIDEST: usize = 48;

/// Prints a report.
pub(crate) fn stack_text(report: &StackReport, layout: Layout) -> std::io::Result<()> {
    let mut text = String::new();
    heading(&mut text, report);
    for warning in &report.warnings {
        styled(&mut text, WARNING, &format!("warning: {}", printable(warning)));
        text.push('\n');
    }
    if layout.merge {
        for group in merge::groups(&report.threads) {
            text.push('\n');
            let count = group.len();
            let label = format!("{count} thread{}", if count == 1 { "" } else { "s" });
            styled(&mut text, HEADING, &label);
            let names: Vec<String> = group.iter().map(|thread| thread_label(thread)).collect();
            let _ = writeln!(text, ": {}", names.join(", "));
            stack(&mut text, group[0], layout);
        }
    } else {
        for thread in &report.threads {
            text.push('\n');
            styled(&mut text, HEADING, &format!("thread {}", thread_label(thread)));
            let _ = writeln!(text, " {}", thread.thread.state);
            if let Some(registers) = thread.registers.as_ref().filter(|_| layout.registers) {
                register_table(&mut text, registers);
            }
            stack(&mut text, thread, layout);
        }
    }
    super::print(&text)
}

fn heading(text: &mut String, report: &StackReport) {
    let target = &report.target;
    styled(text, HEADING, &format!("process {} {}", target.id, printable(&target.name)));
    if let Some(path) = &target.executable {
        let _ = write!(text, "  {}", printable(&String::from_utf8_lossy(path)));
    }
    let _ = write!(text, "  {}", target.arch.info().name);
    let count = report.threads.len();
    let _ = write!(text, "  {count} thread{}  ", if count == 1 { "" } else { "s" });
    match (report.mode, report.pause) {
        (Mode::NoStop, _) => styled(text, WARNING, "not stopped: each thread is seen at another moment"),
        (_, Some(pause)) => {
            let _ = write!(text, "stopped for {:.3} ms", milliseconds(pause));
        }
        (_, None) => {}
    }
    text.push('\n');
}

fn thread_label(thread: &ThreadStack) -> String {
    match &thread.thread.name {
        Some(name) => format!("{} \"{}\"", thread.thread.id, printable(name)),
        None => thread.thread.id.to_string(),
    }
}

fn stack(text: &mut String, thread: &ThreadStack, layout: Layout) {
    if let Some(reason) = &thread.thread.not_stopped {
        styled(text, WARNING, &format!("  {reason}"));
        text.push('\n');
        for (what, fact) in
            [("wait channel", &thread.thread.wait_channel), ("system call", &thread.thread.syscall)]
        {
            if let Some(fact) = fact {
                let _ = writeln!(text, "  {what}: {}", printable(fact));
            }
        }
    }
    let mut table = Table::indented(2);
    for (number, call) in thread.calls().enumerate() {
        let mut cells = vec![(Style::new(), format!("#{number}"))];
        if layout.addresses {
            let digits = usize::from(call.frame.registers.arch().info().word_bytes) * 2;
            cells.push((PLACE, format!("0x{:0digits$x}", call.frame.code.addr().0)));
        }
        cells.extend([(FUNCTION, function(&call)), (PLACE, place(&call)), (WARNING, remark(&call))]);
        table.row(cells);
    }
    table.write(text, WIDEST);
    if let Some(end) = thread.end().filter(|end| !end.is_complete()) {
        styled(text, WARNING, &format!("  the walk ended here: {}", printable(&end.to_string())));
        text.push('\n');
    }
}

fn function(call: &Call<'_>) -> String {
    match (call.function, call.module) {
        (Some(name), _) => printable(name),
        (None, Some(module)) => format!("{}+{:#x}", printable(file_name(&module.path)), module.offset.0),
        (None, None) => format!("{}", call.frame.code.addr()),
    }
}

/// The source line; without one, the module.
fn place(call: &Call<'_>) -> String {
    let mut place = match (call.file, call.module, call.function) {
        (Some(file), ..) => printable(file),
        (None, Some(module), Some(_)) => {
            return format!("{}+{:#x}", printable(file_name(&module.path)), module.offset.0);
        }
        (None, Some(module), None) => return printable(&module.path),
        (None, None, _) => return "in no module".into(),
    };
    for number in [call.line, call.column].into_iter().map_while(|number| number) {
        let _ = write!(place, ":{number}");
    }
    place
}

fn remark(call: &Call<'_>) -> String {
    let mut remarks = Vec::new();
    if call.inlined {
        remarks.push("inlined".to_owned());
    }
    if !matches!(call.frame.trust, Trust::CallFrameInfo | Trust::Given) {
        remarks.push(format!("by {}", call.frame.trust));
    }
    if remarks.is_empty() { String::new() } else { format!("[{}]", remarks.join(", ")) }
}

fn register_table(text: &mut String, registers: &Registers) {
    let digits = usize::from(registers.arch().info().word_bytes) * 2;
    let cells: Vec<String> =
        registers.known().map(|(info, value)| format!("{:>8} 0x{value:0digits$x}", info.name)).collect();
    for row in cells.chunks(4) {
        let _ = writeln!(text, "{}", row.join(" "));
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

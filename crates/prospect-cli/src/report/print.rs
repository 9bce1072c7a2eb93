//! What `prospect print` prints.

use prospect::{
    ThreadStack,
    process::{ProcessId, ThreadId},
    value::{Value, expression::ExpressionError, text::Text},
};

use serde::Serialize;

use super::style::{FUNCTION, HEADING, PLACE, Page, Printable, WARNING};
use super::{
    json::{self, VERSION},
    value::value_json,
};

/// Values that are shorter stand in one line.
const WIDTH: usize = 100;

/// The values of expressions in one frame.
pub(crate) struct PrintReport {
    pub(crate) process: ProcessId,
    pub(crate) frame: PrintedFrame,
    pub(crate) values: Vec<Printed>,
    pub(crate) warnings: Vec<String>,
}

/// The frame in which expressions were evaluated.
pub(crate) struct PrintedFrame {
    pub(crate) thread: ThreadId,
    pub(crate) number: usize,
    pub(crate) function: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
}

/// An expression, and what came of it.
pub(crate) struct Printed {
    pub(crate) expression: String,
    pub(crate) value: Result<Value, ExpressionError>,
}

impl PrintedFrame {
    pub(crate) fn of(stack: &ThreadStack, number: usize) -> Self {
        let call = stack.calls().nth(number);
        Self {
            thread: stack.thread.id,
            number,
            function: call.and_then(|call| call.function.map(str::to_owned)),
            file: call.and_then(|call| call.file.map(str::to_owned)),
            line: call.and_then(|call| call.line),
        }
    }
}

/// Prints the values for people; errors are told elsewhere.
pub(crate) fn print_text(report: &PrintReport, types: bool) -> std::io::Result<()> {
    let mut page = Page::new();
    for warning in &report.warnings {
        page.styled(WARNING, format_args!("warning: {}", Printable(warning)));
        page.end_line();
    }
    let frame = &report.frame;
    page.styled(HEADING, format_args!("thread {} #{} ", frame.thread, frame.number));
    page.styled(FUNCTION, Printable(frame.function.as_deref().unwrap_or("?")));
    if let Some(file) = &frame.file {
        page.styled(PLACE, format_args!("  {}", Printable(file)));
        if let Some(line) = frame.line {
            page.styled(PLACE, format_args!(":{line}"));
        }
    }
    page.end_line();
    for one in &report.values {
        let Ok(value) = &one.value else { continue };
        page.push(format_args!("{} = ", Printable(&one.expression)));
        if types {
            page.styled(PLACE, format_args!("({}) ", Printable(&value.type_name)));
        }
        page.push(Text::lines(value, WIDTH));
        page.end_line();
    }
    page.print()
}

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    pid: u32,
    tid: u32,
    frame: Frame<'a>,
    warnings: &'a [String],
    values: Vec<Evaluated<'a>>,
}

#[derive(Serialize)]
struct Frame<'a> {
    number: usize,
    function: Option<&'a str>,
    file: Option<&'a str>,
    line: Option<u32>,
}

#[derive(Serialize)]
struct Evaluated<'a> {
    expression: &'a str,
    value: Option<serde_json::Value>,
    error: Option<String>,
    /// The part of the expression that the error is about, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_at: Option<[usize; 2]>,
}

/// Prints the values as one line of JSON.
pub(crate) fn print_json(report: &PrintReport) -> std::io::Result<()> {
    let frame = &report.frame;
    let evaluated = |one: &'_ Printed| {
        let error = one.value.as_ref().err();
        (
            one.value.as_ref().ok().map(value_json),
            error.map(ToString::to_string),
            error.map(|error| [error.at.start, error.at.end]),
        )
    };
    let values = report.values.iter().map(|one| {
        let (value, error, error_at) = evaluated(one);
        Evaluated { expression: &one.expression, value, error, error_at }
    });
    json::print(&Report {
        version: VERSION,
        pid: report.process.0,
        tid: frame.thread.0,
        frame: Frame {
            number: frame.number,
            function: frame.function.as_deref(),
            file: frame.file.as_deref(),
            line: frame.line,
        },
        warnings: &report.warnings,
        values: values.collect(),
    })
}

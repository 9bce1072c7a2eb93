//! What `prospect print` prints.

use prospect::{
    CallValues, NamedValue, ThreadStack,
    process::{ProcessId, ThreadId},
    value::{Value, expression::ExpressionError, text::Text},
};

use serde::Serialize;

use super::style::{FUNCTION, HEADING, PLACE, Page, Printable, WARNING};
use super::{
    json::{self, VERSION},
    value::value_json,
    variables::{HIDDEN, name, page_width, style, variable_json},
};

/// The values of expressions in one frame.
pub(crate) struct PrintReport {
    pub(crate) process: ProcessId,
    pub(crate) frame: PrintedFrame,
    pub(crate) values: Vec<Printed>,
    /// All variables of the frame, where no expression was given.
    pub(crate) variables: Option<CallValues>,
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

/// How values are written for people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PrintLayout {
    /// With their types.
    pub(crate) types: bool,
    /// Whole numbers in hexadecimal.
    pub(crate) hex: bool,
}

/// Prints the values for people; errors are told elsewhere.
pub(crate) fn print_text(report: &PrintReport, layout: PrintLayout) -> std::io::Result<()> {
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
        line(&mut page, &one.expression, value, layout);
        page.end_line();
    }
    for one in report.variables.iter().flat_map(|all| all.arguments.iter().chain(&all.locals)) {
        line(&mut page, name(one), &one.value, layout);
        if one.is_hidden {
            page.styled(PLACE, HIDDEN);
        }
        page.end_line();
    }
    if report.variables.as_ref().is_some_and(|all| all.arguments.is_empty() && all.locals.is_empty()) {
        page.styled(PLACE, "no arguments, no variables");
        page.end_line();
    }
    page.print()
}

/// A name and its value, in as many lines as it needs.
fn line(page: &mut Page, name: &str, value: &Value, layout: PrintLayout) {
    page.push(format_args!("{} = ", Printable(name)));
    if layout.types {
        page.styled(PLACE, format_args!("({}) ", Printable(&value.type_name)));
    }
    let text = Text::lines(value, page_width()).hex(layout.hex).to_string();
    for (index, line) in text.lines().enumerate() {
        if index > 0 {
            page.end_line();
        }
        page.styled(style(value), Printable(line));
    }
}

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    pid: u32,
    tid: u32,
    frame: Frame<'a>,
    warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<Evaluated<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Vec<serde_json::Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locals: Option<Vec<serde_json::Value>>,
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
    let list = |all: fn(&CallValues) -> &Vec<NamedValue>| {
        report.variables.as_ref().map(|variables| all(variables).iter().map(variable_json).collect())
    };
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
        values: report.variables.is_none().then(|| values.collect()),
        arguments: list(|all| &all.arguments),
        locals: list(|all| &all.locals),
    })
}

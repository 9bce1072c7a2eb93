//! Variables with their values: below the frames of `prospect stack`, and in lists of `prospect print`.

use prospect::{
    CallValues, NamedValue,
    symbols::variable::VariableKind,
    value::{Content, Value, text::Text},
};
use serde_json::{Map, json};

use super::{
    style::{PLACE, PLAIN, Printable, Table, WARNING},
    value::value_json,
};

/// Lines with values are not longer than this, where the terminal does not say how wide it is.
pub(crate) const WIDTH: usize = 120;

/// How far from the left the notes of frames stand.
const INDENT: usize = 6;

/// Said of a variable when an inner block has another one of its name.
pub(super) const HIDDEN: &str = "  (hidden)";

/// Which variables are shown, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variables {
    pub(crate) arguments: bool,
    pub(crate) locals: bool,
    /// In as many lines as they need, and not cut.
    pub(crate) full: bool,
    /// Whole numbers in hexadecimal.
    pub(crate) hex: bool,
}

impl Variables {
    /// The variables of a call as notes about it.
    pub(super) fn notes(self, table: &mut Table, values: Option<&CallValues>) {
        let Some(values) = values else {
            table.note(WARNING, "(variables not read)");
            return;
        };
        if self.arguments && !values.arguments.is_empty() {
            if self.full {
                values.arguments.iter().for_each(|one| self.lines(table, one));
            } else {
                self.in_one_line(table, &values.arguments);
            }
        }
        if self.locals {
            values.locals.iter().for_each(|one| self.lines(table, one));
        }
    }

    /// Arguments as a call has them: `(from = 3, to = {id = 1})`.
    fn in_one_line(self, table: &mut Table, all: &[NamedValue]) {
        let mut line = Line { table, left: self.width().saturating_sub(1) };
        line.push(PLAIN, "(");
        for (index, one) in all.iter().enumerate() {
            line.push(PLAIN, if index > 0 { ", " } else { "" });
            line.push(PLAIN, &format!("{} = ", name(one)));
            line.push(style(&one.value), &self.text(&one.value).to_string());
        }
        line.table.cell(PLAIN, ")");
        table.end_note();
    }

    /// `name = value`, in one line or as many as it needs.
    fn lines(self, table: &mut Table, one: &NamedValue) {
        let text = self.text(&one.value).to_string();
        let mut lines = text.lines();
        let mut line = Line { table, left: self.width() };
        line.push(PLAIN, &format!("{} = ", name(one)));
        line.push(style(&one.value), lines.next().unwrap_or_default());
        if one.is_hidden {
            line.table.cell(PLACE, HIDDEN);
        }
        table.end_note();
        for rest in lines {
            table.note(PLAIN, Printable(rest));
        }
    }

    /// How many characters are shown of a variable.
    pub(crate) fn width(self) -> usize {
        if self.full { usize::MAX } else { page_width().saturating_sub(INDENT) }
    }

    fn text(self, value: &Value) -> Text<'_> {
        let text = if self.full { Text::lines(value, page_width() - INDENT) } else { Text::one_line(value) };
        text.hex(self.hex)
    }
}

/// How many characters a line may have: what shells say in `COLUMNS`.
pub(crate) fn page_width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    columns.filter(|columns| *columns >= 40).unwrap_or(WIDTH)
}

/// Cells of one line, of which no more is written than there is room for.
struct Line<'t> {
    table: &'t mut Table,
    left: usize,
}

impl Line<'_> {
    fn push(&mut self, style: anstyle::Style, words: &str) {
        if self.left == 0 {
            return;
        }
        let words = Printable(words).to_string();
        let length = words.chars().count();
        if length <= self.left {
            self.left -= length;
            self.table.cell(style, words);
            return;
        }
        let start: String = words.chars().take(self.left.saturating_sub(1)).collect();
        self.table.cell(style, format_args!("{start}…"));
        self.left = 0;
    }
}

/// What cannot be had is not taken for a value.
pub(super) fn style(value: &Value) -> anstyle::Style {
    match value.content {
        Content::Unavailable(_) | Content::Cut(_) => PLACE,
        _ => PLAIN,
    }
}

/// What a variable is called, if only in C++ it may have no name.
pub(super) fn name(one: &NamedValue) -> &str {
    if one.name.is_empty() { "<unnamed>" } else { &one.name }
}

/// A variable as JSON; docs/json.md, section "Variables".
pub(super) fn variable_json(one: &NamedValue) -> serde_json::Value {
    let kind = match one.kind {
        VariableKind::Parameter => "parameter",
        VariableKind::Local => "local",
        VariableKind::Static => "static",
        VariableKind::Global => "global",
        VariableKind::ThreadLocal => "thread-local",
        VariableKind::Constant => "constant",
        _ => "unknown",
    };
    let mut object = Map::new();
    object.insert("name".into(), json!(&*one.name));
    object.insert("kind".into(), json!(kind));
    object.insert("depth".into(), json!(one.depth));
    if one.is_hidden {
        object.insert("hidden".into(), json!(true));
    }
    object.insert("value".into(), value_json(&one.value));
    object.into()
}

//! Text with colours, and text in columns.

use std::{
    fmt::{self, Write as _},
    io::{self, Write as _},
};

use anstyle::{AnsiColor, Style};

pub(crate) const PLAIN: Style = Style::new();
pub(crate) const HEADING: Style = Style::new().bold();
pub(crate) const FUNCTION: Style = AnsiColor::Cyan.on_default();
pub(crate) const PLACE: Style = Style::new().dimmed();
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default();

/// Output that is made up as a whole before it is written. Styles are left out where they are not wanted: no
/// terminal, or `NO_COLOR`.
#[derive(Debug)]
pub(crate) struct Page {
    text: String,
    colour: bool,
}

impl Page {
    /// An empty page for stdout.
    pub(crate) fn new() -> Self {
        let choice = anstream::AutoStream::choice(&io::stdout());
        Self { text: String::new(), colour: choice != anstream::ColorChoice::Never }
    }

    /// An empty page without colours.
    pub(crate) fn plain() -> Self {
        Self { text: String::new(), colour: false }
    }

    /// What is on it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Appends words in a style.
    pub(crate) fn styled(&mut self, style: Style, words: impl fmt::Display) {
        // Writing to a string cannot fail.
        let _ = if self.colour {
            write!(self.text, "{style}{words}{style:#}")
        } else {
            write!(self.text, "{words}")
        };
    }

    /// Appends words.
    pub(crate) fn push(&mut self, words: impl fmt::Display) {
        let _ = write!(self.text, "{words}");
    }

    /// Ends a line.
    pub(crate) fn end_line(&mut self) {
        self.text.push('\n');
    }

    fn spaces(&mut self, count: usize) {
        self.text.extend(std::iter::repeat_n(' ', count));
    }

    /// Writes the page to stdout.
    pub(crate) fn print(&self) -> io::Result<()> {
        let mut output = io::stdout().lock();
        output.write_all(self.text.as_bytes())?;
        output.flush()
    }
}

/// Writes lines to stdout, with nothing in them that a terminal would take for a command.
pub(crate) fn print_plain(lines: &str) -> io::Result<()> {
    let mut page = Page::plain();
    for line in lines.lines() {
        page.push(Printable(line));
        page.end_line();
    }
    page.print()
}

/// How far notes stand to the right of the rows that they are about.
const NOTE_INDENT: usize = 4;

/// Rows whose cells stand below each other.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// The words of all cells.
    words: String,
    cells: Vec<Cell>,
    rows: Vec<Row>,
    indent: usize,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    /// Where it ends in the cells; it begins where the one before it ends.
    end: usize,
    /// Whether it is a remark about the row before, and no cell of it stands below any other.
    is_note: bool,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    style: Style,
    /// Where its words end; they begin where those of the cell before it do.
    end: usize,
    width: usize,
}

impl Table {
    /// A table that stands `indent` columns to the right.
    pub(crate) fn indented(indent: usize) -> Self {
        Self { indent, ..Self::default() }
    }

    /// Adds a cell to the last row.
    pub(crate) fn cell(&mut self, style: Style, words: impl fmt::Display) {
        let start = self.words.len();
        let _ = write!(self.words, "{words}");
        let words = &self.words[start..];
        let width = if words.is_ascii() { words.len() } else { words.chars().count() };
        self.cells.push(Cell { style, end: self.words.len(), width });
    }

    /// Ends the last row.
    pub(crate) fn end_row(&mut self) {
        self.rows.push(Row { end: self.cells.len(), is_note: false });
    }

    /// Adds a line about the last row, which stands a little to the right.
    pub(crate) fn note(&mut self, style: Style, words: impl fmt::Display) {
        self.cell(style, words);
        self.end_note();
    }

    /// Makes a note of the cells since the last row: its words, in their styles, one behind the other.
    pub(crate) fn end_note(&mut self) {
        self.rows.push(Row { end: self.cells.len(), is_note: true });
    }

    /// Adds a row of two cells: the name of a thing, and the thing.
    pub(crate) fn entry(&mut self, name: &str, value: impl fmt::Display) {
        self.cell(PLACE, name);
        self.cell(PLAIN, value);
        self.end_row();
    }

    /// Writes the rows; no cell is made wider than `widest`, so that one long name does not push all
    /// others away.
    pub(crate) fn write(&self, page: &mut Page, widest: usize) {
        let mut widths: Vec<usize> = Vec::new();
        let mut start = 0;
        for Row { end, is_note } in &self.rows {
            let row = if *is_note { &[] } else { &self.cells[start..*end] };
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width.min(widest));
            }
            start = *end;
        }
        let (mut start, mut word) = (0, 0);
        for Row { end, is_note } in &self.rows {
            let row = &self.cells[start..*end];
            let last = row.iter().rposition(|cell| cell.width > 0).unwrap_or(0);
            page.spaces(self.indent + if *is_note { NOTE_INDENT } else { 0 });
            for (index, cell) in row.iter().enumerate() {
                let words = &self.words[word..cell.end];
                word = cell.end;
                if !words.is_empty() {
                    page.styled(cell.style, words);
                }
                if index < last && !is_note {
                    page.spaces(widths[index].saturating_sub(cell.width) + 2);
                }
            }
            page.end_line();
            start = *end;
        }
    }
}

/// Text of a target, made harmless for a terminal: control characters are shown, not obeyed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printable<'a>(pub(crate) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return f.write_str(self.0);
        }
        self.0.chars().try_for_each(|letter| {
            if is_harmless(letter) { f.write_char(letter) } else { write!(f, "{}", letter.escape_default()) }
        })
    }
}

/// Neither a control character, nor one that turns the direction of the text around it.
fn is_harmless(letter: char) -> bool {
    !(letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_below_each_other_but_for_overlong_ones() {
        let mut table = Table::indented(1);
        for words in ["a b", "long c", "extremely d", "ü e", "f"] {
            words.split(' ').for_each(|word| table.cell(HEADING, word));
            table.end_row();
        }
        let mut page = Page { text: String::new(), colour: false };
        table.write(&mut page, 6);
        assert_eq!(page.text, " a       b\n long    c\n extremely  d\n ü       e\n f\n");
        let mut page = Page { text: String::new(), colour: false };
        table.note(PLACE, "a long remark");
        table.write(&mut page, 6);
        assert!(page.text.ends_with("\n f\n     a long remark\n") && page.text.starts_with(" a       b\n"));
        let mut page = Page { text: String::new(), colour: true };
        table.write(&mut page, 6);
        assert!(page.text.starts_with(" \u{1b}[1ma\u{1b}[0m       \u{1b}[1mb\u{1b}[0m\n"), "{:?}", page.text);
    }

    #[test]
    fn escape_sequences_of_a_target_are_shown_and_not_obeyed() {
        assert_eq!(Printable("a\u{1b}[31mb\nc").to_string(), "a\\u{1b}[31mb\\nc");
        assert_eq!(Printable("ü\u{202e}x").to_string(), "ü\\u{202e}x");
    }
}

//! Colours, and text in columns.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

pub(crate) const HEADING: Style = Style::new().bold();
pub(crate) const FUNCTION: Style = AnsiColor::Cyan.on_default();
pub(crate) const PLACE: Style = Style::new().dimmed();
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default();

/// Rows whose cells stand below each other.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<(Style, String)>>,
    indent: usize,
}

impl Table {
    /// A table that stands `indent` columns to the right.
    pub(crate) fn indented(indent: usize) -> Self {
        Self { rows: Vec::new(), indent }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = (Style, String)>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes the rows; no cell is made wider than `widest`, so that one long name does not push all
    /// others away.
    pub(crate) fn write(&self, text: &mut String, widest: usize) {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, (_, cell)) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count().min(widest));
            }
        }
        for row in &self.rows {
            let _ = write!(text, "{:1$}", "", self.indent);
            let last = row.iter().rposition(|(_, cell)| !cell.is_empty()).unwrap_or(0);
            for (index, (style, cell)) in row.iter().enumerate().take(last + 1) {
                styled(text, *style, cell);
                if index < last {
                    let gap = widths[index].saturating_sub(cell.chars().count()) + 2;
                    let _ = write!(text, "{:gap$}", "");
                }
            }
            text.push('\n');
        }
    }
}

/// Appends `words` in a style.
pub(crate) fn styled(text: &mut String, style: Style, words: &str) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{style}{words}{style:#}");
}

/// Text of a target, made harmless for a terminal: control characters are shown, not obeyed.
pub(crate) fn printable(words: &str) -> String {
    let escape = |letter: char| -> String {
        if letter.is_control() { letter.escape_default().collect() } else { letter.into() }
    };
    if words.chars().any(char::is_control) { words.chars().map(escape).collect() } else { words.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_below_each_other_but_for_overlong_ones() {
        let mut table = Table::indented(1);
        let plain = Style::new();
        for words in ["a b", "long c", "extremely d"] {
            table.row(words.split(' ').map(|word| (plain, word.to_owned())));
        }
        let mut text = String::new();
        table.write(&mut text, 6);
        let text = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(text, " a     b\n long  c\n extremely  d\n");
    }

    #[test]
    fn escape_sequences_of_a_target_are_shown_and_not_obeyed() {
        assert_eq!(printable("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\\nc");
    }
}

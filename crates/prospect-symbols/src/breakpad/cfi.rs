//! `STACK CFI`: the rows of call frame information, as text.

use prospect_process::{ArchInfo, LinkAddr, RegisterId};

use super::{
    broken,
    index::Index,
    postfix::{Expressions, Problem, Value, register},
    record::{Fields, Lines},
};
use crate::{RegisterRule, UnwindInfoError, UnwindRow};

/// A function has no more rows.
const MOST_ROWS: usize = 1 << 16;

/// What a rule is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Column {
    Cfa,
    Register(RegisterId),
}

/// The text of a rule for each column that has one.
type Rules<'a> = Vec<(Column, &'a [u8])>;

/// The row for an address relative to the module; so is its range.
pub(super) fn row(
    bytes: &[u8],
    index: &Index,
    info: &'static ArchInfo,
    at: u64,
) -> Result<Option<UnwindRow>, UnwindInfoError> {
    let Some(entry) = index.call_frames.at_or_before(at) else { return Ok(None) };
    let mut lines = Lines::from(bytes, entry.offset).map(|(_, line)| line);
    let first = lines.next().and_then(|line| Fields::of(line, "STACK CFI INIT"));
    let mut fields = first.ok_or_else(|| broken("no record"))?;
    let (Some(start), Some(size)) = (fields.hex(), fields.hex()) else {
        return Err(broken("a record without a size"));
    };
    let mut range = start..start.saturating_add(size);
    if !range.contains(&at) {
        return Ok(None);
    }
    let mut rules = Rules::new();
    take_rules(&mut rules, &mut fields, info);
    for line in lines.take(MOST_ROWS) {
        let Some(mut fields) = Fields::of(line, "STACK CFI") else { break };
        // The next function has a word there.
        let Some(start) = fields.hex() else { break };
        if start > at {
            range.end = range.end.min(start);
            break;
        }
        range.start = range.start.max(start);
        take_rules(&mut rules, &mut fields, info);
    }
    let mut row = in_words(&rules, info).map_err(broken)?;
    row.range = LinkAddr(range.start)..LinkAddr(range.end);
    Ok(Some(row))
}

/// Takes the rules of a record; those of registers that are not known are left out. A rule ends where the next name comes, which
/// has a colon.
fn take_rules<'a>(rules: &mut Rules<'a>, fields: &mut Fields<'a>, info: &ArchInfo) {
    let text = fields.0;
    let place = |word: &[u8]| word.as_ptr().addr().saturating_sub(text.as_ptr().addr());
    let mut open: Option<(Option<Column>, usize)> = None;
    let mut close = |open: Option<(Option<Column>, usize)>, end: usize| {
        let Some((Some(column), start)) = open else { return };
        let rule = text.get(start..end).unwrap_or_default();
        match rules.iter_mut().find(|(known, _)| *known == column) {
            Some((_, known)) => *known = rule,
            None => rules.push((column, rule)),
        }
    };
    while let Some(word) = fields.word() {
        if let Some(name) = word.strip_suffix(b":") {
            close(open, place(word));
            let column = match name {
                b".cfa" => Some(Column::Cfa),
                b".ra" => Some(Column::Register(info.link.unwrap_or(info.pc))),
                _ => register(info, name).map(Column::Register),
            };
            open = Some((column, place(word) + word.len()));
        }
    }
    close(open, text.len());
}

fn in_words(rules: &Rules<'_>, info: &'static ArchInfo) -> Result<UnwindRow, Problem> {
    let mut expressions = Expressions::new(info);
    let cfa = rules.iter().find(|(column, _)| *column == Column::Cfa);
    let cfa = value(cfa.ok_or("no rule for the frame address")?.1, &mut expressions)?;
    let mut row = UnwindRow::new();
    row.cfa = expressions.cfa_rule(cfa.ok_or("a frame address that is lost")?)?;
    row.return_address = info.link.unwrap_or(info.pc);
    // Nothing says so: of an address that is not signed, nothing is lost.
    row.signed_return_address = info.authentication_mask != 0;
    for (column, text) in rules {
        let Column::Register(id) = *column else { continue };
        let rule = match value(text, &mut expressions)? {
            Some(value) => expressions.rule(id, value, &row.cfa)?,
            None => RegisterRule::Undefined,
        };
        row.rules.push((id, rule));
    }
    Ok(row)
}

/// The value of a rule; `None` where that is lost.
fn value(text: &[u8], expressions: &mut Expressions) -> Result<Option<Value>, Problem> {
    let info = expressions.info();
    let mut fields = Fields(text);
    let mut stack = Vec::new();
    while let Some(word) = fields.word() {
        if word == b".undef" {
            return Ok(None);
        }
        if expressions.operate(word, &mut stack)? {
            continue;
        }
        let number = || std::str::from_utf8(word).ok()?.parse::<i64>().ok();
        stack.push(if let Some(number) = number() {
            expressions.number(number)?
        } else if word == b".cfa" {
            expressions.cfa()?
        } else {
            expressions.register(register(info, word).ok_or("a register that is not known")?)?
        });
    }
    match *stack {
        [value] => Ok(Some(value)),
        _ => Err("a rule that is not one value"),
    }
}

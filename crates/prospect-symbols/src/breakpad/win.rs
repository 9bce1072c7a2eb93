//! `STACK WIN`: how the frames of 32-bit Windows are left, by sizes (frame pointer omission, FPO) or by small programs.
//!
//! The arguments of the function that was called lie between its frame and what the sizes of its caller say. A row does not know who
//! was called: what is found by sizes alone, or by `.raSearch` and `.raSearchStart`, is where the return address is searched for
//! ([`CfaRule::ReturnAddress`]).

use std::collections::HashMap;

use prospect_process::{ArchInfo, LinkAddr};

use super::{
    broken,
    index::{Entry, Index},
    postfix::{Expressions, Problem, Value, register},
    record::{Fields, Lines},
};
use crate::{CfaRule, RegisterRule, UnwindInfoError, UnwindRow};

/// One record.
struct Record<'a> {
    start: u64,
    code_size: u64,
    parameters: i64,
    saved: i64,
    locals: i64,
    /// The program, or whether the frame pointer was saved.
    last: &'a [u8],
}

/// The row for an address relative to the module; so is its range.
pub(super) fn row(
    bytes: &[u8],
    index: &Index,
    info: &'static ArchInfo,
    at: u64,
) -> Result<Option<UnwindRow>, UnwindInfoError> {
    let covering = |entry: Option<Entry>| {
        let record = Record::read(Lines::from(bytes, entry?.offset).next()?.1)?;
        let end = record.start.saturating_add(record.code_size);
        (record.start..end).contains(&at).then_some((record, end))
    };
    let found = if let Some((record, end)) = covering(index.programs.at_or_before(at)) {
        (record.program(info).map_err(broken)?, record.start, end)
    } else if let Some((record, end)) = covering(index.frames.at_or_before(at)) {
        (record.by_sizes(info).ok_or_else(|| broken("no frame pointer"))?, record.start, end)
    } else {
        return Ok(None);
    };
    let (mut row, start, end) = found;
    row.return_address = info.pc;
    row.range = LinkAddr(start)..LinkAddr(end);
    Ok(Some(row))
}

impl<'a> Record<'a> {
    fn read(line: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::of(line, "STACK WIN")?;
        let _kind = fields.hex()?;
        let (start, code_size) = (fields.hex()?, fields.hex()?);
        let _prologue_and_epilogue = (fields.hex()?, fields.hex()?);
        let mut size = || Some(i64::from(u32::try_from(fields.hex()?).ok()?));
        let (parameters, saved, locals) = (size()?, size()?, size()?);
        let _most_and_has_program = (fields.hex()?, fields.hex()?);
        Some(Self { start, code_size, parameters, saved, locals, last: fields.rest()? })
    }

    fn by_sizes(&self, info: &ArchInfo) -> Option<UnwindRow> {
        let mut row = UnwindRow::new();
        let cfa = self.saved + self.locals + 4;
        row.cfa = CfaRule::ReturnAddress(info.sp, cfa - 4);
        row.rules.push((info.pc, RegisterRule::AtCfa(-4)));
        if self.last != b"0" {
            row.rules.push((info.fp, RegisterRule::AtCfa(self.saved - 8 - cfa)));
        }
        Some(row)
    }

    /// Runs the program: `$T0 $ebp = $eip $T0 4 + ^ =`. What it gives to registers, their callers have in them.
    fn program(&self, info: &'static ArchInfo) -> Result<UnwindRow, Problem> {
        let mut expressions = Expressions::new(info);
        let mut known: HashMap<&[u8], Value> = HashMap::new();
        for (name, value) in
            [(".cbParams", self.parameters), (".cbSavedRegs", self.saved), (".cbLocals", self.locals)]
        {
            known.insert(name.as_bytes(), expressions.number(value)?);
        }
        let mut stack = vec![expressions.register(info.sp)?, expressions.number(self.saved + self.locals)?];
        expressions.operate(b"+", &mut stack)?;
        if let Some(start) = stack.pop() {
            known.extend([".raSearchStart", ".raSearch"].map(|name| (name.as_bytes(), start)));
        }
        // What is to be given a value has none yet.
        let mut names: Vec<Option<&[u8]>> = Vec::new();
        let mut fields = Fields(self.last);
        let (mut joined, mut searches) = (None, false);
        while let Some(word) = joined.take().or_else(|| fields.word()) {
            // Compilers forget the space behind it.
            let word = match word.split_first() {
                Some((b'=', rest @ [_, ..])) => {
                    joined = Some(rest);
                    b"="
                }
                _ => code_view_name(word),
            };
            searches |= word.starts_with(b".raSearch");
            if word == b"=" {
                let value = stack.pop().ok_or("nothing to give")?;
                names.pop();
                stack.pop();
                let name = names.pop().flatten().ok_or("a value is given to no name")?;
                known.insert(name, value);
                continue;
            }
            let before = stack.len();
            if expressions.operate(word, &mut stack)? {
                names.truncate(before.min(stack.len()).saturating_sub(1));
                names.push(None);
                continue;
            }
            let number = || std::str::from_utf8(word).ok()?.parse::<i64>().ok();
            let value = match (known.get(word), number(), register(info, word)) {
                (Some(value), ..) => *value,
                (_, Some(number), _) => expressions.number(number)?,
                (_, _, Some(id)) => expressions.register(id)?,
                // The name of what comes to be.
                _ if word.starts_with(b"$") => expressions.number(0)?,
                _ => return Err("a word that is not known"),
            };
            stack.push(value);
            names.push(word.starts_with(b"$").then_some(word));
        }
        let given = |name: &str| known.get(name.as_bytes()).copied().ok_or("a register is given no value");
        let mut row = UnwindRow::new();
        row.cfa = expressions.cfa_rule(given("$esp")?)?;
        row.rules.push((info.pc, expressions.rule(info.pc, given("$eip")?, &row.cfa)?));
        for name in ["$ebp", "$ebx", "$esi", "$edi"] {
            if let (Some(id), Ok(value)) = (register(info, name.as_bytes()), given(name)) {
                row.rules.push((id, expressions.rule(id, value, &row.cfa)?));
            }
        }
        if let (true, CfaRule::Register(base, offset)) = (searches, &row.cfa)
            && *base == info.sp
        {
            row.cfa = CfaRule::ReturnAddress(info.sp, offset - 4);
        }
        Ok(row)
    }
}

/// The name of a register that a program has by its number (`CV_REG_EBX` and the following of `cvconst.h`); all else as it is.
fn code_view_name(word: &[u8]) -> &[u8] {
    match word {
        b"$20" => b"$ebx",
        b"$21" => b"$esp",
        b"$22" => b"$ebp",
        b"$23" => b"$esi",
        b"$24" => b"$edi",
        other => other,
    }
}

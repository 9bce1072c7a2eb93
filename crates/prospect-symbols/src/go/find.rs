//! From names and lines to addresses, by the tables of Go's runtime.

use std::{collections::HashMap, ops::Range};

use prospect_process::LinkAddr;

use super::GoProgram;
use crate::{LinePlace, Pattern, SourceLine, binary::Headers};

/// Names that are looked at may have so many times the bytes that the tables have: functions can share them.
const MOST_SHARED: usize = 4;

impl GoProgram {
    /// The functions whose names are meant, by address, at most so many.
    pub(crate) fn functions_named(
        &self,
        headers: &Headers,
        pattern: &Pattern,
        limit: usize,
    ) -> Vec<(String, Range<LinkAddr>)> {
        let tables = self.tables(headers);
        let mut left = MOST_SHARED * tables.bytes.len();
        let named = tables.functions().filter_map(|(function, end)| {
            let name = function.name()?;
            left = left.saturating_sub(name.len() + 1);
            (left > 0 && pattern.matches_go(&name))
                .then_some((name, LinkAddr(function.start)..LinkAddr(end.max(function.start))))
        });
        named.take(limit).collect()
    }

    /// The places of a line, or of the next one that has code: one for each function and inlined call, the first that has code of it.
    pub(crate) fn line_places(&self, headers: &Headers, wanted: &SourceLine, limit: usize) -> Vec<LinePlace> {
        let tables = self.tables(headers);
        let mut files: HashMap<(u32, usize), bool> = HashMap::new();
        let mut left = MOST_SHARED * tables.bytes.len();
        let mut is_meant = |unit: u32, file: usize| {
            *files.entry((unit, file)).or_insert_with(|| {
                let path = usize::try_from(unit).ok().and_then(|unit| tables.file(unit, file));
                path.is_some_and(|path| wanted.is_file(&path))
            })
        };
        let (mut best, mut found) = (u32::MAX, Vec::new());
        for (function, _) in tables.functions() {
            let lines = function.lines(&mut is_meant);
            left = left.saturating_sub(lines.len() + 1);
            if left == 0 {
                break;
            }
            let Some(line) = lines.iter().map(|(line, _)| *line).filter(|line| *line >= wanted.line).min()
            else {
                continue;
            };
            if line > best {
                continue;
            }
            if line < best {
                best = line;
                found.clear();
            }
            // The call that it is inlined by tells one place from another.
            let mut calls = Vec::new();
            for (_, at) in lines.iter().filter(|(one, _)| *one == line) {
                let call = function.inlined_call(*at);
                if !calls.contains(&call) && calls.len() < limit {
                    calls.push(call);
                    found.push(*at);
                }
            }
        }
        let place = |at: u64| {
            let frame = self.frames(headers, LinkAddr(at)).into_iter().next().unwrap_or_default();
            Some(LinePlace {
                address: LinkAddr(at),
                file: frame.file?,
                line: best,
                column: None,
                is_exact: best == wanted.line,
                function: frame.function,
                is_inlined: frame.inlined,
            })
        };
        found.into_iter().take(limit).filter_map(place).collect()
    }
}

//! Where a thread stands, in terms of the source.

use std::{ops::Range, sync::Arc};

use prospect_process::{Addr, LinkAddr, Process, Registers};
use prospect_stack::{StepContext, Walker};
use prospect_symbols::{Binaries, ModuleBinary};

/// So far around the program counter is looked for code of the same line.
const WINDOW: u64 = 256;

/// Who called the function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) returns_to: Addr,
    pub(super) cfa: Option<Addr>,
}

/// Where a thread stands.
#[derive(Clone, Debug)]
pub(super) struct Position {
    pub(super) pc: Addr,
    pub(super) cfa: Option<Addr>,
    pub(super) caller: Option<Caller>,
    /// The calls that were inlined here, and the file and line.
    pub(super) line: Option<Line>,
    /// Whether a line begins at this instruction.
    pub(super) is_line_start: bool,
    /// The code of the line around here.
    pub(super) ranges: Vec<Range<Addr>>,
    /// Where the function begins, as far as it is known.
    start: Addr,
    /// Where the arguments of the function can be read.
    pub(super) after_prologue: Addr,
}

/// A line, as one that was inlined elsewhere is another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    functions: Vec<Option<String>>,
    file: Option<String>,
    number: u32,
}

impl Position {
    pub(super) fn of(process: &dyn Process, binaries: &Binaries, registers: &Registers) -> Option<Self> {
        let pc = registers.pc()?;
        let mut walker = Walker::new(process.info().arch).frame_limit(3);
        let stack = walker.walk(registers, &StepContext::new(process, binaries));
        let caller =
            stack.frames.get(1).map(|frame| Caller { returns_to: frame.code.addr(), cfa: frame.cfa });
        let mut position = Self {
            pc,
            cfa: stack.frames.first().and_then(|frame| frame.cfa),
            caller,
            line: None,
            is_line_start: false,
            ranges: vec![pc..pc.wrapping_add(1)],
            start: pc,
            after_prologue: pc,
        };
        if let Some(module) = process.modules().at(pc) {
            let binary = binaries.get(module, process.info(), process.memory());
            position.describe(&binary, pc.to_link(module.bias), module.bias);
        }
        Some(position)
    }

    pub(super) fn line_number(&self) -> Option<u32> {
        self.line.as_ref().map(|line| line.number)
    }

    /// The innermost function, inlined ones too.
    pub(super) fn function(&self) -> Option<&str> {
        self.line.as_ref()?.functions.first()?.as_deref()
    }

    pub(super) fn file(&self) -> Option<&str> {
        self.line.as_ref()?.file.as_deref()
    }

    /// Whether the innermost function was inlined here.
    pub(super) fn is_inlined(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.functions.len() > 1)
    }

    /// Whether the code here is of the copy of a function that another position is in, or was inlined into that.
    pub(super) fn is_within_call_of(&self, other: &Self) -> bool {
        let (Some(own), Some(other)) = (&self.line, &other.line) else { return false };
        own.functions.ends_with(&other.functions)
    }

    /// Whether the code here is of another function than that of another position, inlined ones aside.
    pub(super) fn is_other_function(&self, other: &Self) -> bool {
        let outermost = |position: &Self| position.line.as_ref()?.functions.last()?.clone();
        // A function may be in several parts.
        let is_part = outermost(self).is_some() && outermost(self) == outermost(other);
        self.start != other.start && !is_part
    }

    /// Whether the code here was inlined into the function of another position.
    pub(super) fn is_inlined_into(&self, other: &Self) -> bool {
        let (Some(own), Some(other)) = (&self.line, &other.line) else { return false };
        own.functions.len() > other.functions.len() && own.functions.ends_with(&other.functions)
    }

    fn describe(&mut self, binary: &Arc<ModuleBinary>, at: LinkAddr, bias: u64) {
        let function = binary.function(at).map(|function| function.range.clone());
        let function = function.filter(|range| range.contains(&at)).unwrap_or(at..LinkAddr(at.0 + 1));
        self.start = function.start.to_addr(bias);
        self.after_prologue = binary.after_prologue(function.start).to_addr(bias);
        let start = function.start.0.max(at.0.saturating_sub(WINDOW));
        let end = function.end.0.min(at.0.saturating_add(WINDOW));
        let addresses: Vec<LinkAddr> = (start..end).map(LinkAddr).collect();
        let lines: Vec<Option<Line>> = binary.resolve(&addresses).iter().map(line_of).collect();
        let here = (at.0 - start) as usize;
        let Some(Some(line)) = lines.get(here) else { return };
        let before = here.checked_sub(1).and_then(|before| lines[before].as_ref());
        self.is_line_start = before != Some(line);
        let mut ranges: Vec<Range<Addr>> = Vec::new();
        for (address, of) in addresses.iter().zip(&lines) {
            let address = address.to_addr(bias);
            if of.as_ref() != Some(line) {
                continue;
            }
            match ranges.last_mut().filter(|range| range.end == address) {
                Some(range) => range.end = address.wrapping_add(1),
                None => ranges.push(address..address.wrapping_add(1)),
            }
        }
        (self.ranges, self.line) = (ranges, Some(line.clone()));
    }
}

fn line_of(resolved: &prospect_symbols::ResolvedAddress) -> Option<Line> {
    let innermost = resolved.frames.first()?;
    let functions = resolved.frames.iter().map(|frame| frame.function.clone()).collect();
    let number = innermost.line.filter(|line| *line > 0)?;
    Some(Line { functions, file: innermost.file.clone(), number })
}

//! The functions at an address: the one that was called, and those that were inlined into it.

use super::{
    fields::Fields,
    function::{Function, FunctionData},
    header::Format,
};
use crate::symbol::SourceFrame;

/// Calls that are nested deeper are a broken table.
const DEEPEST: usize = 256;

/// The functions and lines at an address of `function`, the innermost first. `data` has the bytes of a function's data.
pub(super) fn frames<'a>(
    function: &Function<'a>,
    pc: u64,
    data: impl FnOnce(FunctionData) -> Option<&'a [u8]>,
) -> Vec<SourceFrame> {
    let frame = |function_name, pc: u64, inlined| SourceFrame {
        function: function_name,
        file: function.file(pc),
        line: function.line(pc),
        inlined,
        ..SourceFrame::default()
    };
    let mut frames = Vec::new();
    let mut pc = pc;
    let calls = function.inlined_call(pc).and_then(|_| data(function.inlined_calls()?));
    if let Some(calls) = calls {
        let calls = Calls { function, fields: Fields { bytes: calls, ..function.tables.fields() } };
        while let Some(index) = function.inlined_call(pc).filter(|_| frames.len() < DEEPEST) {
            let Some((name, call)) = calls.get(index) else { break };
            frames.push(frame(Some(name), pc, true));
            pc = call;
        }
    }
    frames.push(frame(function.name(), pc, false));
    frames
}

/// The inlined calls of a function (`runtime.inlinedCall`).
struct Calls<'a, 'b> {
    function: &'b Function<'a>,
    fields: Fields<'a>,
}

impl Calls<'_, '_> {
    /// The name of what was inlined, and an address whose line is that of the call.
    fn get(&self, index: usize) -> Option<(String, u64)> {
        let (length, name, parent) = match self.function.tables.header.format {
            Format::Go120 => (16, 4, 8),
            _ => (20, 12, 16),
        };
        let at = index.checked_mul(length)?;
        let name = usize::try_from(self.fields.half(at.checked_add(name)?)?).ok()?;
        let parent = self.fields.half(at.checked_add(parent)?)?;
        Some((self.function.tables.name(name)?, self.function.start.checked_add(parent.into())?))
    }
}

//! Bottoms of stacks: code that nothing calls.

use prospect_process::{
    Addr, Module, ModuleKind,
    auxv::{self, Auxv},
};
use prospect_symbols::ModuleBinary;

use crate::{
    CodeAddress, Frame, FrameStepper, Step, StepContext, StepError,
    arch::{self, CodeAround, Flow},
    pc_cache::PcCache,
};

/// Functions that the first function of a thread is called in, where they make the thread themselves. In the child
/// they have no caller; in the parent they return.
const CLONES: &[&[u8]] = &[b"clone", b"__clone", b"clone3", b"__clone3", b"__bionic_clone"];

/// Functions that nothing ever calls: of a goroutine it looks as if they had called its function.
const NEVER_CALLED: &[&[u8]] =
    &[b"runtime.goexit", b"runtime.goexit.abi0", b"runtime.rt0_go", b"runtime.rt0_go.abi0"];

/// The function that a program is entered by is not larger, in bytes.
const LARGEST_ENTRY: u64 = 64 << 10;

/// The code that does not branch in it is not longer, in bytes.
const LONGEST_RUN: usize = 256;

/// A function that makes threads is not larger, in bytes.
const LARGEST_CLONE: u64 = 1 << 10;

/// Ends the stack in code above which nothing can be: the entry of the program or of its loader, and where
/// threads start.
///
/// What call frame information says counts more, so this is to be asked after the `cfi` stepper: it is there for
/// code whose authors wrote none (musl, stripped Go programs, most loaders). The code is known by one of
///
/// - the entry point in the ELF header of the executable or the loader, or in the auxiliary vector: pc is in the function of that address,
///   as far as symbols say where it ends; else in the straight run of instructions from there to its first
///   call, or to the jump by which a loader goes over to the program;
/// - what the code at pc looks like: the instructions by which C libraries and Go call a thread's first function;
/// - the name of the function (`clone` and the like), if it makes a system call before it calls and the frame
///   pointer is 0.
///
/// A function of that name that somebody wrote for something else, or one that only lies next to the entry, is
/// none of them.
#[derive(Debug, Default)]
pub struct BottomStepper {
    exact: PcCache<Option<Bottom>>,
    calls: PcCache<Option<Bottom>>,
}

/// Why nothing is above some code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bottom {
    Certain,
    /// Only where the frame pointer is 0, as it is in a thread's first frame.
    IfMarked,
}

impl FrameStepper for BottomStepper {
    fn name(&self) -> &'static str {
        "bottom of stack"
    }

    fn step(&mut self, frame: &Frame, context: &StepContext<'_>) -> Result<Step, StepError> {
        let find = || find(frame.code, context);
        let found = match frame.code {
            CodeAddress::Exact(pc) => *self.exact.get(pc, context, find),
            CodeAddress::ReturnAddress(to) => *self.calls.get(to, context, find),
        };
        Ok(match found {
            Some(Bottom::Certain) => Step::Outermost,
            Some(Bottom::IfMarked) if frame.registers.fp() == Some(Addr(0)) => Step::Outermost,
            _ => Step::NotMine("the code is not where programs or threads start"),
        })
    }
}

fn find(code: CodeAddress, context: &StepContext<'_>) -> Option<Bottom> {
    if starts_thread(code, context) {
        return Some(Bottom::Certain);
    }
    let at = code.for_lookup();
    let module = context.modules.at(at).filter(|module| module.kind == ModuleKind::File)?;
    let binary = context.binaries.get(module, context.info, context.memory);
    match binary.linkage_name_at(at.to_link(module.bias)) {
        Some(name) if NEVER_CALLED.contains(&name) => return Some(Bottom::Certain),
        Some(name) if CLONES.contains(&name) && is_clone(code, module, &binary, context) => {
            return Some(Bottom::IfMarked);
        }
        _ => {}
    }
    let is_loader = || context.modules.loader().is_some_and(|loader| loader.range == module.range);
    let may_be_entry = module.is_executable || is_loader();
    (may_be_entry && is_entry(code, module, &binary, context)).then_some(Bottom::Certain)
}

/// Whether the call that returns to `code` looks like the one by which a thread's first function is called.
fn starts_thread(code: CodeAddress, context: &StepContext<'_>) -> bool {
    let (CodeAddress::ReturnAddress(to), Some(patterns)) = (code, arch::patterns(context.arch)) else {
        return false;
    };
    if !context.can_return_to(to) {
        return false;
    }
    let code = CodeAround::read(to, context.memory);
    (patterns.starts_thread)(code.before(), code.at())
}

/// Whether `code` is behind a call that its function makes after a system call.
fn is_clone(code: CodeAddress, module: &Module, binary: &ModuleBinary, context: &StepContext<'_>) -> bool {
    let at = code.for_lookup();
    let Some(patterns) = arch::patterns(context.arch) else { return false };
    if !matches!(code, CodeAddress::ReturnAddress(_)) {
        return false;
    }
    let Some((start, _)) = binary.function_at(at.to_link(module.bias)) else { return false };
    let start = start.to_addr(module.bias);
    let Some(length) = at.0.checked_sub(start.0).filter(|length| *length < LARGEST_CLONE) else {
        return false;
    };
    let mut bytes = vec![0; length as usize];
    let read = context.memory.read_available(start, &mut bytes);
    let length = patterns.system_call.len();
    length > 0 && bytes[..read].windows(length).any(|code| code == patterns.system_call)
}

/// Whether `code` is in the entry function of its module.
fn is_entry(code: CodeAddress, module: &Module, binary: &ModuleBinary, context: &StepContext<'_>) -> bool {
    // Of a program of which there is no more than a symbol file, the kernel's word for it.
    let told = || told_entry(context).filter(|_| module.is_executable).map(|at| at.to_link(module.bias));
    let Some(entry) = binary.entry_point().or_else(told) else { return false };
    let (entry_at, at) = (entry.to_addr(module.bias), code.for_lookup());
    if !(entry_at.0..entry_at.0.saturating_add(LARGEST_ENTRY)).contains(&at.0) {
        return false;
    }
    let at = at.to_link(module.bias);
    match binary.function_at(at) {
        Some((start, size)) if at.0 < start.0.saturating_add(size) => start == entry,
        // Symbol files do not say where it ends.
        _ if context.memory.read_up_to(entry_at, &mut [0]).is_err() => {
            let name = binary.linkage_name_at(entry);
            name.is_some() && name == binary.linkage_name_at(at)
        }
        _ => is_in_straight_run(code, entry_at, context),
    }
}

/// Where the kernel has started the program (`AT_ENTRY`).
fn told_entry(context: &StepContext<'_>) -> Option<Addr> {
    let info = context.arch.info();
    let vector = &context.info.kernel.auxiliary_vector;
    Auxv::parse(vector, info.word_bytes, info.big_endian).get(auxv::ENTRY).map(Addr)
}

/// Whether `code` is in the run of instructions from `entry` to its first call, or behind that call; or further on,
/// where the run ends with a jump through a register: by that, a loader goes over to the program. Behind a call
/// that does not return there may be another function, which would have to end so as well, without having taken
/// anything from the stack.
fn is_in_straight_run(code: CodeAddress, entry: Addr, context: &StepContext<'_>) -> bool {
    let Some(patterns) = arch::patterns(context.arch) else { return false };
    let mut bytes = [0; LONGEST_RUN];
    let read = context.memory.read_available(entry, &mut bytes);
    let (mut offset, mut calls, mut is_inside) = (0, 0, false);
    while let Some((length, flow)) = bytes[..read].get(offset..).and_then(patterns.flow) {
        let (here, next) = (entry.wrapping_add(offset as u64), entry.wrapping_add((offset + length) as u64));
        is_inside |= match code {
            CodeAddress::Exact(pc) => pc == here,
            CodeAddress::ReturnAddress(to) => flow == Flow::Call && to == next,
        };
        match flow {
            Flow::Next => {}
            Flow::Call if is_inside && calls == 0 => return true,
            Flow::Call => calls += 1,
            Flow::Away => return is_inside,
            Flow::Branch(_) | Flow::Jump(_) | Flow::End => return is_inside && calls == 0,
        }
        offset += length;
    }
    false
}

#[cfg(test)]
mod tests;

//! Call frame information: what the compiler wrote for unwinding.

use std::{collections::HashMap, sync::Arc};

use prospect_process::{Addr, ArchInfo, Module, RegisterId};
use prospect_symbols::{CfaRule, ModuleBinary, RegisterRule, UnwindInfoError, UnwindRow};

use crate::{
    Caller, CodeAddress, Entered, Frame, FrameRegisters, FrameStepper, Location, RuleAt, Step, StepContext,
    StepError, StepRule, Trust, pc_cache::PcCache,
};

use super::callers::Callers;

/// So many words of arguments may lie below a return address that is looked for.
const MOST_ARGUMENTS: u64 = 40;

/// Steps by call frame information (DWARF 5, section 6.4) of the module that the code is in: `.eh_frame` or
/// `.debug_frame`, and what says less where those do not cover the code. All registers that the callee preserves are
/// recovered; the others are unknown in the caller.
///
/// SFrame tells of pc, sp and the frame pointer alone: the other registers are lost in its callers. The exception
/// tables of 32-bit ARM are [true at calls](UnwindRow::only_at_calls): a thread that was stopped in the middle of a
/// function's prologue or epilogue may get a caller by them that is not its own, if that one is plausible.
#[derive(Debug, Default)]
pub struct CfiStepper {
    rows: PcCache<CachedRow>,
    modules: CachedModules,
    callers: Callers,
}

/// What is known of a code address.
#[derive(Clone, Debug)]
enum CachedRow {
    None(&'static str),
    Broken(UnwindInfoError),
    Row(Arc<UnwindRow>),
}

/// The binaries of the modules that were asked for, each once.
#[derive(Debug, Default)]
struct CachedModules {
    generation: Option<u64>,
    binaries: HashMap<Addr, Arc<ModuleBinary>>,
}

impl FrameStepper for CfiStepper {
    fn name(&self) -> &'static str {
        "cfi"
    }

    fn rule(&mut self, code: CodeAddress, context: &StepContext<'_>) -> RuleAt {
        let row = self.modules.row(code.for_lookup(), context);
        let rule = match &row {
            CachedRow::None(_) => RuleAt::NotMine,
            CachedRow::Broken(_) => RuleAt::Unknown,
            CachedRow::Row(row) => rule(row, context).map_or(RuleAt::Unknown, RuleAt::Caller),
        };
        if !matches!(rule, RuleAt::Caller(_)) {
            self.rows.get(code.for_lookup(), context, || row);
        }
        rule
    }

    fn step(&mut self, frame: &Frame, context: &StepContext<'_>) -> Result<Step, StepError> {
        let Self { rows, modules, callers } = self;
        let at = frame.for_lookup();
        match rows.get(at, context, || modules.row(at, context)) {
            CachedRow::None(why) => Ok(Step::NotMine(why)),
            CachedRow::Broken(error) => Err(error.clone().into()),
            CachedRow::Row(row) if needs_sp(row, context) && !frame.knows_sp() => {
                Ok(Step::NotMine("the call frame information needs sp, which was not found exactly"))
            }
            CachedRow::Row(row) => apply(row, &frame.registers, callers, context),
        }
    }
}

impl CachedModules {
    fn row(&mut self, at: Addr, context: &StepContext<'_>) -> CachedRow {
        let Some(module) = context.modules.at(at) else {
            return CachedRow::None("the code is in no module");
        };
        match self.binary(module, context).unwind_row(at.to_link(module.bias)) {
            Ok(None) => CachedRow::None("no call frame information covers the code"),
            Err(error) => CachedRow::Broken(error),
            Ok(Some(row)) => CachedRow::Row(Arc::new(row)),
        }
    }

    fn binary(&mut self, module: &Module, context: &StepContext<'_>) -> &ModuleBinary {
        if self.generation != Some(context.generation()) {
            self.generation = Some(context.generation());
            self.binaries.clear();
        }
        let find = || context.binaries.get(module, context.info, context.memory);
        self.binaries.entry(module.range.start).or_insert_with(find)
    }
}

/// Whether the rule of the canonical frame address is based on the stack pointer.
fn needs_sp(row: &UnwindRow, context: &StepContext<'_>) -> bool {
    matches!(row.cfa, CfaRule::Register(id, _) | CfaRule::ReturnAddress(id, _) if id == context.arch.info().sp)
}

/// The rule that a row is, where it has the form of one.
fn rule(row: &UnwindRow, context: &StepContext<'_>) -> Option<StepRule> {
    let info = context.arch.info();
    let (CfaRule::Register(base, from_base), false) = (&row.cfa, row.signal_frame) else { return None };
    let (mut saved, mut lost) = (Vec::with_capacity(row.rules.len()), Vec::new());
    for (id, rule) in &row.rules {
        match rule {
            RegisterRule::AtCfa(offset) if *id == row.return_address => saved.push((info.pc, *offset)),
            RegisterRule::AtCfa(_) if *id == info.sp => return None,
            RegisterRule::AtCfa(offset) => saved.push((*id, *offset)),
            // Only of the registers that the table has as preserved a rule says so without words.
            RegisterRule::SameValue if *id != row.return_address && info.register(*id).preserved => {}
            RegisterRule::Undefined if *id != row.return_address => lost.push(*id),
            _ => return None,
        }
    }
    let rule = StepRule::new(context.arch, (*base, *from_base), saved, Trust::CallFrameInfo)?;
    Some(rule.without(lost).authenticated(authentication(row, context)))
}

/// The caller by one row of the unwind table.
fn apply(
    row: &UnwindRow,
    registers: &FrameRegisters,
    callers: &mut Callers,
    context: &StepContext<'_>,
) -> Result<Step, StepError> {
    let info = context.arch.info();
    let return_rule = row.rules.iter().find(|(id, _)| *id == row.return_address).map(|(_, rule)| rule);
    match return_rule {
        // So the first function of a thread is marked.
        Some(RegisterRule::Undefined) => return Ok(Step::Outermost),
        None if row.return_address == info.pc => return Err(StepError::NoReturnAddressRule),
        _ => {}
    }
    let Some(cfa) = canonical_frame_address(&row.cfa, registers, callers, context)? else {
        return Ok(Step::NotMine("no word of the frame is a return address"));
    };
    let mut caller = registers.preserved();
    caller.set(info.sp, cfa.0.wrapping_sub(u64::from(info.cfa_above_sp)));
    for (id, rule) in &row.rules {
        // What nearly all rules are, in fewer steps.
        if let RegisterRule::AtCfa(offset) = rule {
            let at = Addr(cfa.0.wrapping_add_signed(*offset) & info.word_mask());
            match context.memory.read_word(context.arch, at) {
                Ok(value) => caller.set_at(*id, value, Location::Address(at)),
                Err(error) if *id == row.return_address || *id == info.sp => return Err(error.into()),
                Err(_) => caller.forget(*id),
            }
            continue;
        }
        match value(rule, *id, cfa, registers, context) {
            Ok(Some((value, location))) => caller.set_at(*id, value, location),
            Ok(None) => caller.forget(*id),
            Err(error) if *id == row.return_address || *id == info.sp => return Err(error),
            // One register that cannot be recovered is no reason to give up the frame.
            Err(_) => caller.forget(*id),
        }
    }
    if row.return_address != info.pc {
        let id = row.return_address;
        let found = caller.located(id).or_else(|| registers.located(id));
        let (to, location) = found.ok_or_else(|| unknown(info, id))?;
        let to = info.authenticated_address(to, authentication(row, context));
        caller.set_at(info.pc, to, location);
        // The caller has made calls: what its own caller left in the register is saved, or lost.
        if !row.signal_frame {
            caller.forget(id);
        }
    }
    let entered = if row.signal_frame { Entered::BySignal } else { Entered::ByCall };
    Ok(Step::Caller(Caller { registers: caller, cfa: Some(cfa), trust: Trust::CallFrameInfo, entered }))
}

/// The bits of the return address that authentication has, by this row.
fn authentication(row: &UnwindRow, context: &StepContext<'_>) -> u64 {
    if row.signed_return_address { context.info.authentication_mask() } else { 0 }
}

/// `None` where it was looked for in vain.
fn canonical_frame_address(
    rule: &CfaRule,
    registers: &FrameRegisters,
    callers: &mut Callers,
    context: &StepContext<'_>,
) -> Result<Option<Addr>, StepError> {
    let info = context.arch.info();
    let sum = |id: RegisterId, offset: i64| {
        let register = registers.get(id).ok_or_else(|| unknown(info, id))?;
        Ok::<_, StepError>(register.wrapping_add_signed(offset) & info.word_mask())
    };
    Ok(Some(Addr(match rule {
        CfaRule::Register(id, offset) => sum(*id, *offset)?,
        CfaRule::Expression(expression) => {
            expression.evaluate(None, &registers.expand(), context.memory)? & info.word_mask()
        }
        CfaRule::ReturnAddress(id, offset) => {
            let (start, word) = (sum(*id, *offset)?, u64::from(info.word_bytes));
            for index in 0..MOST_ARGUMENTS {
                let slot = Addr(start.wrapping_add(index * word) & info.word_mask());
                let to = Addr(context.memory.read_word(context.arch, slot)?);
                if callers.return_to(to, context).is_some() {
                    return Ok(Some(slot.wrapping_add(word)));
                }
            }
            return Ok(None);
        }
    })))
}

/// The value of register `id` in the caller, and where it was found; `None` where it is lost.
fn value(
    rule: &RegisterRule,
    id: RegisterId,
    cfa: Addr,
    registers: &FrameRegisters,
    context: &StepContext<'_>,
) -> Result<Option<(u64, Location)>, StepError> {
    let mask = context.arch.info().word_mask();
    let word = |at: u64| -> Result<_, StepError> {
        let at = Addr(at & mask);
        Ok(Some((context.memory.read_word(context.arch, at)?, Location::Address(at))))
    };
    let computed = |value| Some((value, Location::Computed));
    Ok(match rule {
        RegisterRule::SameValue => registers.located(id),
        RegisterRule::AtCfa(offset) => word(cfa.0.wrapping_add_signed(*offset))?,
        RegisterRule::CfaPlus(offset) => computed(cfa.0.wrapping_add_signed(*offset)),
        RegisterRule::Register(other) => registers.located(*other),
        RegisterRule::AtExpression(expression) => {
            word(expression.evaluate(Some(cfa.0), &registers.expand(), context.memory)?)?
        }
        RegisterRule::IsExpression(expression) => {
            computed(expression.evaluate(Some(cfa.0), &registers.expand(), context.memory)?)
        }
        // Undefined, and rules of an architecture's own that are not known here.
        _ => None,
    })
}

fn unknown(info: &ArchInfo, id: RegisterId) -> StepError {
    StepError::UnknownRegister(info.registers.get(usize::from(id.0)).map_or("?", |row| row.name))
}

#[cfg(test)]
mod tests;

//! Threads that have just been born.

use prospect_process::{Addr, Registers};

use crate::{
    CodeAddress, Frame, FrameStepper, RuleAt, Step, StepContext, StepError, Trust,
    arch::{self, Births, ChildStack},
};

/// Ends the stack of a thread that has not run an instruction yet: it stands behind the system call that made
/// it, with a stack of its own that nothing has been put on.
///
/// The call frame information there is of the parent, which returns from the call; so this must be asked
/// before the `cfi` stepper. The child of a `fork` stands there too, but with its parent's stack.
#[derive(Debug, Default)]
pub struct NewThreadStepper;

impl FrameStepper for NewThreadStepper {
    fn name(&self) -> &'static str {
        "new thread"
    }

    fn step(&mut self, frame: &Frame, context: &StepContext<'_>) -> Result<Step, StepError> {
        const NOT_ONE: Result<Step, StepError> = Ok(Step::NotMine("the thread has run before"));
        let (CodeAddress::Exact(pc), Trust::Given) = (frame.code, frame.trust) else { return NOT_ONE };
        let Some(births) = arch::patterns(context.arch).and_then(|patterns| patterns.births.as_ref()) else {
            return NOT_ONE;
        };
        let registers = frame.registers.expand();
        if is_new(births, pc, &registers, context) { Ok(Step::Outermost) } else { NOT_ONE }
    }

    fn rule(&mut self, code: CodeAddress, _context: &StepContext<'_>) -> RuleAt {
        match code {
            CodeAddress::Exact(_) => RuleAt::Unknown,
            CodeAddress::ReturnAddress(_) => RuleAt::NotMine,
        }
    }
}

fn is_new(births: &Births, pc: Addr, registers: &Registers, context: &StepContext<'_>) -> bool {
    let number = registers.get(births.number);
    let Some((_, stack)) = births.calls.iter().find(|(call, _)| number == Some(*call)) else { return false };
    if registers.get(births.result) != Some(0) {
        return false;
    }
    let has_own_stack = match *stack {
        ChildStack::Register(register) => registers.get(register).is_some_and(|start| start != 0),
        // On its parent's stack, sp points to the return address.
        ChildStack::InMemory => registers.sp().is_some_and(|sp| {
            let word = context.memory.read_word(context.arch, sp);
            !word.is_ok_and(|word| context.can_return_to(Addr(word)))
        }),
    };
    let mut code = [0; 2];
    let before = Addr(pc.0.wrapping_sub(code.len() as u64));
    has_own_stack && context.memory.read(before, &mut code).is_ok() && code == births.instruction
}

#[cfg(test)]
mod tests {
    use prospect_process::{Arch, RegisterId};

    use super::*;
    use crate::{
        StackEnd, StepperGroup,
        testing::{STACK, Scene, TEXT},
    };

    fn born(arch: Arch, set: &[(&str, u64)], prepare: impl FnOnce(&mut Scene)) -> bool {
        let mut scene = Scene::new(arch);
        let mut registers = at_of(arch);
        for (name, value) in set {
            registers.set(arch.info().by_name(name).unwrap(), *value);
        }
        prepare(&mut scene);
        let stack = scene.walk(StepperGroup::new().then(NewThreadStepper), &registers);
        stack.end == StackEnd::Outermost
    }

    fn at_of(arch: Arch) -> Registers {
        let mut registers = Registers::unknown(arch);
        let ids: [RegisterId; 2] = [arch.info().pc, arch.info().sp];
        registers.set(ids[0], TEXT + 2);
        registers.set(ids[1], STACK + 0x100);
        registers
    }

    #[test]
    fn a_thread_that_was_cloned_with_a_stack_has_no_caller() {
        let syscall = |scene: &mut Scene| {
            scene.bytes(TEXT, &[0x0f, 0x05]);
        };
        let clone = [("orig_rax", 56), ("rax", 0), ("rsi", STACK + 0x100)];
        assert!(born(Arch::X86_64, &clone, syscall));
        assert!(born(Arch::X86_64, &[("orig_rax", 435), ("rax", 0)], syscall));
        let clone = [("orig_eax", 120), ("eax", 0), ("ecx", STACK + 0x100)];
        assert!(born(Arch::I386, &clone, |scene| {
            scene.bytes(TEXT, &[0xcd, 0x80]);
        }));
    }

    #[test]
    fn parents_and_the_children_of_fork_have_one() {
        let syscall = |scene: &mut Scene| {
            scene.bytes(TEXT, &[0x0f, 0x05]);
        };
        assert!(!born(Arch::X86_64, &[("orig_rax", 56), ("rax", 77), ("rsi", STACK)], syscall));
        assert!(!born(Arch::X86_64, &[("orig_rax", 56), ("rax", 0), ("rsi", 0)], syscall));
        assert!(!born(Arch::X86_64, &[("orig_rax", 0), ("rax", 0), ("rsi", STACK)], syscall));
        assert!(!born(Arch::X86_64, &[("orig_rax", 56), ("rax", 0), ("rsi", STACK)], |_| ()));
        assert!(!born(Arch::X86_64, &[("orig_rax", 435), ("rax", 0)], |scene| {
            scene.bytes(TEXT, &[0x0f, 0x05]).word(STACK + 0x100, TEXT + 0x40);
        }));
    }
}

//! Why a process in a dump crashed, in words.

use prospect_process::{Addr, Exception, Process};
use prospect_stack::{InstructionText, MemoryUse, instruction};

/// What happened in a process, and by which instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Crash {
    /// What its system says.
    pub exception: Exception,
    /// The instruction that did it, where it can be known; of a signal that was sent there is none.
    pub instruction: Option<InstructionText>,
    /// The memory that could not be used: what the system says, or what follows from the instruction.
    pub address: Option<Addr>,
    /// What that memory is: `a null pointer plus 16`.
    pub explanation: Option<String>,
}

/// An address below this is that of a part of something at a null pointer: no system gives a program memory there.
const NULL_BYTES: u64 = 64 << 10;
/// So near to the stack pointer, an address is one of the stack.
const STACK_BYTES: u64 = 64 << 10;
/// The longest instruction of x86.
const MOST_BYTES: usize = 15;

impl Crash {
    /// What happened in this process; `None` when nothing did.
    pub(crate) fn of(process: &dyn Process) -> Option<Self> {
        let exception = process.info().exception.clone().filter(|exception| !exception.is_request())?;
        let registers = process.registers(exception.thread);
        // A signal that was sent, or that a call raised, is no instruction's.
        let of_instruction = exception.signal().is_none_or(|signal| {
            matches!(signal.number, 4 | 5 | 7 | 8 | 11) && (signal.address.is_some() || signal.code > 0)
        });
        let instruction = registers.filter(|_| of_instruction).and_then(|registers| {
            let mut code = [0; MOST_BYTES];
            let read = process.memory().read_available(registers.pc()?, &mut code);
            instruction(&registers, &code[..read])
        });
        let is_fault = exception.memory_fault().is_some()
            || exception.signal().is_some_and(|signal| signal.number == 11 && signal.code > 0);
        // What uses no memory cannot have been it: the memory shows other code than there was, or the pc is not the one.
        let instruction = instruction.filter(|one| !is_fault || one.memory.is_some());
        let used = instruction.as_ref().and_then(|one| one.memory.as_ref()).filter(|_| is_fault);
        let address = exception.memory_fault().map(|(at, _)| at).or_else(|| used?.address);
        let explanation = address.and_then(|at| explain(process, &exception, at, used));
        Some(Self { exception, instruction, address, explanation })
    }

    /// As people say it: ``SIGSEGV at 0x10: a null pointer plus 16, by `mov rax,[rdi+0x10]` ``.
    #[must_use]
    pub fn text(&self) -> String {
        let by = self.instruction.as_ref().map(|one| format!("by `{}`", one.text));
        let mut text = match (&self.exception.name(), self.address) {
            (Some(name), Some(at)) => format!("{name} at {at}"),
            _ => self.exception.to_string(),
        };
        let reason = self.exception.reason().filter(|_| self.address.is_some()).map(str::to_owned);
        let parts: Vec<String> = self.explanation.clone().or(reason).into_iter().chain(by).collect();
        if !parts.is_empty() {
            text.push_str(": ");
            text.push_str(&parts.join(", "));
        }
        text
    }
}

/// What is at an address that could not be used.
fn explain(
    process: &dyn Process,
    exception: &Exception,
    at: Addr,
    used: Option<&MemoryUse>,
) -> Option<String> {
    let registers = process.registers(exception.thread)?;
    if registers.pc() == Some(at) {
        return Some(match at.0 {
            0 => "a call of a null pointer".into(),
            1..NULL_BYTES => "a call of what is no function".into(),
            _ if process.mappings().at(at).is_some() => "code that may not be run".into(),
            _ => "a call of what is no code".into(),
        });
    }
    if at.0 < NULL_BYTES {
        return Some(match at.0 {
            0 => "a null pointer".into(),
            offset => format!("a null pointer plus {offset}"),
        });
    }
    // The other direction: a part before what the pointer points at.
    if let Some((_, 0)) = used.and_then(|used| used.base)
        && at.0.wrapping_neg() & process.info().arch.info().word_mask() < NULL_BYTES
    {
        let offset = at.0.wrapping_neg() & process.info().arch.info().word_mask();
        return Some(format!("a null pointer minus {offset}"));
    }
    let is_canonical = !matches!(at.0 >> 47, 1..=0x1_fffe);
    if process.info().arch.info().word_bytes == 8 && !is_canonical {
        return Some("no address that can be one".into());
    }
    let mapping = process.mappings().at(at);
    let is_usable = mapping.is_some_and(|mapping| mapping.permissions.write);
    if registers.sp().is_some_and(|sp| sp.0.abs_diff(at.0) < STACK_BYTES) && !is_usable {
        return Some("the stack is full".into());
    }
    let mapping = mapping?;
    let written =
        used.is_some_and(|used| used.is_written) && mapping.permissions.read && !mapping.permissions.write;
    let name = String::from_utf8_lossy(&mapping.name);
    match (written, name.is_empty()) {
        (true, false) => Some(format!("memory of {name} that may not be written")),
        (true, true) => Some("memory that may not be written".into()),
        _ => None,
    }
}

//! The unwinder on random registers and a random stack, with intact binaries.

use prospect_process::{Addr, Arch, RegisterId, Registers};
use prospect_stack::{
    CodeAddress, StepContext, Walker,
    return_addresses::{BinaryRules, ProcessRules, StackPosition, walk},
};
use prospect_symbols::{Binaries, SearchOptions};

use crate::{
    image::{self, BASE, STACK, STACK_BYTES},
    subject::{Cursor, SUBJECTS, as_file},
};

/// A walk from anywhere over anything.
pub fn unwind(data: &[u8]) {
    let mut cursor = Cursor(data);
    let subject = &SUBJECTS[usize::from(cursor.byte()) % SUBJECTS.len()];
    let arch = if subject.is_32_bit { Arch::I386 } else { Arch::X86_64 };
    let mut registers = Registers::unknown(arch);
    for index in 0..arch.info().registers.len() {
        if let (Ok(index), true) = (u8::try_from(index), cursor.byte() > 20) {
            registers.set(RegisterId(index), word(&mut cursor, &subject.returns));
        }
    }
    registers.set(arch.info().pc, BASE + cursor.below(subject.bytes.len()) as u64);
    registers.set(arch.info().sp, STACK + (cursor.below(STACK_BYTES) as u64 & !7));
    // What the data does not fill goes on from what it says, so that every word of the stack is something.
    let mut state = cursor.number() | 1;
    let mut stack = Vec::with_capacity(STACK_BYTES);
    while stack.len() < STACK_BYTES {
        let value = if cursor.is_empty() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word(&mut Cursor(&state.to_le_bytes()), &subject.returns)
        } else {
            word(&mut cursor, &subject.returns)
        };
        stack.extend_from_slice(&value.to_le_bytes());
    }
    let path = as_file(&subject.bytes);
    let process = image::process(arch, &path, subject.bytes.clone(), stack, registers);
    let binaries = Binaries::new(SearchOptions { names: false, ..SearchOptions::default() });
    let context = StepContext::new(&process, &binaries);
    let stack = Walker::new(arch).frame_limit(1000).walk(&registers, &context);
    assert!(stack.frames.len() <= 1000, "the frame limit holds");
    if let Some(from) = StackPosition::of(&registers) {
        let mut into = [CodeAddress::Exact(Addr(0)); 1000];
        let by_binaries = walk(&from, BinaryRules::new(&context), context.memory, &mut [], &mut into);
        let by_tables = walk(&from, &ProcessRules::new(&context), context.memory, &mut [], &mut into);
        assert!(by_binaries.count.max(by_tables.count) <= 1000, "and so does theirs");
    }
}

/// A word as stacks have them: often an address in the file or on the stack.
fn word(cursor: &mut Cursor<'_>, returns: &[u64]) -> u64 {
    match cursor.byte() & 3 {
        0 => cursor.number(),
        1 => STACK + (cursor.below(STACK_BYTES) as u64 & !7),
        _ => BASE + returns[cursor.below(returns.len())],
    }
}

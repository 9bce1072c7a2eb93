//! The analysis of code on random code, of every architecture.

use prospect_process::{
    Addr, Advice, Arch, CapturedMemory, FrozenProcess, Mapping, Mappings, Permissions, ProcessId,
    ProcessInfo, RegisterId, Registers,
};
use prospect_stack::{CodeAddress, Frame, FrameStepper, Step, StepContext, steppers::AnalysisStepper};
use prospect_symbols::{Binaries, SearchOptions};
use prospect_testing::Random;

use crate::subject::Cursor;

/// Where the code is, or where it ends, for code at the end of all addresses.
const TEXT: u64 = 0x40_0000;
const STACK: u64 = 0x7ff0_0000;
const STACK_BYTES: usize = 0x1000;
/// The memory that the stepper may use for functions.
const CAPACITY: usize = 1 << 20;

/// Steps from some places of random code.
pub fn analysis(data: &[u8]) {
    let _ = callers(data);
}

/// From how many of the places a caller was found.
fn callers(data: &[u8]) -> usize {
    let mut cursor = Cursor(data);
    let arch = match cursor.byte() & 7 {
        0..=2 => Arch::X86_64,
        3..=4 => Arch::I386,
        5..=6 => Arch::Aarch64,
        _ => Arch::ALL[usize::from(cursor.byte()) % Arch::ALL.len()],
    };
    let at_end = cursor.byte() & 7 == 0;
    let places: [u64; 4] = std::array::from_fn(|_| cursor.number());
    let code = cursor.0;
    let end = arch.info().word_mask() & !0xfff;
    let text = if at_end { end - ((code.len() as u64 + 0xfff) & !0xfff) } else { TEXT };
    // Words of the stack are ends of calls in the code, or addresses on the stack itself.
    let ends = ends_of_calls(code);
    let word = usize::from(arch.info().word_bytes);
    let mut stack = Vec::with_capacity(STACK_BYTES);
    for index in 0..(STACK_BYTES / word) as u64 {
        let place = places[index as usize % places.len()].wrapping_add(index.wrapping_mul(0x9e37_79b9));
        let value = if index % 3 == 0 {
            STACK + place % STACK_BYTES as u64
        } else {
            text + ends[place as usize % ends.len()]
        };
        let bytes = value.to_le_bytes();
        if arch.info().big_endian {
            stack.extend(bytes[..word].iter().rev());
        } else {
            stack.extend(&bytes[..word]);
        }
    }
    let all = [code, &stack].concat();
    let memory =
        CapturedMemory::new(all, [(Addr(text), code.len(), 0), (Addr(STACK), STACK_BYTES, code.len())]);
    let mapping = |start: u64, bytes: usize, execute: bool| Mapping {
        range: Addr(start)..Addr(start + ((bytes as u64 + 0xfff) & !0xfff)),
        permissions: Permissions { read: true, write: !execute, execute, shared: false },
        offset: 0,
        file: None,
        name: Vec::new(),
        deleted: false,
        advice: Advice::default(),
    };
    let mappings = vec![mapping(text, code.len(), true), mapping(STACK, STACK_BYTES, false)];
    let process =
        FrozenProcess::new(ProcessInfo::new(ProcessId(1), arch), Vec::new(), memory, Mappings::new(mappings));
    let binaries = Binaries::new(SearchOptions { names: false, ..SearchOptions::default() });
    let context = StepContext::new(&process, &binaries);
    let mut stepper = AnalysisStepper::with_capacity(CAPACITY);
    let mut found = 0;
    for place in places {
        let mut registers = Registers::unknown(arch);
        for index in 0..arch.info().registers.len().min(32) as u64 {
            registers.set(RegisterId(index as u8), STACK + (place >> 8).wrapping_add(index * 64) % 0x800);
        }
        registers.set(arch.info().pc, within(text, code, place));
        registers.set(arch.info().sp, STACK + (place >> 16) % 0x800 / 16 * 16);
        let Ok(mut frame) = Frame::innermost(&registers) else { continue };
        let exact = stepper.step(&frame, &context);
        let again = stepper.step(&frame, &context);
        let cfa = |step: &Result<Step, _>| match step {
            Ok(Step::Caller(caller)) => Some(caller.cfa),
            _ => None,
        };
        assert_eq!(cfa(&exact), cfa(&again), "what is remembered is not the same");
        found += usize::from(cfa(&exact).is_some());
        frame.code = CodeAddress::ReturnAddress(frame.code.addr());
        let _ = stepper.step(&frame, &context);
    }
    found
}

/// Offsets behind what looks like a call: `call rel32` and `call *%rax`, or `bl` on AArch64.
fn ends_of_calls(code: &[u8]) -> Vec<u64> {
    let end = |at: usize| match code[at..] {
        [0xe8, ..] => Some(at + 5),
        [0xff, 0xd0, ..] => Some(at + 2),
        [0x94, ..] if at % 4 == 3 => Some(at + 1),
        _ => None,
    };
    let mut found: Vec<u64> = (0..code.len()).filter_map(end).map(|end| end as u64).collect();
    found.push(0);
    found
}

fn within(text: u64, code: &[u8], place: u64) -> u64 {
    text + place % code.len().max(1) as u64
}

/// Pieces of functions of every architecture, in any order, with some noise.
pub(crate) fn pieces(random: &mut Random) -> Vec<u8> {
    const PIECES: &[&[u8]] = &[
        // x86: prologues, calls, jumps, tables, epilogues.
        &[0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x89, 0xe5],
        &[0x53, 0x41, 0x54, 0x48, 0x83, 0xec, 0x28],
        &[0x48, 0x83, 0xe4, 0xf0, 0x48, 0x29, 0xc4],
        &[0x4c, 0x8d, 0x54, 0x24, 0x08, 0x41, 0xff, 0x72, 0xf8],
        &[0x83, 0xff, 0x07, 0x77, 0x10, 0x48, 0x63, 0x04, 0xba, 0x48, 0x01, 0xd0, 0xff, 0xe0],
        &[0x48, 0x8d, 0x15, 0x20, 0, 0, 0, 0xff, 0x24, 0xfd, 0, 0x10, 0x40, 0],
        &[0xe8, 0, 0, 0, 0, 0x5b, 0xff, 0xd0, 0x85, 0xc0, 0x75, 0xf4],
        &[0xe9, 0x40, 0, 0, 0, 0xeb, 0xff, 0xc0, 0xf0, 0x0f, 0xb1, 0x11],
        &[0xc9, 0xc3, 0xc2, 0x08, 0x00, 0x5c, 0x9d, 0xc8, 0x10, 0, 0],
        &[0x48, 0x83, 0xc4, 0x28, 0x41, 0x5c, 0x5b, 0xc3, 0x66, 0x90],
        // AArch64: stp x29, x30, [sp, -32]!; mov x29, sp; bl; ldp x29, x30, [sp], 32; ret.
        &[0xfd, 0x7b, 0xbe, 0xa9, 0xfd, 0x03, 0x00, 0x91, 0x04, 0, 0, 0x94],
        &[0xfd, 0x7b, 0xc2, 0xa8, 0xc0, 0x03, 0x5f, 0xd6],
        &[0xff, 0x83, 0x00, 0xd1, 0xfe, 0x0b, 0x00, 0xf9, 0x40, 0, 0, 0xb4],
    ];
    let mut code: Vec<u8> = (0..34).map(|_| random.number() as u8).collect();
    for _ in 0..random.below(200) {
        match random.below(8) {
            0 => code.extend((0..random.below(12)).map(|_| random.number() as u8)),
            1 => code.extend([0x90; 15].iter().take(16 - code.len() % 16)),
            _ => code.extend(PIECES[random.below(PIECES.len())]),
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else it would fuzz nothing.
    #[test]
    fn some_pieces_have_callers() {
        let mut random = Random::new(3);
        let found: usize = (0..400).map(|_| callers(&pieces(&mut random))).sum();
        assert!(found > 0);
    }
}

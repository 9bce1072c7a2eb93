//! Where arguments and results are: System V ABI, AMD64 supplement, section 3.2.3.

use std::ops::Range;

use super::{Argument, InvocationError, Returns};

/// What a function without a stack frame of its own may keep below the stack pointer (section 3.2.2).
const RED_ZONE: u64 = 128;

/// As much is put to the stack.
const MOST_BYTES: usize = 64 << 10;

/// Registers of the class INTEGER, in their order.
pub(super) const INTEGERS: [&str; 6] = ["rdi", "rsi", "rdx", "rcx", "r8", "r9"];

/// As many registers of the class SSE take arguments.
const VECTORS: usize = 8;

/// Which registers eight bytes of a structure are in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Those of whole numbers.
    Integer,
    /// Those of numbers with fractions.
    Sse,
}

/// The classes of a structure's eight bytes each: its size, and its fields with theirs, those of inner structures and
/// arrays too: `float` and `double` are [`Class::Sse`], whole numbers and pointers the other one. Empty for one that is
/// in memory: a longer one, or one in C++ that is not copied byte by byte. One with a `long double` or vectors is not
/// told apart here.
#[must_use]
pub fn classify(size: usize, fields: &[(Range<usize>, Class)]) -> Vec<Class> {
    if size > 16 {
        return Vec::new();
    }
    let class = |start: usize| {
        let within = fields.iter().filter(|(field, _)| field.start < start + 8 && start < field.end);
        let is_vector = within.clone().count() > 0 && within.clone().all(|(_, class)| *class == Class::Sse);
        if is_vector { Class::Sse } else { Class::Integer }
    };
    (0..size).step_by(8).map(class).collect()
}

/// What a call begins with.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Placed {
    /// For [`INTEGERS`].
    pub(super) integers: Vec<u64>,
    /// For `xmm0` and on, the lower half of each.
    pub(super) vectors: Vec<u64>,
    /// From the stack pointer on: the return address, arguments, and what pointers lead to.
    pub(super) stack: Vec<u8>,
    pub(super) stack_pointer: u64,
    /// Where a structure is that is returned in memory.
    pub(super) result_at: Option<u64>,
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.chunks(8).map(|chunk| chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
}

/// Puts arguments to their places, for a thread with this stack pointer.
pub(super) fn place(
    arguments: &[Argument],
    returns: &Returns,
    returns_to: u64,
    stack_pointer: u64,
) -> Result<Placed, InvocationError> {
    // What pointers lead to is highest; where it is, is known when it is known how much there is.
    // One that is much too long is only that here.
    let room = |length: usize| length.min(MOST_BYTES + 1).next_multiple_of(16);
    let result = match returns {
        Returns::Structure(size, classes) if classes.is_empty() => room(*size),
        _ => 0,
    };
    let copies = arguments.iter().map(|argument| match argument {
        Argument::Bytes(bytes) => room(bytes.len()),
        _ => 0,
    });
    let above = copies.sum::<usize>() + result;
    let (mut on_stack, mut placed) = (Vec::new(), Placed::default());
    if above > MOST_BYTES {
        return Err(InvocationError::TooLong(above));
    }
    let top = stack_pointer.wrapping_sub(RED_ZONE) & !15;
    let mut at = top.wrapping_sub(above as u64);
    let mut memory = vec![0; result];
    if result > 0 {
        placed.result_at = Some(at);
        placed.integers.push(at);
        at = at.wrapping_add(result as u64);
    }
    for argument in arguments {
        let (bytes, classes) = match argument {
            Argument::Integer(number) => (number.to_le_bytes().to_vec(), vec![Class::Integer]),
            Argument::Float(number) => (number.to_le_bytes().to_vec(), vec![Class::Sse]),
            Argument::Double(number) => (number.to_le_bytes().to_vec(), vec![Class::Sse]),
            Argument::Bytes(bytes) => {
                let pointer = at;
                at = at.wrapping_add(room(bytes.len()) as u64);
                memory.extend_from_slice(bytes);
                memory.resize(memory.len().next_multiple_of(16), 0);
                (pointer.to_le_bytes().to_vec(), vec![Class::Integer])
            }
            Argument::Structure(bytes, classes) => (bytes.clone(), classes.clone()),
        };
        let count = |wanted| classes.iter().filter(|class| **class == wanted).count();
        // All of it is in registers, or nothing.
        let fits = placed.integers.len() + count(Class::Integer) <= INTEGERS.len()
            && placed.vectors.len() + count(Class::Sse) <= VECTORS;
        if classes.is_empty() || !fits {
            on_stack.extend(words(&bytes));
            continue;
        }
        for (word, class) in words(&bytes).zip(classes) {
            match class {
                Class::Integer => placed.integers.push(word),
                Class::Sse => placed.vectors.push(word),
            }
        }
    }
    // Arguments begin at a multiple of sixteen, behind the return address.
    if on_stack.len() % 2 == 1 {
        on_stack.push(0);
    }
    let length = above + 8 * on_stack.len() + 8;
    if length > MOST_BYTES {
        return Err(InvocationError::TooLong(length));
    }
    placed.stack = [returns_to].iter().chain(&on_stack).flat_map(|word| word.to_le_bytes()).collect();
    placed.stack.extend(memory);
    placed.stack_pointer = top.wrapping_sub(length as u64);
    Ok(placed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_in_registers_by_what_they_are_made_of() {
        use Class::{Integer, Sse};
        assert_eq!(classify(16, &[(0..8, Sse), (8..16, Sse)]), [Sse, Sse]);
        assert_eq!(classify(16, &[(0..8, Sse), (8..16, Integer)]), [Sse, Integer]);
        assert_eq!(classify(8, &[(0..4, Sse), (4..8, Integer)]), [Integer], "a whole number wins");
        assert_eq!(classify(12, &[(0..4, Sse), (4..8, Sse), (8..12, Sse)]), [Sse, Sse]);
        assert_eq!(classify(24, &[(0..24, Integer)]), []);
    }

    #[test]
    fn what_registers_have_no_room_for_is_on_the_stack() {
        let mut arguments: Vec<Argument> = (1..=7).map(Argument::Integer).collect();
        arguments.push(Argument::Double(1.5));
        arguments.push(Argument::Bytes(b"text\0".to_vec()));
        let placed = place(&arguments, &Returns::Integer, 0x1234, 0x7000_0008).unwrap();
        assert_eq!(placed.integers, [1, 2, 3, 4, 5, 6]);
        assert_eq!(placed.vectors, [1.5f64.to_bits()]);
        // The return address, two words of arguments, and the text.
        let top = (0x7000_0008 - 128) & !15;
        assert_eq!(placed.stack_pointer, top - 8 - 16 - 16);
        let words: Vec<u64> = words(&placed.stack).collect();
        assert_eq!(words, [0x1234, 7, top - 16, u64::from(u32::from_le_bytes(*b"text")), 0]);
        assert_eq!(placed.stack_pointer % 16, 8, "as a call leaves it");
    }

    #[test]
    fn a_structure_in_memory_has_its_address_as_first_argument() {
        let placed = place(&[Argument::Integer(5)], &Returns::Structure(40, Vec::new()), 1, 0x1000).unwrap();
        assert_eq!(placed.integers, [placed.result_at.unwrap(), 5]);
        assert!(placed.result_at.unwrap() + 40 <= 0x1000 - 128);
        assert_eq!(placed.stack.len(), 8 + 48);
        let endless = Returns::Structure(usize::MAX, Vec::new());
        assert!(matches!(place(&[], &endless, 1, 0x1000), Err(InvocationError::TooLong(_))));
        let much = [Argument::Bytes(vec![0; 1 << 20])];
        assert!(matches!(place(&much, &Returns::Integer, 1, 0x1000), Err(InvocationError::TooLong(_))));
    }
}

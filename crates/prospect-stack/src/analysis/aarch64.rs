//! The code of AArch64: what each instruction does to registers and stack. Encodings: "Arm Architecture Reference
//! Manual for A-profile architecture", chapter C4.
//!
//! All instructions have four bytes, and their classes tell which register they write, so that no more is decoded
//! than that and what moves sp, saves registers and goes elsewhere. What is not known here is taken to change
//! the register of its destination field.

use prospect_process::Addr;

use super::{
    FunctionCode,
    isa::{Decode, Decoded, Isa, Listing, MOST_REFERENCES, Next, Op, Place, Reference, Register},
};

/// A called function leaves the stack as it was: there is no need to look into it.
pub(super) static ISA: Isa =
    Isa { decoder: |function, _| Box::new(Reader::new(function)), is_start, references };

/// Register 31 where it is the stack pointer, which is its place in the table too.
const SP: Register = 31;
/// A register of which nothing is known.
const NOTHING: Register = Register::MAX;
/// `nop`.
const NOP: u32 = 0xd503_201f;
/// Where indirect calls land, and most functions begin: `bti c`, `paciasp`, `pacibsp`.
const LANDING_PADS: [u32; 3] = [0xd503_245f, 0xd503_233f, 0xd503_237f];
/// Compilers begin functions at multiples of this.
const ALIGNMENT: u64 = 16;

fn is_start(before: &[u8], here: &[u8], place: Addr) -> bool {
    let (Some(before), Some(here)) = (before.last_chunk(), here.first_chunk()) else { return false };
    let (before, here) = (u32::from_le_bytes(*before), u32::from_le_bytes(*here));
    if !place.0.is_multiple_of(4) || here == NOP {
        return false;
    }
    // stp x29, x30, [sp, #-n]!; sub sp, sp, #n
    let makes_room = here & 0xffc0_7fff == 0xa980_7bfd || here & 0xff80_03ff == 0xd100_03ff;
    // What does not go on: ret, b, br, brk, and what fills the room between functions.
    let is_end = before & 0xffff_fc1f == 0xd65f_0000
        || before >> 26 == 0b00_0101
        || before & 0xffff_fc1f == 0xd61f_0000
        || before & 0xffe0_001f == 0xd420_0000
        || before == NOP
        || before == 0;
    LANDING_PADS.contains(&here) || is_end && (makes_room || place.0.is_multiple_of(ALIGNMENT))
}

/// `bl`, `b`, `b.cond`, `cbz`, `cbnz`, `tbz` and `tbnz`.
fn references(code: &[u8], at: Addr) -> Vec<Reference> {
    let mut found = Vec::new();
    for (offset, bytes) in (0u64..).step_by(4).zip(code.as_chunks().0) {
        let word = Word(u32::from_le_bytes(*bytes));
        let distance = match word.0 >> 24 {
            0x14..=0x17 | 0x94..=0x97 => word.signed(0, 26),
            0x54 | 0x34 | 0x35 | 0xb4 | 0xb5 => word.signed(5, 19),
            0x36 | 0x37 | 0xb6 | 0xb7 => word.signed(5, 14),
            _ => continue,
        };
        let to = offset.wrapping_add_signed(4 * i64::from(distance));
        if found.len() >= MOST_REFERENCES {
            break;
        }
        if to < code.len() as u64 {
            let is_call = matches!(word.0 >> 24, 0x94..=0x97);
            found.push(Reference { end: at.wrapping_add(offset + 4), to: at.wrapping_add(to), is_call });
        }
    }
    found
}

/// Reads instructions.
struct Reader<'a> {
    function: &'a FunctionCode<'a>,
    /// The registers that a called function need not give back.
    volatile: u32,
    /// Where the next instruction is, from the start.
    offset: u32,
    /// The register that the instruction before put a number of 16 bits into.
    small: Option<Register>,
    /// The register that the last instruction compared with sp.
    compared_to_sp: Option<Register>,
}

impl<'a> Reader<'a> {
    fn new(function: &'a FunctionCode<'a>) -> Self {
        let preserved = function.arch.info().preserved().filter(|id| id.0 < 32);
        let volatile = !preserved.fold(0u32, |bits, id| bits | 1 << id.0);
        Self { function, volatile, offset: 0, small: None, compared_to_sp: None }
    }
}

impl Decode for Reader<'_> {
    fn begin(&mut self, offset: u32) {
        (self.offset, self.small, self.compared_to_sp) = (offset, None, None);
    }

    fn decode(&mut self, listing: &mut Listing) -> Option<Decoded> {
        let offset = self.offset;
        let bytes = self.function.bytes.get(offset as usize..)?.first_chunk()?;
        let code = Word(u32::from_le_bytes(*bytes));
        // Permanently undefined.
        if code.0 >> 16 == 0 {
            return None;
        }
        let at = self.function.start.0.wrapping_add(u64::from(offset));
        self.offset = offset.wrapping_add(4);
        let small = self.small.take();
        let compared = self.compared_to_sp.take();
        // cmp sp, Xm
        let is_comparison = code.0 & 0xffe0_ffff == 0xeb20_63ff;
        self.compared_to_sp = is_comparison.then(|| code.register(16)).filter(|register| *register < 31);
        // b.ne
        let sp_behind = compared.filter(|_| code.0 >> 24 == 0x54 && code.bits(0, 5) == 1);
        let ops = &mut listing.ops;
        let mut next = Next::Behind;
        match code.bits(25, 4) {
            0b1000 | 0b1001 => self.immediate(code, small, ops),
            0b1010 | 0b1011 => next = self.branch(code, at, ops),
            0b0100 | 0b0110 | 0b1100 | 0b1110 => memory(code, ops),
            0b0101 | 0b1101 => register(code, ops),
            0b0111 | 0b1111 => vector(code, ops),
            _ => scalable(code, ops),
        }
        Some(Decoded { bytes: 4, next, sp_behind, is_idle: code.0 == NOP })
    }
}

/// An instruction.
#[derive(Clone, Copy)]
struct Word(u32);

impl Word {
    fn bits(self, from: u32, count: u32) -> u32 {
        self.0 >> from & ((1 << count) - 1)
    }

    fn is(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }

    /// A signed field.
    fn signed(self, from: u32, count: u32) -> i32 {
        (self.bits(from, count) << (32 - count)).cast_signed() >> (32 - count)
    }

    /// The register of the field at a bit; 31 is sp or none, as the instruction has it.
    fn register(self, from: u32) -> Register {
        self.bits(from, 5) as Register
    }

    fn destination(self) -> Register {
        self.register(0)
    }

    fn base(self) -> Register {
        self.register(5)
    }

    /// A number that is a pattern of bits (`DecodeBitMasks` of the manual), of 64 bits.
    fn pattern(self) -> Option<u64> {
        let (rotation, length, is_wide) = (self.bits(16, 6), self.bits(10, 6), self.bits(22, 1));
        let order = (is_wide << 6 | !length & 0x3f).checked_ilog2()?;
        let (size, levels) = (1u32.checked_shl(order)?, (1u32 << order) - 1);
        let ones = (length & levels) + 1;
        let rotation = rotation & levels;
        if ones > levels {
            return None;
        }
        let element = u64::MAX >> (64 - ones);
        let mut pattern = element >> rotation;
        if rotation > 0 {
            pattern |= element << (size - rotation);
        }
        pattern &= u64::MAX >> (64 - size);
        (0..64 / size).map(|copy| pattern << (copy * size)).reduce(|all, one| all | one)
    }
}

/// The bit of a register, none for one that is no register.
fn bit(register: Register) -> u32 {
    if register < 31 { 1 << register } else { 0 }
}

fn forget(ops: &mut Vec<Op>, changed: u32) {
    if changed != 0 {
        ops.push(Op::Forget { changed });
    }
}

/// A number as it is followed; `None` where it is too large.
fn number(to: Register, value: u64) -> Option<Op> {
    i32::try_from(value.cast_signed()).ok().map(|value| Op::Number { to, value })
}

impl Reader<'_> {
    /// Data processing with an immediate number.
    fn immediate(&mut self, code: Word, small: Option<Register>, ops: &mut Vec<Op>) {
        let (to, from, is_64) = (code.destination(), code.base(), code.is(31));
        match code.bits(23, 3) {
            // add and sub; those that set flags have no sp to go to.
            0b010 if is_64 && !(code.is(29) && to == SP) => {
                let bytes = (code.bits(10, 12) << if code.is(22) { 12 } else { 0 }).cast_signed();
                ops.push(Op::Add { to, from, bytes: if code.is(30) { -bytes } else { bytes } });
            }
            // and, orr, eor; ands has no sp to go to.
            0b100 => match (code.bits(29, 2), code.pattern()) {
                (0b11, _) if to == SP => {}
                (0b00, Some(pattern)) if is_64 && pattern.leading_ones() + pattern.trailing_zeros() == 64 => {
                    ops.push(Op::Align { to, from });
                }
                (0b01, Some(pattern)) if is_64 && from == SP && to != SP => {
                    ops.push(number(to, pattern).unwrap_or(Op::Forget { changed: bit(to) }));
                }
                _ if to == SP => ops.push(Op::Forget { changed: 1 << SP }),
                _ => forget(ops, bit(to)),
            },
            0b101 if to != SP => {
                let shift = 16 * code.bits(21, 2);
                let value = u64::from(code.bits(5, 16)) << shift;
                let op = match code.bits(29, 2) {
                    0b00 if is_64 => number(to, !value),
                    0b10 => number(to, value),
                    // The upper half of a number of which the instruction before made the lower one.
                    0b11 if small == Some(to) && shift == 16 => {
                        i32::try_from(value).ok().map(|bytes| Op::Add { to, from: to, bytes })
                    }
                    _ => None,
                };
                self.small = (code.bits(29, 2) == 0b10 && shift == 0).then_some(to);
                ops.push(op.unwrap_or(Op::Forget { changed: bit(to) }));
            }
            // addg and subg may have sp to go to.
            0b011 if to == SP => ops.push(Op::Forget { changed: 1 << SP }),
            _ => forget(ops, bit(to)),
        }
    }

    /// Branches, exceptions, and what concerns the system.
    fn branch(&self, code: Word, at: u64, ops: &mut Vec<Op>) -> Next {
        let to = |from, count| at.wrapping_add_signed(4 * i64::from(code.signed(from, count)));
        let call = Op::Call { changed: self.volatile };
        match code.0 >> 24 {
            0x14..=0x17 => Next::Jump(to(0, 26)),
            0x94..=0x97 => {
                ops.push(call);
                Next::Call
            }
            0x54 | 0x34 | 0x35 | 0xb4 | 0xb5 => Next::Branch(to(5, 19)),
            0x36 | 0x37 | 0xb6 | 0xb7 => Next::Branch(to(5, 14)),
            // To a register, with or without a check of its signature.
            0xd6 | 0xd7 => match code.bits(21, 3) {
                0b000 => Next::Unknown,
                0b001 => {
                    ops.push(call);
                    Next::Call
                }
                0b010 => Next::Return,
                _ => Next::Nowhere,
            },
            0xd4 => match (code.bits(21, 3), code.bits(0, 2)) {
                // A system call gives its result in x0.
                (0b000, 1..) => {
                    forget(ops, bit(0));
                    Next::Behind
                }
                _ => Next::Nowhere,
            },
            // mrs; among the hints are those that sign x30, which is the same address then.
            0xd5 => {
                forget(ops, if code.is(21) { bit(code.destination()) } else { 0 });
                Next::Behind
            }
            _ => Next::Behind,
        }
    }
}

/// Loads and stores.
fn memory(code: Word, ops: &mut Vec<Op>) {
    let (is_vector, base) = (code.is(26), code.base());
    match (code.bits(27, 3), code.bits(23, 2)) {
        (0b101, _) => pair(code, is_vector, ops),
        (0b111, 0b10 | 0b11) => {
            let access = Access::of(code, is_vector);
            let offset = code.bits(10, 12).cast_signed() * i32::from(access.bytes);
            access.at(Place { register: base, offset }, ops);
        }
        (0b111, 0b00 | 0b01) => single(code, is_vector, ops),
        // From near the code.
        (0b011, 0b00 | 0b01) if !is_vector && code.bits(30, 2) != 0b11 => {
            forget(ops, bit(code.destination()))
        }
        // Exclusive and ordered ones, and compare and swap: a status, and one or two registers.
        (0b001, _) if !is_vector => {
            let changed = bit(code.destination()) | bit(code.register(10)) | bit(code.register(16));
            ops.push(Op::Store { to: Place { register: base, offset: 0 }, bytes: 16, from: None });
            forget(ops, changed);
        }
        // Several vectors, with the base moved perhaps.
        (0b001, _) => {
            if !code.is(22) {
                ops.push(Op::Store { to: Place { register: base, offset: 0 }, bytes: 64, from: None });
            }
            if code.is(23) {
                ops.push(Op::Forget { changed: 1 << base });
            }
        }
        // Memory tags, and copies of memory, which count their registers on.
        (0b011, _) => {
            let changed = bit(code.destination()) | bit(code.register(16));
            ops.push(Op::Forget { changed: changed | 1 << base });
        }
        _ => {}
    }
}

/// Two registers side by side.
fn pair(code: Word, is_vector: bool, ops: &mut Vec<Op>) {
    let base = code.base();
    let size = code.bits(30, 2);
    let bytes: u16 = match (is_vector, size) {
        (true, size) => 4 << size.min(2),
        (false, 0b10) => 8,
        // stgp: two words and their tags.
        (false, 0b01) if !code.is(22) => 8,
        _ => 4,
    };
    let scale = if !is_vector && size == 0b01 && !code.is(22) { 16 } else { i32::from(bytes) };
    let offset = code.signed(15, 7) * scale;
    let shift = Op::Add { to: base, from: base, bytes: offset };
    let (is_post, is_pre) = (code.bits(23, 3) == 0b001, code.bits(23, 3) == 0b011);
    if is_pre {
        ops.push(shift);
    }
    let offset = if is_post || is_pre { 0 } else { offset };
    let first = Place { register: base, offset };
    let second = Place { register: base, offset: offset.saturating_add(i32::from(bytes)) };
    let (one, other) = (code.destination(), code.register(10));
    let is_word = !is_vector && bytes == 8;
    match (code.is(22), is_word) {
        (false, true) => {
            ops.push(Op::Store { to: first, bytes, from: (one < 31).then_some(one) });
            ops.push(Op::Store { to: second, bytes, from: (other < 31).then_some(other) });
        }
        (false, false) => ops.push(Op::Store { to: first, bytes: 2 * bytes, from: None }),
        (true, true) => {
            // A base that is loaded is loaded last.
            let mut loads = [(one, first), (other, second)];
            if one == base {
                loads.swap(0, 1);
            }
            for (to, from) in loads.into_iter().filter(|(to, _)| *to < 31) {
                ops.push(Op::Load { to, from });
            }
        }
        (true, false) if !is_vector => forget(ops, bit(one) | bit(other)),
        _ => {}
    }
    if is_post {
        ops.push(shift);
    }
}

/// What one register is loaded from or stored to.
struct Access {
    register: Register,
    bytes: u16,
    is_vector: bool,
    is_load: bool,
    /// Whether nothing is read or written: a hint that it will be.
    is_hint: bool,
}

impl Access {
    fn of(code: Word, is_vector: bool) -> Self {
        let (size, kind) = (code.bits(30, 2), code.bits(22, 2));
        let bytes = if is_vector && kind & 0b10 != 0 { 16 } else { 1 << size };
        let is_load = if is_vector { kind & 1 == 1 } else { kind != 0 };
        let is_hint = !is_vector && size == 0b11 && kind == 0b10;
        Self { register: code.destination(), bytes, is_vector, is_load, is_hint }
    }

    fn at(&self, place: Place, ops: &mut Vec<Op>) {
        let is_word = !self.is_vector && self.bytes == 8;
        if self.is_hint {
        } else if !self.is_load {
            let from = (is_word && self.register < 31).then_some(self.register);
            ops.push(Op::Store { to: place, bytes: self.bytes, from });
        } else if is_word && self.register < 31 {
            ops.push(Op::Load { to: self.register, from: place });
        } else if !self.is_vector {
            forget(ops, bit(self.register));
        }
    }
}

/// One register, not at a scaled distance.
fn single(code: Word, is_vector: bool, ops: &mut Vec<Op>) {
    let base = code.base();
    let access = Access::of(code, is_vector);
    if code.is(21) {
        match code.bits(10, 2) {
            // At a register's distance.
            0b10 => access.at(Place { register: NOTHING, offset: 0 }, ops),
            // Atomic ones: memory changes, and its old value comes back.
            0b00 => {
                ops.push(Op::Store { to: Place { register: base, offset: 0 }, bytes: 16, from: None });
                forget(ops, bit(code.destination()));
            }
            // With a check of the address's signature.
            _ => {
                forget(ops, bit(code.destination()));
                if code.is(11) {
                    ops.push(Op::Forget { changed: 1 << base });
                }
            }
        }
        return;
    }
    let offset = code.signed(12, 9);
    let shift = Op::Add { to: base, from: base, bytes: offset };
    match code.bits(10, 2) {
        0b01 => {
            access.at(Place { register: base, offset: 0 }, ops);
            ops.push(shift);
        }
        0b11 => {
            ops.push(shift);
            access.at(Place { register: base, offset: 0 }, ops);
        }
        _ => access.at(Place { register: base, offset }, ops),
    }
}

/// Data processing with registers.
fn register(code: Word, ops: &mut Vec<Op>) {
    let (to, one, other, is_64) = (code.destination(), code.base(), code.register(16), code.is(31));
    let sets_flags = code.is(29);
    match (code.bits(24, 5), code.is(21)) {
        // orr of nothing and a register: a move.
        (0b0_1010, false) if is_64 && code.bits(29, 2) == 0b01 && one == 31 && code.bits(10, 6) == 0 => {
            if to < 31 {
                ops.push(if other < 31 {
                    Op::Add { to, from: other, bytes: 0 }
                } else {
                    Op::Number { to, value: 0 }
                });
            }
        }
        (0b0_1011, false) if is_64 && code.bits(10, 6) == 0 && to < 31 && one < 31 => {
            let other = if other < 31 { other } else { NOTHING };
            ops.push(Op::Sum { to, from: one, other, is_minus: code.is(30) });
        }
        // Extended: here 31 is sp.
        (0b0_1011, true) if is_64 && !(sets_flags && to == SP) => {
            // All of the register as it is.
            let is_plain = code.bits(13, 2) == 0b11 && code.bits(10, 3) == 0 && other < 31;
            let other = if is_plain { other } else { NOTHING };
            ops.push(Op::Sum { to, from: one, other, is_minus: code.is(30) });
        }
        // Conditional compares, and what else changes flags alone.
        (0b1_1010, false) if code.bits(21, 3) == 0b010 => {}
        (0b1_1010, false) if code.bits(21, 3) == 0b000 && code.bits(10, 6) != 0 => {}
        // Signing an address, and checking that: it is the same address.
        (0b1_1010, false) if code.bits(21, 3) == 0b110 && code.is(30) && code.bits(16, 5) == 1 => {}
        _ => forget(ops, bit(to)),
    }
}

/// Vectors and floating-point numbers: some go to general registers.
fn vector(code: Word, ops: &mut Vec<Op>) {
    let is_conversion =
        code.bits(24, 5) == 0b1_1110 && !code.is(30) && (!code.is(21) || code.bits(10, 6) == 0);
    // umov and smov
    let is_copy = code.bits(21, 8) == 0b0111_0000
        && !code.is(31)
        && code.bits(15, 1) == 0
        && code.is(10)
        && matches!(code.bits(11, 4), 0b0101 | 0b0111);
    if is_conversion || is_copy {
        forget(ops, bit(code.destination()));
    }
}

/// Scalable vectors: some count in general registers, and two move sp by a length that is not known.
fn scalable(code: Word, ops: &mut Vec<Op>) {
    let moves_address = code.bits(21, 11) & !0b10 == 0b000_0010_0001 && code.bits(11, 5) == 0b0_1010;
    if moves_address {
        ops.push(Op::Sum {
            to: code.destination(),
            from: code.register(16),
            other: NOTHING,
            is_minus: false,
        });
    } else {
        forget(ops, bit(code.destination()));
    }
}

#[cfg(test)]
mod tests;

//! The instructions of ARM's exception tables ("Exception Handling ABI for the Arm Architecture", section 10.3).

use std::{ops::Range, sync::Arc};

use prospect_process::{ArchInfo, LinkAddr};

use super::{broken, core};
use crate::unwind_info::{CfaRule, Expression, RegisterRule, UnwindInfoError, UnwindRow};

const SP: u8 = 13;
const LR: u8 = 14;

/// No function restores its stack pointer from a register that it restored from a stack that ... and so on.
const LONGEST_BASE: usize = 64;

/// A place in memory: a base, and an offset from it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    base: Base,
    offset: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Base {
    /// The value of a core register in the callee.
    Register(u8),
    /// What these operations of a DWARF expression compute.
    Computed(Arc<[u8]>),
}

impl Place {
    /// The operations that compute it.
    fn operations(&self) -> Vec<u8> {
        let mut operations = match &self.base {
            // DW_OP_breg0 to DW_OP_breg31 with no offset.
            Base::Register(register) => vec![0x70 + register, 0],
            Base::Computed(operations) => operations.to_vec(),
        };
        if self.offset != 0 {
            // DW_OP_consts, DW_OP_plus.
            operations.push(0x11);
            push_signed(&mut operations, self.offset);
            operations.push(0x22);
        }
        operations
    }
}

/// Appends a number in the format that DWARF calls SLEB128.
fn push_signed(to: &mut Vec<u8>, mut value: i64) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        let is_last = value == if byte & 0x40 == 0 { 0 } else { -1 };
        to.push(if is_last { byte } else { byte | 0x80 });
        if is_last {
            return;
        }
    }
}

/// What the instructions did so far: the virtual stack pointer, and where the core registers were saved.
#[derive(Debug)]
pub(super) struct Frame {
    vsp: Place,
    saved: [Option<Place>; 16],
}

impl Default for Frame {
    fn default() -> Self {
        Self { vsp: Place { base: Base::Register(SP), offset: 0 }, saved: Default::default() }
    }
}

/// Runs instructions, in the order of their bytes, to the end or to `finish`.
pub(super) fn run(instructions: &[u8]) -> Result<Frame, UnwindInfoError> {
    let mut frame = Frame::default();
    let mut bytes = instructions.iter().copied();
    while let Some(instruction) = bytes.next() {
        let mut operand = || bytes.next().ok_or_else(|| broken("an instruction is cut off"));
        match instruction {
            0x00..=0x3f => frame.add(4 + 4 * i64::from(instruction)),
            0x40..=0x7f => frame.add(-4 - 4 * i64::from(instruction & 0x3f)),
            0x80..=0x8f => {
                let mask = u16::from(instruction & 0xf) << 8 | u16::from(operand()?);
                if mask == 0 {
                    return Err(broken("a function refuses to be unwound"));
                }
                frame.pop(mask << 4)?;
            }
            0x9d | 0x9f => return Err(spare(instruction)),
            0x90..=0x9f => frame.set_vsp(instruction & 0xf)?,
            // r4 to r4 + n, and lr.
            0xa0..=0xaf => {
                let low = ((2u16 << (instruction & 7)) - 1) << 4;
                let link = u16::from(instruction >> 3 & 1) << LR;
                frame.pop(low | link)?;
            }
            0xb0 => break,
            0xb1 => match operand()? {
                mask @ 0x01..=0x0f => frame.pop(u16::from(mask))?,
                _ => return Err(spare(instruction)),
            },
            0xb2 => {
                let mut value = 0;
                for shift in (0..).step_by(7) {
                    let byte = operand()?;
                    // What does not fit into a word makes no sense.
                    if shift > 28 {
                        return Err(broken("a frame is too large"));
                    }
                    value |= i64::from(byte & 0x7f) << shift;
                    if byte & 0x80 == 0 {
                        break;
                    }
                }
                frame.add(0x204 + (value << 2));
            }
            // Registers that are not core registers have no rules, but room. FSTMFDX leaves a word more.
            0xb3 => frame.add(8 * count(operand()?) + 4),
            // The code of pointer authentication that M-profile code saves in a word of its own; and the order
            // to check it.
            0xb4 => frame.add(4),
            0xb5 => {}
            0xb8..=0xbf => frame.add(8 * count(instruction & 7) + 4),
            0xc0..=0xc5 => frame.add(8 * count(instruction & 7)),
            0xc6 | 0xc8 | 0xc9 => frame.add(8 * count(operand()?)),
            0xc7 => match operand()? {
                mask @ 0x01..=0x0f => frame.add(4 * i64::from(mask.count_ones())),
                _ => return Err(spare(instruction)),
            },
            0xd0..=0xd7 => frame.add(8 * count(instruction & 7)),
            _ => return Err(spare(instruction)),
        }
    }
    Ok(frame)
}

/// How many registers a field in the low half of a byte means: one more than it says.
fn count(field: u8) -> i64 {
    i64::from(field & 0xf) + 1
}

fn spare(instruction: u8) -> UnwindInfoError {
    broken(&format!("instruction {instruction:#04x} is not known"))
}

impl Frame {
    fn add(&mut self, bytes: i64) {
        self.vsp.offset += bytes;
    }

    /// Takes core registers off the stack, the lowest first.
    fn pop(&mut self, mask: u16) -> Result<(), UnwindInfoError> {
        for register in (0..16u8).filter(|register| mask >> register & 1 == 1) {
            self.saved[usize::from(register)] = Some(self.vsp.clone());
            self.add(4);
        }
        if mask >> SP & 1 == 1 { self.set_vsp(SP) } else { Ok(()) }
    }

    /// Sets the virtual stack pointer to what a core register is by now.
    fn set_vsp(&mut self, register: u8) -> Result<(), UnwindInfoError> {
        let base = match &self.saved[usize::from(register)] {
            None => Base::Register(register),
            Some(place) => {
                let mut operations = place.operations();
                // DW_OP_deref.
                operations.push(0x06);
                if operations.len() > LONGEST_BASE {
                    return Err(broken("a stack pointer is restored too many times"));
                }
                Base::Computed(operations.into())
            }
        };
        self.vsp = Place { base, offset: 0 };
        Ok(())
    }

    /// The row of a function that is unwound so.
    pub(super) fn row(
        &self,
        arch: &'static ArchInfo,
        range: Range<LinkAddr>,
    ) -> Result<UnwindRow, UnwindInfoError> {
        let return_address = arch.link.ok_or_else(|| broken("the architecture has no link register"))?;
        let rule = |place: &Place| {
            if place.base == self.vsp.base {
                RegisterRule::AtCfa(place.offset - self.vsp.offset)
            } else {
                RegisterRule::AtExpression(Expression::new(&place.operations()))
            }
        };
        let [.., link, pc] = &self.saved;
        // A function that restores both is the one that signal handlers return to. Else, whichever it restores gets
        // the return address.
        let signal_frame = link.is_some() && pc.is_some();
        let return_address = if signal_frame { arch.pc } else { return_address };
        // The stack pointer of the caller is the canonical frame address. Registers that a function may change, it
        // saves to have room, or to have an even number.
        let is_told = |register: &u8| signal_frame || arch.register(core(*register)).preserved;
        let mut rules: Vec<_> = (0..SP)
            .filter(is_told)
            .filter_map(|register| Some((core(register), rule(self.saved[usize::from(register)].as_ref()?))))
            .collect();
        rules.extend(link.as_ref().map(|place| (core(LR), rule(place))));
        rules.extend(pc.as_ref().map(|place| (return_address, rule(place))));
        let cfa = match &self.vsp.base {
            Base::Register(register) => CfaRule::Register(core(*register), self.vsp.offset),
            Base::Computed(_) => CfaRule::Expression(Expression::new(&self.vsp.operations())),
        };
        Ok(UnwindRow {
            range,
            cfa,
            return_address,
            rules,
            signal_frame,
            signed_return_address: false,
            only_at_calls: true,
        })
    }
}

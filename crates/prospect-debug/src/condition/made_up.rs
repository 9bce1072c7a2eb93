//! Frames with made-up registers, to find out what a place depends on.

use prospect_process::{Addr, Arch, RegisterId, Registers};
use prospect_stack::Frame;
use prospect_symbols::{CfaRule, ModuleBinary};

/// How often a question is asked with other numbers.
pub(super) const TIMES: usize = 3;

/// The highest bits of made-up numbers: no 64-bit machine has memory there.
const MARK: u64 = 0x4000_0000_0000_0000;

/// Frames at one place of the code, in which every register holds a number that is in no other and where no memory is.
#[derive(Debug)]
pub struct MadeUp {
    arch: Arch,
    frames: [Frame; TIMES],
}

impl MadeUp {
    /// Frames at this address, of this module. `None` where numbers cannot be made up: on machines whose addresses have
    /// fewer than 64 bits.
    #[must_use]
    pub fn new(arch: Arch, at: Addr, binary: Option<&ModuleBinary>, bias: u64) -> Option<Self> {
        let info = arch.info();
        if info.word_bytes != 8 || info.big_endian {
            return None;
        }
        let rule = binary.and_then(|binary| binary.unwind_row(at.to_link(bias)).ok().flatten());
        let cfa = rule.and_then(|row| match row.cfa {
            CfaRule::Register(register, offset) => Some((register, offset)),
            CfaRule::Expression(_) | CfaRule::ReturnAddress(..) => None,
        });
        let frame = |time| {
            let mut registers = Registers::unknown(arch);
            for number in numbers(arch) {
                registers.set(RegisterId(number), made_up(number, time));
            }
            registers.set(info.pc, at.0);
            let mut frame = Frame::innermost(&registers).ok()?;
            frame.cfa = cfa.map(|(register, offset)| {
                Addr(made_up(register.0, time).wrapping_add(offset.cast_unsigned()))
            });
            Some(frame)
        };
        Some(Self { arch, frames: [frame(0)?, frame(1)?, frame(2)?] })
    }

    /// The frames, in each of which an expression is looked at.
    #[must_use]
    pub fn frames(&self) -> &[Frame; TIMES] {
        &self.frames
    }

    /// The architecture.
    #[must_use]
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// What a number is that has come out with each of the frames: a register plus an offset, or always the same.
    /// `None` for anything else.
    pub(super) fn origin(&self, found: [u64; TIMES]) -> Option<(Option<RegisterId>, u64)> {
        if found.iter().all(|one| *one == found[0]) {
            // A number that looks made up would have been made of something else.
            return (found[0] >> 61 != MARK >> 61).then_some((None, found[0]));
        }
        numbers(self.arch).find_map(|number| {
            let offset = found[0].wrapping_sub(made_up(number, 0));
            let fits = |(time, one): (usize, &u64)| one.wrapping_sub(made_up(number, time)) == offset;
            // What is far away is another register's.
            let is_near = offset.cast_signed().unsigned_abs() < 1 << 32;
            (is_near && found.iter().enumerate().all(fits)).then_some((Some(RegisterId(number)), offset))
        })
    }
}

fn numbers(arch: Arch) -> impl Iterator<Item = u8> {
    (0..=u8::MAX).take(arch.info().registers.len())
}

/// A number for a register. What two of them make together is no third one; low bits differ, so that what is rounded is
/// found out.
fn made_up(register: u8, time: usize) -> u64 {
    let times = [0x0123_4567_89ab_u64, 0x0fed_cba9_8764, 0x0a5a_5a5a_5a51];
    MARK | (u64::from(register) + 1) << 48
        | times[time % TIMES].wrapping_add(u64::from(register) * 0x1_0001_0003)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_one_register_is_known_and_nothing_else() {
        let Some(made_up_frames) = MadeUp::new(Arch::X86_64, Addr(0x1000), None, 0) else {
            panic!("there are such frames")
        };
        let each = |make: &dyn Fn(usize) -> u64| made_up_frames.origin([make(0), make(1), make(2)]);
        assert_eq!(
            each(&|time| made_up(3, time).wrapping_sub(24)),
            Some((Some(RegisterId(3)), -24_i64 as u64))
        );
        assert_eq!(each(&|_| 0x5555_0000), Some((None, 0x5555_0000)));
        assert_eq!(each(&|time| made_up(3, time).wrapping_add(made_up(4, time))), None);
        assert_eq!(each(&|time| made_up(3, time).wrapping_mul(2)), None);
        assert_eq!(each(&|time| made_up(3, time) & !15), None);
        assert!(MadeUp::new(Arch::I386, Addr(0x1000), None, 0).is_none());
    }
}

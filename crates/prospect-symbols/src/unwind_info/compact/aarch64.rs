//! Encodings of AArch64 (`UNWIND_ARM64_*`).

use prospect_process::{Arch, RegisterId};

use super::{CfaRule, MODE, RegisterRule, UnwindInfoError, UnwindRow};

const FRAMELESS: u32 = 0x0200_0000;
const FRAME: u32 = 0x0400_0000;
const WORD: i64 = 8;
/// The pairs x19 and x20 to x27 and x28, each a bit.
const PAIRS: u8 = 5;

/// The row of an encoding; `None` where the encoding leaves it to DWARF.
pub(super) fn row(encoding: u32) -> Result<Option<UnwindRow>, UnwindInfoError> {
    let info = Arch::Aarch64.info();
    let link = RegisterId(30);
    let mut row = UnwindRow::new();
    row.return_address = link;
    // It is so on the machines that have it, for all code of the system; what is not signed loses nothing.
    row.signed_return_address = true;
    let mut next = match encoding & MODE {
        FRAME => {
            row.cfa = CfaRule::Register(info.fp, 2 * WORD);
            row.rules.push((info.fp, RegisterRule::AtCfa(-2 * WORD)));
            row.rules.push((link, RegisterRule::AtCfa(-WORD)));
            -3 * WORD
        }
        FRAMELESS => {
            row.cfa = CfaRule::Register(info.sp, 16 * i64::from(encoding >> 12 & 0xfff));
            -WORD
        }
        _ => return Ok(None),
    };
    for pair in (0..PAIRS).filter(|pair| encoding >> pair & 1 == 1) {
        for register in [19 + 2 * pair, 20 + 2 * pair] {
            row.rules.push((RegisterId(register), RegisterRule::AtCfa(next)));
            next -= WORD;
        }
    }
    Ok(Some(row))
}

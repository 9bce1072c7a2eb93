//! One row of the unwind table, in our own words.

use std::ops::Range;

use gimli::{EndianSlice, RunTimeEndian, UnwindSection};
use prospect_process::{ArchInfo, LinkAddr, RegisterId};

use super::{Expression, UnwindInfoError};

/// How to get from a frame at one address to its caller's registers (DWARF 5, section 6.4.1): a row
/// of the unwind table.
#[derive(Clone, Debug)]
pub struct UnwindRow {
    /// The addresses that the row is for.
    pub range: Range<LinkAddr>,
    /// The canonical frame address.
    pub cfa: CfaRule,
    /// The register (often not a real one) that gets the return address.
    pub return_address: RegisterId,
    /// The rules of the registers that have one.
    pub rules: Vec<(RegisterId, RegisterRule)>,
    /// Whether the function is a signal trampoline (augmentation `S`): its caller was interrupted, and
    /// did not call.
    pub signal_frame: bool,
    /// Whether the return address has the code of pointer authentication in it (AArch64; "DWARF for the Arm
    /// 64-bit Architecture" (AADWARF64), section 4.1, `RA_SIGN_STATE`).
    pub signed_return_address: bool,
    /// Whether the row is true where the function has made a call, and anywhere else only perhaps: in its
    /// prologue and its epilogue it is not. So are the rows of ARM's exception tables and of macOS's compact ones.
    pub only_at_calls: bool,
}

impl UnwindRow {
    /// Room for a row.
    pub(crate) fn new() -> Self {
        Self {
            range: LinkAddr(0)..LinkAddr(0),
            cfa: CfaRule::Register(RegisterId(0), 0),
            return_address: RegisterId(0),
            rules: Vec::with_capacity(8),
            signal_frame: false,
            signed_return_address: false,
            only_at_calls: false,
        }
    }
}

/// How the canonical frame address is computed.
#[derive(Clone, Debug)]
pub enum CfaRule {
    /// A register plus an offset.
    Register(RegisterId, i64),
    /// An expression.
    Expression(Expression),
    /// Behind the return address, which has to be looked for: it is the first word that a call can return to, from a register
    /// plus an offset on. So it is where nothing says how many arguments lie between two frames (`STACK WIN` of 32-bit Windows).
    ReturnAddress(RegisterId, i64),
}

/// Where a caller's register is (DWARF 5, section 6.4.1).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RegisterRule {
    /// It is lost. For the return address: there is no caller.
    Undefined,
    /// It was not changed.
    SameValue,
    /// It was saved at the canonical frame address plus this.
    AtCfa(i64),
    /// It *is* the canonical frame address plus this.
    CfaPlus(i64),
    /// It is in another register.
    Register(RegisterId),
    /// It was saved where the expression says.
    AtExpression(Expression),
    /// It is what the expression says.
    IsExpression(Expression),
}

/// What gimli reads from.
pub(super) type Bytes<'a> = EndianSlice<'a, RunTimeEndian>;

/// Room for the rules of every register of an architecture that we know, and for more nested
/// `DW_CFA_remember_state` than compilers write. Less than gimli's own, since rows are copied.
pub(super) struct RowStorage;

impl gimli::UnwindContextStorage<usize> for RowStorage {
    type Rules = [(gimli::Register, gimli::RegisterRule<usize>); 64];
    type Stack = Box<[gimli::UnwindTableRow<usize, Self>; 12]>;
}

/// Where gimli computes rows.
pub(super) type RowContext = gimli::UnwindContext<usize, RowStorage>;

/// Computing a row means to read all instructions before it. No function needs so many.
const LONGEST_ENTRY: usize = 1 << 20;

/// The row of `fde` that `pc` lies in. `None` when its rows leave `pc` out.
pub(super) fn row_at<'a, S>(
    section: &S,
    bases: &gimli::BaseAddresses,
    fde: &gimli::FrameDescriptionEntry<Bytes<'a>>,
    context: &mut RowContext,
    arch: &ArchInfo,
    pc: u64,
) -> Result<Option<UnwindRow>, UnwindInfoError>
where
    S: UnwindSection<Bytes<'a>>,
{
    if fde.entry_len().max(fde.cie().entry_len()) > LONGEST_ENTRY {
        return Err(UnwindInfoError::Malformed("an entry is too long".into()));
    }
    let mut rows = fde.rows(section, bases, context).map_err(malformed)?;
    while let Some(row) = rows.next_row().map_err(malformed)? {
        if row.contains(pc) {
            let mut converted = UnwindRow::new();
            return convert(section, fde, row, arch, &mut converted).map(|()| Some(converted));
        }
    }
    Ok(None)
}

/// Says in our own words, into `to`, what gimli found.
pub(super) fn convert<'a, S>(
    section: &S,
    fde: &gimli::FrameDescriptionEntry<Bytes<'a>>,
    row: &gimli::UnwindTableRow<usize, RowStorage>,
    arch: &ArchInfo,
    to: &mut UnwindRow,
) -> Result<(), UnwindInfoError>
where
    S: UnwindSection<Bytes<'a>>,
{
    let expression = |one: &gimli::UnwindExpression<usize>| {
        one.get(section).map(|found| Expression::new(found.0.slice())).map_err(malformed)
    };
    let known = |register: gimli::Register| {
        let name = || UnwindInfoError::Malformed(format!("it needs register {}", register.0));
        arch.by_dwarf(register.0).ok_or_else(name)
    };
    to.rules.clear();
    to.signed_return_address = false;
    for (register, rule) in row.registers() {
        if arch.authentication_mask != 0 && *register == gimli::AArch64::RA_SIGN_STATE {
            to.signed_return_address = is_signed(section, rule);
            continue;
        }
        // Vector registers and the like, which nobody asks for.
        let Some(id) = arch.by_dwarf(register.0) else { continue };
        let rule = match rule {
            gimli::RegisterRule::SameValue => RegisterRule::SameValue,
            gimli::RegisterRule::Offset(offset) => RegisterRule::AtCfa(*offset),
            gimli::RegisterRule::ValOffset(offset) => RegisterRule::CfaPlus(*offset),
            gimli::RegisterRule::Register(other) => {
                arch.by_dwarf(other.0).map_or(RegisterRule::Undefined, RegisterRule::Register)
            }
            gimli::RegisterRule::Expression(at) => RegisterRule::AtExpression(expression(at)?),
            gimli::RegisterRule::ValExpression(is) => RegisterRule::IsExpression(expression(is)?),
            // Rules that no instruction of call frame information makes are lost with the lost ones.
            _ => RegisterRule::Undefined,
        };
        to.rules.push((id, rule));
    }
    to.range = LinkAddr(row.start_address().max(fde.initial_address()))
        ..LinkAddr(row.end_address().min(fde.end_address()));
    to.cfa = match row.cfa() {
        gimli::CfaRule::RegisterAndOffset { register, offset } => {
            CfaRule::Register(known(*register)?, *offset)
        }
        gimli::CfaRule::Expression(is) => CfaRule::Expression(expression(is)?),
    };
    to.return_address = known(fde.cie().return_address_register())?;
    to.signal_frame = fde.is_signal_trampoline();
    to.only_at_calls = false;
    Ok(())
}

/// Whether a rule of `RA_SIGN_STATE` makes its lowest bit 1. What only the frame could tell counts as signed: of
/// an address that is not, nothing is lost then but what no address of a program has.
fn is_signed<'a, S>(section: &S, rule: &gimli::RegisterRule<usize>) -> bool
where
    S: UnwindSection<Bytes<'a>>,
{
    match rule {
        gimli::RegisterRule::Undefined | gimli::RegisterRule::SameValue => false,
        gimli::RegisterRule::Constant(state) => state & 1 == 1,
        // DW_OP_lit0 to DW_OP_lit3.
        gimli::RegisterRule::ValExpression(is) => match is.get(section).map(|found| found.0.slice()) {
            Ok([literal @ 0x30..=0x33]) => literal & 1 == 1,
            _ => true,
        },
        _ => true,
    }
}

pub(super) fn malformed(error: gimli::Error) -> UnwindInfoError {
    UnwindInfoError::Malformed(error.to_string())
}

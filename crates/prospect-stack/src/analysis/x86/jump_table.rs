//! Where the jumps of a `switch` lead.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};
use prospect_process::Addr;

use super::super::FunctionCode;

/// No table is believed to be longer.
const MOST_ENTRIES: u64 = 1024;

/// Follows a straight run of code for a bounds check, the load of an entry, and the jump:
/// `cmp $n, %i; ja default; movslq (%table, %i, 4), %x; add %table, %x; jmp *%x`, or
/// `jmp *table(, %i, 8)`.
#[derive(Default)]
pub(super) struct TableFinder {
    /// What `lea` last loaded into each register: it may have been long before.
    loaded: [u64; 16],
    /// The entries that the last comparison leaves.
    entries: Option<u64>,
    table: Option<Table>,
}

#[derive(Clone, Copy)]
struct Table {
    at: u64,
    entry_bytes: u64,
    /// Whether entries count from the start of the table.
    relative: bool,
}

impl TableFinder {
    /// A run of code begins.
    pub(super) fn begin(&mut self) {
        self.entries = None;
        self.table = None;
    }

    /// Takes note of an instruction. Of a jump through a table, where it may lead.
    pub(super) fn next(&mut self, code: &Instruction, function: &FunctionCode<'_>) -> Option<Vec<u64>> {
        match code.mnemonic() {
            Mnemonic::Cmp if code.op_count() == 2 && is_immediate(code.op1_kind()) => {
                let last = code.immediate(1);
                self.entries = last.checked_add(1).filter(|entries| *entries <= MOST_ENTRIES);
            }
            Mnemonic::Lea if code.is_ip_rel_memory_operand() => {
                let number = code.op0_register().full_register().number();
                if let Some(place) = self.loaded.get_mut(number) {
                    *place = code.ip_rel_memory_address();
                }
            }
            Mnemonic::Movsxd | Mnemonic::Mov if code.op1_kind() == OpKind::Memory => {
                self.table = self.table_of(code, function).or(self.table);
            }
            Mnemonic::Jmp if code.is_jmp_near_indirect() => {
                let table = match code.op0_kind() {
                    OpKind::Memory => self.table_of(code, function),
                    _ => self.table,
                };
                return read(table?, self.entries?, function);
            }
            _ => {}
        }
        None
    }

    fn table_of(&self, code: &Instruction, function: &FunctionCode<'_>) -> Option<Table> {
        let word = u64::from(function.arch.info().word_bytes);
        let scale = u64::from(code.memory_index_scale());
        if code.memory_index() == Register::None || scale < 4 {
            return None;
        }
        if code.memory_base() == Register::None {
            let at = code.memory_displacement64() & function.arch.info().word_mask();
            return (scale == word).then_some(Table { at, entry_bytes: word, relative: false });
        }
        let at = *self.loaded.get(code.memory_base().full_register().number())?;
        let is_table = scale == 4 && at != 0 && code.memory_displacement64() == 0;
        is_table.then_some(Table { at, entry_bytes: 4, relative: true })
    }
}

fn read(table: Table, entries: u64, function: &FunctionCode<'_>) -> Option<Vec<u64>> {
    let mut bytes = vec![0; (entries * table.entry_bytes) as usize];
    function.memory.read(Addr(table.at), &mut bytes).ok()?;
    let end = function.start.0.saturating_add(function.bytes.len() as u64);
    let mut targets = Vec::new();
    for entry in bytes.chunks_exact(table.entry_bytes as usize) {
        let target = if table.relative {
            table.at.wrapping_add_signed(i64::from(i32::from_le_bytes(*entry.first_chunk()?)))
        } else {
            function.arch.info().word(entry)?
        };
        // Cases that were moved out of the function lead elsewhere; but a table of them is none.
        if (function.start.0..end).contains(&target) {
            targets.push(target);
        }
    }
    targets.sort_unstable();
    targets.dedup();
    (!targets.is_empty()).then_some(targets)
}

fn is_immediate(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Immediate8
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate32to64
    )
}

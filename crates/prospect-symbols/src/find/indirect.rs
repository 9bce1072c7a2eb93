//! Indirect functions: which slots get the address of the function that was chosen.

use prospect_process::{Arch, LinkAddr};

use super::exports::raw_symbols;
use crate::{
    ModuleBinary,
    symbol::{plt::relocations, table::TableKind},
};

/// A slot that the dynamic linker fills with the address of a function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IndirectSlot {
    /// Where it is, as linked.
    pub slot: LinkAddr,
    /// The function that chooses, of the same module, where the slot is for what it returns (`R_*_IRELATIVE`).
    pub resolver: Option<LinkAddr>,
}

/// The relocations of a machine that fill slots (its psABI, "Relocation Types"): for what a function of the module chooses, for
/// a symbol's address, for that of a function that is called.
fn relocation_kinds(arch: Arch) -> Option<[u32; 3]> {
    Some(match arch {
        Arch::X86_64 => [37, 6, 7],
        Arch::I386 => [42, 6, 7],
        Arch::Aarch64 => [1032, 1025, 1026],
        Arch::Arm => [160, 21, 22],
        Arch::Riscv64 => [58, 2, 5],
        Arch::S390x => [61, 10, 11],
        Arch::Ppc64 | Arch::Ppc64le => [248, 20, 21],
        _ => return None,
    })
}

impl ModuleBinary {
    /// The slots of this module that get what the function at `resolver` chooses.
    #[must_use]
    pub fn slots_of_resolver(&self, resolver: LinkAddr) -> Vec<IndirectSlot> {
        self.slots(
            |relocation, [relative, ..]| relocation.kind == relative && relocation.addend == Some(resolver.0),
            Some(resolver),
        )
    }

    /// The slots of this module that get the address of the symbol of that linkage name, whichever module it is in.
    #[must_use]
    pub fn slots_of_symbol(&self, name: &[u8]) -> Vec<IndirectSlot> {
        let symbols = self.binary.as_deref().and_then(|binary| raw_symbols(binary, TableKind::Dynamic));
        let Some(symbols) = symbols else { return Vec::new() };
        let is_named =
            |number: u32| symbols.entry(number).is_some_and(|entry| symbols.is_named_so(&entry, name));
        self.slots(
            |relocation, [_, data, jump]| {
                (relocation.kind == data || relocation.kind == jump)
                    && relocation.symbol != 0
                    && is_named(relocation.symbol)
            },
            None,
        )
    }

    fn slots(
        &self,
        is_meant: impl Fn(&crate::symbol::plt::Relocation, [u32; 3]) -> bool,
        resolver: Option<LinkAddr>,
    ) -> Vec<IndirectSlot> {
        let Some(headers) = self.binary.as_deref().map(|binary| binary.headers()) else { return Vec::new() };
        let Some(kinds) = headers.arch.and_then(relocation_kinds) else { return Vec::new() };
        let found = relocations(headers).filter(|one| is_meant(one, kinds));
        found.map(|one| IndirectSlot { slot: LinkAddr(one.slot), resolver }).collect()
    }
}

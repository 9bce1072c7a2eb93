//! Symbols of other formats, said in the words of ELF: what looks symbols up then need not know of formats.

use std::sync::Arc;

use prospect_process::LinkAddr;

use super::{FileBytes, NamedSection, Section};
use crate::symbol::table::{
    TableKind,
    raw::{STB_LOCAL, STB_WEAK, STT_FUNC, STT_NOTYPE, STT_OBJECT},
};

/// What a symbol is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Function,
    /// Something in code.
    Label,
    Variable,
}

/// Who can see a symbol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Binding {
    Local,
    Global,
    Weak,
}

/// A symbol table of ELF (gABI, "Symbol Table") that is being made, little-endian.
pub(super) struct SymbolWriter {
    wide: bool,
    symbols: Vec<u8>,
    strings: Vec<u8>,
}

impl SymbolWriter {
    /// One for a file with addresses of 8 bytes, or of 4.
    pub(super) fn new(wide: bool) -> Self {
        Self { wide, symbols: vec![0; if wide { 24 } else { 16 }], strings: vec![0] }
    }

    /// Adds a symbol. Its size is not known: it reaches to the next one.
    pub(super) fn add(&mut self, name: &[u8], at: LinkAddr, kind: Kind, binding: Binding) {
        let Ok(string) = u32::try_from(self.strings.len()) else { return };
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        self.strings.extend_from_slice(&name[..end]);
        self.strings.push(0);
        let kind = match kind {
            Kind::Function => STT_FUNC,
            Kind::Label => STT_NOTYPE,
            Kind::Variable => STT_OBJECT,
        };
        let binding = match binding {
            Binding::Local => STB_LOCAL,
            Binding::Weak => STB_WEAK,
            Binding::Global => 1,
        };
        // Visibility as usual; it is defined, in some section.
        let info = [binding << 4 | kind, 0, 1, 0];
        self.symbols.extend(string.to_le_bytes());
        if self.wide {
            self.symbols.extend(info);
            self.symbols.extend(at.0.to_le_bytes());
            self.symbols.extend([0; 8]);
        } else {
            self.symbols.extend((at.0 as u32).to_le_bytes());
            self.symbols.extend([0; 4]);
            self.symbols.extend(info);
        }
    }

    /// The table and its strings as sections; none where no symbol was added.
    pub(super) fn sections(self, kind: TableKind) -> Vec<NamedSection> {
        if self.strings.len() == 1 {
            return Vec::new();
        }
        let (symbols, strings) = kind.section_names();
        let section = |name: &str, bytes: Vec<u8>| {
            let range = 0..bytes.len();
            NamedSection {
                name: name.as_bytes().into(),
                address: LinkAddr(0),
                section: Section::new(Arc::new(FileBytes::Owned(bytes)), range, None),
            }
        };
        vec![section(symbols, self.symbols), section(strings, self.strings)]
    }
}

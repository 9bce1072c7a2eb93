//! One symbol of a symbol table, whatever it is.

use std::{fmt, ops::Range};

use prospect_process::LinkAddr;

use super::version::SymbolVersion;
use crate::symbol::{
    demangle,
    table::raw::{
        RawEntry, RawSymbols, SHN_ABS, SHN_COMMON, SHN_UNDEF, STB_LOCAL, STB_WEAK, STT_FUNC, STT_GNU_IFUNC,
        STT_NOTYPE, STT_OBJECT,
    },
};

const STT_SECTION: u8 = 3;
const STT_FILE: u8 = 4;
const STT_COMMON: u8 = 5;
const STT_TLS: u8 = 6;
const STB_GLOBAL: u8 = 1;
const STB_GNU_UNIQUE: u8 = 10;

/// A symbol that is defined in a module (ELF gABI, "Symbol Table").
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Symbol {
    /// Its name as it is there, mangled and without a version.
    pub name: Vec<u8>,
    /// The version that it is of, where symbols have versions.
    pub version: Option<SymbolVersion>,
    /// What it is the name of.
    pub kind: SymbolKind,
    /// Which other files see it.
    pub binding: SymbolBinding,
    /// Which other modules see it.
    pub visibility: SymbolVisibility,
    /// Its addresses as linked; empty where its size is not known. Of a [thread-local](SymbolKind::ThreadLocal) one, its place
    /// in the module's part of a thread's storage; of an [absolute](SymbolKind::Absolute) one, a number.
    pub range: Range<LinkAddr>,
    /// Where it was found.
    pub source: SymbolSource,
}

/// What a symbol is the name of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum SymbolKind {
    /// Code (`STT_FUNC`).
    Function,
    /// Code that is called once, when the dynamic linker binds the symbol, and returns the address of the function to use
    /// (`STT_GNU_IFUNC`).
    IndirectFunction,
    /// A variable (`STT_OBJECT`).
    Data,
    /// A variable of which each thread has its own (`STT_TLS`).
    ThreadLocal,
    /// A variable that has no place yet (`STT_COMMON`, `SHN_COMMON`).
    Common,
    /// A number and no address (`SHN_ABS`).
    Absolute,
    /// Something that the file does not say (`STT_NOTYPE`): mostly a label of assembler code.
    Label,
}

impl SymbolKind {
    /// The word for it in output; part of the JSON schema.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::IndirectFunction => "ifunc",
            Self::Data => "data",
            Self::ThreadLocal => "thread-local",
            Self::Common => "common",
            Self::Absolute => "absolute",
            Self::Label => "label",
        }
    }
}

/// Which files see a symbol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum SymbolBinding {
    /// The one that it was compiled from.
    Local,
    /// All of them.
    Global,
    /// All of them, unless another one defines it too.
    Weak,
    /// All of them, and there is one in a process whatever is loaded how (`STB_GNU_UNIQUE`).
    Unique,
}

/// Which modules see a symbol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SymbolVisibility {
    /// All, and another module's may come before it.
    Default,
    /// None but its own, and no pointer to it is given to others.
    Internal,
    /// None but its own.
    Hidden,
    /// All, and its own module always means this one.
    Protected,
}

/// Where a symbol was found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum SymbolSource {
    /// The binary's `.dynsym`.
    DynamicSymbols,
    /// The binary's `.symtab`.
    SymbolTable,
    /// The `.symtab` of its debug file.
    DebugFile,
    /// The `.symtab` that is packed into `.gnu_debugdata`.
    MiniDebugInfo,
}

impl Symbol {
    /// The name as people write it.
    #[must_use]
    pub fn demangled(&self) -> String {
        demangle(&self.name)
    }

    /// Whether the dynamic linker may bind other modules to it.
    #[must_use]
    pub fn is_exported(&self) -> bool {
        self.source == SymbolSource::DynamicSymbols
            && self.binding != SymbolBinding::Local
            && matches!(self.visibility, SymbolVisibility::Default | SymbolVisibility::Protected)
    }

    /// The symbol of an entry. `None` for one that is defined elsewhere, or that is none: a section's or a source file's
    /// name, or none at all.
    pub(super) fn new(symbols: RawSymbols<'_>, entry: &RawEntry, source: SymbolSource) -> Option<Self> {
        let kind = kind_of(entry)?;
        let name = symbols.entry_name(entry);
        if name.is_empty() {
            return None;
        }
        let start = symbols.address_of(entry);
        let binding = match entry.info >> 4 {
            STB_LOCAL => SymbolBinding::Local,
            STB_WEAK => SymbolBinding::Weak,
            STB_GNU_UNIQUE => SymbolBinding::Unique,
            STB_GLOBAL.. => SymbolBinding::Global,
        };
        let visibility = match entry.other & 3 {
            0 => SymbolVisibility::Default,
            1 => SymbolVisibility::Internal,
            2 => SymbolVisibility::Hidden,
            _ => SymbolVisibility::Protected,
        };
        // Some linkers write versions into the names of `.symtab`.
        let (name, version) = SymbolVersion::split(name);
        let range = LinkAddr(start)..LinkAddr(start.saturating_add(entry.size));
        Some(Self { name: name.to_vec(), version, kind, binding, visibility, range, source })
    }
}

impl fmt::Display for Symbol {
    /// The name as people write it, and the version: `memcpy@@GLIBC_2.14`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.demangled())?;
        self.version.as_ref().map_or(Ok(()), |version| version.fmt(f))
    }
}

/// What a symbol that is defined is; `None` for what names nothing in the module.
pub(super) fn kind_of(entry: &RawEntry) -> Option<SymbolKind> {
    match (entry.info & 0xf, entry.section) {
        (STT_SECTION | STT_FILE, _) | (_, SHN_UNDEF) => None,
        (STT_TLS, _) => Some(SymbolKind::ThreadLocal),
        (_, SHN_ABS) => Some(SymbolKind::Absolute),
        (STT_COMMON, _) | (_, SHN_COMMON) => Some(SymbolKind::Common),
        (STT_FUNC, _) => Some(SymbolKind::Function),
        (STT_GNU_IFUNC, _) => Some(SymbolKind::IndirectFunction),
        (STT_OBJECT, _) => Some(SymbolKind::Data),
        (STT_NOTYPE, _) => Some(SymbolKind::Label),
        _ => Some(SymbolKind::Label),
    }
}

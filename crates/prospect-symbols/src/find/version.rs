//! Versions of dynamic symbols (Linux Standard Base, "Symbol Versioning"): `.gnu.version` has a number for each
//! symbol, `.gnu.version_d` the names of those that the module defines, and `.gnu.version_r` of those that it needs.

use std::{collections::HashMap, fmt};

use crate::binary::Headers;

/// The bit that keeps the static linker from using a version: only programs that were linked with it do.
const HIDDEN: u16 = 0x8000;
/// 0 is a local symbol, 1 a global one without a version.
const FIRST_VERSION: u16 = 2;
/// A definition that is the module's own name.
const VER_FLG_BASE: usize = 1;
/// The C library of GNU has some 50 versions.
const MOST_VERSIONS: usize = 4096;
const LONGEST_NAME: usize = 4096;

/// The version that a symbol is of.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SymbolVersion {
    /// Its name: `GLIBC_2.14`.
    pub name: String,
    /// Whether a program that is linked now is bound to it: `memcpy@@GLIBC_2.14`, as against `memcpy@GLIBC_2.2.5`.
    pub is_default: bool,
}

impl fmt::Display for SymbolVersion {
    /// As linkers write it behind the name: `@@GLIBC_2.14`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_default { "@@" } else { "@" }, self.name)
    }
}

impl SymbolVersion {
    /// Parts a name like `memcpy@@GLIBC_2.14`.
    pub(super) fn split(name: &[u8]) -> (&[u8], Option<Self>) {
        let Some(at) = name.iter().position(|byte| *byte == b'@').filter(|at| *at > 0) else {
            return (name, None);
        };
        let behind = &name[at + 1..];
        let is_default = behind.starts_with(b"@");
        let version = &behind[usize::from(is_default)..];
        let version = (!version.is_empty())
            .then(|| Self { name: String::from_utf8_lossy(version).into_owned(), is_default });
        (&name[..at], version)
    }
}

/// The versions of a module's dynamic symbols.
#[derive(Debug, Default)]
pub(super) struct Versions<'a> {
    numbers: &'a [u8],
    big_endian: bool,
    /// The names, by number.
    defined: HashMap<u16, String>,
    /// Those of other modules: a variable that a program has a copy of keeps the version that it has in its library.
    needed: HashMap<u16, String>,
}

impl<'a> Versions<'a> {
    pub(super) fn of(headers: &'a Headers) -> Self {
        let bytes = |name: &str| {
            let found = headers.sections.iter().find(|one| *one.name == *name.as_bytes());
            found.map_or(&[][..], |one| one.section.all())
        };
        let strings = bytes(".dynstr");
        let reader = |name: &str| Reader { headers, bytes: bytes(name), strings, names: HashMap::new() };
        Self {
            numbers: bytes(".gnu.version"),
            big_endian: headers.pointer_format(0).big_endian,
            defined: reader(".gnu.version_d").read(Reader::definition),
            needed: reader(".gnu.version_r").read(Reader::need),
        }
    }

    /// The version of the symbol of that number.
    pub(super) fn of_symbol(&self, number: u32) -> Option<SymbolVersion> {
        let start = usize::try_from(number).ok()?.checked_mul(2)?;
        let bytes = *self.numbers.get(start..)?.first_chunk::<2>()?;
        let index = if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
        if let Some(name) = self.defined.get(&(index & !HIDDEN)) {
            return Some(SymbolVersion { name: name.clone(), is_default: index & HIDDEN == 0 });
        }
        let name = self.needed.get(&(index & !HIDDEN))?.clone();
        Some(SymbolVersion { name, is_default: false })
    }
}

/// Reads the entries of `.gnu.version_d` or `.gnu.version_r`.
struct Reader<'a> {
    headers: &'a Headers,
    bytes: &'a [u8],
    strings: &'a [u8],
    names: HashMap<u16, String>,
}

impl Reader<'_> {
    /// The names by number; `one` reads the entry at a place, and says where the next one is.
    fn read(mut self, one: fn(&mut Self, usize) -> Option<usize>) -> HashMap<u16, String> {
        let mut at = 0;
        for _ in 0..MOST_VERSIONS {
            let Some(next) = one(&mut self, at) else { break };
            at = next;
        }
        self.names
    }

    fn field(&self, at: usize, size: usize) -> Option<usize> {
        let bytes = self.bytes.get(at..at.checked_add(size)?)?;
        usize::try_from(self.headers.pointer_format(0).unsigned(bytes)).ok()
    }

    /// A `Verdef`.
    fn definition(&mut self, at: usize) -> Option<usize> {
        let (flags, index) = (self.field(at + 2, 2)?, self.field(at + 4, 2)?);
        // The first name is the version's; what follows are those that it inherits from.
        let name = self.field(at.checked_add(self.field(at + 12, 4)?)?, 4)?;
        if flags & VER_FLG_BASE == 0 {
            self.add(index, name);
        }
        let next = self.field(at + 16, 4)?;
        at.checked_add(next).filter(|_| next > 0)
    }

    /// A `Verneed`, with all of its `Vernaux`.
    fn need(&mut self, at: usize) -> Option<usize> {
        let mut version = at.checked_add(self.field(at + 8, 4)?)?;
        // Of all entries together no more than this.
        while self.names.len() < MOST_VERSIONS {
            let (index, name) = (self.field(version + 6, 2)?, self.field(version + 8, 4)?);
            let known = self.names.len();
            self.add(index, name);
            let next = self.field(version + 12, 4)?;
            if next == 0 || self.names.len() == known {
                break;
            }
            version = version.checked_add(next)?;
        }
        let next = self.field(at + 12, 4)?;
        at.checked_add(next).filter(|_| next > 0)
    }

    fn add(&mut self, index: usize, name: usize) -> Option<()> {
        let index = u16::try_from(index).ok()? & !HIDDEN;
        let rest = self.strings.get(name..).filter(|_| index >= FIRST_VERSION)?;
        let length = rest.iter().take(LONGEST_NAME).position(|byte| *byte == 0)?;
        self.names.insert(index, String::from_utf8_lossy(&rest[..length]).into_owned());
        Some(())
    }
}

//! The entries of a symbol table as the file has them (ELF gABI, "Symbol Table").

use prospect_process::Arch;

use crate::binary::Headers;

/// A longer name is cut: it helps nobody.
const LONGEST_NAME: usize = 64 << 10;

pub(crate) const STT_NOTYPE: u8 = 0;
pub(crate) const STT_OBJECT: u8 = 1;
pub(crate) const STT_FUNC: u8 = 2;
pub(crate) const STT_GNU_IFUNC: u8 = 10;
pub(crate) const STB_LOCAL: u8 = 0;
pub(crate) const STB_WEAK: u8 = 2;
pub(crate) const SHN_UNDEF: u16 = 0;
pub(crate) const SHN_ABS: u16 = 0xfff1;
pub(crate) const SHN_COMMON: u16 = 0xfff2;

/// A symbol table and its strings.
#[derive(Clone, Copy)]
pub(crate) struct RawSymbols<'a> {
    bytes: &'a [u8],
    strings: &'a [u8],
    wide: bool,
    big_endian: bool,
    /// Whether the lowest bit of a function's address marks Thumb code (Arm's "ELF for the Arm Architecture",
    /// section 5.5.3).
    has_thumb_mark: bool,
    /// The functions' descriptors, which their symbols are of, and where they are ("64-bit PowerPC ELF Application
    /// Binary Interface Supplement", section 3.2.5). They begin with the address of the code.
    descriptors: Option<(u64, &'a [u8])>,
    /// What is looked for in it.
    wants: What,
}

/// What symbols are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// Functions, and the labels that may be some.
    Code,
    /// Variables.
    Data,
}

/// One entry, with the numbers that it has in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawEntry {
    name: u32,
    pub(crate) value: u64,
    pub(crate) size: u64,
    /// `st_info`: its type in the low four bits, its binding in the others.
    pub(crate) info: u8,
    /// `st_other`: its visibility in the low two bits.
    pub(crate) other: u8,
    /// `st_shndx`.
    pub(crate) section: u16,
}

/// One entry, as far as it matters for functions.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawSymbol {
    pub(super) start: u64,
    pub(super) size: u64,
    name: u32,
    info: u8,
}

impl<'a> RawSymbols<'a> {
    /// The symbols of the sections of these names.
    pub(crate) fn of(headers: &'a Headers, symbols: &str, strings: &str) -> Option<Self> {
        let section = |name: &str| headers.sections.iter().find(|one| *one.name == *name.as_bytes());
        let descriptors = section(".opd").filter(|_| headers.arch == Some(Arch::Ppc64));
        Some(Self {
            bytes: section(symbols)?.section.all(),
            strings: section(strings)?.section.all(),
            wide: headers.address_bytes == 8,
            big_endian: headers.pointer_format(0).big_endian,
            has_thumb_mark: headers.arch == Some(Arch::Arm),
            descriptors: descriptors.map(|found| (found.address.0, found.section.all())),
            wants: What::Code,
        })
    }

    /// The same for other symbols.
    pub(super) fn wanting(self, wants: What) -> Self {
        Self { wants, ..self }
    }

    fn entry_bytes(&self) -> usize {
        if self.wide { 24 } else { 16 }
    }

    /// The symbols that are looked for, each with its number.
    pub(super) fn functions(self) -> impl Iterator<Item = (u32, RawSymbol)> + 'a {
        let entries = self.bytes.chunks_exact(self.entry_bytes()).zip(0..);
        entries.filter_map(move |(entry, number)| Some((number, self.function(entry)?)))
    }

    /// The symbol of that number, if it is looked for.
    pub(super) fn get(&self, number: u32) -> Option<RawSymbol> {
        let start = usize::try_from(number).ok()?.checked_mul(self.entry_bytes())?;
        self.function(self.bytes.get(start..start.checked_add(self.entry_bytes())?)?)
    }

    /// How many symbols there are, of all kinds.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / self.entry_bytes()
    }

    /// The symbol of that number, whatever it is.
    pub(crate) fn entry(&self, number: u32) -> Option<RawEntry> {
        let start = usize::try_from(number).ok()?.checked_mul(self.entry_bytes())?;
        self.read(self.bytes.get(start..start.checked_add(self.entry_bytes())?)?)
    }

    /// Its name.
    pub(crate) fn entry_name(&self, entry: &RawEntry) -> &'a [u8] {
        self.string(entry.name)
    }

    /// Whether it has this name: its own is not read any further.
    pub(crate) fn is_named_so(&self, entry: &RawEntry, name: &[u8]) -> bool {
        let rest = self.strings.get(entry.name as usize..).and_then(|rest| rest.strip_prefix(name));
        rest.is_some_and(|rest| matches!(rest, [] | [0, ..]))
    }

    /// How many bytes of names there are.
    pub(crate) fn string_bytes(&self) -> usize {
        self.strings.len()
    }

    /// Where it is: of a function, where its code is.
    pub(crate) fn address_of(&self, entry: &RawEntry) -> u64 {
        let is_function = matches!(entry.info & 0xf, STT_FUNC | STT_GNU_IFUNC);
        let code = if is_function { self.code_of(entry.value) } else { None };
        code.unwrap_or(entry.value)
    }

    #[inline]
    fn read(&self, entry: &[u8]) -> Option<RawEntry> {
        let [info, other, section @ ..] =
            *entry.get(if self.wide { 4..8 } else { 12..16 })?.first_chunk::<4>()?;
        let section = if self.big_endian { u16::from_be_bytes(section) } else { u16::from_le_bytes(section) };
        let (value, size) = if self.wide {
            (self.u64(entry.get(8..16)?), self.u64(entry.get(16..24)?))
        } else {
            (self.u32(entry.get(4..8)?).into(), self.u32(entry.get(8..12)?).into())
        };
        Some(RawEntry { name: self.u32(entry.get(..4)?), value, size, info, other, section })
    }

    /// The name of the symbol of that number, whatever it is.
    pub(super) fn name_of(&self, number: u32) -> Option<&'a [u8]> {
        let start = usize::try_from(number).ok()?.checked_mul(self.entry_bytes())?;
        let name = self.u32(self.bytes.get(start..start.checked_add(4)?)?);
        Some(self.string(name)).filter(|name| !name.is_empty())
    }

    /// The value of the symbol of that name, whatever it is, where it is defined.
    pub(super) fn value_of(&self, name: &[u8]) -> Option<u64> {
        self.bytes.chunks_exact(self.entry_bytes()).find_map(|entry| {
            let (value, section) = if self.wide {
                (self.u64(entry.get(8..16)?), entry.get(6..8)?)
            } else {
                (self.u32(entry.get(4..8)?).into(), entry.get(14..16)?)
            };
            (section != SHN_UNDEF.to_ne_bytes() && self.string(self.u32(entry)) == name).then_some(value)
        })
    }

    #[inline]
    fn function(&self, entry: &[u8]) -> Option<RawSymbol> {
        let info = *entry.get(if self.wide { 4 } else { 12 })?;
        let is_wanted = match self.wants {
            What::Code => matches!(info & 0xf, STT_FUNC | STT_GNU_IFUNC | STT_NOTYPE),
            What::Data => info & 0xf == STT_OBJECT,
        };
        if !is_wanted {
            return None;
        }
        let RawEntry { name, value: start, size, section, .. } = self.read(entry)?;
        if matches!(section, SHN_UNDEF | SHN_ABS | SHN_COMMON) {
            return None;
        }
        let is_function = matches!(info & 0xf, STT_FUNC | STT_GNU_IFUNC);
        let start = if is_function { self.code_of(start)? } else { start };
        Some(RawSymbol { start, size, name, info })
    }

    /// Where the code of a function is whose symbol has this value.
    #[inline]
    fn code_of(&self, value: u64) -> Option<u64> {
        if self.has_thumb_mark {
            return Some(value & !1);
        }
        let Some((start, descriptors)) = self.descriptors else { return Some(value) };
        let offset = value.checked_sub(start).and_then(|offset| usize::try_from(offset).ok());
        match offset.filter(|offset| *offset < descriptors.len()) {
            Some(offset) => descriptors.get(offset..offset.checked_add(8)?).map(|code| self.u64(code)),
            None => Some(value),
        }
    }

    #[inline]
    fn u32(&self, bytes: &[u8]) -> u32 {
        let bytes = bytes.first_chunk().copied().unwrap_or_default();
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    #[inline]
    fn u64(&self, bytes: &[u8]) -> u64 {
        let bytes = bytes.first_chunk().copied().unwrap_or_default();
        if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) }
    }

    fn string(&self, offset: u32) -> &'a [u8] {
        let rest = self.strings.get(offset as usize..).unwrap_or_default();
        let rest = &rest[..rest.len().min(LONGEST_NAME)];
        &rest[..rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len())]
    }

    /// Whether a symbol names a function, and does not mark something else in the code. This and
    /// [`rank`](Self::rank) look at no more than the start of the name: a table may have many long ones.
    pub(super) fn is_named(&self, symbol: &RawSymbol) -> bool {
        let start = self.strings.get(symbol.name as usize..).unwrap_or_default();
        !matches!(start, [] | [0, ..]) && !is_mapping_symbol(start)
    }

    /// How good a name for its function a symbol is, among those of one address: the greater the better.
    pub(super) fn rank(&self, symbol: &RawSymbol) -> impl Ord + use<> {
        let is_function = symbol.info & 0xf != STT_NOTYPE;
        let binding = match symbol.info >> 4 {
            STB_LOCAL => 0,
            STB_WEAK => 1,
            _ => 2,
        };
        let name = self.strings.get(symbol.name as usize..).unwrap_or_default();
        let underscores = name.iter().take(8).take_while(|byte| **byte == b'_').count();
        (is_function, binding, std::cmp::Reverse(underscores))
    }

    /// A function's name.
    pub(super) fn function_name(&self, symbol: &RawSymbol) -> &'a [u8] {
        let name = self.string(symbol.name);
        // `memcpy@@GLIBC_2.14`: the version is no part of the name.
        match name.iter().position(|byte| *byte == b'@') {
            Some(at) if at > 0 => &name[..at],
            _ => name,
        }
    }
}

/// Assemblers mark where code and data begin: `$a`, `$d`, `$t`, `$x` (ARM, AArch64, RISC-V ELF ABIs).
fn is_mapping_symbol(start: &[u8]) -> bool {
    matches!(start, [b'$', b'a' | b'd' | b't' | b'x', 0 | b'.', ..])
}

//! A unit that is searched: of the file, of its supplementary one, or split off.

use std::rc::Rc;

use gimli::{DwAt, constants as dw};
use prospect_process::LinkAddr;

use super::{
    super::{
        DebugInfo,
        fuel::Fuel,
        names::Units,
        ranges::{self, CodeAttributes},
        split,
        unit::Unit,
        value::Value,
    },
    TargetName, UnitPlace,
    plan::Role,
};
use crate::{
    find::{Definition, DefinitionKind, VariablePlace},
    symbol::demangle,
    type_info::{EntryFile, EntryId},
};

/// A variable's expression is short; so are lists of a function's ranges.
const LONGEST_EXPRESSION: usize = 4096;
const MOST_RANGES: usize = 4096;

/// A unit, and the units that it refers to.
pub(super) struct OpenedUnit<'a> {
    pub(super) unit: Rc<Unit<'a>>,
    pub(super) units: Units<'a>,
    file: EntryFile,
}

/// What an entry says of what it defines.
struct Attributes<'a> {
    code: CodeAttributes<'a>,
    location: Value<'a>,
    is_declaration: bool,
}

/// Opens a unit, or the one that was split off it, does the work, and gives back what was read of it.
pub(super) fn with_unit<T>(
    debug: &DebugInfo,
    (is_supplementary, start): UnitPlace,
    fuel: &mut Fuel<'_>,
    work: impl FnOnce(OpenedUnit<'_>, &mut Fuel<'_>) -> T,
) -> Option<T> {
    let file = if is_supplementary { debug.supplementary.as_ref()? } else { &debug.main };
    let sections = file.sections();
    let skeleton = Unit::open(file, sections, start, fuel)?;
    let split_unit = if is_supplementary { None } else { debug.split.find(&skeleton, fuel) };
    let split_unit = split_unit.as_ref().and_then(|found| found.open(&skeleton, fuel));
    let skeleton = Rc::new(skeleton);
    let own_file = if is_supplementary { EntryFile::Supplementary } else { EntryFile::Main };
    let (unit, file) = match split_unit {
        Some(unit) => (split::complete(unit, &skeleton), EntryFile::Split(start)),
        None => (skeleton.clone(), own_file),
    };
    let units = Units::new(&unit, debug.supplementary.as_ref());
    let result = work(OpenedUnit { unit, units, file }, fuel);
    sections.info.release(skeleton.header.start..skeleton.header.end);
    Some(result)
}

impl<'a> OpenedUnit<'a> {
    /// Whether its strings are those of the file itself.
    pub(super) fn has_own_strings(&self) -> bool {
        self.file == EntryFile::Main
    }

    /// The place of one of its entries.
    pub(super) fn place(&self, at: usize) -> EntryId {
        EntryId { file: self.file, offset: self.unit.header.start.saturating_add(at) }
    }

    /// The place of the entry that an attribute refers to.
    pub(super) fn referred(&self, value: Value<'_>) -> Option<EntryId> {
        match value {
            Value::UnitEntry(at) => Some(self.place(at)),
            Value::InfoEntry(offset) => Some(EntryId { file: self.file, offset }),
            Value::SupplementaryEntry(offset) => Some(EntryId { file: EntryFile::Supplementary, offset }),
            _ => None,
        }
    }

    pub(super) fn text(&self, value: Value<'a>) -> Option<&'a [u8]> {
        self.units.text(&self.unit, value)
    }

    /// What the entry at `at` defines, if it does: a declaration defines nothing but a type.
    pub(super) fn definition(
        &self,
        at: usize,
        role: Role,
        name: &TargetName,
        fuel: &mut Fuel<'_>,
    ) -> Option<Definition> {
        let attributes = self.attributes(at)?;
        let mut code = Vec::new();
        let kind = match role {
            Role::Function | Role::Inlined => {
                code = self.code(&attributes.code, fuel);
                if code.is_empty() {
                    return None;
                }
                if role == Role::Function {
                    DefinitionKind::Function
                } else {
                    DefinitionKind::InlinedCall { into: None }
                }
            }
            Role::Variable => DefinitionKind::Variable(self.variable_place(attributes.location)?),
            Role::Enumerator => DefinitionKind::Enumerator,
            _ => DefinitionKind::Type { is_declaration: attributes.is_declaration },
        };
        let TargetName { name, linkage_name } = name;
        fuel.burn(name.len() + linkage_name.as_ref().map_or(0, String::len))?;
        let name = linkage_name.as_ref().map_or_else(|| name.clone(), |name| demangle(name.as_bytes()));
        fuel.burn(name.len())?;
        let (linkage_name, entry) = (linkage_name.clone(), self.place(at));
        Some(Definition { name, linkage_name, kind, code, entry })
    }

    /// The value of an attribute of an entry.
    pub(super) fn attribute(&self, at: usize, wanted: DwAt) -> Option<Value<'a>> {
        let mut entry = self.unit.entry(at)?;
        std::iter::from_fn(|| entry.next()).find(|(name, _)| *name == wanted).map(|(_, value)| value)
    }

    fn attributes(&self, at: usize) -> Option<Attributes<'a>> {
        let none = Value::None;
        let code = CodeAttributes { low_pc: none, high_pc: none, ranges: none };
        let mut found = Attributes { code, location: none, is_declaration: false };
        let entry = self.unit.entry(at)?;
        for (attribute, value) in entry {
            match attribute {
                dw::DW_AT_low_pc => found.code.low_pc = value,
                dw::DW_AT_high_pc => found.code.high_pc = value,
                dw::DW_AT_ranges => found.code.ranges = value,
                dw::DW_AT_location => found.location = value,
                dw::DW_AT_declaration => found.is_declaration = true,
                _ => {}
            }
        }
        Some(found)
    }

    /// Where the code of the entry at `at` is, the part that is entered first.
    pub(super) fn code_of(&self, at: usize, fuel: &mut Fuel<'_>) -> Vec<std::ops::Range<LinkAddr>> {
        self.attributes(at).map_or_else(Vec::new, |found| self.code(&found.code, fuel))
    }

    /// What made the unit, as it says itself.
    pub(super) fn producer(&self) -> Option<&'a [u8]> {
        self.text(self.attribute(self.unit.header.root, dw::DW_AT_producer)?)
    }

    fn code(&self, attributes: &CodeAttributes<'a>, fuel: &mut Fuel<'_>) -> Vec<std::ops::Range<LinkAddr>> {
        let mut code = Vec::new();
        let _ = ranges::each(&self.unit, attributes, fuel, |low, high, _| {
            if low < high && code.len() < MOST_RANGES {
                code.push(LinkAddr(low)..LinkAddr(high));
            }
            Some(())
        });
        code
    }

    /// Where a variable is, by its expression. `None` for one that is no global one.
    fn variable_place(&self, location: Value<'a>) -> Option<VariablePlace> {
        let (Value::Block(bytes) | Value::Expression(bytes)) = location else { return None };
        let address_size = self.unit.header.encoding.address_size;
        let mut reader = super::super::reader::Reader::new(bytes, 0, self.unit.sections.endian);
        let operation = gimli::DwOp(reader.u8()?);
        let number = match operation {
            dw::DW_OP_addr => reader.uint(address_size)?,
            dw::DW_OP_addrx | dw::DW_OP_GNU_addr_index | dw::DW_OP_constx | dw::DW_OP_GNU_const_index => {
                self.unit.address(Value::AddressIndex(reader.leb()?))?
            }
            dw::DW_OP_const4u => reader.uint(4)?,
            dw::DW_OP_const8u => reader.uint(8)?,
            _ => return None,
        };
        if reader.is_at_end() {
            let is_dropped = ranges::is_dropped(number, address_size);
            return (!is_dropped).then_some(VariablePlace::Address(LinkAddr(number)));
        }
        let behind = gimli::DwOp(reader.u8()?);
        if matches!(behind, dw::DW_OP_form_tls_address | dw::DW_OP_GNU_push_tls_address) && reader.is_at_end()
        {
            return Some(VariablePlace::ThreadLocal(number));
        }
        Some(VariablePlace::Expression(bytes.get(..LONGEST_EXPRESSION)?.to_vec()))
            .filter(|_| bytes.len() <= LONGEST_EXPRESSION)
    }
}

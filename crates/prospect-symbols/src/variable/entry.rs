//! What the entry of a variable says, with those that it is an instance or the definition of.

use std::sync::Arc;

use gimli::constants as dw;
use prospect_process::LinkAddr;

use super::{Variable, VariableKind, locate::Handle, locate::LONGEST_CHAIN};
use crate::{
    symbol::{
        demangle,
        dwarf::{DebugInfo, EntryUnit, Fuel, Value},
    },
    type_info::{EntryId, TypeRef},
};

/// What is read of a variable before its types can be.
#[derive(Debug)]
pub(super) struct RawVariable {
    pub(super) entry: EntryId,
    pub(super) name: String,
    pub(super) linkage_name: Option<Vec<u8>>,
    ty: Option<EntryId>,
    pub(super) kind: VariableKind,
    declared: Option<(Arc<str>, u32)>,
    pub(super) depth: u32,
    pub(super) in_scope: bool,
    is_artificial: bool,
    /// It is only declared here; what it is stands elsewhere.
    pub(super) is_declaration: bool,
    /// The entry that it is an instance of.
    pub(super) origin: Option<EntryId>,
}

impl RawVariable {
    pub(super) fn finish(self, debug: &Arc<DebugInfo>, function: Option<EntryId>) -> Variable {
        Variable {
            name: self.name.into(),
            kind: self.kind,
            ty: self.ty.map_or_else(TypeRef::void, |ty| TypeRef::at(debug.clone(), ty)),
            declared: self.declared,
            depth: self.depth,
            in_scope: self.in_scope,
            is_artificial: self.is_artificial,
            handle: Handle {
                debug: debug.clone(),
                entry: self.entry,
                function,
                is_declaration: self.is_declaration,
            },
        }
    }

    /// What people call something outside of functions, whose name in its own scope is known.
    pub(super) fn full_name(&self, scope: &[String]) -> String {
        match &self.linkage_name {
            Some(name) => demangle(name),
            None if scope.is_empty() => self.name.clone(),
            None => format!("{}::{}", scope.join("::"), self.name),
        }
    }
}

/// Where an expression says that something is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Storage {
    Unknown,
    Fixed,
    Thread,
    Other,
}

/// Where a variable stands.
#[derive(Clone, Copy)]
pub(super) struct Position {
    pub(super) depth: u32,
    pub(super) in_scope: bool,
    /// Where the code of its block begins, if that is known, and the address that is asked about.
    pub(super) block: Option<(Option<LinkAddr>, LinkAddr)>,
    pub(super) in_function: bool,
}

impl RawVariable {
    /// Reads the variable at `at` of `unit`.
    pub(super) fn read(
        debug: &DebugInfo,
        unit: &EntryUnit<'_>,
        at: usize,
        position: Position,
        fuel: &mut Fuel<'_>,
    ) -> Option<Self> {
        let asked = position.block.map(|(_, asked)| asked);
        let (said, own_origin) = Said::by_chain(debug, unit, at, asked, fuel)?;
        let begins_later = match (said.start_scope, position.block) {
            (Some(StartScope::Offset(start)), Some((Some(block), asked))) => {
                asked.0 < block.0.saturating_add(start)
            }
            (Some(StartScope::Listed(is_within)), _) => !is_within,
            _ => false,
        };
        let is_nowhere = said.storage.is_none() && !said.has_constant;
        let is_declaration = said.is_declaration && is_nowhere;
        let kind = match said.tag {
            dw::DW_TAG_formal_parameter => VariableKind::Parameter,
            dw::DW_TAG_constant => VariableKind::Constant,
            _ if said.storage == Some(Storage::Thread) => VariableKind::ThreadLocal,
            _ if position.in_function && said.storage == Some(Storage::Fixed) => VariableKind::Static,
            _ if position.in_function && !is_declaration => VariableKind::Local,
            _ if said.has_constant && said.storage.is_none() => VariableKind::Constant,
            _ => VariableKind::Global,
        };
        Some(Self {
            entry: unit.id(at),
            name: said.name.map(|name| String::from_utf8_lossy(&name).into_owned()).unwrap_or_default(),
            linkage_name: said.linkage_name,
            ty: said.ty,
            kind,
            declared: said.file.zip(said.line),
            depth: position.depth,
            in_scope: position.in_scope && !begins_later,
            is_artificial: said.is_artificial,
            is_declaration,
            origin: own_origin,
        })
    }
}

/// What the entries of a chain say; of two the first counts.
struct Said {
    tag: gimli::DwTag,
    name: Option<Vec<u8>>,
    linkage_name: Option<Vec<u8>>,
    ty: Option<EntryId>,
    file: Option<Arc<str>>,
    line: Option<u32>,
    storage: Option<Storage>,
    has_constant: bool,
    is_declaration: bool,
    is_artificial: bool,
    start_scope: Option<StartScope>,
    /// The address that is asked about.
    asked: Option<LinkAddr>,
}

/// Where in its block something begins to be there (DWARF 5, section 3.9).
#[derive(Clone, Copy)]
enum StartScope {
    /// So many bytes behind the beginning of the block.
    Offset(u64),
    /// Whether the ranges in which it is there have the address that is asked about.
    Listed(bool),
}

impl Default for Said {
    fn default() -> Self {
        Self {
            tag: gimli::DwTag(0),
            name: None,
            linkage_name: None,
            ty: None,
            file: None,
            line: None,
            storage: None,
            has_constant: false,
            is_declaration: false,
            is_artificial: false,
            start_scope: None,
            asked: None,
        }
    }
}

/// What the function at `at` of `unit` returns; `None` for nothing.
pub(super) fn result(
    debug: &DebugInfo,
    unit: &EntryUnit<'_>,
    at: usize,
    fuel: &mut Fuel<'_>,
) -> Option<EntryId> {
    Said::by_chain(debug, unit, at, None, fuel)?.0.ty
}

impl Said {
    /// What an entry and those say that it refers to, and the first of these.
    fn by_chain(
        debug: &DebugInfo,
        unit: &EntryUnit<'_>,
        at: usize,
        asked: Option<LinkAddr>,
        fuel: &mut Fuel<'_>,
    ) -> Option<(Self, Option<EntryId>)> {
        let mut said = Self { asked, ..Self::default() };
        let first = said.add(debug, unit, at, fuel)?;
        let mut next = first;
        for _ in 1..LONGEST_CHAIN {
            let Some(id) = next else { break };
            next = debug
                .with_entry(id, fuel, |unit: &EntryUnit<'_>, at: usize, fuel: &mut Fuel<'_>| {
                    said.add(debug, unit, at, fuel).flatten()
                })
                .flatten();
        }
        Some((said, first))
    }

    /// Adds what one entry says, and gives the one that it refers to.
    fn add(
        &mut self,
        debug: &DebugInfo,
        unit: &EntryUnit<'_>,
        at: usize,
        fuel: &mut Fuel<'_>,
    ) -> Option<Option<EntryId>> {
        let entry = unit.entry(at)?;
        if self.tag.0 == 0 {
            self.tag = entry.tag;
        }
        let mut origin = Value::None;
        let (mut file, mut line) = (None, None);
        for (name, value) in entry {
            match name {
                dw::DW_AT_name if self.name.is_none() => self.name = unit.text(value).map(<[u8]>::to_vec),
                dw::DW_AT_linkage_name | dw::DW_AT_MIPS_linkage_name if self.linkage_name.is_none() => {
                    self.linkage_name = unit.text(value).map(<[u8]>::to_vec);
                }
                dw::DW_AT_type => self.ty = self.ty.or_else(|| unit.target(value)),
                dw::DW_AT_decl_file => file = value.number(),
                dw::DW_AT_decl_line => line = value.number().and_then(|line| u32::try_from(line).ok()),
                dw::DW_AT_location => {
                    self.storage.get_or_insert_with(|| {
                        value.expression().map_or(Storage::Other, |bytes| storage(unit, bytes))
                    });
                }
                dw::DW_AT_const_value => self.has_constant = true,
                dw::DW_AT_declaration => self.is_declaration |= value.is_set(),
                dw::DW_AT_artificial => self.is_artificial |= value.is_set(),
                dw::DW_AT_start_scope => self.start_scope = self.start_scope(unit, value, fuel),
                dw::DW_AT_abstract_origin | dw::DW_AT_specification => origin = value,
                _ => {}
            }
        }
        if self.line.is_none() {
            (self.line, self.file) = (line, file.and_then(|file| debug.source_path(unit, file, fuel)));
        }
        Some(unit.target(origin))
    }

    fn start_scope(&self, unit: &EntryUnit<'_>, value: Value<'_>, fuel: &mut Fuel<'_>) -> Option<StartScope> {
        match (value.number(), self.asked) {
            (Some(offset), _) => Some(StartScope::Offset(offset)),
            (None, Some(asked)) => unit.list_covers(value, asked, fuel).map(StartScope::Listed),
            _ => None,
        }
    }
}

/// Where an expression says that something is, by its first and its last operation.
fn storage(unit: &EntryUnit<'_>, expression: &[u8]) -> Storage {
    use gimli::{EndianSlice, Operation as Op, RunTimeEndian};
    let endian = if unit.is_big_endian() { RunTimeEndian::Big } else { RunTimeEndian::Little };
    let mut operations = gimli::Expression(EndianSlice::new(expression, endian)).operations(unit.encoding());
    let mut found = Storage::Unknown;
    // No expression for such a place is long.
    for _ in 0..4 {
        match operations.next() {
            Ok(Some(Op::TLS)) => return Storage::Thread,
            Ok(Some(Op::Address { .. } | Op::AddressIndex { .. })) if found == Storage::Unknown => {
                found = Storage::Fixed;
            }
            Ok(Some(_)) if found == Storage::Unknown => found = Storage::Other,
            Ok(Some(_)) => {}
            _ => break,
        }
    }
    found
}

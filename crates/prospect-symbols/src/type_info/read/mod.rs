//! Reads a type's entry, and what directly belongs to it (DWARF 5, chapter 5).

mod array;
mod attributes;
mod composite;
mod number;
mod scope;

use std::sync::Arc;

use gimli::{DwLang, DwTag, constants as dw};

use self::attributes::Attributes;
pub(super) use self::scope::has_scopes;
pub(crate) use self::scope::qualified_name;
use super::{
    Base, BaseEncoding, EntryId, Extent, FunctionType, LONGEST_CHAIN, Language, Modifier, Pointer,
    PointerKind, Type, TypeError, TypeKind, TypeRef, TypeSource, find_definition,
};
use crate::symbol::dwarf::{Children, DebugInfo, Entry, EntryUnit, Fuel, Value, lossy};

impl TypeSource for DebugInfo {
    fn known(&self, at: EntryId, extent: Extent) -> Option<Arc<Type>> {
        self.types.get(at, extent)
    }

    fn known_bare(&self, at: EntryId) -> Option<(EntryId, Arc<Type>)> {
        self.types.bare(at)
    }

    fn note_bare(&self, at: EntryId, bare: EntryId, found: &Arc<Type>) {
        self.types.note_bare(at, bare, found);
    }

    fn read(self: Arc<Self>, at: EntryId, extent: Extent) -> Result<Arc<Type>, TypeError> {
        let tank = self.tank();
        let found = Arc::new(read(&self, at, extent, &mut tank.fuel())?);
        self.types.insert(at, &found, extent);
        Ok(found)
    }
}

/// What an entry says.
enum Found {
    Type(Type),
    /// That another entry is the type.
    Elsewhere(EntryId),
}

fn read(debug: &Arc<DebugInfo>, at: EntryId, extent: Extent, fuel: &mut Fuel<'_>) -> Result<Type, TypeError> {
    let mut next = at;
    for _ in 0..LONGEST_CHAIN {
        let found = debug.with_entry(next, fuel, |unit, at, fuel| {
            Reading { debug, unit, fuel, extent, room: MOST_BYTES }.entry(at)
        });
        match found.unwrap_or(Err(TypeError::Broken(next.offset as u64)))? {
            Found::Type(found) => return Ok(found),
            Found::Elsewhere(at) => next = at,
        }
    }
    Err(TypeError::Endless)
}

/// How many bytes one type may take: many members may have one long name.
const MOST_BYTES: usize = 32 << 20;

/// How many bytes a member or the like takes, about.
const PART_BYTES: usize = 128;

/// One type that is being read.
struct Reading<'r, 'u, 'a, 'f> {
    debug: &'r Arc<DebugInfo>,
    unit: &'u EntryUnit<'a>,
    fuel: &'r mut Fuel<'f>,
    extent: Extent,
    /// How many bytes the type may still take.
    room: usize,
}

impl<'u, 'a> Reading<'_, 'u, 'a, '_> {
    fn entry(&mut self, at: usize) -> Result<Found, TypeError> {
        let broken = TypeError::Broken(self.unit.id(at).offset as u64);
        let own = Attributes::read(self.unit.entry(at).ok_or(broken)?);
        if let Some(elsewhere) = self.elsewhere(&own) {
            return Ok(Found::Elsewhere(elsewhere));
        }
        let (scope, name) = self.full_name(&own);
        if let Some(definition) = self.definition(&own, &scope, name.as_deref()) {
            return Ok(Found::Elsewhere(definition));
        }
        let mut size = own.byte_size();
        let kind = match own.tag {
            dw::DW_TAG_base_type => TypeKind::Base(self.base(&own)),
            dw::DW_TAG_unspecified_type => TypeKind::Unspecified,
            dw::DW_TAG_pointer_type
            | dw::DW_TAG_reference_type
            | dw::DW_TAG_rvalue_reference_type
            | dw::DW_TAG_ptr_to_member_type => {
                size = size.or_else(|| self.pointer_size(&own));
                TypeKind::Pointer(self.pointer(&own))
            }
            dw::DW_TAG_typedef | dw::DW_TAG_template_alias => TypeKind::Typedef(self.target(&own)),
            dw::DW_TAG_array_type => TypeKind::Array(self.array(&own)),
            dw::DW_TAG_string_type => TypeKind::Array(self.string(size)),
            dw::DW_TAG_structure_type
            | dw::DW_TAG_class_type
            | dw::DW_TAG_interface_type
            | dw::DW_TAG_union_type => TypeKind::Composite(self.composite(&own)),
            dw::DW_TAG_enumeration_type => TypeKind::Enumeration(self.enumeration(&own)),
            dw::DW_TAG_subroutine_type | dw::DW_TAG_subprogram => TypeKind::Function(self.function(&own)),
            // A range of another type's values.
            dw::DW_TAG_subrange_type if own.name != Value::None => TypeKind::Typedef(self.target(&own)),
            dw::DW_TAG_set_type | dw::DW_TAG_file_type => TypeKind::Unspecified,
            tag => match modifier(tag) {
                Some(modifier) => TypeKind::Modified(modifier, self.target(&own)),
                None => return Err(TypeError::NotAType(self.unit.id(at).offset as u64)),
            },
        };
        Ok(Found::Type(Type { name, scope, size, language: self.language(), kind }))
    }

    /// The entry that is the type where this one only stands for it.
    fn elsewhere(&mut self, own: &Attributes<'a>) -> Option<EntryId> {
        let stands_for = match own.tag {
            dw::DW_TAG_imported_declaration => own.import,
            _ if own.signature != Value::None => own.signature,
            // A later instance of a type that says nothing itself.
            _ if own.name == Value::None && !own.has_children => own.abstract_origin,
            _ => Value::None,
        };
        self.unit.target(stands_for)
    }

    /// What is called so elsewhere, where this entry says no more than the name.
    fn definition(
        &mut self,
        own: &Attributes<'a>,
        scope: &[Arc<str>],
        name: Option<&str>,
    ) -> Option<EntryId> {
        let name = name.filter(|_| own.declaration.is_set() && self.extent == Extent::Whole)?;
        if scope.iter().any(|outer| **outer == *scope::ANONYMOUS) {
            return None;
        }
        find_definition(self.debug, scope.iter().map(|outer| &**outer).chain([name]))
    }

    /// The names around a type, and its own. Most types are asked for their outlines first, which have them.
    fn full_name(&mut self, own: &Attributes<'a>) -> (Vec<Arc<str>>, Option<Arc<str>>) {
        let known = (self.extent == Extent::Whole)
            .then(|| self.debug.types.get(self.unit.id(own.at), Extent::Outline));
        match known.flatten() {
            Some(outline) => (outline.scope.clone(), outline.name.clone()),
            None => (self.scope(own), self.name(own)),
        }
    }

    /// An entry's name, which may stand where it was declared.
    fn name(&mut self, own: &Attributes<'a>) -> Option<Arc<str>> {
        if own.name != Value::None {
            return self.text(own.name);
        }
        let declared = self.unit.target(own.specification)?;
        self.debug.with_entry(declared, self.fuel, |unit, at, _| {
            let name = unit.entry(at)?.find(|(attribute, _)| *attribute == dw::DW_AT_name)?.1;
            unit.text(name).map(lossy)
        })?
    }

    fn text(&mut self, value: Value<'a>) -> Option<Arc<str>> {
        let text = self.unit.text(value)?;
        self.room = self.room.checked_sub(text.len())?;
        Some(lossy(text))
    }

    /// The next part of a type with a tag that is wanted; what there is no room for is left out.
    fn part(
        &mut self,
        children: &mut Children<'u, 'a>,
        is_wanted: impl Fn(DwTag) -> bool,
    ) -> Option<Entry<'a, 'u>> {
        let part = children.next_of(self.fuel, is_wanted)?;
        self.room = self.room.checked_sub(PART_BYTES)?;
        Some(part)
    }

    /// The type that an entry refers to; `void` where it says none.
    fn target(&self, own: &Attributes<'_>) -> TypeRef {
        self.reference(own.ty).unwrap_or_else(TypeRef::void)
    }

    fn reference(&self, value: Value<'_>) -> Option<TypeRef> {
        Some(TypeRef::at_entry(self.debug, self.unit.target(value)?))
    }

    fn language(&self) -> Language {
        language(self.unit.language())
    }

    fn base(&self, own: &Attributes<'_>) -> Base {
        let encoding = own.encoding.number().and_then(|number| u8::try_from(number).ok());
        let encoding = match encoding.map_or(dw::DW_ATE_unsigned, gimli::DwAte) {
            dw::DW_ATE_signed | dw::DW_ATE_signed_fixed => BaseEncoding::Signed,
            dw::DW_ATE_unsigned | dw::DW_ATE_unsigned_fixed => BaseEncoding::Unsigned,
            dw::DW_ATE_signed_char => BaseEncoding::SignedChar,
            dw::DW_ATE_unsigned_char => BaseEncoding::UnsignedChar,
            dw::DW_ATE_UTF | dw::DW_ATE_UCS | dw::DW_ATE_ASCII => BaseEncoding::Utf,
            dw::DW_ATE_boolean => BaseEncoding::Boolean,
            dw::DW_ATE_float => BaseEncoding::Float,
            dw::DW_ATE_complex_float => BaseEncoding::ComplexFloat,
            dw::DW_ATE_decimal_float => BaseEncoding::DecimalFloat,
            dw::DW_ATE_address => BaseEncoding::Address,
            other => BaseEncoding::Other(other.0),
        };
        let other_order = if self.unit.is_big_endian() { dw::DW_END_little } else { dw::DW_END_big };
        let swapped = own.endianity.number() == Some(other_order.0.into());
        Base { encoding, swapped, bits: own.bit_size.number() }
    }

    fn pointer(&self, own: &Attributes<'_>) -> Pointer {
        let kind = match own.tag {
            dw::DW_TAG_reference_type => PointerKind::Reference,
            dw::DW_TAG_rvalue_reference_type => PointerKind::RvalueReference,
            dw::DW_TAG_ptr_to_member_type => {
                PointerKind::Member(self.reference(own.containing_type).unwrap_or_else(TypeRef::void))
            }
            _ => PointerKind::Pointer,
        };
        Pointer { kind, target: self.target(own) }
    }

    /// What compilers leave out: a pointer is an address, and one to a member function two (Itanium C++ ABI, section 2.3).
    fn pointer_size(&mut self, own: &Attributes<'_>) -> Option<u64> {
        let word = u64::from(self.unit.encoding().address_size);
        let to_function = own.tag == dw::DW_TAG_ptr_to_member_type
            && self.shape(own.ty).is_some_and(|shape| shape.tag == dw::DW_TAG_subroutine_type);
        Some(if to_function { 2 * word } else { word })
    }

    fn function(&mut self, own: &Attributes<'_>) -> FunctionType {
        let (mut parameters, mut is_variadic) = (Vec::new(), false);
        let unit = self.unit;
        let mut children = unit.children(own.at);
        while let Some(child) = self.part(&mut children, |_| true) {
            match child.tag {
                dw::DW_TAG_formal_parameter => {
                    let parameter = Attributes::read(child);
                    if !parameter.artificial.is_set() {
                        parameters.push(self.target(&parameter));
                    }
                }
                dw::DW_TAG_unspecified_parameters => is_variadic = true,
                _ => {}
            }
        }
        let is_prototyped = own.prototyped.is_set() || self.language() != Language::C;
        // C's `int ()` may be called with anything, which is not to take more than it says.
        let is_variadic = is_variadic && (is_prototyped || !parameters.is_empty());
        FunctionType { result: self.target(own), parameters, is_variadic, is_prototyped }
    }
}

fn modifier(tag: DwTag) -> Option<Modifier> {
    Some(match tag {
        dw::DW_TAG_const_type => Modifier::Const,
        dw::DW_TAG_volatile_type => Modifier::Volatile,
        dw::DW_TAG_restrict_type => Modifier::Restrict,
        dw::DW_TAG_atomic_type => Modifier::Atomic,
        dw::DW_TAG_immutable_type
        | dw::DW_TAG_packed_type
        | dw::DW_TAG_shared_type
        | dw::DW_TAG_subrange_type => Modifier::Other,
        _ => return None,
    })
}

/// What values of a unit's language look like.
fn language(of: Option<DwLang>) -> Language {
    match of {
        Some(
            dw::DW_LANG_C_plus_plus
            | dw::DW_LANG_C_plus_plus_03
            | dw::DW_LANG_C_plus_plus_11
            | dw::DW_LANG_C_plus_plus_14
            | dw::DW_LANG_C_plus_plus_17
            | dw::DW_LANG_C_plus_plus_20
            | dw::DW_LANG_ObjC_plus_plus,
        ) => Language::Cpp,
        Some(dw::DW_LANG_Rust) => Language::Rust,
        Some(dw::DW_LANG_Go) => Language::Go,
        _ => Language::C,
    }
}

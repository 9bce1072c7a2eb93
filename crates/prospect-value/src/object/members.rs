//! Members of structures, classes and unions.

use std::sync::Arc;

use prospect_symbols::{
    type_info::{Composite, Member, MemberPlace, TypeKind, TypeRef},
    variable::Unavailable,
};

use super::{Object, size_of};
use crate::{ValueContext, ValueError, bits, member_place};

/// Structures without a name, and base classes, that are nested deeper are not looked into.
const DEEPEST: u32 = 32;

/// A member of an object.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemberObject {
    /// Its name; of a base class, the class's.
    pub name: Arc<str>,
    /// Whether it is a base class.
    pub is_base: bool,
    /// Whether the compiler made it up.
    pub is_artificial: bool,
    /// The member, or why it is not known where it is.
    pub object: Result<Object, Unavailable>,
}

impl Object {
    /// Its base classes and members, in order. Those of structures and unions without a name stand in their place. Of a Rust
    /// enumeration, those of the variant that it is.
    ///
    /// # Errors
    /// When it is no structure, class or union.
    pub fn members(&self, cx: &dyn ValueContext) -> Result<Vec<MemberObject>, ValueError> {
        let mut members = Vec::new();
        self.collect_members(&mut members, cx, 0)?;
        Ok(members)
    }

    fn collect_members(
        &self,
        members: &mut Vec<MemberObject>,
        cx: &dyn ValueContext,
        depth: u32,
    ) -> Result<(), ValueError> {
        let (_, bare) = self.bare_type(cx)?;
        let TypeKind::Composite(composite) = &bare.kind else {
            return Err(ValueError::NoMember { name: "?".into(), of: self.ty.name() });
        };
        for member in direct_members(self, composite, cx)? {
            let object = self.member_object(member, cx);
            if let (None, false, Ok(inner)) = (&member.name, member.is_base, &object)
                && depth < DEEPEST
                && inner.collect_members(members, cx, depth + 1).is_ok()
            {
                continue;
            }
            let name = match &member.name {
                Some(name) => name.clone(),
                None => member.ty.name().into(),
            };
            let (is_base, is_artificial) = (member.is_base, member.is_artificial);
            members.push(MemberObject { name, is_base, is_artificial, object });
        }
        Ok(())
    }

    /// The member with a name: its own, one of a structure or union without a name in it, one of a base class, or one of the
    /// variant that a Rust enumeration is. A base class by the class's name, the field of a tuple by its number. Pointers are
    /// not followed.
    ///
    /// # Errors
    /// When it has none.
    pub fn member(&self, name: &str, cx: &dyn ValueContext) -> Result<Self, ValueError> {
        if let Some(found) = self.find_member(name, cx, 0)? {
            return Ok(found);
        }
        let (name, of) = (name.to_owned(), self.ty.name());
        Err(match self.variant_name(cx) {
            Some(variant) => ValueError::NotOfVariant { name, variant: variant.to_string(), of },
            None => ValueError::NoMember { name, of },
        })
    }

    fn find_member(&self, name: &str, cx: &dyn ValueContext, depth: u32) -> Result<Option<Self>, ValueError> {
        let (_, bare) = self.bare_type(cx)?;
        let TypeKind::Composite(composite) = &bare.kind else { return Ok(None) };
        let variant = self.variant(composite, cx)?.unwrap_or_default();
        let mut members = composite.members.iter().chain(variant);
        if let Some(own) = members.find(|member| own_name(member).is_some_and(|own| is_called(own, name))) {
            return Ok(Some(self.member_object(own, cx)?));
        }
        if depth >= DEEPEST {
            return Ok(None);
        }
        for member in composite.members.iter().filter(|member| own_name(member).is_none()).chain(variant) {
            let Ok(object) = self.member_object(member, cx) else { continue };
            if let Some(found) = object.find_member(name, cx, depth + 1)? {
                return Ok(Some(found));
            }
            if member.is_base && is_type_called(&member.ty, name) {
                return Ok(Some(object));
            }
        }
        Ok(None)
    }

    /// A member, by what is said of it in this object's type.
    pub(crate) fn member_object(&self, member: &Member, cx: &dyn ValueContext) -> Result<Self, Unavailable> {
        let ty = member.ty.clone();
        let whole = || size_of(&self.ty, cx).unwrap_or(0).saturating_mul(8);
        let location = match &member.place {
            MemberPlace::Byte(offset) => {
                if let Some(at) = self.address() {
                    return Ok(Self::at(at.wrapping_add(*offset), ty));
                }
                let count = size_of(&ty, cx)?.checked_mul(8);
                let start = offset.checked_mul(8);
                let (Some(count), Some(start)) = (count, start) else {
                    return Err(Unavailable::DoesNotFit { bytes: *offset, room: bits::MOST_BYTES });
                };
                bits::part(&self.location, whole(), start, count, cx)
            }
            MemberPlace::Bits { start, count } => bits::field(&self.location, whole(), *start, *count, cx),
            MemberPlace::Computed(expression) => {
                let at = self.address().ok_or(Unavailable::OptimisedOut)?;
                return Ok(Self::at(member_place::evaluate(expression, at, cx)?, ty));
            }
        };
        Ok(Self { ty, location })
    }

    /// The name of the variant of a Rust enumeration that it is.
    pub(crate) fn variant_name(&self, cx: &dyn ValueContext) -> Option<Arc<str>> {
        let (_, bare) = self.bare_type(cx).ok()?;
        self.variant(bare.composite()?, cx).ok()??.first()?.name.clone()
    }

    /// The variant of a Rust enumeration that it is: its members in the type. `None` where the tag means none.
    pub(crate) fn variant<'a>(
        &self,
        composite: &'a Composite,
        cx: &dyn ValueContext,
    ) -> Result<Option<&'a [Member]>, ValueError> {
        let Some(part) = &composite.variants else { return Ok(None) };
        let Some(tag) = &part.tag else {
            return Ok(part.variants.first().map(|only| only.members.as_slice()));
        };
        let tag = self.member_object(tag, cx)?.integer(cx)?;
        let has_tag =
            |tags: &[(i128, i128)]| tags.iter().any(|(first, last)| (*first..=*last).contains(&tag));
        let named = part.variants.iter().find(|variant| has_tag(&variant.tags));
        let found = named.or_else(|| part.variants.iter().find(|variant| variant.tags.is_empty()));
        Ok(found.map(|variant| variant.members.as_slice()))
    }
}

/// What a member is called that is no base class.
fn own_name(member: &Member) -> Option<&str> {
    member.name.as_deref().filter(|_| !member.is_base)
}

/// Whether a member has a name: Rust's debug information calls the first field of a tuple `__0`.
fn is_called(member: &str, name: &str) -> bool {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    member == name || member.strip_prefix("__").is_some_and(|number| number == name && is_number(number))
}

/// Whether a type has a name. Names are made of all that is around a type: their ends tell most of them apart.
fn is_type_called(ty: &TypeRef, name: &str) -> bool {
    let own = ty.outline().ok().and_then(|ty| ty.name.clone());
    own.is_none_or(|own| name.ends_with(&*own)) && ty.name() == name
}

/// The members of a type, those of the variant that the object is among them.
fn direct_members<'a>(
    object: &Object,
    composite: &'a Composite,
    cx: &dyn ValueContext,
) -> Result<impl Iterator<Item = &'a Member>, ValueError> {
    let variant = object.variant(composite, cx)?;
    Ok(composite.members.iter().chain(variant.into_iter().flatten()))
}

//! What an object really is: objects of classes with virtual functions say so.
//!
//! The Itanium C++ ABI, sections 2.5 and 2.9.5: the first word of such an object points into the table of its class; before
//! that place stands how far it is from the object to the start of the whole one, and the table's symbol has the class's name.

use prospect_process::Addr;
use prospect_symbols::type_info::{MemberPlace, Type};

use super::Reader;
use crate::{Object, ValueContext};

/// Base classes that are nested deeper are not looked into.
const DEEPEST: u32 = 16;

impl Reader<'_> {
    /// The whole object that this one is a base class's part of, with its own type; `None` where nothing says that it is
    /// anything but what its type says.
    #[must_use]
    pub fn dynamic(&self, object: &Object) -> Option<Object> {
        let (_, ty) = object.bare_type(self.cx).ok()?;
        if !begins_with_table(&ty, self.cx, 0) {
            return None;
        }
        let arch = self.cx.arch();
        let at = object.address()?;
        let word = |at: Addr| {
            let mut bytes = [0; 8];
            let bytes = &mut bytes[..usize::from(arch.word_bytes)];
            self.cx.memory().read(at, bytes).ok()?;
            arch.word(bytes)
        };
        let table = word(at)?;
        let symbol = self.cx.symbol(Addr(table))?;
        let name = symbol.strip_prefix("vtable for ")?;
        let name = name.rsplit_once('+').map_or(name, |(name, _)| name).trim();
        if ty.qualified_name().as_deref() == Some(name) {
            return None;
        }
        let to_top = word(Addr(table.wrapping_sub(2 * u64::from(arch.word_bytes))))?;
        let whole = self.cx.type_named(name)?;
        Some(Object::at(Addr(at.wrapping_add(to_top).0 & arch.word_mask()), whole))
    }
}

/// Whether the objects of a class begin with a pointer to the table of its virtual functions.
fn begins_with_table(ty: &Type, cx: &dyn ValueContext, depth: u32) -> bool {
    let Some(composite) = ty.composite() else { return false };
    composite.members.iter().any(|member| {
        if !member.is_base {
            let name = member.name.as_deref().unwrap_or_default();
            return member.place == MemberPlace::Byte(0) && name.starts_with("_vptr");
        }
        // A class with a virtual base has a table too, where that base is found.
        match member.place {
            MemberPlace::Computed(_) => true,
            MemberPlace::Byte(0) if depth < DEEPEST => {
                let base = crate::object::definition(&member.ty, cx);
                base.is_ok_and(|(_, base)| begins_with_table(&base, cx, depth + 1))
            }
            _ => false,
        }
    })
}

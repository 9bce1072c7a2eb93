//! Boxes, counted pointers, cells and locks.

use prospect_process::Addr;
use prospect_symbols::type_info::{Type, TypeKind};

use super::containers;
use crate::{
    Content, Fact, Object, Reader, ValueError, value,
    views::reach::{core, number, scalar, seek},
};

/// A box with two words: of a slice, text or a trait object. That with one is a plain pointer.
pub(super) fn fat_box(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let name = ty.name.as_deref().unwrap_or_default();
    if object.member("vtable", reader.cx()).is_ok() {
        return trait_object(object, ty, reader);
    }
    if object.member("length", reader.cx()).is_ok() {
        let is_text = name.contains("Box<str");
        return if is_text {
            containers::str_slice(object, ty, reader)
        } else {
            containers::slice(object, ty, reader)
        };
    }
    // With an allocator that has bytes, the pointer is in a structure.
    let pointer = core(object, reader.cx()).ok_or(ValueError::Implausible("it has no pointer"))?;
    let mut content = value::Pointer::default();
    content.address = Some(Addr(pointer.integer(reader.cx())? as u64));
    content.target = reader.target(&pointer)?.map(Box::new);
    content.is_transparent = true;
    Ok(Content::Pointer(content))
}

/// The table's symbol says the type: `<T as Trait>::{vtable}`.
pub(super) fn trait_object(
    object: &Object,
    _: &Type,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let table = object.member("vtable", cx)?.integer(cx)?;
    let data = seek(object, "pointer", cx).or_else(|_| seek(object, "data_ptr", cx))?;
    let at = Addr(scalar(&data, cx)? as u64);
    let symbol = cx.symbol(Addr(table as u64));
    let concrete = symbol.as_deref().and_then(|symbol| {
        let inner = symbol.strip_prefix('<')?;
        let (name, _) = inner.split_once(" as ")?;
        symbol.contains("vtable").then_some(name)
    });
    let mut content = value::Pointer::default();
    content.address = Some(at);
    if let Some(ty) = concrete.and_then(|name| cx.type_named(name)) {
        content.target = Some(Box::new(reader.followed(&Object::at(at, ty))));
        content.is_transparent = true;
    } else {
        content.symbol = symbol.map(Into::into);
    }
    Ok(Content::Pointer(content))
}

/// `Rc`, `Arc` and their weak ones: the counts stand before the value. All strong ones together count as one that is weak.
pub(super) fn counted(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let pointer = object.member("ptr", cx)?;
    let Some(plain) = core(&pointer, cx) else {
        return Err(ValueError::Implausible("it has no pointer"));
    };
    let at = Addr(plain.integer(cx)? as u64);
    // A weak pointer to nothing has an address that none has.
    if at.0 == cx.arch().word_mask() {
        return Ok(Content::Holder { facts: Vec::new(), value: None });
    }
    let (_, plain_type) = plain.bare_type(cx)?;
    if !matches!(plain_type.kind, TypeKind::Pointer(_)) {
        return Err(ValueError::Implausible("it has no pointer"));
    }
    let inner = plain.dereference(cx)?;
    let strong = scalar(&inner.member("strong", cx)?, cx)?;
    let weak = scalar(&inner.member("weak", cx)?, cx)?;
    let is_weak = ty.name.as_deref().is_some_and(|name| name.starts_with("Weak"));
    if strong == 0 && !is_weak || strong > i128::from(i64::MAX) {
        return Err(ValueError::Implausible("its count of uses is none"));
    }
    let weak = weak - i128::from(strong > 0);
    let facts = vec![Fact { name: "strong", number: strong }, Fact { name: "weak", number: weak }];
    let held = inner.member("value", cx).or_else(|_| inner.member("data", cx));
    let value = match held {
        Ok(held) if strong > 0 => Some(Box::new(reader.followed(&held))),
        _ => None,
    };
    Ok(Content::Holder { facts, value })
}

pub(super) fn cell(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let value = object.member("value", reader.cx())?;
    reader.content_of(&value)
}

pub(super) fn ref_cell(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let borrow = scalar(&object.member("borrow", cx)?, cx)?;
    let fact = match borrow {
        0 => None,
        1.. => Some(Fact { name: "borrowed", number: borrow }),
        _ => Some(Fact { name: "mutably_borrowed", number: -borrow }),
    };
    let value = reader.value(&object.member("value", cx)?);
    Ok(Content::Holder { facts: fact.into_iter().collect(), value: Some(Box::new(value)) })
}

pub(super) fn mutex(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let mut facts = Vec::new();
    // The futex is 0 when nobody has it. Older versions and other systems keep another kind of lock.
    if let Ok(futex) = object.member("inner", cx).and_then(|inner| seek(&inner, "futex", cx)) {
        facts.push(Fact { name: "locked", number: i128::from(scalar(&futex, cx)? != 0) });
    }
    lock(object, facts, reader)
}

/// The lowest 30 bits of the state count the readers; all of them are set for a writer.
pub(super) fn rw_lock(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    const MASK: u64 = (1 << 30) - 1;
    let cx = reader.cx();
    let mut facts = Vec::new();
    if let Ok(state) = object.member("inner", cx).and_then(|inner| seek(&inner, "state", cx)) {
        match number(&state, &[], cx)? & MASK {
            0 => {}
            MASK => facts.push(Fact { name: "write_locked", number: 1 }),
            readers => facts.push(Fact { name: "read_locked", number: readers.into() }),
        }
    }
    lock(object, facts, reader)
}

fn lock(object: &Object, mut facts: Vec<Fact>, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    if let Ok(poison) = object.member("poison", cx)
        && scalar(&poison, cx)? != 0
    {
        facts.push(Fact { name: "poisoned", number: 1 });
    }
    let value = reader.value(&object.member("data", cx)?);
    Ok(Content::Holder { facts, value: Some(Box::new(value)) })
}

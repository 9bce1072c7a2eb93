//! Boxes, counted pointers, cells and locks.

use prospect_process::Addr;
use prospect_symbols::type_info::{Type, TypeKind, TypeRef};

use super::containers;
use crate::{
    Content, Fact, Object, Reader, ValueContext, ValueError,
    object::size_of,
    value,
    views::reach::{core, number, scalar, seek, word},
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
    Ok(Content::Pointer(value::Pointer {
        address: Some(Addr(pointer.integer(reader.cx())? as u64)),
        target: reader.target(&pointer)?.map(Box::new),
        is_transparent: true,
        ..value::Pointer::default()
    }))
}

/// A pointer to a value and one to the table of its type for the trait.
pub(super) fn trait_object(
    object: &Object,
    _: &Type,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let table = Addr(object.member("vtable", cx)?.integer(cx)? as u64);
    let data = seek(object, "pointer", cx).or_else(|_| seek(object, "data_ptr", cx))?;
    let at = Addr(scalar(&data, cx)? as u64);
    let mut content = value::Pointer { address: Some(at), ..value::Pointer::default() };
    if let Some(ty) = concrete_type(table, cx) {
        content.target = Some(Box::new(reader.followed(&Object::at(at, ty))));
        content.is_transparent = true;
    } else {
        content.symbol = cx.symbol(table).map(Into::into);
    }
    Ok(Content::Pointer(content))
}

/// The type that a table of a trait is for. The table has no symbol of its own in most programs, but its functions say it: what
/// drops a value is first, then come the size and the alignment, then the methods. The size must be that of the type, since
/// compilers merge functions that do the same.
fn concrete_type(table: Addr, cx: &dyn ValueContext) -> Option<TypeRef> {
    let word_bytes = u64::from(cx.arch().word_bytes);
    let part = |index: u64| word(table.wrapping_add(index * word_bytes), cx).ok();
    let size = part(1)?;
    let functions = [0, 3, 4, 5, 6].into_iter().filter_map(|index| cx.symbol(Addr(part(index)?)));
    let mut types = cx.symbol(table).into_iter().chain(functions);
    types.find_map(|symbol| {
        let found = cx.type_named(implementor(&symbol)?)?;
        (size_of(&found, cx) == Ok(size)).then_some(found)
    })
}

/// The type in `<T as Trait>::method` and `core::ptr::drop_in_place::<T>`.
fn implementor(symbol: &str) -> Option<&str> {
    if let Some((_, dropped)) = symbol.split_once("ptr::drop_in_place") {
        return dropped.trim_start_matches("::").strip_prefix('<')?.strip_suffix('>');
    }
    let inner = symbol.strip_prefix('<')?;
    let mut depth = 0_usize;
    let (end, _) = inner.char_indices().find(|(at, one)| {
        match one {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && inner[*at..].starts_with(" as ")
    })?;
    Some(&inner[..end])
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

#[cfg(test)]
mod tests {
    use super::implementor;

    #[test]
    fn names_of_functions_say_whose_they_are() {
        for (symbol, ty) in [
            ("<a::Point as a::Speak>::speak", Some("a::Point")),
            ("<a::Of<<b::T as b::U>::V> as a::Speak>::speak", Some("a::Of<<b::T as b::U>::V>")),
            ("core::ptr::drop_in_place<alloc::string::String>", Some("alloc::string::String")),
            ("core::ptr::drop_in_place::<a::Of<u8>>", Some("a::Of<u8>")),
            ("a::function", None),
            ("<a::Point>::own", None),
        ] {
            assert_eq!(implementor(symbol), ty, "{symbol}");
        }
    }
}

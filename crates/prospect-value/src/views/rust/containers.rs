//! Text, slices and sequences.

use prospect_process::Addr;
use prospect_symbols::type_info::Type;

use crate::{
    Content, Object, Reader, ValueContext, ValueError,
    object::size_of,
    views::reach::{core, number, parameter, scalar, seek, target_type},
};

/// No allocation of Rust has more bytes (`isize::MAX`).
const TOO_LONG: ValueError = ValueError::Implausible("it is longer than any allocation");

/// The two words of a pointer to something without a fixed size.
fn fat(object: &Object, cx: &dyn ValueContext) -> Result<(Object, u64), ValueError> {
    let length = object.member("length", cx)?.integer(cx)? as u64;
    let pointer = seek(object, "data_ptr", cx)?;
    Ok((core(&pointer, cx).unwrap_or(pointer), length))
}

pub(super) fn str_slice(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let (pointer, length) = fat(object, reader.cx())?;
    reader.text(Addr(pointer.integer(reader.cx())? as u64), length, 1)
}

pub(super) fn slice(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let (pointer, length) = fat(object, reader.cx())?;
    let element = target_type(&pointer, reader.cx())?;
    reader.contiguous(Addr(pointer.integer(reader.cx())? as u64), &element, length)
}

pub(super) fn string(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let bytes = object.member("vec", reader.cx())?;
    bytes_as_text(&bytes, reader)
}

/// Text that an owned type wraps: a vector of bytes, or a box of them.
pub(super) fn owned_text(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    if let Ok(boxed) = seek(object, "data_ptr", cx) {
        let length = seek(object, "length", cx)?.integer(cx)? as u64;
        let at = Addr(scalar(&boxed, cx)? as u64);
        // A C string has its NUL in it.
        return reader.text(at, length.saturating_sub(1), 1);
    }
    let vec = with_length(object, cx).ok_or(ValueError::Implausible("it has no length"))?;
    bytes_as_text(&vec, reader)
}

/// The nearest wrapper that has a length.
fn with_length(object: &Object, cx: &dyn ValueContext) -> Option<Object> {
    let mut at = object.clone();
    for _ in 0..8 {
        if at.member("len", cx).is_ok() && at.member("buf", cx).is_ok() {
            return Some(at);
        }
        at = at.members(cx).ok()?.into_iter().find_map(|one| one.object.ok())?;
    }
    None
}

pub(super) fn borrowed_text(
    object: &Object,
    ty: &Type,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let (pointer, length) = fat(object, reader.cx())?;
    let is_c = ty.name.as_deref().is_some_and(|name| name.ends_with("CStr"));
    reader.text(Addr(pointer.integer(reader.cx())? as u64), length.saturating_sub(u64::from(is_c)), 1)
}

fn bytes_as_text(vec: &Object, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let buffer = Buffer::of(vec, 1, reader.cx())?;
    reader.text(buffer.first, buffer.length, 1)
}

/// The memory of a vector.
struct Buffer {
    first: Addr,
    length: u64,
    capacity: u64,
}

impl Buffer {
    fn of(vec: &Object, element_bytes: u64, cx: &dyn ValueContext) -> Result<Self, ValueError> {
        let length = number(vec, &["len"], cx)?;
        let buffer = vec.member("buf", cx)?;
        let first = Addr(scalar(&seek(&buffer, "ptr", cx)?, cx)? as u64);
        let capacity = scalar(&seek(&buffer, "cap", cx)?, cx)? as u64;
        // What takes no room fits everywhere.
        let capacity = if element_bytes == 0 { u64::MAX } else { capacity };
        if length > capacity {
            return Err(ValueError::Implausible("it has more elements than room"));
        }
        if length > 0 && first.0 == 0 {
            return Err(ValueError::Implausible("it has elements, but they are nowhere"));
        }
        if element_bytes > 0 && capacity > (i64::MAX as u64) / element_bytes {
            return Err(TOO_LONG);
        }
        Ok(Self { first, length, capacity })
    }
}

pub(super) fn vec(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let element = parameter(ty, 0)?;
    let buffer = Buffer::of(object, size_of(&element, reader.cx())?, reader.cx())?;
    reader.contiguous(buffer.first, &element, buffer.length)
}

pub(super) fn vec_deque(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let element = parameter(ty, 0)?;
    let size = size_of(&element, cx)?;
    let buffer = Buffer::of(object, size, cx)?;
    let head = number(object, &["head"], cx)?;
    if buffer.length > 0 && head >= buffer.capacity {
        return Err(ValueError::Implausible("it begins behind its room"));
    }
    reader.indexed(buffer.length, |_, index| {
        let until_end = buffer.capacity - head;
        let place = if index < until_end { head + index } else { index - until_end };
        Ok(Object::at(buffer.first.wrapping_add(place.wrapping_mul(size)), element.clone()))
    })
}

pub(super) fn heap(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let data = object.member("data", reader.cx())?;
    reader.content_of(&data)
}

/// The node's fields may be in any order: they are found by name in what the pointers lead to.
pub(super) fn linked_list(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let length = number(object, &["len"], cx)?;
    let mut next = Some(object.member("head", cx)?);
    reader.elements(Some(length), |reader| {
        let cx = reader.cx();
        let Some(option) = next.take() else { return Ok(None) };
        let Ok(pointer) = seek(&option, "pointer", cx) else { return Ok(None) };
        if pointer.integer(cx)? == 0 {
            return Ok(None);
        }
        let node = pointer.dereference(cx)?;
        next = Some(node.member("next", cx)?);
        node.member("element", cx).map(Some)
    })
}

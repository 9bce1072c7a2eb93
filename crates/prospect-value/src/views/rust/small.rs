//! Numbers in wrappers, times, ranges.

use prospect_process::Addr;
use prospect_symbols::type_info::Type;

use crate::{
    Content, Object, Reader, Shape, ValueError, value,
    views::reach::{self, any_of, core, scalar, seek},
};

/// The only number that a type wraps.
pub(super) fn core_number(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let number = core(object, reader.cx()).ok_or(ValueError::Implausible("it has no value"))?;
    reader.content_of(&number)
}

/// The only member of a wrapper.
pub(super) fn wrapper(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let value = any_of(object, &["value", "__0"], reader.cx())?;
    reader.content_of(&value)
}

pub(super) fn pointer(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let pointer = object.member("pointer", reader.cx())?;
    // A pointer with two words, or in another wrapper, is shown as what it is.
    if let Ok(content) = reader.content_of(&pointer)
        && matches!(content, Content::Pointer(_))
    {
        return Ok(content);
    }
    let address = Some(Addr(scalar(&pointer, reader.cx())? as u64));
    Ok(Content::Pointer(value::Pointer { address, ..value::Pointer::default() }))
}

pub(super) fn duration(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let seconds = object.member("secs", cx)?;
    let nanoseconds = seek(object, "nanos", cx)?;
    let nanoseconds = core(&nanoseconds, cx).unwrap_or(nanoseconds);
    if nanoseconds.integer(cx)? >= 1_000_000_000 {
        return Err(ValueError::Implausible("it has more nanoseconds than a second"));
    }
    let parts = vec![("secs".to_owned(), seconds), ("nanos".to_owned(), nanoseconds)];
    Ok(reach::fields(Shape::Struct, parts, reader))
}

pub(super) fn range(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let parts = ["start", "end"].map(|name| object.member(name, cx).map(|part| (name.to_owned(), part)));
    let [start, end] = parts;
    Ok(reach::fields(Shape::Struct, vec![start?, end?], reader))
}

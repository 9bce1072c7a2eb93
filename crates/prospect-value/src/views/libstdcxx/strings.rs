//! `std::basic_string` and what is like it.

use prospect_process::Addr;
use prospect_symbols::type_info::Type;

use crate::{
    Content, Object, Reader, ValueError,
    object::size_of,
    views::reach::{address, number, parameter, word},
};

const SHORT_BYTES: u64 = 16;

pub(super) fn string(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let unit = size_of(&parameter(ty, 0)?, cx)?.clamp(1, 4);
    let at = address(object, &["_M_dataplus", "_M_p"], cx)?;
    let (length, capacity) = match number(object, &["_M_string_length"], cx) {
        Ok(length) => {
            let local = object.member("_M_local_buf", cx)?;
            let is_local = local.address() == Some(at);
            let capacity = if is_local {
                SHORT_BYTES / unit - 1
            } else {
                number(object, &["_M_allocated_capacity"], cx)?
            };
            (length, capacity)
        }
        // Before C++11's ABI a word each of length and capacity, and one of references, stood before the text.
        Err(_) => {
            let word_bytes = u64::from(cx.arch().word_bytes);
            let before = |words: u64| word(Addr(at.0.wrapping_sub(words * word_bytes)), cx);
            (before(3)?, before(2)?)
        }
    };
    if length > capacity {
        return Err(ValueError::Implausible("the text is longer than the room for it"));
    }
    reader.text(at, length, unit as u8)
}

pub(super) fn string_view(
    object: &Object,
    ty: &Type,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let unit = size_of(&parameter(ty, 0)?, cx)?.clamp(1, 4);
    reader.text(address(object, &["_M_str"], cx)?, number(object, &["_M_len"], cx)?, unit as u8)
}

pub(super) fn path(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let name = object.member("_M_pathname", reader.cx())?;
    reader.content_of(&name)
}

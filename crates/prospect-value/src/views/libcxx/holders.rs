//! Smart pointers, and what holds one value or a few.

use prospect_process::Addr;
use prospect_symbols::type_info::Type;

use crate::{
    Content, Fact, Object, Reader, ValueError,
    scalar::sign_extended,
    views::{
        libstdcxx::{alternative, locked, owned, owned_elements, ticks},
        reach::{self, any_of, core, seek, word},
        stem,
    },
};

pub(super) fn shared(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let pointer = object.member("__ptr_", cx)?;
    let counts = object.member("__cntrl_", cx)?;
    if counts.integer(cx)? == 0 {
        return Ok(Content::Holder { facts: Vec::new(), value: None });
    }
    let counts = Addr(counts.integer(cx)? as u64);
    // `__shared_weak_count` is described in the library only: a pointer to its table of virtual functions and two words. Both
    // count from 0; all uses together count as one that is weak.
    let word_bytes = cx.arch().word_bytes;
    let count = |index: u8| {
        let count = word(counts.wrapping_add((index * word_bytes).into()), cx)?;
        Ok::<_, ValueError>(sign_extended(count.into(), 8 * u32::from(word_bytes)))
    };
    let uses = count(1)? + 1;
    let weak = count(2)? + i128::from(uses <= 0);
    if uses < 0 || weak < 0 || uses == 0 && !ty.name.as_deref().unwrap_or_default().starts_with("weak") {
        return Err(ValueError::Implausible("its count of uses is none"));
    }
    if uses > 0 {
        owned_elements(&pointer, ty, reader);
    }
    let value = if uses > 0 { reader.target(&pointer)? } else { None };
    let facts = vec![Fact { name: "use_count", number: uses }, Fact { name: "weak_count", number: weak }];
    Ok(Content::Holder { facts, value: value.map(Box::new) })
}

pub(super) fn unique(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let found = object.member("__ptr_", reader.cx())?;
    let pointer = core(&found, reader.cx()).ok_or(ValueError::Implausible("it has no pointer"))?;
    owned_elements(&pointer, ty, reader);
    owned(&pointer, reader)
}

pub(super) fn optional(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    match object.member("__engaged_", cx)?.integer(cx)? {
        0 => Ok(Content::Nothing),
        1 => {
            let value = seek(object, "__val_", cx)?;
            Ok(Content::Holder { facts: Vec::new(), value: Some(Box::new(reader.value(&value))) })
        }
        _ => Err(ValueError::Implausible("it is neither empty nor full")),
    }
}

pub(super) fn variant(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let parts = any_of(object, &["__impl_", "__impl"], cx)?;
    let (index, storage) = (parts.member("__index", cx)?, parts.member("__data", cx)?);
    alternative(&index, &storage, ty, reader)
}

/// The elements are bases of `__tuple_impl`.
pub(super) fn tuple(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let Ok(base) = any_of(object, &["__base_", "base_"], cx) else {
        return Ok(reach::tuple(Vec::new(), reader));
    };
    let mut parts = Vec::new();
    for leaf in base.members(cx)?.into_iter().filter(|member| member.is_base) {
        let leaf = leaf.object?;
        if stem(&leaf.bare_type(cx)?.1).as_deref() == Some("std::__tuple_leaf") {
            parts.push(leaf.member("__value_", cx).unwrap_or(leaf));
        }
    }
    Ok(reach::tuple(parts, reader))
}

pub(super) fn atomic(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let value = seek(object, "__a_value", reader.cx())?;
    reader.content_of(&value)
}

pub(super) fn duration(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    ticks(&any_of(object, &["__rep_", "__rep"], reader.cx())?, ty, reader)
}

pub(super) fn thread_id(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let id = object.member("__id_", reader.cx())?;
    reader.content_of(&id)
}

pub(super) fn mutex(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    locked(&object.member("__m_", reader.cx())?, reader.cx())
}

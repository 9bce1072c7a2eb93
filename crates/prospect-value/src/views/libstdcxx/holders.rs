//! What holds one value, or none.

use std::sync::Arc;

use prospect_process::Addr;
use prospect_symbols::type_info::{Type, TypeKind, TypeRef};

use super::small::tuple_parts;
use crate::{
    Content, Fact, Object, Reader, ValueError,
    object::size_of,
    value,
    views::reach::{address, number, parameter, path, seek},
};

pub(super) fn shared(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let pointer = object.member("_M_ptr", cx)?;
    let counts = path(object, &["_M_refcount", "_M_pi"], cx)?;
    if counts.integer(cx)? == 0 {
        return Ok(Content::Holder { facts: Vec::new(), value: None });
    }
    let counts = counts.dereference(cx)?;
    let uses = counts.member("_M_use_count", cx)?.integer(cx)?;
    let weak = counts.member("_M_weak_count", cx)?.integer(cx)?;
    if uses < 0 || weak < 0 || uses == 0 && !ty.name.as_deref().unwrap_or_default().starts_with("weak") {
        return Err(ValueError::Implausible("its count of uses is none"));
    }
    // All uses together count as one that is weak.
    let weak = weak - i128::from(uses > 0);
    if uses > 0 {
        owned_elements(&pointer, ty, reader);
    }
    // What a weak pointer led to may be gone.
    let value = if uses > 0 { reader.target(&pointer)? } else { None };
    let facts = vec![Fact { name: "use_count", number: uses }, Fact { name: "weak_count", number: weak }];
    Ok(Content::Holder { facts, value: value.map(Box::new) })
}

pub(super) fn unique(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    // Between the two there was a class of its own since GCC 9.
    let tuple = seek(&object.member("_M_t", cx)?, "_M_t", cx).or_else(|_| object.member("_M_t", cx))?;
    let parts = tuple_parts(&tuple, cx)?;
    let pointer = parts.first().ok_or(ValueError::Implausible("it has no pointer"))?;
    owned_elements(pointer, ty, reader);
    owned(pointer, reader)
}

/// What a pointer of a template for arrays without a length leads to has elements.
pub(in crate::views) fn owned_elements(pointer: &Object, ty: &Type, reader: &mut Reader<'_>) {
    let is_array =
        |ty: TypeRef| matches!(ty.bare(), Ok((_, bare)) if matches!(bare.kind, TypeKind::Array(_)));
    if parameter(ty, 0).is_ok_and(is_array) {
        reader.asked_unbounded(pointer);
    }
}

/// What a pointer that owns it leads to.
pub(in crate::views) fn owned(pointer: &Object, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let at = Addr(pointer.integer(reader.cx())? as u64);
    let target = if at.0 == 0 { None } else { reader.target(pointer)? };
    let target = target.map(Box::new);
    let mut content = value::Pointer::default();
    (content.address, content.target) = (Some(at), target);
    Ok(Content::Pointer(content))
}

pub(super) fn optional(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let payload = object.member("_M_payload", cx)?;
    match payload.member("_M_engaged", cx)?.integer(cx)? {
        0 => Ok(Content::Nothing),
        1 => {
            let value = seek(&payload.member("_M_payload", cx)?, "_M_value", cx)?;
            Ok(Content::Holder { facts: Vec::new(), value: Some(Box::new(reader.value(&value))) })
        }
        _ => Err(ValueError::Implausible("it is neither empty nor full")),
    }
}

pub(super) fn variant(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let index = object.member("_M_index", cx)?;
    let storage = object.member("_M_u", cx)?;
    alternative(&index, &storage, ty, reader)
}

/// The alternative with an index; the number with all bits set is the index of none.
pub(in crate::views) fn alternative(
    index: &Object,
    storage: &Object,
    ty: &Type,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let bits = size_of(&index.ty, cx)?.saturating_mul(8).min(64);
    let none = u64::MAX >> (64 - bits);
    let at = index.integer(cx)? as u64 & none;
    if at == none {
        return Ok(Content::Nothing);
    }
    let all = ty.composite().map_or(0, |composite| composite.template_parameters.len());
    if at >= all as u64 {
        return Err(ValueError::Implausible("it has no alternative with this index"));
    }
    let chosen = parameter(ty, at as usize)?;
    let name: Arc<str> = chosen.name().into();
    let value = reader.value(&storage.with_type(chosen));
    Ok(Content::Variant { name, value: Some(Box::new(value)) })
}

pub(super) fn any(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let manager = address(object, &["_M_manager"], cx)?;
    if manager.0 == 0 {
        return Ok(Content::Nothing);
    }
    // The function that manages it is an instance for its type.
    let unknown = ValueError::Implausible("nothing says what it holds");
    let symbol = cx.symbol(manager).ok_or(unknown.clone())?;
    let (before, behind) = symbol.split_once("::_Manager_").ok_or(unknown.clone())?;
    let name = behind.split_once('<').and_then(|(_, rest)| rest.rsplit_once(">::_S_manage"));
    let name = name.filter(|_| before.ends_with("any")).ok_or(unknown.clone())?.0.trim();
    let ty = cx.type_named(name).ok_or(unknown)?;
    let storage = object.member("_M_storage", cx)?;
    let held = if behind.starts_with("internal") {
        storage.member("_M_buffer", cx)?.with_type(ty)
    } else {
        Object::at(address(&storage, &["_M_ptr"], cx)?, ty)
    };
    Ok(Content::Holder { facts: Vec::new(), value: Some(Box::new(reader.followed(&held))) })
}

pub(super) fn function(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    if number(object, &["_M_manager"], cx)? == 0 {
        return Ok(Content::Nothing);
    }
    // A plain function is kept as its address; of anything else the function that calls it has the name.
    let kept = seek(object, "_M_pod_data", cx)?.address().map(|at| crate::views::reach::word(at, cx));
    let invoker = address(object, &["_M_invoker"], cx)?;
    let plain = kept.and_then(Result::ok).map(|at| reader.code(Some(Addr(at))));
    let calls_plain = |symbol: &Option<Arc<str>>| {
        symbol.as_deref().is_some_and(|symbol| symbol.contains("(*)(") || symbol.contains("(*&)("))
    };
    let invoker = reader.code(Some(invoker));
    Ok(Content::Pointer(match plain {
        Some(plain) if plain.symbol.is_some() && calls_plain(&invoker.symbol) => plain,
        _ => invoker,
    }))
}

pub(super) fn reference(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let pointer = object.member("_M_data", reader.cx())?;
    owned(&pointer, reader)
}

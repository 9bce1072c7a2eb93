//! Pairs, tuples, atomics, times, locks.

use prospect_symbols::type_info::Type;

use crate::{
    Content, Fact, Object, Reader, Shape, ValueContext, ValueError,
    views::{
        reach::{self, fields, parameter, path},
        stem,
    },
};

pub(in crate::views) fn pair(
    object: &Object,
    _: &Type,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let parts = ["first", "second"].map(|name| object.member(name, cx).map(|part| (name.to_owned(), part)));
    let [first, second] = parts;
    Ok(fields(Shape::Struct, vec![first?, second?], reader))
}

pub(super) fn tuple(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let parts = tuple_parts(object, reader.cx())?;
    Ok(reach::tuple(parts, reader))
}

/// A tuple is derived from `_Tuple_impl`, which is derived from that of all elements but the first and from a `_Head_base` of
/// the first.
pub(super) fn tuple_parts(object: &Object, cx: &dyn ValueContext) -> Result<Vec<Object>, ValueError> {
    let base = |of: &Object, name: &str| {
        let bases = of.members(cx)?.into_iter().filter(|member| member.is_base);
        let mut named = bases
            .filter_map(|base| base.object.ok())
            .filter(|base| base.bare_type(cx).ok().and_then(|(_, ty)| stem(&ty)).as_deref() == Some(name));
        Ok::<_, ValueError>(named.next())
    };
    let mut parts = Vec::new();
    let mut at = base(object, "std::_Tuple_impl")?;
    // Each level has one element; compilers do not nest templates deeper than this.
    while let Some(level) = at.filter(|_| parts.len() < 1024) {
        let Some(head) = base(&level, "std::_Head_base")? else { break };
        let empty = || head.clone();
        parts.push(head.member("_M_head_impl", cx).unwrap_or_else(|_| empty()));
        at = base(&level, "std::_Tuple_impl")?;
    }
    Ok(parts)
}

pub(super) fn atomic(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let names = ["_M_i", "_M_p", "_M_fp"];
    let value = names.iter().find_map(|name| reach::seek(object, name, cx).ok());
    let value = value.ok_or(ValueError::Implausible("it has no value"))?;
    reader.content_of(&value)
}

pub(super) fn complex(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let value = object.member("_M_value", reader.cx())?;
    reader.content_of(&value)
}

pub(super) fn duration(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    ticks(&object.member("__r", reader.cx())?, ty, reader)
}

/// A number of ticks, and how long one of them is: the parameters of its `std::ratio`.
pub(in crate::views) fn ticks(
    count: &Object,
    ty: &Type,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let (_, ratio) = parameter(ty, 1)?.bare()?;
    let numbers = ratio.composite().map(|composite| composite.template_parameters.as_slice());
    let facts = ["numerator", "denominator"].into_iter().zip(numbers.unwrap_or_default());
    let facts = facts.filter_map(|(name, parameter)| Some(Fact { name, number: parameter.value? }));
    Ok(Content::Holder { facts: facts.collect(), value: Some(Box::new(reader.value(count))) })
}

pub(in crate::views) fn time_point(
    object: &Object,
    _: &Type,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let since = reach::any_of(object, &["__d", "__d_"], reader.cx())?;
    reader.content_of(&since)
}

pub(super) fn thread_id(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let id = object.member("_M_thread", reader.cx())?;
    reader.content_of(&id)
}

pub(super) fn mutex(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    locked(&object.member("_M_mutex", reader.cx())?, reader.cx())
}

/// The state of the C library's `pthread_mutex_t`.
pub(in crate::views) fn locked(mutex: &Object, cx: &dyn ValueContext) -> Result<Content, ValueError> {
    let part = |name: &str| path(mutex, &["__data", name], cx)?.integer(cx);
    let (lock, owner) = (part("__lock")?, part("__owner")?);
    let mut facts = vec![Fact { name: "locked", number: i128::from(lock != 0) }];
    if lock != 0 {
        facts.push(Fact { name: "owner", number: owner });
    }
    Ok(Content::Holder { facts, value: None })
}

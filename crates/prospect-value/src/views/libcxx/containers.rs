//! Strings and containers.

use prospect_process::Addr;
use prospect_symbols::type_info::{MemberPlace, Type, TypeRef};

use crate::{
    Content, Object, Reader, ValueContext, ValueError,
    object::size_of,
    views::{
        libstdcxx::{chain, packed_bits, pair_parts},
        reach::{
            Elements, InOrder, Nodes, address, any_of, as_set, count_between, number, parameter, scalar,
            seek, target_type, word,
        },
    },
};

/// A member, or the value in the pair that is compressed around it.
fn compressed(object: &Object, names: &[&str], cx: &dyn ValueContext) -> Result<Object, ValueError> {
    let found = any_of(object, names, cx)?;
    Ok(found.member("__value_", cx).unwrap_or(found))
}

/// A short string is kept in place; one bit says so: the lowest of the first byte, or in the other layout the highest of the
/// last one.
pub(super) fn string(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let unit = size_of(&parameter(ty, 0)?, cx)?.clamp(1, 4);
    let (long, short) = (seek(object, "__l", cx)?, seek(object, "__s", cx)?);
    let (_, long_type) = long.bare_type(cx)?;
    let members = long_type.composite().map(|composite| composite.members.as_slice()).unwrap_or_default();
    let data_first = members
        .iter()
        .any(|member| member.name.as_deref() == Some("__data_") && member.place == MemberPlace::Byte(0));
    let short_size = scalar(&short.member("__size_", cx)?, cx)? as u64;
    let capacity_of = |long: &Object| number(long, &["__cap_"], cx);
    let (is_long, short_length) = match short.member("__is_long_", cx) {
        Ok(is_long) => (is_long.integer(cx)? != 0, short_size),
        Err(_) if data_first => (short_size & 0x80 != 0, short_size & 0x7f),
        // On machines with the most significant byte first the bits are at the other end.
        Err(_) if cx.arch().big_endian => (short_size & 0x80 != 0, short_size & 0x7f),
        Err(_) => (short_size & 1 != 0, short_size >> 1),
    };
    if is_long {
        let length = number(&long, &["__size_"], cx)?;
        if length > capacity_of(&long)? {
            return Err(ValueError::Implausible("the text is longer than the room for it"));
        }
        return reader.text(address(&long, &["__data_"], cx)?, length, unit as u8);
    }
    let data = short.member("__data_", cx)?;
    if short_length.saturating_mul(unit) > size_of(&data.ty, cx)? {
        return Err(ValueError::Implausible("the text is longer than the room for it"));
    }
    reader.text(data.address().ok_or(ValueError::NoAddress)?, short_length, unit as u8)
}

pub(super) fn string_view(
    object: &Object,
    ty: &Type,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let unit = size_of(&parameter(ty, 0)?, cx)?.clamp(1, 4);
    let data = any_of(object, &["__data_", "__data"], cx)?.integer(cx)?;
    let length = any_of(object, &["__size_", "__size"], cx)?.integer(cx)?;
    reader.text(Addr(data as u64), length as u64, unit as u8)
}

pub(super) fn vector(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let begin = object.member("__begin_", cx)?;
    let first = Addr(begin.integer(cx)? as u64);
    if parameter(ty, 0)?.name() == "bool" {
        return packed_bits(first, number(object, &["__size_"], cx)?, reader);
    }
    let element = target_type(&begin, cx)?;
    let count = count_between(first, address(object, &["__end_"], cx)?, &element, cx)?;
    let room = scalar(&compressed(object, &["__end_cap_", "__cap_"], cx)?, cx)? as u64;
    if count_between(first, Addr(room), &element, cx)? < count {
        return Err(ValueError::Implausible("it has more elements than room"));
    }
    reader.contiguous(first, &element, count)
}

pub(super) fn array(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let parameters = ty.composite().map(|composite| &composite.template_parameters);
    if parameters.and_then(|all| all.get(1)?.value) == Some(0) {
        return Ok(crate::views::reach::no_elements(None));
    }
    let elements = object.member("__elems_", reader.cx())?;
    reader.content_of(&elements)
}

pub(super) fn deque(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let element = parameter(ty, 0)?;
    let size = size_of(&element, cx)?.max(1);
    // `__deque_block_size`
    let in_block = if size < 256 { 4096 / size } else { 16 };
    let blocks = object.member("__map_", cx)?;
    let (first, end) = (address(&blocks, &["__begin_"], cx)?, address(&blocks, &["__end_"], cx)?);
    let start = number(object, &["__start_"], cx)?;
    let count = scalar(&compressed(object, &["__size_"], cx)?, cx)? as u64;
    let word_bytes = u64::from(cx.arch().word_bytes);
    let room = end.0.checked_sub(first.0).and_then(|bytes| (bytes / word_bytes).checked_mul(in_block));
    if room.is_none_or(|room| start.checked_add(count).is_none_or(|last| last > room)) {
        return Err(ValueError::Implausible("it has more elements than room"));
    }
    reader.indexed(count, |reader, index| {
        let place = index + start;
        let block = word(first.wrapping_add(place / in_block * word_bytes), reader.cx())?;
        Ok(Object::at(Addr(block).wrapping_add(place % in_block * size), element.clone()))
    })
}

pub(super) fn list(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let element = parameter(ty, 0)?;
    let end = object.member("__end_", cx)?;
    let first = number(&end, &["__next_"], cx)?;
    let length = scalar(&compressed(object, &["__size_alloc_", "__size_"], cx)?, cx)? as u64;
    let end = end.address().ok_or(ValueError::NoAddress)?;
    let word_bytes = u64::from(cx.arch().word_bytes);
    let elements = Elements::new(element);
    let mut node = Addr(first);
    reader.elements(Some(length), |reader| {
        if node == end {
            return Ok(None);
        }
        let element = elements.behind(node.wrapping_add(2 * word_bytes), reader.cx());
        node = Addr(word(node.wrapping_add(word_bytes), reader.cx())?);
        Ok(Some(element))
    })
}

pub(super) fn forward_list(
    object: &Object,
    ty: &Type,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let head = compressed(object, &["__before_begin_"], cx)?;
    let first = scalar(&head.member("__next_", cx)?, cx)? as u64;
    chain(first, Addr(0), 1, &parameter(ty, 0)?, None, reader)
}

pub(super) fn set(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let (mut nodes, elements, length) = tree(object, reader.cx())?;
    let content = reader.elements(Some(length), |reader| {
        let node = next_node(&mut nodes, reader.cx())?;
        Ok(node.map(|node| in_tree_node(node, &elements, reader.cx())))
    })?;
    Ok(as_set(content))
}

pub(super) fn map(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let (mut nodes, pairs, length) = tree(object, reader.cx())?;
    reader.entries(Some(length), |reader| {
        let Some(node) = next_node(&mut nodes, reader.cx())? else { return Ok(None) };
        wrapped_pair(&in_tree_node(node, &pairs, reader.cx()), reader.cx()).map(Some)
    })
}

/// Older versions wrap the pair.
fn wrapped_pair(pair: &Object, cx: &dyn ValueContext) -> Result<(Object, Object), ValueError> {
    let inner = any_of(pair, &["__cc_", "__cc"], cx);
    pair_parts(inner.as_ref().unwrap_or(pair), cx)
}

fn tree(object: &Object, cx: &dyn ValueContext) -> Result<(InOrder, Elements, u64), ValueError> {
    let tree = object.member("__tree_", cx)?;
    let element = parameter(&tree.bare_type(cx)?.1, 0)?;
    // The root is the left child of the node that stands for the end.
    let end = compressed(&tree, &["__pair1_", "__end_node_"], cx)?;
    let root = number(&end, &["__left_"], cx)?;
    let length = scalar(&compressed(&tree, &["__pair3_", "__size_"], cx)?, cx)? as u64;
    if (root == 0) != (length == 0) {
        return Err(ValueError::Implausible("it counts other nodes than it has"));
    }
    Ok((InOrder::new(Addr(root)), Elements::new(element), length))
}

/// A node is its children, its parent and its colour; then comes the element.
fn next_node(nodes: &mut InOrder, cx: &dyn ValueContext) -> Result<Option<Addr>, ValueError> {
    let word_bytes = u64::from(cx.arch().word_bytes);
    nodes.next(|at| word(at, cx).map(Addr), |at| word(at.wrapping_add(word_bytes), cx).map(Addr))
}

fn in_tree_node(node: Addr, elements: &Elements, cx: &dyn ValueContext) -> Object {
    elements.behind(node.wrapping_add(3 * u64::from(cx.arch().word_bytes) + 1), cx)
}

pub(super) fn unordered_set(
    object: &Object,
    _: &Type,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let (first, element, length) = table(object, reader.cx())?;
    chain(first, Addr(0), 2, &element, Some(length), reader).map(as_set)
}

pub(super) fn unordered_map(
    object: &Object,
    _: &Type,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let (first, pair, length) = table(object, reader.cx())?;
    let mut nodes = Nodes::new(first, 2, pair, reader.cx());
    reader.entries(Some(length), |reader| {
        let pair = nodes.next(Addr(0), reader.cx())?;
        pair.map(|pair| wrapped_pair(&pair, reader.cx())).transpose()
    })
}

/// The first node, the type of the elements, how many there are. A node is the next one and the element's hash; then the element.
fn table(object: &Object, cx: &dyn ValueContext) -> Result<(u64, TypeRef, u64), ValueError> {
    let table = object.member("__table_", cx)?;
    let element = parameter(&table.bare_type(cx)?.1, 0)?;
    let head = compressed(&table, &["__p1_", "__first_node_"], cx)?;
    let first = number(&head, &["__next_"], cx)?;
    let length = scalar(&compressed(&table, &["__p2_", "__size_"], cx)?, cx)? as u64;
    if (first == 0) != (length == 0) {
        return Err(ValueError::Implausible("it counts other nodes than it has"));
    }
    Ok((first, element, length))
}

pub(super) fn span(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let pointer = any_of(object, &["__data_", "__data"], cx)?;
    let length = match any_of(object, &["__size_", "__size"], cx) {
        Ok(length) => length.integer(cx)? as u64,
        Err(_) => {
            let parameters = ty.composite().map(|composite| &composite.template_parameters);
            let extent = parameters.and_then(|all| all.get(1)?.value);
            extent.ok_or(ValueError::Implausible("its length is not said"))? as u64
        }
    };
    let element = target_type(&pointer, cx)?;
    reader.contiguous(Addr(pointer.integer(cx)? as u64), &element, length)
}

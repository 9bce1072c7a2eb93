//! Containers.

use prospect_process::Addr;
use prospect_symbols::{
    type_info::{Base, BaseEncoding, Type, TypeKind, TypeRef},
    variable::{Location, Piece, PieceSource},
};

use crate::{
    Content, Element, Limit, Object, Reader, ValueContext, ValueError,
    object::size_of,
    views::reach::{
        Elements, InOrder, Nodes, address, any_of, as_set, count_between, number, parameter, path, seek,
        target_type, word,
    },
};

pub(super) fn vector(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let parts = object.member("_M_impl", cx)?;
    let start = parts.member("_M_start", cx)?;
    if start.member("_M_p", cx).is_ok() {
        return bits(&parts, reader);
    }
    let element = target_type(&start, cx)?;
    let (first, end) = (address(&parts, &["_M_start"], cx)?, address(&parts, &["_M_finish"], cx)?);
    let count = count_between(first, end, &element, cx)?;
    if count_between(first, address(&parts, &["_M_end_of_storage"], cx)?, &element, cx)? < count {
        return Err(ValueError::Implausible("it has more elements than room"));
    }
    reader.contiguous(first, &element, count)
}

/// `std::vector<bool>`: words of bits.
fn bits(parts: &Object, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let word_bits = u64::from(cx.arch().word_bytes) * 8;
    let at = |name: &str| {
        Ok::<_, ValueError>((address(parts, &[name, "_M_p"], cx)?, number(parts, &[name, "_M_offset"], cx)?))
    };
    let ((first, skip), (last, over)) = (at("_M_start")?, at("_M_finish")?);
    let bytes = last.0.checked_sub(first.0).ok_or(ValueError::Implausible("its end is before its begin"))?;
    if skip != 0 || over >= word_bits {
        return Err(ValueError::Implausible("its bits begin or end outside of their words"));
    }
    let count = bytes.checked_mul(8).and_then(|bits| bits.checked_add(over));
    let count = count.ok_or(ValueError::Implausible("it has more elements than fit into memory"))?;
    packed_bits(first, count, reader)
}

pub(in crate::views) fn bitset(
    object: &Object,
    ty: &Type,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let first = ty.composite().and_then(|composite| composite.template_parameters.first()?.value);
    let count = first.and_then(|count| u64::try_from(count).ok());
    let count = count.ok_or(ValueError::Implausible("how many bits it has is not said"))?;
    if count == 0 {
        return Ok(crate::views::reach::no_elements(None));
    }
    let words = any_of(object, &["_M_w", "__first_"], reader.cx())?;
    packed_bits(words.address().ok_or(ValueError::NoAddress)?, count, reader)
}

/// Truth values of one bit each, from the lowest one of each word on.
pub(in crate::views) fn packed_bits(
    first: Addr,
    count: u64,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let word_bytes = u64::from(cx.arch().word_bytes);
    if reader.is_asked() {
        return reader.indexed(count, |reader, index| Ok(bit_at(first, index, reader.cx())));
    }
    let mut elements: Vec<Element> = Vec::new();
    let (mut cut, mut index, mut bits) = (None, 0, 0);
    let mut name = None;
    // Runs of equal bits count as one, but bits are many: a bound for what is looked at.
    while index < count {
        if index > 8 * reader.limits().bytes {
            cut = Some(Limit::Bytes);
            break;
        }
        if index % (word_bytes * 8) == 0 {
            match word(first.wrapping_add(index / 8), cx) {
                Ok(word) => bits = word,
                Err(error) if index == 0 => return Err(error),
                Err(_) => {
                    cut = Some(Limit::CannotRead);
                    break;
                }
            }
        }
        let bit = Content::Boolean(bits >> (index % (word_bytes * 8)) & 1 == 1);
        index += 1;
        let is_full = elements.len() as u64 >= reader.limits().elements;
        match elements.last_mut() {
            Some(last) if last.value.content == bit => last.times += 1,
            _ if is_full => {
                cut = Some(Limit::Elements);
                break;
            }
            _ => {
                let made = name.get_or_insert_with(bool_type).clone();
                elements.push(Element { value: reader.made(&made, None, bit), times: 1 });
            }
        }
    }
    Ok(Content::Elements { elements, length: Some(count), is_set: false, cut })
}

/// One of the bits of words, as a truth value.
fn bit_at(first: Addr, index: u64, cx: &dyn ValueContext) -> Object {
    let word_bits = u64::from(cx.arch().word_bytes) * 8;
    let in_word = index % word_bits;
    // Bits of a place are counted from the first byte on, which on some machines is the highest one.
    let skip = if cx.arch().big_endian { word_bits - 1 - in_word } else { in_word };
    let source = PieceSource::Memory(first.wrapping_add((index - in_word) / 8));
    let location = Location { pieces: vec![Piece { bits: Some(1), skip, source }] };
    Object { ty: bool_type(), location }
}

fn bool_type() -> TypeRef {
    let kind = TypeKind::Base(Base { encoding: BaseEncoding::Boolean, swapped: false, bits: None });
    TypeRef::made(Type::new(Some("bool"), Some(1), kind))
}

pub(super) fn array(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let elements = object.member("_M_elems", reader.cx())?;
    let (_, ty) = elements.bare_type(reader.cx())?;
    match &ty.kind {
        TypeKind::Array(_) => reader.content_of(&elements),
        // One without elements has an empty structure.
        _ => Ok(crate::views::reach::no_elements(None)),
    }
}

pub(super) fn deque(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let element = parameter(ty, 0)?;
    let size = size_of(&element, cx)?.max(1);
    // `__deque_buf_size`
    let in_block = (512 / size).max(1);
    let parts = object.member("_M_impl", cx)?;
    let at = |end: &str, name: &str| address(&parts, &[end, name], cx);
    let (first, last) = (at("_M_start", "_M_node")?, at("_M_finish", "_M_node")?);
    let word_bytes = u64::from(cx.arch().word_bytes);
    let cur = at("_M_start", "_M_cur")?;
    let skip = count_between(at("_M_start", "_M_first")?, cur, &element, cx)?;
    let in_last = count_between(at("_M_finish", "_M_first")?, at("_M_finish", "_M_cur")?, &element, cx)?;
    let blocks = last.0.checked_sub(first.0).filter(|bytes| bytes % word_bytes == 0);
    let blocks = blocks.ok_or(ValueError::Implausible("its end is before its begin"))? / word_bytes;
    if skip >= in_block || in_last >= in_block {
        return Err(ValueError::Implausible("its ends are outside of their blocks"));
    }
    let count = blocks.checked_mul(in_block).and_then(|all| all.checked_add(in_last)?.checked_sub(skip));
    let count = count.ok_or(ValueError::Implausible("its end is before its begin"))?;
    reader.indexed(count, |reader, index| {
        let place = index + skip;
        let block = word(first.wrapping_add(place / in_block * word_bytes), reader.cx())?;
        Ok(Object::at(Addr(block).wrapping_add(place % in_block * size), element.clone()))
    })
}

pub(super) fn list(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let element = parameter(ty, 0)?;
    let end = path(object, &["_M_impl", "_M_node"], cx)?;
    let length = number(&end, &["_M_size"], cx).ok();
    let end = end.address().ok_or(ValueError::NoAddress)?;
    chain(word(end, cx)?, end, 2, &element, length, reader)
}

pub(super) fn forward_list(
    object: &Object,
    ty: &Type,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let element = parameter(ty, 0)?;
    let first = number(object, &["_M_impl", "_M_head", "_M_next"], reader.cx())?;
    chain(first, Addr(0), 1, &element, None, reader)
}

/// The elements of nodes that begin with the address of the next one, and have their element behind so many words.
pub(in crate::views) fn chain(
    first: u64,
    end: Addr,
    words: u64,
    element: &TypeRef,
    length: Option<u64>,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let mut nodes = Nodes::new(first, words, element.clone(), reader.cx());
    reader.elements(length, |reader| nodes.next(end, reader.cx()))
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
        pair_parts(&in_tree_node(node, &pairs, reader.cx()), reader.cx()).map(Some)
    })
}

/// The nodes of an `_Rb_tree`, the type of its elements and how many there are.
fn tree(object: &Object, cx: &dyn ValueContext) -> Result<(InOrder, Elements, u64), ValueError> {
    let tree = object.member("_M_t", cx)?;
    let element = parameter(&tree.bare_type(cx)?.1, 1)?;
    let parts = tree.member("_M_impl", cx)?;
    let length = number(&parts, &["_M_node_count"], cx)?;
    // The root is the parent of the node that stands for the end.
    let root = address(&parts, &["_M_header", "_M_parent"], cx)?;
    if (root.0 == 0) != (length == 0) {
        return Err(ValueError::Implausible("it counts other nodes than it has"));
    }
    Ok((InOrder::new(root), Elements::new(element), length))
}

/// A node is its colour, its parent and its children; then comes the element.
fn next_node(nodes: &mut InOrder, cx: &dyn ValueContext) -> Result<Option<Addr>, ValueError> {
    let word_bytes = u64::from(cx.arch().word_bytes);
    let child = |at: Addr, index: u64| word(at.wrapping_add(index * word_bytes), cx).map(Addr);
    nodes.next(|at| child(at, 2), |at| child(at, 3))
}

fn in_tree_node(node: Addr, elements: &Elements, cx: &dyn ValueContext) -> Object {
    elements.behind(node.wrapping_add(4 * u64::from(cx.arch().word_bytes)), cx)
}

pub(in crate::views) fn pair_parts(
    pair: &Object,
    cx: &dyn ValueContext,
) -> Result<(Object, Object), ValueError> {
    Ok((pair.member("first", cx)?, pair.member("second", cx)?))
}

pub(super) fn unordered_set(
    object: &Object,
    _: &Type,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let (first, element, length) = table(object, reader.cx())?;
    chain(first, Addr(0), 1, &element, Some(length), reader).map(as_set)
}

pub(super) fn unordered_map(
    object: &Object,
    _: &Type,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let (first, pair, length) = table(object, reader.cx())?;
    let mut nodes = Nodes::new(first, 1, pair, reader.cx());
    reader.entries(Some(length), |reader| {
        let pair = nodes.next(Addr(0), reader.cx())?;
        pair.map(|pair| pair_parts(&pair, reader.cx())).transpose()
    })
}

/// The first node of a `_Hashtable`, the type of its elements and how many there are.
fn table(object: &Object, cx: &dyn ValueContext) -> Result<(u64, TypeRef, u64), ValueError> {
    let table = object.member("_M_h", cx)?;
    let element = parameter(&table.bare_type(cx)?.1, 1)?;
    let first = number(&table, &["_M_before_begin", "_M_nxt"], cx)?;
    let length = number(&table, &["_M_element_count"], cx)?;
    if (first == 0) != (length == 0) {
        return Err(ValueError::Implausible("it counts other nodes than it has"));
    }
    Ok((first, element, length))
}

pub(in crate::views) fn adaptor(
    object: &Object,
    _: &Type,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let container = object.member("c", reader.cx())?;
    reader.content_of(&container)
}

pub(super) fn span(object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let cx = reader.cx();
    let pointer = object.member("_M_ptr", cx)?;
    let length = match seek(object, "_M_extent_value", cx) {
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

pub(super) fn initializer_list(
    object: &Object,
    _: &Type,
    reader: &mut Reader<'_>,
) -> Result<Content, ValueError> {
    let cx = reader.cx();
    // The compiler knows this type, so that of libc++ has the same name, without a namespace of its own.
    let pointer = any_of(object, &["_M_array", "__begin_"], cx)?;
    let length = any_of(object, &["_M_len", "__size_"], cx)?.integer(cx)? as u64;
    let element = target_type(&pointer, cx)?;
    reader.contiguous(Addr(pointer.integer(cx)? as u64), &element, length)
}

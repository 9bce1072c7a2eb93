//! Reaching the parts of objects, for views.

use std::cell::OnceCell;

use prospect_process::{Addr, ArchInfo};
use prospect_symbols::type_info::{Bound, Type, TypeKind, TypeRef};

use crate::{
    Content, Field, FieldKind, Limit, Object, Reader, Shape, ValueContext, ValueError,
    object::{definition, size_of},
};

/// Wrappers that are nested deeper are not looked into.
const DEEPEST: u32 = 12;

/// The member that a path of names leads to.
///
/// # Errors
/// When there is none.
pub fn path(object: &Object, names: &[&str], cx: &dyn ValueContext) -> Result<Object, ValueError> {
    names.iter().try_fold(object.clone(), |at, name| at.member(name, cx))
}

/// The first member of several names that is there: versions of a library name it differently.
///
/// # Errors
/// When there is none.
pub fn any_of(object: &Object, names: &[&str], cx: &dyn ValueContext) -> Result<Object, ValueError> {
    let mut result = Err(ValueError::NoMember { name: String::new(), of: String::new() });
    for name in names {
        result = object.member(name, cx);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// A member as a number without a sign.
///
/// # Errors
/// When there is none.
pub fn number(object: &Object, names: &[&str], cx: &dyn ValueContext) -> Result<u64, ValueError> {
    let number = scalar(&path(object, names, cx)?, cx)?;
    Ok(number as u64)
}

/// A member as an address.
///
/// # Errors
/// When there is none.
pub fn address(object: &Object, names: &[&str], cx: &dyn ValueContext) -> Result<Addr, ValueError> {
    number(object, names, cx).map(Addr)
}

/// A number, or the only one that a structure holds: pointers and numbers are wrapped again and again.
///
/// # Errors
/// When there is none.
pub fn scalar(object: &Object, cx: &dyn ValueContext) -> Result<i128, ValueError> {
    core(object, cx).unwrap_or_else(|| object.clone()).integer(cx)
}

/// The first number, pointer or other thing without members in a structure.
#[must_use]
pub fn core(object: &Object, cx: &dyn ValueContext) -> Option<Object> {
    core_within(object, cx, 0)
}

fn core_within(object: &Object, cx: &dyn ValueContext, depth: u32) -> Option<Object> {
    let (_, ty) = object.bare_type(cx).ok()?;
    let Some(composite) = ty.composite() else { return Some(object.clone()) };
    if depth >= DEEPEST {
        return None;
    }
    composite.members.iter().find_map(|member| {
        // Markers that have no bytes are in no place.
        if size_of(&member.ty, cx) == Ok(0) {
            return None;
        }
        core_within(&object.member_object(member, cx).ok()?, cx, depth + 1)
    })
}

/// The member with a name in the object or, as far as needed, in its members: the nearest one.
///
/// # Errors
/// When there is none.
pub fn seek(object: &Object, name: &str, cx: &dyn ValueContext) -> Result<Object, ValueError> {
    let mut level = vec![object.clone()];
    for _ in 0..DEEPEST {
        let mut next = Vec::new();
        for at in &level {
            if let Ok(found) = at.member(name, cx) {
                return Ok(found);
            }
            let members = at.members(cx).unwrap_or_default();
            next.extend(members.into_iter().take(64).filter_map(|member| member.object.ok()));
        }
        if next.is_empty() || next.len() > 1024 {
            break;
        }
        level = next;
    }
    Err(ValueError::NoMember { name: name.to_owned(), of: object.ty.name() })
}

/// What a template was made for, by its place.
///
/// # Errors
/// When there are not so many.
pub fn parameter(ty: &Type, index: usize) -> Result<TypeRef, ValueError> {
    let all = ty.composite().map(|composite| composite.template_parameters.as_slice()).unwrap_or_default();
    all.get(index)
        .map(|parameter| parameter.ty.clone())
        .ok_or(ValueError::Implausible("what the template was made for is not said"))
}

/// The type of what a pointer leads to.
///
/// # Errors
/// When it is none.
pub fn target_type(object: &Object, cx: &dyn ValueContext) -> Result<TypeRef, ValueError> {
    let (_, ty) = object.bare_type(cx)?;
    match &ty.kind {
        TypeKind::Pointer(pointer) => Ok(pointer.target.clone()),
        _ => Err(ValueError::NotAPointer(object.ty.name())),
    }
}

/// The word at an address.
///
/// # Errors
/// When it cannot be read.
pub fn word(at: Addr, cx: &dyn ValueContext) -> Result<u64, ValueError> {
    let arch = cx.arch();
    let mut bytes = [0; 8];
    let bytes = &mut bytes[..usize::from(arch.word_bytes)];
    let read = cx.memory().read(at, bytes);
    read.map_err(|error| prospect_symbols::variable::Unavailable::CannotRead(error.at))?;
    Ok(arch.word(bytes).unwrap_or_default())
}

/// At which multiples of bytes values of a type may be. Debug information says so of few types; it follows from what they
/// are made of.
#[must_use]
pub fn alignment(ty: &TypeRef, cx: &dyn ValueContext) -> u64 {
    alignment_within(ty, cx, 0)
}

fn alignment_within(ty: &TypeRef, cx: &dyn ValueContext, depth: u32) -> u64 {
    let Ok((_, bare)) = definition(ty, cx) else { return 1 };
    if depth >= DEEPEST {
        return 1;
    }
    match &bare.kind {
        TypeKind::Array(array) => alignment_within(&array.element, cx, depth + 1),
        TypeKind::Composite(composite) => {
            let variants = composite.variants.iter().flat_map(|part| {
                part.variants.iter().flat_map(|variant| &variant.members).chain(part.tag.as_deref())
            });
            let members = composite.members.iter().chain(variants);
            members.map(|member| alignment_within(&member.ty, cx, depth + 1)).max().unwrap_or(1)
        }
        _ => of_number(size_of(ty, cx).unwrap_or(1), cx.arch()),
    }
}

/// No value is aligned to more bytes than this by what it is made of.
const MOST_ALIGNED: u64 = 16;

/// The System V ABI of the i386 aligns everything to 4 bytes at most.
fn of_number(size: u64, arch: &ArchInfo) -> u64 {
    let most = if arch.name == "i386" { 4 } else { MOST_ALIGNED };
    let size = if size.is_power_of_two() { size } else { 4 };
    size.clamp(1, most)
}

/// An address rounded up to a multiple.
#[must_use]
pub fn aligned(at: Addr, alignment: u64) -> Addr {
    Addr(at.0.wrapping_add(alignment - 1) & !(alignment - 1))
}

/// Where nodes have their elements: behind their own parts, at the first address where values of the type may be.
pub(crate) struct Elements {
    ty: TypeRef,
    /// No alignment that the type may have is larger.
    bound: OnceCell<u64>,
    alignment: OnceCell<u64>,
}

impl Elements {
    pub(crate) fn new(ty: TypeRef) -> Self {
        Self { ty, bound: OnceCell::new(), alignment: OnceCell::new() }
    }

    /// The element behind the parts of a node that end at `end`. What the type is made of is looked at only where its size leaves
    /// more than one place: sizes are multiples of alignments.
    pub(crate) fn behind(&self, end: Addr, cx: &dyn ValueContext) -> Object {
        let bound = *self.bound.get_or_init(|| {
            let size = size_of(&self.ty, cx).unwrap_or(0);
            1 << size.trailing_zeros().min(MOST_ALIGNED.trailing_zeros())
        });
        let is_aligned = end.0.is_multiple_of(bound);
        let alignment = if is_aligned { 1 } else { *self.alignment.get_or_init(|| alignment(&self.ty, cx)) };
        Object::at(aligned(end, alignment), self.ty.clone())
    }
}

/// Nodes that each begin with the address of the next one.
pub(crate) struct Nodes {
    next: Addr,
    behind: u64,
    elements: Elements,
}

impl Nodes {
    /// From the first one on, where so many words stand before the element of each.
    pub(crate) fn new(first: u64, words: u64, element: TypeRef, cx: &dyn ValueContext) -> Self {
        let behind = words * u64::from(cx.arch().word_bytes);
        Self { next: Addr(first), behind, elements: Elements::new(element) }
    }

    /// The element of the next node; `None` at `end`.
    pub(crate) fn next(&mut self, end: Addr, cx: &dyn ValueContext) -> Result<Option<Object>, ValueError> {
        if self.next == end {
            return Ok(None);
        }
        let element = self.elements.behind(self.next.wrapping_add(self.behind), cx);
        self.next = Addr(word(self.next, cx)?);
        Ok(Some(element))
    }
}

/// How many elements there are from one address to the one behind the last.
///
/// # Errors
/// When they cannot be so.
pub fn count_between(
    first: Addr,
    end: Addr,
    element: &TypeRef,
    cx: &dyn ValueContext,
) -> Result<u64, ValueError> {
    let size = size_of(element, cx)?;
    let bytes = end.0.checked_sub(first.0).ok_or(ValueError::Implausible("its end is before its begin"))?;
    if first.0 == 0 && bytes > 0 {
        return Err(ValueError::Implausible("it has elements, but they are nowhere"));
    }
    match bytes.checked_rem(size) {
        Some(0) => Ok(bytes / size),
        Some(_) => Err(ValueError::Implausible("its bytes are no whole elements")),
        None => Ok(0),
    }
}

/// Named parts as the fields of a structure or tuple.
pub fn fields(shape: Shape, parts: Vec<(String, Object)>, reader: &mut Reader<'_>) -> Content {
    if parts.iter().fold(false, |_, (name, object)| reader.asked_member(name, object)) {
        return Content::Raw;
    }
    let value = |(name, object): (String, Object)| {
        let value = reader.value(&object);
        Field { name: name.into(), kind: FieldKind::Member, value }
    };
    Content::Fields { shape, fields: parts.into_iter().map(value).collect(), cut: None }
}

/// The parts of a tuple.
pub fn tuple(parts: Vec<Object>, reader: &mut Reader<'_>) -> Content {
    let named = parts.into_iter().enumerate().map(|(index, part)| (index.to_string(), part));
    fields(Shape::Tuple, named.collect(), reader)
}

/// The same content as that of a set.
#[must_use]
pub fn as_set(content: Content) -> Content {
    match content {
        Content::Elements { elements, length, cut, .. } => {
            Content::Elements { elements, length, is_set: true, cut }
        }
        other => other,
    }
}

/// How many elements an array type has.
#[must_use]
pub fn array_length(ty: &TypeRef) -> Option<u64> {
    let (_, bare) = ty.bare().ok()?;
    let TypeKind::Array(array) = &bare.kind else { return None };
    match array.dimensions.first()?.count {
        Bound::Fixed(count) => Some(count),
        _ => None,
    }
}

/// Nothing, as elements.
#[must_use]
pub fn no_elements(cut: Option<Limit>) -> Content {
    Content::Elements { elements: Vec::new(), length: Some(0), is_set: false, cut }
}

/// Visits a binary tree in order: `left` and `right` give the children of a node. It does not believe trees that are deeper than
/// any in memory can be.
pub struct InOrder {
    /// Nodes whose left part was visited, or is being visited.
    above: Vec<Addr>,
    next: Addr,
}

impl InOrder {
    /// From the root, which is 0 for an empty tree.
    #[must_use]
    pub fn new(root: Addr) -> Self {
        Self { above: Vec::new(), next: root }
    }

    /// The next node.
    ///
    /// # Errors
    /// When the memory that leads to it cannot be read, or it is no tree.
    pub fn next(
        &mut self,
        mut left: impl FnMut(Addr) -> Result<Addr, ValueError>,
        mut right: impl FnMut(Addr) -> Result<Addr, ValueError>,
    ) -> Result<Option<Addr>, ValueError> {
        // A balanced tree with 2^64 nodes is not deeper.
        const DEEPEST_TREE: usize = 128;
        while self.next.0 != 0 {
            if self.above.len() >= DEEPEST_TREE {
                return Err(ValueError::Implausible("the tree is deeper than any"));
            }
            self.above.push(self.next);
            self.next = left(self.next)?;
        }
        let Some(node) = self.above.pop() else { return Ok(None) };
        self.next = right(node)?;
        Ok(Some(node))
    }
}

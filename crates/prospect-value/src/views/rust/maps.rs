//! Maps and sets.

use prospect_process::Addr;
use prospect_symbols::{
    type_info::{Type, TypeRef},
    variable::Unavailable,
};

use crate::{
    Content, Object, Reader, ValueContext, ValueError,
    object::size_of,
    views::{
        reach::{any_of, as_set, core, number, parameter, scalar, seek, target_type, word},
        stem,
    },
};

/// No map has more elements than this times what is read, so that sparse tables end.
const EMPTY_PER_ELEMENT: u64 = 1 << 12;

pub(super) fn hash_map(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let mut table = Table::of(object, reader.cx())?;
    reader.entries(Some(table.items), |reader| {
        let Some(pair) = table.next(reader)? else { return Ok(None) };
        Ok(Some((pair.member("__0", reader.cx())?, pair.member("__1", reader.cx())?)))
    })
}

pub(super) fn hash_set(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let mut table = Table::of(object, reader.cx())?;
    let elements = reader.elements(Some(table.items), |reader| {
        let Some(pair) = table.next(reader)? else { return Ok(None) };
        pair.member("__0", reader.cx()).map(Some)
    })?;
    Ok(as_set(elements))
}

/// hashbrown's table: one control byte for each bucket, whose highest bit is clear where the bucket is full. Buckets lie before
/// the control bytes, the first one last.
struct Table {
    element: TypeRef,
    size: u64,
    control: Addr,
    buckets: u64,
    items: u64,
    at: u64,
    looked_at: u64,
    bytes: Vec<u8>,
}

impl Table {
    fn of(object: &Object, cx: &dyn ValueContext) -> Result<Self, ValueError> {
        let mut raw = object.clone();
        // The map of the standard library wraps that of hashbrown, and a set a map.
        for _ in 0..8 {
            let (_, ty) = raw.bare_type(cx)?;
            if stem(&ty).is_some_and(|stem| stem.ends_with("RawTable")) {
                break;
            }
            raw = ["base", "map", "table"]
                .iter()
                .find_map(|name| raw.member(name, cx).ok())
                .ok_or(ValueError::Implausible("it has no table"))?;
        }
        let element = parameter(&raw.bare_type(cx)?.1, 0)?;
        let part = |name: &str| scalar(&seek(&raw, name, cx)?, cx);
        let mask = part("bucket_mask")? as u64;
        let items = part("items")? as u64;
        let control = Addr(part("ctrl")? as u64);
        let buckets = mask.checked_add(1).filter(|buckets| buckets.is_power_of_two());
        let buckets = buckets.ok_or(ValueError::Implausible("its buckets are no power of two"))?;
        let size = size_of(&element, cx)?;
        let fits = buckets.checked_mul(size.max(1)).is_some_and(|bytes| bytes <= control.0);
        if items > buckets || items > 0 && !fits {
            return Err(ValueError::Implausible("it has more elements than room"));
        }
        Ok(Self { element, size, control, buckets, items, at: 0, looked_at: 0, bytes: Vec::new() })
    }

    /// The next full bucket.
    fn next(&mut self, reader: &mut Reader<'_>) -> Result<Option<Object>, ValueError> {
        const BLOCK: u64 = 4096;
        let most = (reader.limits().elements + 1).saturating_mul(EMPTY_PER_ELEMENT);
        while self.at < self.buckets {
            let in_block = (self.at % BLOCK) as usize;
            if in_block == 0 || self.bytes.is_empty() {
                self.bytes = vec![0; BLOCK.min(self.buckets - self.at) as usize];
                let from = self.control.wrapping_add(self.at);
                let read = reader.cx().memory().read(from, &mut self.bytes);
                read.map_err(|error| Unavailable::CannotRead(error.at))?;
            }
            let is_full = self.bytes.get(in_block).is_some_and(|control| control & 0x80 == 0);
            self.at += 1;
            if is_full {
                let at = Addr(self.control.0.wrapping_sub(self.at.wrapping_mul(self.size)));
                return Ok(Some(Object::at(at, self.element.clone())));
            }
            self.looked_at += 1;
            if self.looked_at > most {
                return Err(ValueError::Implausible("nearly all of its buckets are empty"));
            }
        }
        Ok(None)
    }
}

pub(super) fn btree_map(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let (mut tree, length) = Tree::of(object, reader.cx())?;
    reader.entries(Some(length), |reader| tree.next(reader.cx()))
}

pub(super) fn btree_set(object: &Object, _: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
    let map = object.member("map", reader.cx())?;
    let (mut tree, length) = Tree::of(&map, reader.cx())?;
    let elements = reader.elements(Some(length), |reader| Ok(tree.next(reader.cx())?.map(|(key, _)| key)))?;
    Ok(as_set(elements))
}

/// A B-tree: nodes of up to eleven keys and values; inner ones have one edge more than keys.
struct Tree {
    /// From the root down: the node, its height, and which of its keys comes next.
    path: Vec<(Addr, u64, u64)>,
    leaf: TypeRef,
    /// Where the edges are in an inner node; `None` where there is none of its kind.
    edges: Option<u64>,
    /// The height of a node that is to be entered.
    down: Option<(Addr, u64)>,
}

impl Tree {
    fn of(object: &Object, cx: &dyn ValueContext) -> Result<(Self, u64), ValueError> {
        /// A tree of nodes with at least five keys each is not higher.
        const HIGHEST: u64 = 32;
        let length = number(object, &["length"], cx)?;
        let root = object.member("root", cx)?;
        let Ok(node) = seek(&root, "node", cx) else {
            let empty = Self { path: Vec::new(), leaf: TypeRef::void(), edges: None, down: None };
            return if length == 0 { Ok((empty, 0)) } else { Err(ValueError::Implausible("it has no root")) };
        };
        let height = scalar(&seek(&root, "height", cx)?, cx)? as u64;
        if height > HIGHEST {
            return Err(ValueError::Implausible("it is higher than any tree"));
        }
        let node = core(&node, cx).ok_or(ValueError::Implausible("it has no root"))?;
        let leaf = target_type(&node, cx)?;
        let at = Addr(node.integer(cx)? as u64);
        // A leaf knows the type of the node above it.
        let above = seek(&Object::at(at, leaf.clone()), "parent", cx).ok();
        let inner = above.and_then(|above| target_of_wrapped(&above, cx));
        let edges = inner.and_then(|inner| Object::at(Addr(0), inner).member("edges", cx).ok());
        let edges = edges.and_then(|edges| edges.address()).map(|at| at.0);
        if edges.is_none() && height > 0 {
            return Err(ValueError::Implausible("the layout of its nodes is not known"));
        }
        Ok((Self { path: Vec::new(), leaf, edges, down: Some((at, height)) }, length))
    }

    fn next(&mut self, cx: &dyn ValueContext) -> Result<Option<(Object, Object)>, ValueError> {
        loop {
            while let Some((node, height)) = self.down.take() {
                self.path.push((node, height, 0));
                if height > 0 {
                    self.down = Some((self.edge(node, 0, cx)?, height - 1));
                }
            }
            let Some((node, height, index)) = self.path.pop() else { return Ok(None) };
            let object = Object::at(node, self.leaf.clone());
            let count = number(&object, &["len"], cx)?;
            if index >= count {
                continue;
            }
            let index_signed = index as i64;
            let key = object.member("keys", cx)?.element(index_signed, cx)?;
            let value = object.member("vals", cx)?.element(index_signed, cx)?;
            self.path.push((node, height, index + 1));
            if height > 0 {
                self.down = Some((self.edge(node, index + 1, cx)?, height - 1));
            }
            return Ok(Some((initialised(key, cx), initialised(value, cx))));
        }
    }

    fn edge(&self, node: Addr, index: u64, cx: &dyn ValueContext) -> Result<Addr, ValueError> {
        let edges = self.edges.ok_or(ValueError::Implausible("the layout of its nodes is not known"))?;
        let word_bytes = u64::from(cx.arch().word_bytes);
        word(node.wrapping_add(edges + index * word_bytes), cx).map(Addr)
    }
}

/// What a `MaybeUninit` holds: it is a union of nothing and of the value in one or two wrappers.
fn initialised(object: Object, cx: &dyn ValueContext) -> Object {
    let Ok(mut at) = object.member("value", cx) else { return object };
    for _ in 0..4 {
        let name = at.bare_type(cx).ok().and_then(|(_, ty)| stem(&ty)).unwrap_or_default();
        if !name.ends_with("::ManuallyDrop") && !name.ends_with("::MaybeDangling") {
            break;
        }
        let Ok(inner) = any_of(&at, &["value", "__0"], cx) else { break };
        at = inner;
    }
    at
}

/// The type behind the pointer in an `Option<NonNull<T>>`, whether there is one or not.
fn target_of_wrapped(option: &Object, cx: &dyn ValueContext) -> Option<TypeRef> {
    let (_, ty) = option.bare_type(cx).ok()?;
    let variants = ty.composite()?.variants.as_ref()?.variants.iter();
    let mut inner = variants
        .flat_map(|variant| &variant.members)
        .filter_map(|member| option.member_object(member, cx).ok());
    inner.find_map(|some| target_type(&core(&some, cx)?, cx).ok())
}

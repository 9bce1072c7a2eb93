//! Reading values within limits.

mod asked;
mod dynamic;
mod elements;
mod plain;
mod text;

use std::sync::Arc;

use prospect_process::{Addr, ArchInfo, Memory};
use prospect_symbols::{
    type_info::{Type, TypeKind, TypeRef},
    variable::Unavailable,
};

pub use asked::Key;
pub(crate) use asked::{Answer, Question};
pub(crate) use plain::is_reference;
pub(crate) use text::CharType;

use crate::{
    Chars, Content, Limit, Limits, Object, Value, ValueContext, ValueError, Views,
    object::definition_outline, page_cache::PageCache,
};

/// So many names of types are kept: elements and fields have the same few again and again.
const NAMES: usize = 32;

/// Reads values within limits. Views get one to read what their values are made of.
pub struct Reader<'a> {
    cx: &'a Cached<'a>,
    limits: &'a Limits,
    views: &'a Views,
    /// 0 also when what is shown is full.
    values_left: u64,
    letters_left: u64,
    depth: u32,
    /// How many plain pointers were followed on the way.
    pointers: u32,
    /// What pointers led to on the way.
    path: Vec<(Addr, TypeRef)>,
    names: Vec<(TypeRef, Arc<str>)>,
    /// The one part that is wanted, and not the value.
    asked: Option<asked::Asked<'a>>,
}

/// A context whose memory is read once.
struct Cached<'a> {
    inner: &'a dyn ValueContext,
    memory: PageCache<'a>,
}

impl ValueContext for Cached<'_> {
    fn memory(&self) -> &dyn Memory {
        &self.memory
    }

    fn arch(&self) -> &ArchInfo {
        self.inner.arch()
    }

    fn register_bytes(&self, dwarf: u16) -> Option<Vec<u8>> {
        self.inner.register_bytes(dwarf)
    }

    fn symbol(&self, at: Addr) -> Option<String> {
        self.inner.symbol(at)
    }

    fn type_named(&self, qualified: &str) -> Option<TypeRef> {
        self.inner.type_named(qualified)
    }

    fn definition(&self, declared: &TypeRef, qualified: &str) -> Option<TypeRef> {
        self.inner.definition(declared, qualified)
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn with<R>(
        cx: &dyn ValueContext,
        limits: &Limits,
        views: &Views,
        asked: Option<asked::Asked<'_>>,
        run: impl FnOnce(&mut Reader<'_>) -> R,
    ) -> R {
        let cached = Cached { inner: cx, memory: PageCache::new(cx.memory(), limits.bytes) };
        let mut reader = Reader {
            cx: &cached,
            limits,
            views,
            values_left: limits.values,
            letters_left: limits.letters,
            depth: 0,
            pointers: 0,
            path: Vec::new(),
            names: Vec::new(),
            asked,
        };
        run(&mut reader)
    }

    /// What values are read from.
    #[must_use]
    pub fn cx(&self) -> &'a dyn ValueContext {
        self.cx
    }

    /// How much is read.
    #[must_use]
    pub fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// The value of an object.
    pub fn value(&mut self, object: &Object) -> Value {
        if self.is_asked() {
            self.asked_pointee(object);
            return self.made(&TypeRef::void(), None, Content::Raw);
        }
        let mut value = Value {
            type_name: self.type_name(&object.ty),
            language: Default::default(),
            address: object.address(),
            bytes: Vec::new(),
            content: Content::Cut(Limit::Values),
            implausible: None,
        };
        let Some(left) = self.values_left.checked_sub(1) else { return value };
        self.values_left = left;
        // Of what is too deep, the parts of its type are not needed, and these take long to read.
        let is_deep = self.depth >= self.limits.depth.min(Limits::DEEPEST);
        let has_parts = |ty: &Type| matches!(ty.kind, TypeKind::Composite(_) | TypeKind::Array(_));
        let outline = is_deep.then(|| definition_outline(&object.ty, self.cx).ok()).flatten();
        let bare = match outline.filter(|(_, ty)| has_parts(ty)).map_or_else(|| object.bare_type(self.cx), Ok)
        {
            Ok((_, bare)) => bare,
            Err(error) => {
                value.content = Content::Unavailable(error.into());
                return value;
            }
        };
        value.language = bare.language;
        match object.first_bytes(self.limits.raw_bytes, self.cx) {
            Ok(bytes) => value.bytes = bytes,
            // Of an object in pieces, some parts may be there.
            Err(error) if object.address().is_some() || bare.composite().is_none() => {
                value.content = self.unavailable(error);
                // A pointer that was optimised out may have a target all the same.
                if !matches!(bare.kind, TypeKind::Pointer(_) | TypeKind::Function(_) | TypeKind::Array(_)) {
                    return value;
                }
            }
            Err(_) => {}
        }
        if is_deep && has_parts(&bare) {
            value.content = Content::Cut(Limit::Depth);
            return value;
        }
        self.depth += 1;
        let (content, implausible) = self.content(object, &bare);
        self.depth -= 1;
        self.shown(least_letters(&content));
        value.content = content;
        value.implausible = implausible;
        value
    }

    /// Counts what is written of what was read, in the order in which it is: no more than is written for certain.
    fn shown(&mut self, letters: usize) {
        self.letters_left = self.letters_left.saturating_sub(letters as u64);
        if self.letters_left == 0 {
            self.values_left = 0;
        }
    }

    fn content(&mut self, object: &Object, ty: &Type) -> (Content, Option<&'static str>) {
        let Some(view) = self.views.of(ty) else {
            if self.is_asked() {
                self.asked_plain(object, ty);
                return (Content::Raw, None);
            }
            return (self.plain_or_why(object, ty), None);
        };
        let (values_left, letters_left, path) = (self.values_left, self.letters_left, self.path.len());
        match view.view(object, ty, self) {
            Ok(content) => (content, None),
            Err(error) => {
                self.path.truncate(path);
                // What the view has read in vain does not count, but for one, so that it ends.
                (self.values_left, self.letters_left) = (values_left.saturating_sub(1), letters_left);
                let why = match error {
                    ValueError::Implausible(why) => why,
                    ValueError::Unavailable(Unavailable::CannotRead(_)) => "what it leads to cannot be read",
                    ValueError::Unavailable(_) => "parts of it are not there",
                    _ => "its fields are not those of the library's versions that are known",
                };
                (self.plain_or_why(object, ty), Some(why))
            }
        }
    }

    /// The content without regard to views.
    fn plain_or_why(&mut self, object: &Object, ty: &Type) -> Content {
        match self.plain(object, ty) {
            Ok(content) => content,
            Err(ValueError::Unavailable(why)) => self.unavailable(why),
            Err(_) => Content::Raw,
        }
    }

    /// The content of a part of a value that stands for all of it: the array in an array, the container in a stack.
    ///
    /// # Errors
    /// When it cannot be had.
    pub fn content_of(&mut self, object: &Object) -> Result<Content, ValueError> {
        let (_, bare) = object.bare_type(self.cx)?;
        let (content, implausible) = self.content(object, &bare);
        match implausible {
            Some(why) => Err(ValueError::Implausible(why)),
            None => Ok(content),
        }
    }

    /// The value that a pointer owns or refers to; it is read whatever the limit of pointers. `None` for null.
    ///
    /// # Errors
    /// When it is no pointer, or cannot be read itself.
    pub fn target(&mut self, pointer: &Object) -> Result<Option<Value>, ValueError> {
        let target = pointer.dereference(self.cx)?;
        if target.address() == Some(Addr(0)) {
            return Ok(None);
        }
        let target = self.dynamic(&target).unwrap_or(target);
        Ok(Some(self.followed(&target)))
    }

    /// The value of what a pointer led to. One that leads back to where it came from is cut.
    pub fn followed(&mut self, target: &Object) -> Value {
        if self.is_asked() {
            return self.value(target);
        }
        let step = target.address().map(|at| (at, target.ty.clone()));
        let is_cycle = step.as_ref().is_some_and(|step| self.path.contains(step));
        if is_cycle || self.depth >= self.limits.depth.min(Limits::DEEPEST) {
            let limit = if is_cycle { Limit::Cycle } else { Limit::Depth };
            return self.made(&target.ty, target.address(), Content::Cut(limit));
        }
        let length = self.path.len();
        self.path.extend(step);
        self.depth += 1;
        let value = self.value(target);
        self.depth -= 1;
        self.path.truncate(length);
        value
    }

    /// A value that is not read from the program: a part that a view thought of.
    pub fn made(&mut self, ty: &TypeRef, address: Option<Addr>, content: Content) -> Value {
        let language = ty.bare_outline().map(|(_, bare)| bare.language).unwrap_or_default();
        let type_name = self.type_name(ty);
        Value { type_name, language, address, bytes: Vec::new(), content, implausible: None }
    }

    fn unavailable(&self, why: Unavailable) -> Content {
        if matches!(why, Unavailable::CannotRead(_)) && self.cx.memory.is_exhausted() {
            return Content::Cut(Limit::Bytes);
        }
        Content::Unavailable(why)
    }

    fn type_name(&mut self, ty: &TypeRef) -> Arc<str> {
        if let Some((_, name)) = self.names.iter().find(|(known, _)| known == ty) {
            return name.clone();
        }
        let name: Arc<str> = ty.name().into();
        if self.names.len() >= NAMES {
            self.names.remove(0);
        }
        self.names.push((ty.clone(), name.clone()));
        name
    }
}

/// How many characters a value has in one line at least, without the values that it is made of.
fn least_letters(content: &Content) -> usize {
    match content {
        // A character is written for four bytes or two units at the most, between quotes.
        Content::Text { chars, .. } => match chars {
            Chars::Bytes(bytes) => 2 + bytes.len() / 4,
            Chars::Utf16(units) => 2 + units.len() / 2,
            Chars::Utf32(units) => 2 + units.len(),
        },
        Content::Pointer(pointer) if pointer.is_transparent && pointer.target.is_some() => 0,
        Content::Variant { .. } | Content::Holder { .. } => 0,
        Content::Fields { .. } | Content::Elements { .. } | Content::Entries { .. } => 2,
        _ => 1,
    }
}

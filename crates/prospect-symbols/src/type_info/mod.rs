//! The types of programs, as debug information describes them.
//!
//! A [`TypeRef`] stands for a type that was not read yet: C++ programs have thousands that lead to each other in circles.
//! [`TypeRef::get`] reads one, and no other.

mod definition;
mod every_type;
mod memory;
mod model;
mod name;
mod read;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use crate::symbol::dwarf::DebugInfo;

pub(crate) use definition::{Definitions, find_definition};
pub use every_type::every_type;
pub(crate) use memory::{Remembered, RememberedTypes};
pub(crate) use model::DynamicValue;
pub use model::{
    Access, Array, Base, BaseEncoding, Bound, Composite, CompositeKind, Dimension, DynamicBound, Enumeration,
    Enumerator, FunctionType, Language, Member, MemberPlace, Modifier, Pointer, PointerKind, StaticMember,
    TemplateParameter, Type, TypeKind, Variant, VariantPart,
};
pub(crate) use read::qualified_name;

/// Chains of typedefs and qualifiers that are longer than this lead in a circle.
const LONGEST_CHAIN: usize = 64;

/// Why a type could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TypeError {
    /// The entry is not there, or cannot be read.
    #[error("the type at {0:#x} of the debug information is broken")]
    Broken(u64),
    /// The entry is of a kind that is no type.
    #[error("the entry at {0:#x} of the debug information is not a type")]
    NotAType(u64),
    /// It leads to itself, without end.
    #[error("a type of the debug information leads to itself")]
    Endless,
    /// It is only declared here; the definition is elsewhere.
    #[error("the type is declared, but not defined, in the debug information that is at hand")]
    Incomplete,
    /// Nothing says what the type is: of a variable that only its symbol tells of.
    #[error("nothing says of which type it is: there is no debug information about it")]
    Unknown,
}

/// An entry of debug information (DWARF 5, section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId {
    /// The file that it is in.
    pub(crate) file: EntryFile,
    /// Where it begins in the `.debug_info` of that file (in `.debug_types`: its length later).
    pub(crate) offset: usize,
}

/// The files that the debug information of one binary may be spread over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum EntryFile {
    /// The one with the units.
    Main,
    /// The one that is shared with other binaries (DWARF 5, section 7.3.6).
    Supplementary,
    /// The split unit whose skeleton begins there in the `.debug_info` of the main file (section 7.3.2).
    Split(usize),
    /// The type unit with this signature in the package of split units.
    PackedType(u64),
}

/// Reads types where they are described.
pub(crate) trait TypeSource: Send + Sync {
    /// The type at an entry, if it was read before.
    fn known(&self, at: EntryId, extent: Extent) -> Option<Arc<Type>>;

    /// What typedefs and qualifiers at an entry lead to, or the entry itself, if all of that was read before.
    fn known_bare(&self, at: EntryId) -> Option<(EntryId, Arc<Type>)>;

    /// Remembers what typedefs and qualifiers at an entry lead to.
    fn note_bare(&self, at: EntryId, bare: EntryId, found: &Arc<Type>);

    /// Reads the type at an entry.
    fn read(self: Arc<Self>, at: EntryId, extent: Extent) -> Result<Arc<Type>, TypeError>;
}

/// How much of a type is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Whole,
    /// Without the parts of structures and enumerations, and of one that is only declared, not its definition.
    Outline,
}

/// A type, to be read when it is asked for. It is cheap to copy, and keeps the file that describes it open.
#[derive(Clone)]
pub struct TypeRef(Source);

#[derive(Clone)]
enum Source {
    Void,
    Made(Arc<Type>),
    Entry(Arc<dyn TypeSource>, EntryId),
}

impl TypeRef {
    /// No value at all: what functions without a result return, and what `void *` points to.
    #[must_use]
    pub fn void() -> Self {
        Self(Source::Void)
    }

    /// A type that no debug information describes: of the result of an expression, of a register.
    #[must_use]
    pub fn made(made: Type) -> Self {
        Self(Source::Made(Arc::new(made)))
    }

    /// The type that is described at an entry.
    pub(crate) fn at(source: Arc<dyn TypeSource>, at: EntryId) -> Self {
        Self(Source::Entry(source, at))
    }

    /// The type that is described at an entry of debug information.
    pub(crate) fn at_entry(debug: &Arc<DebugInfo>, at: EntryId) -> Self {
        Self::at(debug.clone(), at)
    }

    /// Whether this debug information describes it.
    pub(crate) fn is_of(&self, debug: &Arc<DebugInfo>) -> bool {
        let Source::Entry(source, _) = &self.0 else { return false };
        std::ptr::addr_eq(Arc::as_ptr(source), Arc::as_ptr(debug))
    }

    /// A pointer to this type, of so many bytes.
    #[must_use]
    pub fn pointer(&self, word_bytes: u8) -> Self {
        let kind = TypeKind::Pointer(Pointer { kind: PointerKind::Pointer, target: self.clone() });
        Self::made(Type::new(None, Some(word_bytes.into()), kind))
    }

    /// So many elements of this type, one after the other.
    #[must_use]
    pub fn array(&self, count: u64) -> Self {
        let dimension = Dimension { lower: 0, count: Bound::Fixed(count) };
        let size = self.size().and_then(|size| size.checked_mul(count));
        let array =
            Array { element: self.clone(), dimensions: vec![dimension], stride: None, is_vector: false };
        let mut made = Type::new(None, size, TypeKind::Array(array));
        made.language = self.get().map(|element| element.language).unwrap_or_default();
        Self::made(made)
    }

    /// Whether it is [`void`](Self::void).
    #[must_use]
    pub fn is_void(&self) -> bool {
        matches!(self.0, Source::Void)
    }

    /// What is said of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get(&self) -> Result<Arc<Type>, TypeError> {
        self.read(Extent::Whole)
    }

    /// What is said of it without the parts of structures and enumerations, which take long to read: these have none here.
    /// Of one that is only declared, no definition is looked for.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn outline(&self) -> Result<Arc<Type>, TypeError> {
        self.read(Extent::Outline)
    }

    fn read(&self, extent: Extent) -> Result<Arc<Type>, TypeError> {
        match &self.0 {
            Source::Void => Ok(Arc::new(Type::new(None, None, TypeKind::Unspecified))),
            Source::Made(made) => Ok(made.clone()),
            Source::Entry(source, at) => match source.known(*at, extent) {
                Some(known) => Ok(known),
                None => source.clone().read(*at, extent),
            },
        }
    }

    /// The whole of it, if it was read before.
    fn known(&self) -> Option<Arc<Type>> {
        let Source::Entry(source, at) = &self.0 else { return self.get().ok() };
        source.known(*at, Extent::Whole)
    }

    /// The same without typedefs and qualifiers around it.
    ///
    /// # Errors
    /// When one of them cannot be read, or they lead in a circle.
    pub fn bare(&self) -> Result<(Self, Arc<Type>), TypeError> {
        if let Some((source, at, found)) = self.known_bare() {
            return Ok((Self::at(source.clone(), at), found));
        }
        // What is looked through is whole in an outline.
        let (target, found) = self.follow(|ty| ty.known().map_or_else(|| ty.outline(), Ok))?;
        let bare = target.unwrap_or_else(|| self.clone());
        let found = if found.is_whole() { found } else { bare.get()? };
        if let (Source::Entry(source, at), Source::Entry(other, to)) = (&self.0, &bare.0)
            && Arc::ptr_eq(source, other)
        {
            source.note_bare(*at, *to, &found);
        }
        Ok((bare, found))
    }

    /// The same, if it was read before.
    fn known_bare(&self) -> Option<(&Arc<dyn TypeSource>, EntryId, Arc<Type>)> {
        let Source::Entry(source, at) = &self.0 else { return None };
        let (bare, found) = source.known_bare(*at)?;
        Some((source, bare, found))
    }

    /// The [outline](Self::outline) of the same without typedefs and qualifiers around it.
    ///
    /// # Errors
    /// When one of them cannot be read, or they lead in a circle.
    pub fn bare_outline(&self) -> Result<(Self, Arc<Type>), TypeError> {
        let (target, found) = self.follow(Self::outline)?;
        Ok((target.unwrap_or_else(|| self.clone()), found))
    }

    /// What typedefs and qualifiers lead to; no other than this where it is none.
    fn follow(
        &self,
        read: impl Fn(&Self) -> Result<Arc<Type>, TypeError>,
    ) -> Result<(Option<Self>, Arc<Type>), TypeError> {
        let mut found = read(self)?;
        let mut at = None;
        for _ in 1..LONGEST_CHAIN {
            let target = match &found.kind {
                TypeKind::Typedef(target) | TypeKind::Modified(_, target) => target.clone(),
                _ => return Ok((at, found)),
            };
            found = read(&target)?;
            at = Some(target);
        }
        Err(TypeError::Endless)
    }

    /// How many bytes a value of it has; `None` where nobody says.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        let (mut count, mut at) = (1_u64, self.clone());
        for _ in 0..LONGEST_CHAIN {
            let known = at.known_bare().map(|(_, _, bare)| bare);
            let mut bare = known.map_or_else(|| at.follow(Self::outline).ok().map(|(_, bare)| bare), Some)?;
            if bare.size.is_none() && !bare.is_whole() {
                bare = at.bare().ok()?.1;
            }
            let TypeKind::Array(array) = &bare.kind else { return bare.size?.checked_mul(count) };
            match bare.size {
                Some(size) => return size.checked_mul(count),
                None => count = count.checked_mul(array.count()?)?,
            }
            if let Some(stride) = array.stride {
                return stride.checked_mul(count);
            }
            at = array.element.clone();
        }
        None
    }

    /// As its language writes it: `const char *`, `int [3]`, `&mut [u8]`.
    #[must_use]
    pub fn name(&self) -> String {
        name::of(self)
    }
}

/// The same entry, or the same made type: two types that only look the same are different.
impl PartialEq for TypeRef {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Source::Void, Source::Void) => true,
            (Source::Made(one), Source::Made(other)) => Arc::ptr_eq(one, other),
            (Source::Entry(one, at), Source::Entry(other, other_at)) => {
                at == other_at && Arc::ptr_eq(one, other)
            }
            _ => false,
        }
    }
}

impl Eq for TypeRef {}

impl fmt::Debug for TypeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Void => f.write_str("TypeRef(void)"),
            Source::Made(made) => f.debug_tuple("TypeRef").field(made).finish(),
            Source::Entry(_, at) => f.debug_tuple("TypeRef").field(at).finish(),
        }
    }
}

//! A value as data.

use std::sync::Arc;

use prospect_process::Addr;
use prospect_symbols::{
    type_info::{Language, TypeRef},
    variable::Unavailable,
};

use crate::{FloatFormat, Limit, Limits, Object, Reader, ValueContext, Views};

/// A value as data.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Value {
    /// Its type, as the language writes it. Of an object behind a pointer to a base class, its own.
    pub type_name: Arc<str>,
    /// The language of its type.
    pub language: Language,
    /// Where it is, if it is in memory.
    pub address: Option<Addr>,
    /// Its first bytes, in the order of the machine; at most [`Limits::raw_bytes`].
    pub bytes: Vec<u8>,
    /// What it is.
    pub content: Content,
    /// Why it is not shown as what its library means by it, but as its fields: they do not look right. So it is with
    /// variables that were not initialised.
    pub implausible: Option<&'static str>,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// A number with a sign.
    Integer(i128),
    /// A number without; truth values that are neither 0 nor 1 too.
    Unsigned(u128),
    /// A floating point number.
    Float(Float),
    /// Real and imaginary part.
    Complex(Float, Float),
    /// A number whose bytes are not interpreted: decimal floating point, encodings that are not known.
    Raw,
    /// A truth value.
    Boolean(bool),
    /// A character.
    Character {
        /// Its number as its type has it: a `char` can be negative.
        number: i128,
        /// Its code unit.
        unit: u32,
        /// How many bytes a code unit has; 1, 2 or 4.
        unit_bytes: u8,
    },
    /// A pointer.
    Pointer(Pointer),
    /// A pointer to a member of a class: an offset in it, or the address of a function, or `None` for null.
    MemberPointer {
        /// The offset of the member, or the address or table offset of the function.
        offset: Option<i128>,
        /// The name of the function.
        symbol: Option<Arc<str>>,
        /// For a function: what is added to the object's address.
        adjustment: Option<i128>,
    },
    /// Text.
    Text {
        /// As much as was read.
        chars: Chars,
        /// How many code units there are; `None` where its end was not found.
        length: Option<u64>,
        /// Why not all were read.
        cut: Option<Limit>,
    },
    /// A value of an enumeration.
    Enumerators {
        /// The number.
        number: i128,
        /// Its name, or the names of the bits that are set in it.
        names: Vec<Arc<str>>,
        /// What of the number has no name.
        rest: i128,
        /// The enumeration's name, where its names are written with it.
        scope: Option<Arc<str>>,
    },
    /// Members.
    Fields {
        /// How they belong together.
        shape: Shape,
        /// Base classes and members, in order.
        fields: Vec<Field>,
        /// Why not all were read.
        cut: Option<Limit>,
    },
    /// Elements, in order.
    Elements {
        /// As many as were read.
        elements: Vec<Element>,
        /// How many there are; `None` where their end was not reached.
        length: Option<u64>,
        /// Whether it is a set.
        is_set: bool,
        /// Why not all were read.
        cut: Option<Limit>,
    },
    /// Keys with values.
    Entries {
        /// As many as were read.
        entries: Vec<Entry>,
        /// How many there are; `None` where their end was not reached.
        length: Option<u64>,
        /// Why not all were read.
        cut: Option<Limit>,
    },
    /// One of several variants.
    Variant {
        /// Which.
        name: Arc<str>,
        /// What it has; `None` for nothing.
        value: Option<Box<Value>>,
    },
    /// Something that holds one value and has a state: a counted pointer, a lock.
    Holder {
        /// The state.
        facts: Vec<Fact>,
        /// What it holds.
        value: Option<Box<Value>>,
    },
    /// Nothing, on purpose: an empty `optional`, a unit.
    Nothing,
    /// It cannot be had.
    Unavailable(Unavailable),
    /// It was not read.
    Cut(Limit),
}

/// A floating point number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Float {
    /// The number, or the double next to it.
    pub value: f64,
    /// Its bits, as a number.
    pub bits: u128,
    /// How they are to be read.
    pub format: FloatFormat,
}

/// A pointer.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Pointer {
    /// Where it points; `None` for one that was optimised out, although its target is known.
    pub address: Option<Addr>,
    /// The function or variable there, for pointers to functions.
    pub symbol: Option<Arc<str>>,
    /// What is there, where it was followed.
    pub target: Option<Box<Value>>,
    /// Whether the language writes the target in its place: references, boxes.
    pub is_transparent: bool,
}

/// Code units of text. They may be invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Chars {
    /// Bytes, which should be UTF-8.
    Bytes(Vec<u8>),
    /// Those of UTF-16.
    Utf16(Vec<u16>),
    /// Code points.
    Utf32(Vec<u32>),
}

/// How members belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// By name, one behind the other.
    Struct,
    /// By name, in the same place.
    Union,
    /// By position.
    Tuple,
}

/// A member.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name; of a base class, the class's.
    pub name: Arc<str>,
    /// Whether it is a member or a base class.
    pub kind: FieldKind,
    /// Its value.
    pub value: Value,
}

/// What a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldKind {
    /// A member.
    Member,
    /// A base class.
    Base,
    /// One that the compiler made up: the pointer to a table of virtual functions.
    Artificial,
}

/// An element, and how many like it follow each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    /// The value.
    pub value: Value,
    /// How often it stands there; 1 for once.
    pub times: u64,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Value,
    /// What belongs to it.
    pub value: Value,
}

/// Something that is so of a value, by name: `strong` 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What.
    pub name: &'static str,
    /// How much; 1 for what just is so.
    pub number: i128,
}

impl Value {
    /// What stands for a value that cannot be had.
    #[must_use]
    pub fn unavailable(ty: &TypeRef, why: Unavailable) -> Self {
        Self {
            type_name: ty.name().into(),
            language: ty.outline().map(|ty| ty.language).unwrap_or_default(),
            address: None,
            bytes: Vec::new(),
            content: Content::Unavailable(why),
            implausible: None,
        }
    }

    /// Reads a value, with the [standard views](Views::standard).
    #[must_use]
    pub fn read(object: &Object, cx: &dyn ValueContext, limits: &Limits) -> Self {
        Self::read_with(object, cx, limits, Views::standard())
    }

    /// The same with other views.
    #[must_use]
    pub fn read_with(object: &Object, cx: &dyn ValueContext, limits: &Limits, views: &Views) -> Self {
        Reader::with(cx, limits, views, None, |reader| reader.value(object))
    }
}

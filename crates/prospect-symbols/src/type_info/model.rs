//! What is said of a type.

use std::sync::Arc;

use super::{EntryId, TypeRef};
use crate::variable::MemberExpression;

/// A type.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Type {
    /// Its own name, as written: `vector<int, std::allocator<int> >`; types like pointers have none.
    pub name: Option<Arc<str>>,
    /// The names of what it is declared in, the outermost first: `std`.
    pub scope: Vec<Arc<str>>,
    /// How many bytes a value has.
    pub size: Option<u64>,
    /// The language of the unit that it is in.
    pub language: Language,
    /// What it is.
    pub kind: TypeKind,
}

impl Type {
    /// A type outside of any scope.
    #[must_use]
    pub fn new(name: Option<&str>, size: Option<u64>, kind: TypeKind) -> Self {
        Self { name: name.map(Into::into), scope: Vec::new(), size, language: Language::C, kind }
    }

    /// Its name with those around it: `std::vector<int, std::allocator<int> >`.
    #[must_use]
    pub fn qualified_name(&self) -> Option<String> {
        let name = self.name.as_deref()?;
        let mut qualified = String::new();
        for outer in &self.scope {
            qualified.push_str(outer);
            qualified.push_str("::");
        }
        qualified.push_str(name);
        Some(qualified)
    }

    /// What it is made of, if it is a structure, a class or a union.
    #[must_use]
    pub fn composite(&self) -> Option<&Composite> {
        if let TypeKind::Composite(composite) = &self.kind { Some(composite) } else { None }
    }

    /// Whether its values are numbers with a sign; `None` where they are no whole numbers. Pointers have none. An enumeration that
    /// does not say what its values are stored as has one where a value is negative.
    #[must_use]
    pub fn is_signed(&self) -> Option<bool> {
        match &self.kind {
            TypeKind::Base(base) => match base.encoding {
                BaseEncoding::Signed | BaseEncoding::SignedChar => Some(true),
                BaseEncoding::Unsigned
                | BaseEncoding::UnsignedChar
                | BaseEncoding::Utf
                | BaseEncoding::Boolean
                | BaseEncoding::Address => Some(false),
                _ => None,
            },
            TypeKind::Enumeration(enumeration) => {
                let underlying = enumeration.underlying.as_ref().and_then(|ty| ty.bare().ok());
                let of_underlying = underlying
                    .filter(|(_, ty)| matches!(ty.kind, TypeKind::Base(_)))
                    .and_then(|(_, ty)| ty.is_signed());
                let is_negative = |one: &Enumerator| one.value < 0;
                Some(of_underlying.unwrap_or_else(|| enumeration.enumerators.iter().any(is_negative)))
            }
            TypeKind::Pointer(_) => Some(false),
            _ => None,
        }
    }

    /// Whether it is no typedef or qualifier around another.
    pub(super) fn is_bare(&self) -> bool {
        !matches!(self.kind, TypeKind::Typedef(_) | TypeKind::Modified(..))
    }

    /// Whether an [outline](TypeRef::outline) of it says all.
    pub(super) fn is_whole(&self) -> bool {
        !matches!(self.kind, TypeKind::Composite(_) | TypeKind::Enumeration(_))
    }
}

/// The languages that values are written differently in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Language {
    /// And all that looks like it.
    #[default]
    C,
    /// C++.
    Cpp,
    /// Rust.
    Rust,
    /// Go.
    Go,
}

/// What a type is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TypeKind {
    /// A number, a character, a truth value.
    Base(Base),
    /// A pointer or reference.
    Pointer(Pointer),
    /// Elements one after the other.
    Array(Array),
    /// A structure, class, union, tuple, or an enumeration whose variants have data.
    Composite(Composite),
    /// Named numbers.
    Enumeration(Enumeration),
    /// What a function takes and gives.
    Function(FunctionType),
    /// Another name of a type.
    Typedef(TypeRef),
    /// The same type with a qualifier.
    Modified(Modifier, TypeRef),
    /// Nothing is said of it: `void`, `decltype(nullptr)`, `!`.
    Unspecified,
}

/// A base type (DWARF 5, section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// How its bytes are to be read.
    pub encoding: BaseEncoding,
    /// Whether the bytes stand in the other order than the machine's (`DW_AT_endianity`).
    pub swapped: bool,
    /// How many bits count, where not all do (`DW_AT_bit_size`): those of the least value. `_BitInt(17)` has 17.
    pub bits: Option<u64>,
}

/// How the bytes of a base type are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BaseEncoding {
    /// A number with a sign, in two's complement.
    Signed,
    /// A number without.
    Unsigned,
    /// A small number with a sign that stands for a character.
    SignedChar,
    /// The same without.
    UnsignedChar,
    /// A code point or a code unit of Unicode.
    Utf,
    /// A truth value: 0 is false.
    Boolean,
    /// IEEE 754; of 10, 12 or 16 bytes, x87's extended one where the machine is an x86.
    Float,
    /// Two of them: real, imaginary.
    ComplexFloat,
    /// IEEE 754 decimal.
    DecimalFloat,
    /// An address of the machine.
    Address,
    /// Another one, by its number (section 7.8).
    Other(u8),
}

/// A pointer or reference.
#[derive(Clone, Debug)]
pub struct Pointer {
    /// Which kind.
    pub kind: PointerKind,
    /// What it leads to.
    pub target: TypeRef,
}

/// The kinds of pointers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PointerKind {
    /// `*`
    Pointer,
    /// `&`
    Reference,
    /// `&&` of C++.
    RvalueReference,
    /// To a member of this class: an offset, or two words for a function.
    Member(TypeRef),
}

/// An array.
#[derive(Clone, Debug)]
pub struct Array {
    /// What it has many of.
    pub element: TypeRef,
    /// The outermost first. At least one.
    pub dimensions: Vec<Dimension>,
    /// How many bytes from one element to the next, where it is not the element's size.
    pub stride: Option<u64>,
    /// Whether it is a vector of the processor (`DW_AT_GNU_vector`).
    pub is_vector: bool,
}

impl Array {
    /// How many bytes all elements have.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.stride.or_else(|| self.element.size())?.checked_mul(self.count()?)
    }

    /// How many elements there are in all dimensions together.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        self.dimensions.iter().try_fold(1_u64, |all, dimension| match dimension.count {
            Bound::Fixed(count) => all.checked_mul(count),
            _ => None,
        })
    }
}

/// One dimension of an array.
#[derive(Clone, Debug)]
pub struct Dimension {
    /// The index of the first element.
    pub lower: i64,
    /// How many there are.
    pub count: Bound,
}

/// How many elements an array has.
#[derive(Clone, Debug)]
pub enum Bound {
    /// So many.
    Fixed(u64),
    /// It depends on the frame: a variable-length array.
    Dynamic(DynamicBound),
    /// Nobody says: `extern int all[]`, a flexible array member.
    Unknown,
}

/// A bound that is computed in a frame.
#[derive(Clone, Debug)]
pub struct DynamicBound {
    /// Whether it is the last index, or how many there are.
    pub(crate) is_last: bool,
    pub(crate) value: DynamicValue,
}

/// A number that depends on a frame.
#[derive(Clone, Debug)]
pub(crate) enum DynamicValue {
    /// A DWARF expression gives it, in the encoding of the unit at that offset.
    Expression(Arc<[u8]>, EntryId),
    /// A variable has it.
    Variable(EntryId),
}

/// A structure, a class, a union.
#[derive(Clone, Debug)]
pub struct Composite {
    /// Which.
    pub kind: CompositeKind,
    /// Base classes and fields, in the order of the debug information.
    pub members: Vec<Member>,
    /// Members that every value shares.
    pub static_members: Vec<StaticMember>,
    /// Enumerations that are declared in it.
    pub enumerations: Vec<TypeRef>,
    /// The fields that depend on a tag: Rust's enumerations.
    pub variants: Option<VariantPart>,
    /// What a template was made for.
    pub template_parameters: Vec<TemplateParameter>,
    /// It is only named here: nothing is known of its members.
    pub is_declaration: bool,
}

/// Structure, class or union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompositeKind {
    /// `struct`; tuples, closures and enumerations with data of Rust too.
    Struct,
    /// `class`
    Class,
    /// `union`
    Union,
}

/// A field or a base class.
#[derive(Clone, Debug)]
pub struct Member {
    /// `None` for an anonymous structure or union, whose members count as members of this one.
    pub name: Option<Arc<str>>,
    /// Its type.
    pub ty: TypeRef,
    /// Where it lies in the value.
    pub place: MemberPlace,
    /// Whether it is a base class.
    pub is_base: bool,
    /// Whether the compiler made it up: the pointer to a table of virtual functions.
    pub is_artificial: bool,
    /// Who may use it; where the debug information says nothing, what the language says.
    pub access: Access,
}

/// Who may use a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// All.
    #[default]
    Public,
    /// The class and those that derive from it.
    Protected,
    /// The class.
    Private,
}

/// Where a member lies in the value that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberPlace {
    /// So many bytes from its start.
    Byte(u64),
    /// A bit-field: its first bit counted from the start of the value, and how many there are. On machines with the
    /// most significant byte first the bits are counted from the most significant one.
    Bits {
        /// From the start of the value.
        start: u64,
        /// How many.
        count: u64,
    },
    /// A DWARF expression finds it from the value's address: a virtual base class.
    Computed(MemberExpression),
}

/// A member that every value shares.
#[derive(Clone, Debug)]
pub struct StaticMember {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub ty: TypeRef,
    /// Its symbol, where that is said.
    pub linkage_name: Option<Arc<str>>,
    /// Its bytes, where it is a constant.
    pub constant: Option<Vec<u8>>,
    /// Who may use it.
    pub access: Access,
}

/// Fields that depend on a tag (DWARF 5, section 5.7.10).
#[derive(Clone, Debug)]
pub struct VariantPart {
    /// The tag; without one there is only one variant.
    pub tag: Option<Box<Member>>,
    /// All variants.
    pub variants: Vec<Variant>,
}

/// The fields for some values of the tag.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Ranges of the tag, both ends included, as its type reads them; empty for the variant that all other values mean.
    pub tags: Vec<(i128, i128)>,
    /// The fields; in Rust one with the variant's name.
    pub members: Vec<Member>,
}

/// A parameter that a template was made for.
#[derive(Clone, Debug)]
pub struct TemplateParameter {
    /// Its name in the template.
    pub name: Option<Arc<str>>,
    /// The type, or the type of the value.
    pub ty: TypeRef,
    /// The value, where it is one.
    pub value: Option<i128>,
}

/// Named numbers.
#[derive(Clone, Debug)]
pub struct Enumeration {
    /// The type that holds them.
    pub underlying: Option<TypeRef>,
    /// The names, as declared.
    pub enumerators: Vec<Enumerator>,
    /// Whether the names are written behind the type's: `enum class`.
    pub is_scoped: bool,
}

/// A named number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enumerator {
    /// The name.
    pub name: Arc<str>,
    /// The number.
    pub value: i128,
}

/// What a function takes and gives.
#[derive(Clone, Debug)]
pub struct FunctionType {
    /// [`TypeRef::void`] for none.
    pub result: TypeRef,
    /// Without those that the compiler adds.
    pub parameters: Vec<TypeRef>,
    /// Whether more may follow.
    pub is_variadic: bool,
    /// Whether it says what it takes: `int (void)`, and not C's `int ()`.
    pub is_prototyped: bool,
}

/// A qualifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Modifier {
    /// `const`
    Const,
    /// `volatile`
    Volatile,
    /// `restrict`
    Restrict,
    /// `_Atomic`
    Atomic,
    /// One that changes nothing in how it is written (`DW_TAG_immutable_type` and the like).
    Other,
}

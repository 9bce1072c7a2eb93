//! The builtin types, and how their literals are written.

/// How a literal of a type is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LiteralStyle {
    /// `(type)value`
    Cast,
    /// The value and these letters.
    Suffix(&'static str),
    /// `true`, `false`; other values as casts.
    Boolean,
    /// `(type)[bits]`
    Float,
}

/// A builtin type.
pub(crate) struct Builtin {
    pub(crate) name: &'static str,
    pub(crate) literal: LiteralStyle,
}

const fn cast(name: &'static str) -> Builtin {
    Builtin { name, literal: LiteralStyle::Cast }
}

const fn integer(name: &'static str, suffix: &'static str) -> Builtin {
    Builtin { name, literal: LiteralStyle::Suffix(suffix) }
}

const fn float(name: &'static str) -> Builtin {
    Builtin { name, literal: LiteralStyle::Float }
}

/// Types by their letter, from `a` to `z`; after these, the ones of two letters by [`EXTENDED`]. Letters that mean
/// something else have no name.
pub(crate) static BUILTINS: [Builtin; 26 + EXTENDED.len()] = [
    cast("signed char"),
    Builtin { name: "bool", literal: LiteralStyle::Boolean },
    cast("char"),
    float("double"),
    float("long double"),
    float("float"),
    float("__float128"),
    cast("unsigned char"),
    integer("int", ""),
    integer("unsigned int", "u"),
    cast(""),
    integer("long", "l"),
    integer("unsigned long", "ul"),
    cast("__int128"),
    cast("unsigned __int128"),
    cast(""),
    cast(""),
    cast(""),
    cast("short"),
    cast("unsigned short"),
    cast(""),
    cast("void"),
    cast("wchar_t"),
    integer("long long", "ll"),
    integer("unsigned long long", "ull"),
    cast("..."),
    cast("auto"),
    cast("decltype(auto)"),
    float("decimal64"),
    float("decimal128"),
    float("decimal32"),
    float("half"),
    cast("char32_t"),
    cast("decltype(nullptr)"),
    cast("char16_t"),
    cast("char8_t"),
];

/// The letters behind `D`, in the order of the table.
const EXTENDED: &[u8; 10] = b"acdefhinsu";

/// `void`
pub(crate) const VOID: u8 = b'v' - b'a';

/// The number in [`BUILTINS`] of a type of one letter.
pub(crate) fn by_letter(letter: u8) -> Option<u8> {
    let number = letter.wrapping_sub(b'a');
    (number < 26 && !BUILTINS[usize::from(number)].name.is_empty()).then_some(number)
}

/// The number in [`BUILTINS`] of the type `D` and this letter.
pub(crate) fn by_extended_letter(letter: u8) -> Option<u8> {
    EXTENDED.iter().position(|known| *known == letter).map(|at| 26 + at as u8)
}

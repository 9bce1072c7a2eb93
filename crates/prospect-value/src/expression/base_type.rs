//! The base types that C and Rust have, whether a program uses them or not.

use prospect_symbols::type_info::{Base, BaseEncoding, Language, Type, TypeKind, TypeRef};

/// A base type with this name.
pub(super) fn of(name: &str, encoding: BaseEncoding, bytes: u8) -> TypeRef {
    let kind = TypeKind::Base(Base { encoding, swapped: false, bits: None });
    let mut made = Type::new(Some(name), Some(bytes.into()), kind);
    if is_of_rust(name) {
        made.language = Language::Rust;
    }
    TypeRef::made(made)
}

/// Whether it is Rust's name for a number: values are written as their language does.
fn is_of_rust(name: &str) -> bool {
    let width = name.strip_prefix(['i', 'u', 'f']);
    width.is_some_and(|width| width == "size" || width.bytes().all(|one| one.is_ascii_digit()))
}

/// A base type by the name that C or Rust has for it, whatever the order of its words.
pub(super) fn named(name: &str, word: u8) -> Option<TypeRef> {
    let made = |encoding, bytes| Some(of(name, encoding, bytes));
    let fixed = |rest: &str| match rest {
        "8" => Some(1),
        "16" => Some(2),
        "32" => Some(4),
        "64" => Some(8),
        "128" => Some(16),
        "size" => Some(word),
        _ => None,
    };
    if let Some(bytes) = name.strip_prefix('u').and_then(fixed) {
        return made(BaseEncoding::Unsigned, bytes);
    }
    if let Some(bytes) = name.strip_prefix('i').and_then(fixed) {
        return made(BaseEncoding::Signed, bytes);
    }
    match name {
        "void" | "()" => return Some(TypeRef::void()),
        "f32" | "float" => return made(BaseEncoding::Float, 4),
        "f64" | "double" => return made(BaseEncoding::Float, 8),
        "bool" | "_Bool" => return made(BaseEncoding::Boolean, 1),
        "size_t" | "uintptr_t" => return made(BaseEncoding::Unsigned, word),
        "ssize_t" | "intptr_t" | "ptrdiff_t" => return made(BaseEncoding::Signed, word),
        _ => {}
    }
    let fixed_width = |text: &str| fixed(text.strip_suffix("_t")?);
    if let Some(bytes) = name.strip_prefix("uint").and_then(fixed_width) {
        return made(BaseEncoding::Unsigned, bytes);
    }
    if let Some(bytes) = name.strip_prefix("int").and_then(fixed_width) {
        return made(BaseEncoding::Signed, bytes);
    }
    let words: Vec<&str> = name.split(' ').collect();
    if !words.iter().all(|one| matches!(*one, "unsigned" | "signed" | "char" | "short" | "int" | "long")) {
        return None;
    }
    let count = |wanted: &str| words.iter().filter(|one| **one == wanted).count();
    let unsigned = count("unsigned") > 0;
    let (encoding, bytes) = match (count("char"), count("short"), count("long")) {
        (1.., ..) if unsigned => (BaseEncoding::UnsignedChar, 1),
        (1.., ..) => (BaseEncoding::SignedChar, 1),
        (_, short, long) => {
            let bytes = if short > 0 {
                2
            } else if long > 1 {
                8
            } else if long == 1 {
                word
            } else {
                4
            };
            (if unsigned { BaseEncoding::Unsigned } else { BaseEncoding::Signed }, bytes)
        }
    };
    made(encoding, bytes)
}

//! Names of types, as views know them.

use prospect_symbols::type_info::{Language, Type};

/// A standard library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Library {
    /// GNU's for C++.
    Libstdcxx,
    /// LLVM's for C++.
    Libcxx,
    /// Rust's.
    Rust,
}

/// Namespaces whose members count as members of what they are in.
const INLINE: [&str; 6] = ["__cxx11", "__1", "__ndk1", "_V2", "__2", "__fs"];

/// The name of a type with what it is declared in, without inline namespaces and template arguments.
#[must_use]
pub fn stem(ty: &Type) -> Option<String> {
    let name = ty.name.as_deref()?;
    let mut stem = String::new();
    for outer in ty.scope.iter().filter(|outer| !INLINE.contains(&&***outer)) {
        stem.push_str(outer);
        stem.push_str("::");
    }
    // Rust's slices, tuples and references are named as they are written.
    let end = name.find('<').filter(|at| *at > 0).unwrap_or(name.len());
    stem.push_str(&name[..end]);
    Some(stem)
}

/// The standard library that a type may be of.
#[must_use]
pub fn library(ty: &Type) -> Option<Library> {
    let first = ty.scope.first().map(|outer| &**outer);
    match ty.language {
        Language::Rust => Some(Library::Rust),
        _ if first != Some("std") => None,
        _ if ty.scope.iter().any(|outer| matches!(&**outer, "__1" | "__ndk1" | "__2")) => {
            Some(Library::Libcxx)
        }
        _ => Some(Library::Libstdcxx),
    }
}

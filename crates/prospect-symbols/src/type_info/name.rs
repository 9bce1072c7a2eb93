//! How the languages write a type.

use super::{Bound, Modifier, PointerKind, TypeKind, TypeRef};

/// Types that are nested deeper are cut off.
const DEEPEST: usize = 32;

/// As C writes a declaration without a name: what stands before the name, and what stands behind it.
struct Declaration {
    before: String,
    behind: String,
}

pub(super) fn of(ty: &TypeRef) -> String {
    let Declaration { before, behind } = declaration(ty, String::new(), String::new(), 0);
    format!("{before}{behind}")
}

/// The declaration of something that is `before` … `behind` of this type, from inside out.
fn declaration(ty: &TypeRef, before: String, behind: String, depth: usize) -> Declaration {
    let with = |name: &str| {
        let space = if before.is_empty() && !behind.starts_with('[') { "" } else { " " };
        Declaration { before: format!("{name}{space}{before}"), behind: behind.clone() }
    };
    if ty.is_void() {
        return with("void");
    }
    let Ok(found) = ty.get() else { return with("?") };
    if let Some(name) = found.qualified_name() {
        return with(&name);
    }
    if depth >= DEEPEST {
        return with("…");
    }
    match &found.kind {
        TypeKind::Pointer(pointer) => {
            let sign = match &pointer.kind {
                PointerKind::Pointer => "*".to_owned(),
                PointerKind::Reference => "&".to_owned(),
                PointerKind::RvalueReference => "&&".to_owned(),
                PointerKind::Member(class) => format!("{}::*", class.name()),
            };
            let needs_group = pointer.target.get().is_ok_and(|target| {
                target.name.is_none() && matches!(target.kind, TypeKind::Array(_) | TypeKind::Function(_))
            });
            let (before, behind) = if needs_group {
                (format!("({sign}{before}"), format!("{behind})"))
            } else {
                (format!("{sign}{before}"), behind)
            };
            declaration(&pointer.target, before, behind, depth + 1)
        }
        TypeKind::Array(array) => {
            let mut behind = behind;
            for dimension in &array.dimensions {
                match dimension.count {
                    Bound::Fixed(count) => behind.push_str(&format!("[{count}]")),
                    _ => behind.push_str("[]"),
                }
            }
            declaration(&array.element, before, behind, depth + 1)
        }
        TypeKind::Function(function) => {
            let mut parameters: Vec<String> = function.parameters.iter().map(TypeRef::name).collect();
            if function.is_variadic {
                parameters.push("...".into());
            }
            if parameters.is_empty() {
                parameters.push("void".into());
            }
            let behind = format!("{behind}({})", parameters.join(", "));
            let before = if before.is_empty() { " ".into() } else { before };
            declaration(&function.result, before, behind, depth + 1)
        }
        TypeKind::Modified(modifier, target) => {
            let word = match modifier {
                Modifier::Const => "const",
                Modifier::Volatile => "volatile",
                Modifier::Restrict => "restrict",
                Modifier::Atomic => "_Atomic",
                Modifier::Other => return declaration(target, before, behind, depth + 1),
            };
            // Behind the star for a pointer, before the name of what it points to otherwise.
            let is_pointer =
                target.get().is_ok_and(|one| one.name.is_none() && matches!(one.kind, TypeKind::Pointer(_)));
            if is_pointer {
                let gap = if before.is_empty() { "" } else { " " };
                return declaration(target, format!(" {word}{gap}{before}"), behind, depth + 1);
            }
            let inner = declaration(target, before, behind, depth + 1);
            Declaration { before: format!("{word} {}", inner.before), behind: inner.behind }
        }
        TypeKind::Typedef(target) => declaration(target, before, behind, depth + 1),
        TypeKind::Composite(composite) => with(match composite.kind {
            super::CompositeKind::Struct => "struct {...}",
            super::CompositeKind::Class => "class {...}",
            super::CompositeKind::Union => "union {...}",
        }),
        TypeKind::Enumeration(_) => with("enum {...}"),
        TypeKind::Base(_) | TypeKind::Unspecified => with("?"),
    }
}

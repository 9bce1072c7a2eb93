//! How the languages write a type.

use super::{Array, Bound, CompositeKind, FunctionType, Language, Modifier, PointerKind, TypeKind, TypeRef};

/// Types that are nested deeper are cut off.
const DEEPEST: usize = 32;

/// Of how many types a name may be made: each parameter of a function may be a function with parameters.
const MOST_TYPES: usize = 1 << 10;

/// Names that are longer are cut off.
const LONGEST: usize = 64 << 10;

/// What stands for what is cut off.
const CUT: &str = "…";

pub(super) fn of(ty: &TypeRef) -> String {
    Writer { types: MOST_TYPES }.declare(ty, String::new(), 0)
}

struct Writer {
    /// How many types may still be written.
    types: usize,
}

impl Writer {
    /// Declares `inner` to be of a type, as C does: from inside out, `inner` being what stands around the name that is
    /// left out. `(*)[3]` is so made of `*` for an array of three.
    fn declare(&mut self, ty: &TypeRef, inner: String, depth: usize) -> String {
        if ty.is_void() {
            return join("void", &inner);
        }
        if depth >= DEEPEST || self.types == 0 || inner.len() > LONGEST {
            return join(CUT, &inner);
        }
        self.types -= 1;
        let Ok(found) = ty.outline() else { return join("?", &inner) };
        let word = keyword(&found.kind);
        if let Some(mut name) = found.qualified_name() {
            if let Some(word) = word.filter(|_| found.language == Language::C) {
                name.insert_str(0, word);
            }
            if name.len() > LONGEST {
                name = CUT.into();
            }
            return join(&name, &inner);
        }
        match &found.kind {
            TypeKind::Pointer(pointer) if found.language == Language::Rust => {
                let target = self.declare(&pointer.target, String::new(), depth + 1);
                join(&format!("*mut {target}"), &inner)
            }
            TypeKind::Array(array) if found.language == Language::Rust => {
                self.rust_array(array, &inner, depth)
            }
            TypeKind::Function(function) if found.language == Language::Rust => {
                self.rust_function(function, &inner, depth)
            }
            TypeKind::Pointer(pointer) => {
                let sign = match &pointer.kind {
                    PointerKind::Pointer => "*".into(),
                    PointerKind::Reference => "&".into(),
                    PointerKind::RvalueReference => "&&".into(),
                    PointerKind::Member(class) => {
                        format!("{}::*", self.declare(class, String::new(), depth + 1))
                    }
                };
                let target = &pointer.target;
                let inner = if binds_tighter(target) { format!("({sign}{inner})") } else { sign + &inner };
                self.declare(target, inner, depth + 1)
            }
            TypeKind::Array(array) => {
                let inner = dimensions(array, inner);
                self.declare(&array.element, inner, depth + 1)
            }
            TypeKind::Function(function) => {
                let parameters = self.parameters(function, depth);
                self.declare(&function.result, format!("{inner}({parameters})"), depth + 1)
            }
            TypeKind::Modified(..) => self.modified(ty, inner, depth),
            TypeKind::Typedef(target) => self.declare(target, inner, depth + 1),
            TypeKind::Composite(_) | TypeKind::Enumeration(_) => {
                join(&format!("{}{{...}}", word.unwrap_or_default()), &inner)
            }
            TypeKind::Base(_) | TypeKind::Unspecified => join("?", &inner),
        }
    }

    /// Qualifiers stand behind the star of a pointer, and before the name of anything else; always in the same order.
    /// Those of an array are its elements'.
    fn modified(&mut self, ty: &TypeRef, mut inner: String, depth: usize) -> String {
        let (mut words, mut target) = ([""; 4], ty.clone());
        for _ in 0..DEEPEST {
            let Some(found) = target.outline().ok().filter(|_| !target.is_void()) else { break };
            target = match &found.kind {
                TypeKind::Modified(modifier, next) => {
                    match modifier {
                        Modifier::Const => words[0] = "const",
                        Modifier::Volatile => words[1] = "volatile",
                        Modifier::Restrict => words[2] = "restrict",
                        Modifier::Atomic => words[3] = "_Atomic",
                        Modifier::Other => {}
                    }
                    next.clone()
                }
                TypeKind::Array(array) if found.name.is_none() && found.language != Language::Rust => {
                    inner = dimensions(array, inner);
                    array.element.clone()
                }
                _ => break,
            };
        }
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let words = words.join(" ");
        let is_pointer = target.outline().is_ok_and(|one| {
            one.name.is_none() && one.language != Language::Rust && matches!(one.kind, TypeKind::Pointer(_))
        });
        if is_pointer && !words.is_empty() {
            let gap = if inner.is_empty() || inner.starts_with(['[', '&']) { "" } else { " " };
            return self.declare(&target, format!(" {words}{gap}{inner}"), depth + 1);
        }
        let declared = self.declare(&target, inner, depth + 1);
        if words.is_empty() { declared } else { format!("{words} {declared}") }
    }

    fn parameters(&mut self, function: &FunctionType, depth: usize) -> String {
        let mut parameters = Vec::new();
        for one in &function.parameters {
            if self.types == 0 {
                parameters.push(CUT.into());
                break;
            }
            parameters.push(self.declare(one, String::new(), depth + 1));
        }
        if function.is_variadic {
            parameters.push("...".into());
        }
        if parameters.is_empty() && function.is_prototyped {
            parameters.push("void".into());
        }
        parameters.join(", ")
    }

    fn rust_array(&mut self, array: &Array, inner: &str, depth: usize) -> String {
        let mut written = self.declare(&array.element, String::new(), depth + 1);
        for dimension in array.dimensions.iter().rev() {
            written = match dimension.count {
                Bound::Fixed(count) => format!("[{written}; {count}]"),
                _ => format!("[{written}]"),
            };
        }
        join(&written, inner)
    }

    fn rust_function(&mut self, function: &FunctionType, inner: &str, depth: usize) -> String {
        let mut parameters = self.parameters(function, depth);
        if function.parameters.is_empty() && !function.is_variadic {
            parameters.clear();
        }
        let mut written = format!("fn({parameters})");
        if !function.result.is_void() {
            written.push_str(" -> ");
            written.push_str(&self.declare(&function.result, String::new(), depth + 1));
        }
        join(&written, inner)
    }
}

/// What C writes before the name.
fn keyword(kind: &TypeKind) -> Option<&'static str> {
    Some(match kind {
        TypeKind::Composite(composite) => match composite.kind {
            CompositeKind::Struct => "struct ",
            CompositeKind::Class => "class ",
            CompositeKind::Union => "union ",
        },
        TypeKind::Enumeration(_) => "enum ",
        _ => return None,
    })
}

fn join(name: &str, inner: &str) -> String {
    let gap = if inner.is_empty() || inner.starts_with(' ') { "" } else { " " };
    format!("{name}{gap}{inner}")
}

/// Whether what is written behind the name belongs to the type, and not to the pointer to it.
fn binds_tighter(target: &TypeRef) -> bool {
    let mut target = target.clone();
    for _ in 0..DEEPEST {
        let Some(found) = target.outline().ok().filter(|found| found.name.is_none()) else { return false };
        target = match &found.kind {
            TypeKind::Array(_) | TypeKind::Function(_) => return found.language != Language::Rust,
            TypeKind::Modified(_, next) | TypeKind::Typedef(next) => next.clone(),
            _ => return false,
        };
    }
    false
}

fn dimensions(array: &Array, mut inner: String) -> String {
    for dimension in &array.dimensions {
        if inner.len() > LONGEST {
            break;
        }
        let count = match dimension.count {
            Bound::Fixed(count) => count.to_string(),
            Bound::Dynamic(_) => "variable length".into(),
            Bound::Unknown => String::new(),
        };
        inner.push_str(&if array.is_vector {
            format!(" __attribute__ ((vector_size({count})))")
        } else {
            format!("[{count}]")
        });
    }
    inner
}

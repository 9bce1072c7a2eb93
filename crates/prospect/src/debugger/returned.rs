//! The value of a function that has returned, by its type (System V ABI, AMD64 supplement, section 3.2.3).

use std::ops::Range;

use prospect_debug::invoke::{Class, classify};
use prospect_process::{Addr, Process, ThreadId};
use prospect_symbols::type_info::{
    BaseEncoding, Bound, CompositeKind, Language, MemberPlace, Type, TypeKind, TypeRef,
};
use prospect_symbols::variable::FrameContext as _;
use prospect_value::{Limits, Object, Value};

use super::Debugger;

/// Types within types are not looked into any deeper, nor at more than so many fields.
const DEEPEST: usize = 16;
const MOST_FIELDS: usize = 64;

impl Debugger {
    /// What the function returns that a thread stands in.
    pub(super) fn result_type(&self, thread: ThreadId) -> Option<TypeRef> {
        let of_scope = |scope: &crate::FrameScope<'_>| {
            let scopes = scope.view().module_binary()?.unnamed_scopes(scope.view().at());
            scopes.last()?.result.clone()
        };
        self.in_frame(thread, 0, of_scope).ok().flatten()
    }

    /// What a function has returned just now to where a thread stands, that returns values of this type. `None` on other architectures than
    /// x86-64, whose registers they do not have.
    pub(super) fn returned_value(&self, thread: ThreadId, ty: &TypeRef) -> Option<Value> {
        let process = self.process(self.process_of(thread).ok()?).ok()?;
        if ty.is_void() {
            return None;
        }
        let size = usize::try_from(ty.size()?).ok()?;
        let object = match place(ty, size)? {
            Place::Registers(classes) => {
                Object::from_bytes(registers(process, thread, &classes, size)?, ty.clone())
            }
            Place::Memory => Object::at(Addr(general(process, thread, "rax")?), ty.clone()),
        };
        self.in_frame(thread, 0, |scope| Value::read(&object, scope, &Limits::default())).ok()
    }
}

/// Where a value of some type is returned.
enum Place {
    /// In registers of these classes, eight bytes each.
    Registers(Vec<Class>),
    /// Where `rax` points to.
    Memory,
}

/// `None` where it depends on more than is known here: on how C++ copies a class, on what Rust's compiler has decided.
fn place(ty: &TypeRef, size: usize) -> Option<Place> {
    let (_, bare) = ty.bare().ok()?;
    let is_whole = !matches!(bare.kind, TypeKind::Composite(_) | TypeKind::Array(_));
    if !is_whole && bare.language != Language::C {
        // Longer ones are in memory, however they are copied.
        return (size > 16).then_some(Place::Memory);
    }
    let mut fields = Vec::new();
    collect(&bare, 0, size, DEEPEST, &mut fields)?;
    let classes = classify(size, &fields);
    Some(if classes.is_empty() { Place::Memory } else { Place::Registers(classes) })
}

/// Adds the fields of a type that lies at `start`. `None` where one is in other registers, or not understood.
fn collect(
    bare: &Type,
    start: usize,
    size: usize,
    deeper: usize,
    into: &mut Vec<(Range<usize>, Class)>,
) -> Option<()> {
    let class = match &bare.kind {
        TypeKind::Base(base) => match base.encoding {
            // Longer ones are in the registers of the x87.
            BaseEncoding::Float if size <= 8 => Class::Sse,
            BaseEncoding::ComplexFloat if size <= 16 => Class::Sse,
            BaseEncoding::Float | BaseEncoding::ComplexFloat | BaseEncoding::DecimalFloat => return None,
            _ => Class::Integer,
        },
        TypeKind::Pointer(_) | TypeKind::Enumeration(_) => Class::Integer,
        TypeKind::Composite(composite)
            if matches!(composite.kind, CompositeKind::Struct | CompositeKind::Union) =>
        {
            for member in &composite.members {
                let at = match member.place {
                    MemberPlace::Byte(at) => at,
                    MemberPlace::Bits { start, .. } => start / 8,
                    MemberPlace::Computed(_) => return None,
                };
                within(&member.ty, start.checked_add(usize::try_from(at).ok()?)?, deeper, into)?;
            }
            return Some(());
        }
        TypeKind::Array(array) => {
            let count =
                array.dimensions.iter().try_fold(1_u64, |count, dimension| match dimension.count {
                    Bound::Fixed(more) => count.checked_mul(more),
                    _ => None,
                })?;
            let element = usize::try_from(array.element.size()?).ok()?;
            for index in 0..usize::try_from(count).ok()?.min(MOST_FIELDS) {
                within(&array.element, start.checked_add(index.checked_mul(element)?)?, deeper, into)?;
            }
            return Some(());
        }
        _ => return None,
    };
    into.push((start..start.checked_add(size)?, class));
    Some(())
}

fn within(ty: &TypeRef, start: usize, deeper: usize, into: &mut Vec<(Range<usize>, Class)>) -> Option<()> {
    if deeper == 0 || into.len() >= MOST_FIELDS {
        return None;
    }
    let (bare, size) = (ty.bare().ok()?.1, usize::try_from(ty.size()?).ok()?);
    collect(&bare, start, size, deeper - 1, into)
}

/// The bytes of a value in registers of these classes.
fn registers(process: &dyn Process, thread: ThreadId, classes: &[Class], size: usize) -> Option<Vec<u8>> {
    let (mut integers, mut vectors) = (["rax", "rdx"].into_iter(), ["xmm0", "xmm1"].into_iter());
    let mut bytes = Vec::new();
    for class in classes {
        match class {
            Class::Integer => bytes.extend(general(process, thread, integers.next()?)?.to_le_bytes()),
            Class::Sse => bytes.extend(vector(process, thread, vectors.next()?)?.get(..8)?),
        }
    }
    bytes.truncate(size);
    Some(bytes)
}

fn general(process: &dyn Process, thread: ThreadId, name: &str) -> Option<u64> {
    process.registers(thread)?.get(process.info().arch.info().by_name(name)?)
}

fn vector(process: &dyn Process, thread: ThreadId, name: &str) -> Option<Vec<u8>> {
    let info = process.info().arch.info();
    let register = info.wide_register(info.wide_named(name)?.0)?;
    register.bytes(process.register_set(thread, register.set())?)
}

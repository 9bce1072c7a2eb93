//! Paths: members, elements, and what pointers lead to, plain ones and those of libraries.

use std::ops::Range;

use prospect_symbols::{
    type_info::{Bound, Composite, Language, PointerKind, TypeKind, TypeRef},
    variable::{Location, Piece, PieceSource},
};

use super::{
    ExpressionError,
    compare::Sought,
    evaluate::{Evaluated, Evaluator},
    syntax::Expression,
};
use crate::{Key, Object, ValueContext, ValueError, object::size_of, reader::is_reference, views::stem};

/// So many pointers are followed on the way to a member.
const MOST_POINTERS: usize = 8;

/// Slices and repetitions have no more elements than this.
const MOST_ELEMENTS: u64 = 1 << 32;

/// Slices of elements that do not lie one behind the other have no more.
const MOST_PIECES: u64 = 256;

/// Static members are sought in base classes that are not nested deeper.
const DEEPEST_BASE: u32 = 16;

type Found = Result<Object, ValueError>;

impl Evaluator<'_> {
    /// The member of something, or of what it points to.
    pub(super) fn member(&self, of: &Expression, name: &str, at: &Range<usize>) -> Evaluated {
        let object = self.object(of)?;
        self.find_member(object, name, MOST_POINTERS).map_err(|error| ExpressionError::new(at, error))
    }

    fn find_member(&self, object: Object, name: &str, pointers: usize) -> Found {
        let object = self.referent(object)?;
        let too_many = ValueError::Implausible("too many pointers lead to it");
        let further = pointers.checked_sub(1).ok_or(too_many)?;
        // What a library's type holds is what is meant, before its own parts.
        let through = match self.scope.views().pointee(&object, self.scope) {
            Some(Ok(target)) => Some(self.find_member(target, name, further)),
            Some(Err(error)) => Some(Err(error)),
            None => None,
        };
        if let Some(Ok(found)) = through {
            return Ok(found);
        }
        let error = match (self.own_member(&object, name), through) {
            (Ok(found), _) => return Ok(found),
            (Err(_), Some(Err(error))) => return Err(error),
            (Err(error), _) => error,
        };
        match self.pointee(&object) {
            Ok(target) => self.find_member(target, name, further),
            Err(ValueError::NotAPointer(_)) => Err(error),
            Err(other) => Err(other),
        }
    }

    /// A member of just this object; `Base::name` is that of a base class.
    fn own_member(&self, object: &Object, name: &str) -> Found {
        if let Some(found) = self.scope.views().member(object, name, self.scope) {
            return found;
        }
        let found = object.member(name, self.scope);
        found.or_else(|error| {
            let of_base = name.rsplit_once("::").and_then(|(base, name)| {
                let base = object.member(base, self.scope).ok()?;
                base.member(name, self.scope).ok()
            });
            of_base.or_else(|| self.static_member(object, name)).ok_or(error)
        })
    }

    /// A member that all objects of a class share, or a value of an enumeration without a scope of its own in it.
    fn static_member(&self, object: &Object, name: &str) -> Option<Object> {
        let (_, class) = object.bare_type(self.scope).ok()?;
        let of = class.qualified_name()?;
        self.static_of(class.composite()?, &of, name, 0)
    }

    /// The same by the class, whose name is `of`.
    pub(super) fn static_of(&self, class: &Composite, of: &str, name: &str, depth: u32) -> Option<Object> {
        if let Some(member) = class.static_members.iter().find(|member| &*member.name == name) {
            return match &member.constant {
                Some(bytes) => Some(Object::from_bytes(bytes.clone(), member.ty.clone())),
                None => self.scope.variable(None, &format!("{of}::{name}")).ok(),
            };
        }
        let of_enumeration = |ty: &TypeRef| {
            let (_, bare) = ty.bare().ok()?;
            let TypeKind::Enumeration(enumeration) = &bare.kind else { return None };
            let found =
                enumeration.enumerators.iter().find(|one| !enumeration.is_scoped && &*one.name == name)?;
            Object::from_integer(found.value, ty.clone(), self.scope).ok()
        };
        if let Some(value) = class.enumerations.iter().find_map(of_enumeration) {
            return Some(value);
        }
        let mut bases = class.members.iter().filter(|member| member.is_base && depth < DEEPEST_BASE);
        bases.find_map(|base| {
            let (_, base) = crate::object::definition(&base.ty, self.scope).ok()?;
            self.static_of(base.composite()?, &base.qualified_name()?, name, depth + 1)
        })
    }

    /// What a C++ reference refers to: it is that everywhere but where it is declared.
    pub(super) fn referent(&self, object: Object) -> Found {
        let (_, bare) = object.bare_type(self.scope)?;
        match &bare.kind {
            TypeKind::Pointer(pointer)
                if matches!(pointer.kind, PointerKind::Reference | PointerKind::RvalueReference) =>
            {
                object.dereference(self.scope)
            }
            _ => Ok(object),
        }
    }

    /// What a pointer leads to, plain or one of a library.
    pub(super) fn pointee(&self, object: &Object) -> Found {
        let object = self.referent(object.clone())?;
        let views = self.scope.views();
        let held = views.pointee(&object, self.scope).or_else(|| payload(&object, self.scope));
        held.unwrap_or_else(|| object.dereference(self.scope))
    }

    pub(super) fn index(&self, of: &Expression, index: &Expression, at: &Range<usize>) -> Evaluated {
        let object = self.object(of)?;
        let key = Sought::new(self, index)?;
        self.element(object, &key, MOST_POINTERS).map_err(|error| {
            let is_about_key = matches!(
                error,
                ValueError::NoPosition(_) | ValueError::NoKey(_) | ValueError::OutOfRange { .. }
            );
            ExpressionError::new(if is_about_key { &index.at } else { at }, error)
        })
    }

    fn element(&self, object: Object, key: &dyn Key, pointers: usize) -> Found {
        let object = self.referent(object)?;
        if let Some(found) = self.scope.views().element(&object, key, self.scope) {
            return found;
        }
        let (_, bare) = object.bare_type(self.scope)?;
        let has_elements = match &bare.kind {
            TypeKind::Pointer(pointer) => !is_reference(&bare, pointer),
            TypeKind::Array(_) => true,
            _ => false,
        };
        if has_elements {
            let position = key.position().ok_or_else(|| ValueError::NoPosition(key.text()))?;
            let none = ValueError::OutOfRange { index: i64::MAX, length: 0 };
            return object.element(i64::try_from(position).map_err(|_| none)?, self.scope);
        }
        let no_elements = ValueError::NoElements(object.ty.name());
        match self.pointee(&object) {
            Ok(target) if pointers > 0 => match self.element(target, key, pointers - 1) {
                Err(ValueError::NoElements(_)) => Err(no_elements),
                found => found,
            },
            Ok(_) | Err(ValueError::NotAPointer(_)) => Err(no_elements),
            Err(error) => Err(error),
        }
    }

    pub(super) fn slice(
        &self,
        of: &Expression,
        from: Option<&Expression>,
        to: Option<&Expression>,
        at: &Range<usize>,
    ) -> Evaluated {
        let object = self.object(of)?;
        let failed = |error: ValueError| ExpressionError::new(at, error);
        let from = from.map_or(Ok(0), |from| self.whole(from))?;
        let to = match to {
            Some(to) => self.whole(to)?,
            None => self.length_of(object.clone(), MOST_POINTERS).map_err(failed)?.into(),
        };
        let count = u64::try_from(to.saturating_sub(from)).ok().filter(|count| *count <= MOST_ELEMENTS);
        let Some(count) = count else {
            return Err(ExpressionError::operands(at, format!("there are no elements from {from} to {to}")));
        };
        let element = |index: i128| self.element(object.clone(), &Position(index), MOST_POINTERS);
        if count == 0 && from > 0 {
            // Of a container, the one before is there, and says what the type is.
            let before = element(from - 1).map_err(failed)?;
            return Ok(Object::from_bytes(Vec::new(), before.ty.array(0)));
        }
        let first = element(from).map_err(failed)?;
        // The last one must be there too.
        let last = if count > 1 { element(to - 1).map_err(failed)? } else { first.clone() };
        let size = size_of(&first.ty, self.scope).map_err(|why| failed(why.into()))?;
        let distance = (count.max(1) - 1).checked_mul(size);
        let is_contiguous = first.address().zip(last.address()).is_some_and(|(first, last)| {
            distance.is_some_and(|distance| last.0.wrapping_sub(first.0) == distance)
        });
        if is_contiguous {
            return self.many(&first, count, at);
        }
        if count > MOST_PIECES {
            let why =
                format!("no more than {MOST_PIECES} elements that do not lie together are put together");
            return Err(ExpressionError::operands(at, why));
        }
        let mut pieces = Vec::new();
        for index in from..to {
            let place = element(index).map_err(failed)?.address();
            let place = place.ok_or_else(|| failed(ValueError::NoAddress))?;
            pieces.push(Piece { bits: Some(size * 8), skip: 0, source: PieceSource::Memory(place) });
        }
        Ok(Object { ty: first.ty.array(count), location: Location { pieces } })
    }

    pub(super) fn repeat(&self, of: &Expression, count: &Expression, at: &Range<usize>) -> Evaluated {
        let first = self.object(of)?;
        let first = self.referent(first).map_err(|error| ExpressionError::new(at, error))?;
        let number = self.whole(count)?;
        let number = u64::try_from(number).ok().filter(|number| *number <= MOST_ELEMENTS);
        let number = number.ok_or_else(|| ExpressionError::operands(&count.at, "there cannot be so many"))?;
        self.many(&first, number, at)
    }

    /// So many as `first`, from it on.
    fn many(&self, first: &Object, count: u64, at: &Range<usize>) -> Evaluated {
        let address = first.address().ok_or_else(|| ExpressionError::new(at, ValueError::NoAddress))?;
        Ok(Object::at(address, first.ty.array(count)))
    }

    pub(super) fn length(&self, of: &Expression, at: &Range<usize>) -> Result<u64, ExpressionError> {
        let object = self.object(of)?;
        self.length_of(object, MOST_POINTERS).map_err(|error| ExpressionError::new(at, error))
    }

    /// How many elements there are.
    fn length_of(&self, object: Object, pointers: usize) -> Result<u64, ValueError> {
        let object = self.referent(object)?;
        if let Some(length) = self.scope.views().length(&object, self.scope) {
            return length;
        }
        let (_, bare) = object.bare_type(self.scope)?;
        let no_elements = ValueError::NoElements(object.ty.name());
        match &bare.kind {
            TypeKind::Array(array) => match array.dimensions.first().map(|first| &first.count) {
                Some(Bound::Fixed(count)) => Ok(*count),
                _ => Err(no_elements),
            },
            TypeKind::Pointer(pointer) if !is_reference(&bare, pointer) => Err(no_elements),
            _ if pointers == 0 => Err(no_elements),
            _ => match self.pointee(&object) {
                Ok(target) => self.length_of(target, pointers - 1),
                Err(ValueError::NotAPointer(_)) => Err(no_elements),
                Err(error) => Err(error),
            },
        }
    }
}

/// The number of an element.
struct Position(i128);

impl Key for Position {
    fn position(&self) -> Option<i128> {
        Some(self.0)
    }

    fn is(&self, key: &Object) -> Result<bool, ValueError> {
        Err(ValueError::NoElements(key.ty.name()))
    }

    fn text(&self) -> String {
        self.0.to_string()
    }
}

/// What a Rust `Option` or `Result` has, where that is the whole point of it.
pub(super) fn payload(object: &Object, cx: &dyn ValueContext) -> Option<Found> {
    let (_, ty) = object.bare_type(cx).ok()?;
    let wanted = match stem(&ty).as_deref() {
        Some("core::option::Option") if ty.language == Language::Rust => "Some",
        Some("core::result::Result") if ty.language == Language::Rust => "Ok",
        _ => return None,
    };
    let is_it = object.variant_name(cx).as_deref() == Some(wanted);
    Some(if is_it { object.member("__0", cx) } else { Err(ValueError::Empty(object.ty.name())) })
}

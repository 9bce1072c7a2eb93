//! What lies in memory: variables, members, elements, what is pointed at.

use std::sync::Arc;

use prospect_process::{Addr, RegisterId, agent::Opcode};
use prospect_symbols::{
    type_info::{PointerKind, Type, TypeKind, TypeRef},
    variable::{Piece, PieceSource},
};
use prospect_value::{
    Object,
    expression::{Expression, Node},
};

use super::{
    assembly::{Code, Item},
    compiler::{Operand, Thing, Work},
    number::{Kind, Width, kind_of},
};

impl Work<'_> {
    /// A number on the stack as a value of a type.
    pub(super) fn typed(&self, mut code: Code, ty: &TypeRef) -> Result<Thing, String> {
        let kind = kind_of(ty, &*self.bare(ty)?, self.rules_of_c)?;
        if let Kind::Number(width) = &kind {
            width.cut(&mut code);
        }
        Ok(Thing::Value(Operand { code, kind }))
    }

    pub(super) fn bare(&self, ty: &TypeRef) -> Result<Arc<Type>, String> {
        let object = Object::at(Addr(0), ty.clone());
        Ok(object.bare_type(self.scopes[0]).map_err(|error| error.to_string())?.1)
    }

    /// Reads `bytes` bytes at the address on the stack.
    pub(super) fn read(&self, code: &mut Code, bytes: u8) {
        if self.collects {
            code.push(Item::With(Opcode::TraceQuick, bytes.into()));
        }
        code.push(Item::Op(match bytes {
            1 => Opcode::Ref8,
            2 => Opcode::Ref16,
            4 => Opcode::Ref32,
            _ => Opcode::Ref64,
        }));
    }

    /// What operators work on.
    pub(super) fn operand(&self, thing: Thing) -> Result<Operand, String> {
        let (code, object) = match thing {
            Thing::Value(operand) => return Ok(operand),
            Thing::Place(code, object) => (code, object),
        };
        let bare = self.bare(&object.ty)?;
        match &bare.kind {
            TypeKind::Pointer(pointer) if is_reference(&pointer.kind) => {
                self.operand(self.referent(code, &object, &pointer.target)?)
            }
            TypeKind::Array(array) if array.dimensions.len() == 1 => {
                Ok(Operand { code: self.address(code, &object)?, kind: Kind::Pointer(array.element.clone()) })
            }
            _ => {
                let kind = kind_of(&object.ty, &bare, self.rules_of_c)?;
                if object.address().is_none() {
                    return self.bits(code, &object, kind);
                }
                let mut code = self.address(code, &object)?;
                match kind {
                    Kind::Number(width) => {
                        self.read(&mut code, width.bytes);
                        width.cut(&mut code);
                    }
                    Kind::Pointer(_) => self.read(&mut code, 8),
                }
                Ok(Operand { code, kind })
            }
        }
    }

    /// A bit-field.
    pub(super) fn bits(&self, mut code: Code, object: &Object, kind: Kind) -> Result<Operand, String> {
        let no = || "it is not in one place".to_owned();
        let [Piece { bits: Some(bits @ 1..=64), skip, source: PieceSource::Memory(at) }] =
            object.location.pieces[..]
        else {
            return Err(no());
        };
        let Kind::Number(width) = kind else { return Err(no()) };
        let (start, shift) = (at.0 + skip / 8, skip % 8);
        let bytes = (shift + bits).div_ceil(8).next_power_of_two();
        add(&mut code, start);
        self.read(&mut code, u8::try_from(bytes).ok().filter(|bytes| *bytes <= 8).ok_or_else(no)?);
        code.extend([Item::Constant(shift), Item::Op(Opcode::RshUnsigned)]);
        code.push(Item::With(if width.signed { Opcode::Ext } else { Opcode::ZeroExt }, bits));
        // `int` has all values of one that is smaller (C17, section 6.3.1.1).
        let width = if self.rules_of_c && bits < 32 { Width::new(true, 4) } else { width };
        Ok(Operand { code, kind: Kind::Number(width) })
    }

    /// The address of something that begins at a byte.
    pub(super) fn address(&self, mut code: Code, object: &Object) -> Result<Code, String> {
        let offset = object.address().ok_or("it does not begin at a byte")?;
        add(&mut code, offset.0);
        Ok(code)
    }

    /// What a reference in memory refers to.
    pub(super) fn referent(&self, code: Code, object: &Object, target: &TypeRef) -> Result<Thing, String> {
        let mut code = self.address(code, object)?;
        self.read(&mut code, 8);
        Ok(Thing::Place(code, Object::at(Addr(0), target.clone())))
    }

    /// What something stands for to those who want its members: pointers and references are followed.
    pub(super) fn pointee(&self, thing: Thing) -> Result<(Code, Object), String> {
        let (code, object) = match thing {
            Thing::Value(operand) => return pointed(operand),
            Thing::Place(code, object) => (code, object),
        };
        match &self.bare(&object.ty)?.kind {
            TypeKind::Pointer(pointer)
                if pointer.kind == PointerKind::Pointer || is_reference(&pointer.kind) =>
            {
                self.pointee_of(code, &object, &pointer.target)
            }
            _ => Ok((code, object)),
        }
    }

    pub(super) fn pointee_of(
        &self,
        code: Code,
        object: &Object,
        target: &TypeRef,
    ) -> Result<(Code, Object), String> {
        let Thing::Place(code, object) = self.referent(code, object, target)? else {
            return Err("it refers to nothing".into());
        };
        Ok((code, object))
    }

    pub(super) fn member(&self, of: &Expression, name: &str) -> Result<Thing, String> {
        if name.contains("::") {
            return Err("members of classes that are named are not found next to a stop".into());
        }
        let (code, object) = self.pointee(self.thing(of)?)?;
        let found = object.member(name, self.scopes[0]).map_err(|error| error.to_string())?;
        // Only where it is within its object may be known: it lies near the address 0 that stands for that.
        let is_inside = |piece: &Piece| matches!(piece.source, PieceSource::Memory(at) if at.0 < 1 << 31);
        if !found.location.pieces.iter().all(is_inside) {
            return Err(format!("where `{name}` is depends on the object"));
        }
        Ok(Thing::Place(code, found))
    }

    pub(super) fn element(&self, of: &Expression, index: &Expression) -> Result<Thing, String> {
        let thing = self.thing(of)?;
        if let Thing::Place(_, object) = &thing
            && let TypeKind::Array(array) = &self.bare(&object.ty)?.kind
            && (array.dimensions.iter().any(|one| one.lower != 0) || array.stride.is_some())
        {
            return Err("elements of such an array are not found next to a stop".into());
        }
        if let (Thing::Place(..), Node::Integer(number, _)) = (&thing, &index.node)
            && let Thing::Place(code, object) = &thing
            && matches!(self.bare(&object.ty)?.kind, TypeKind::Array(_))
        {
            let index = i64::try_from(*number).map_err(|_| "the index is too large")?;
            let found = object.element(index, self.scopes[0]).map_err(|error| error.to_string())?;
            return Ok(Thing::Place(code.clone(), found));
        }
        let base = self.operand(thing)?;
        let index = self.operand(self.thing(index)?)?;
        let Kind::Number(_) = index.kind else { return Err("an index is a number".into()) };
        let (code, object) = pointed(base)?;
        let code = moved(code, index.code, object.ty.size(), Opcode::Add)?;
        Ok(Thing::Place(code, object))
    }
}

pub(super) fn is_reference(kind: &PointerKind) -> bool {
    matches!(kind, PointerKind::Reference | PointerKind::RvalueReference)
}

pub(super) fn is_reference_type(bare: &Type) -> bool {
    matches!(&bare.kind, TypeKind::Pointer(pointer) if is_reference(&pointer.kind))
}

/// A register plus an offset, or a number.
pub(super) fn from((register, offset): (Option<RegisterId>, u64)) -> Code {
    let Some(register) = register else { return vec![Item::Constant(offset)] };
    let mut code = vec![Item::Register(register)];
    add(&mut code, offset);
    code
}

pub(super) fn add(code: &mut Code, offset: u64) {
    let signed = offset.cast_signed();
    match signed {
        0 => {}
        1.. => code.extend([Item::Constant(offset), Item::Op(Opcode::Add)]),
        _ => code.extend([Item::Constant(signed.unsigned_abs()), Item::Op(Opcode::Sub)]),
    }
}

pub(super) fn pointed(operand: Operand) -> Result<(Code, Object), String> {
    match operand.kind {
        Kind::Pointer(target) => Ok((operand.code, Object::at(Addr(0), target))),
        Kind::Number(_) => Err("a number leads nowhere".into()),
    }
}

/// As compilers do it, `void *` is moved by bytes.
pub(super) fn element_size(target: &TypeRef) -> Option<u64> {
    if target.is_void() { Some(1) } else { target.size() }
}

/// An address, so many elements further.
pub(super) fn moved(address: Code, by: Code, size: Option<u64>, opcode: Opcode) -> Result<Code, String> {
    let size = size.ok_or("how large an element is is not known")?;
    let mut code = [address, by].concat();
    code.extend([Item::Constant(size), Item::Op(Opcode::Mul), Item::Op(opcode)]);
    Ok(code)
}

//! Vector registers, as what expressions see of them.

use prospect_process::ArchInfo;
use prospect_symbols::type_info::{
    Access, Base, BaseEncoding, Composite, CompositeKind, Member, MemberPlace, Type, TypeKind, TypeRef,
};

/// What the bytes of a vector register can be: the name of the view, the type of its elements, and their bytes.
const VIEWS: [(&str, &str, BaseEncoding, u8); 6] = [
    ("f32", "float", BaseEncoding::Float, 4),
    ("f64", "double", BaseEncoding::Float, 8),
    ("i8", "signed char", BaseEncoding::Signed, 1),
    ("i16", "short", BaseEncoding::Signed, 2),
    ("i32", "int", BaseEncoding::Signed, 4),
    ("i64", "long", BaseEncoding::Signed, 8),
];

/// The x87 registers have so many bytes.
const EXTENDED_BYTES: u64 = 10;

/// The DWARF number of the floating point or vector register with this name, and its type: a number, or arrays of several
/// kinds of numbers in the same place: `$xmm0.f32[1]`.
pub(crate) fn register(arch: &ArchInfo, name: &str) -> Option<(u16, TypeRef)> {
    let (dwarf, bytes) = arch.wide_named(name)?;
    // A mask is no vector.
    let is_mask = name.starts_with('k');
    let ty = if is_mask {
        number("unsigned long", BaseEncoding::Unsigned, bytes.into())
    } else {
        of_bytes(bytes.into())
    };
    Some((dwarf, ty))
}

fn of_bytes(bytes: u64) -> TypeRef {
    if bytes == EXTENDED_BYTES {
        return number("long double", BaseEncoding::Float, bytes);
    }
    let member = |(name, element, encoding, width): (&str, &str, BaseEncoding, u8)| Member {
        name: Some(name.into()),
        ty: number(element, encoding, width.into()).array(bytes / u64::from(width)),
        place: MemberPlace::Byte(0),
        is_base: false,
        is_artificial: false,
        access: Access::Public,
    };
    let kind = TypeKind::Composite(Composite {
        kind: CompositeKind::Union,
        members: VIEWS.into_iter().map(member).collect(),
        static_members: Vec::new(),
        enumerations: Vec::new(),
        variants: None,
        template_parameters: Vec::new(),
        is_declaration: false,
    });
    TypeRef::made(Type::new(Some("vector"), Some(bytes), kind))
}

fn number(name: &str, encoding: BaseEncoding, bytes: u64) -> TypeRef {
    let kind = TypeKind::Base(Base { encoding, swapped: false, bits: None });
    TypeRef::made(Type::new(Some(name), Some(bytes), kind))
}

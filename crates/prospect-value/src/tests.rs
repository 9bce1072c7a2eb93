//! Values of made types over bytes that are given.

use prospect_process::{Addr, Arch, ArchInfo, CapturedMemory, Memory};
use prospect_symbols::{
    type_info::{
        Access, Base, BaseEncoding, Composite, CompositeKind, Language, Member, MemberPlace, Type, TypeError,
        TypeKind, TypeRef,
    },
    variable::{Location, Piece, PieceSource, Unavailable},
};

use crate::{Content, Entry, Limit, Limits, Object, Reader, Value, ValueContext, ValueError, View, Views};

struct Program {
    arch: Arch,
    memory: CapturedMemory,
}

impl Program {
    /// With these bytes at 0x1000.
    fn new(arch: Arch, bytes: &[u8]) -> Self {
        Self { arch, memory: CapturedMemory::new(bytes.to_vec(), [(Addr(0x1000), bytes.len(), 0)]) }
    }

    fn text(&self, ty: &TypeRef) -> String {
        Value::read(&Object::at(Addr(0x1000), ty.clone()), self, &Limits::default()).to_string()
    }
}

impl ValueContext for Program {
    fn memory(&self) -> &dyn Memory {
        &self.memory
    }

    fn arch(&self) -> &ArchInfo {
        self.arch.info()
    }

    fn register_bytes(&self, dwarf: u16) -> Option<Vec<u8>> {
        let value = 0x1122_3344_5566_7788_u64;
        let bytes = if self.arch.info().big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        (dwarf == 3).then(|| bytes.to_vec())
    }
}

fn base(name: &str, size: u64, encoding: BaseEncoding) -> TypeRef {
    let kind = TypeKind::Base(Base { encoding, swapped: false, bits: None });
    TypeRef::made(Type::new(Some(name), Some(size), kind))
}

fn int() -> TypeRef {
    base("int", 4, BaseEncoding::Signed)
}

fn structure(name: &str, size: u64, members: &[(&str, TypeRef, MemberPlace)]) -> Type {
    let member = |(name, ty, place): &(&str, TypeRef, MemberPlace)| Member {
        name: (!name.is_empty()).then(|| (*name).into()),
        ty: ty.clone(),
        place: place.clone(),
        is_base: false,
        is_artificial: false,
        access: Access::Public,
    };
    let composite = Composite {
        kind: CompositeKind::Struct,
        members: members.iter().map(member).collect(),
        static_members: Vec::new(),
        enumerations: Vec::new(),
        variants: None,
        template_parameters: Vec::new(),
        is_declaration: false,
    };
    Type::new(Some(name), Some(size), TypeKind::Composite(composite))
}

fn bits(start: u64, count: u64) -> MemberPlace {
    MemberPlace::Bits { start, count }
}

#[test]
fn numbers_stand_in_the_order_of_the_machine() {
    let bytes = [0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0];
    let little = Program::new(Arch::X86_64, &bytes);
    let big = Program::new(Arch::S390x, &bytes);
    let long = base("unsigned long", 8, BaseEncoding::Unsigned);
    assert_eq!(little.text(&long), 0xf0de_bc9a_7856_3412_u64.to_string());
    assert_eq!(big.text(&long), 0x1234_5678_9abc_def0_u64.to_string());
    let odd = base("three", 3, BaseEncoding::Unsigned);
    assert_eq!(little.text(&odd), 0x0056_3412.to_string());
    assert_eq!(big.text(&odd), 0x0012_3456.to_string());
    let swapped = Base { encoding: BaseEncoding::Unsigned, swapped: true, bits: None };
    let swapped = TypeRef::made(Type::new(Some("be32"), Some(4), TypeKind::Base(swapped)));
    assert_eq!(little.text(&swapped), 0x1234_5678.to_string());
    let few = Base { encoding: BaseEncoding::Signed, swapped: false, bits: Some(6) };
    let few = TypeRef::made(Type::new(Some("_BitInt(6)"), Some(1), TypeKind::Base(few)));
    assert_eq!(little.text(&few), "18");
    assert_eq!(Program::new(Arch::X86_64, &[0x3f]).text(&few), "-1");
}

#[test]
fn bit_fields_are_counted_from_the_end_that_the_machine_has_first() {
    let ty = TypeRef::made(structure(
        "s",
        4,
        &[("a", int(), bits(0, 4)), ("b", int(), bits(4, 8)), ("c", int(), bits(12, 20))],
    ));
    let bytes = [0x12, 0x34, 0x56, 0x78];
    assert_eq!(Program::new(Arch::X86_64, &bytes).text(&ty), "{a = 2, b = 65, c = 492899}");
    assert_eq!(Program::new(Arch::S390x, &bytes).text(&ty), "{a = 1, b = 35, c = 284280}");
    // Eight bits of an int are still a bit-field.
    let whole = TypeRef::made(structure("w", 4, &[("a", int(), bits(8, 8))]));
    assert_eq!(Program::new(Arch::X86_64, &[0, 0xff, 1, 1]).text(&whole), "{a = -1}");
}

#[test]
fn values_in_pieces_are_put_together() {
    let program = Program::new(Arch::X86_64, &[1, 2, 3, 4]);
    let piece = |bits, source| Piece { bits: Some(bits), skip: 0, source };
    let pair = TypeRef::made(structure(
        "pair",
        8,
        &[("low", int(), MemberPlace::Byte(0)), ("high", int(), MemberPlace::Byte(4))],
    ));
    let mut pieces = vec![piece(32, PieceSource::Register(3)), piece(32, PieceSource::Memory(Addr(0x1000)))];
    let object = Object { ty: pair.clone(), location: Location { pieces: pieces.clone() } };
    let value = Value::read(&object, &program, &Limits::default());
    assert_eq!(value.to_string(), format!("{{low = {}, high = {}}}", 0x5566_7788, 0x0403_0201));
    pieces[0].source = PieceSource::Missing;
    let object = Object { ty: pair, location: Location { pieces } };
    let value = Value::read(&object, &program, &Limits::default());
    assert_eq!(value.to_string(), format!("{{low = <optimised out>, high = {}}}", 0x0403_0201));
    assert_eq!(object.member("low", &program).unwrap().bytes(&program), Err(Unavailable::OptimisedOut));
    // The lower half of a register, whichever end it begins with.
    for arch in [Arch::X86_64, Arch::S390x] {
        let program = Program::new(arch, &[]);
        let location =
            Location { pieces: vec![Piece { bits: None, skip: 0, source: PieceSource::Register(3) }] };
        let object = Object { ty: int(), location };
        assert_eq!(object.integer(&program), Ok(0x5566_7788), "{arch:?}");
        // A structure that is smaller than its register, part by part.
        let short = base("short", 2, BaseEncoding::Unsigned);
        let outer = structure(
            "outer",
            4,
            &[
                ("first", short.clone(), MemberPlace::Byte(0)),
                ("bytes", base("u8", 1, BaseEncoding::Unsigned).array(2), MemberPlace::Byte(2)),
                ("bits", short, MemberPlace::Bits { start: 20, count: 4 }),
            ],
        );
        let object = object.with_type(TypeRef::made(outer));
        let part = |name: &str| object.member(name, &program).unwrap();
        let second = part("bytes").element(1, &program).unwrap().integer(&program);
        let found = (part("first").integer(&program), second, part("bits").integer(&program));
        let expected = match arch {
            Arch::S390x => (Ok(0x5566), Ok(0x88), Ok(0x7)),
            _ => (Ok(0x7788), Ok(0x55), Ok(0x6)),
        };
        assert_eq!(found, expected, "{arch:?}");
    }
}

#[test]
fn wide_floating_point_numbers_keep_their_digits() {
    let double = |name: &str, size, bytes: &[u8]| {
        Program::new(Arch::X86_64, bytes).text(&base(name, size, BaseEncoding::Float))
    };
    // 0.1L and the largest number of x87's format.
    let tenth = [0xcd, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xfb, 0x3f, 1, 2, 3, 4, 5, 6];
    assert_eq!(double("long double", 16, &tenth), "0.1");
    let largest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0x7f, 0, 0];
    assert_eq!(double("long double", 12, &largest), "1.18973149535723177e4932");
    let smallest = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0];
    assert_eq!(double("long double", 12, &smallest), "-3.6451995318824746e-4951");
    let third = 0x3ffd_5555_5555_5555_5555_5555_5555_5555_u128.to_le_bytes();
    assert_eq!(double("__float128", 16, &third), "0.333333333333333333333333333333333");
    assert_eq!(double("_Float16", 2, &[0x00, 0x3e]), "1.5");
    assert_eq!(double("__bf16", 2, &[0xc0, 0x3f]), "1.5");
}

#[test]
fn numbers_are_made_and_converted() {
    let program = Program::new(Arch::S390x, &[]);
    for ty in [int(), base("short", 2, BaseEncoding::Signed), base("wide", 16, BaseEncoding::Signed)] {
        let made = Object::from_integer(-5, ty, &program).unwrap();
        assert_eq!(made.integer(&program), Ok(-5));
        let byte = made.cast(base("u8", 1, BaseEncoding::Unsigned), &program).unwrap();
        assert_eq!(byte.integer(&program), Ok(251));
        let float = made.cast(base("double", 8, BaseEncoding::Float), &program).unwrap();
        assert_eq!(float.float(&program), Ok(-5.0));
        assert_eq!(float.cast(int(), &program).unwrap().integer(&program), Ok(-5));
    }
    for (name, size) in [("float", 4), ("double", 8), ("long double", 16)] {
        for arch in [Arch::X86_64, Arch::S390x] {
            let program = Program::new(arch, &[]);
            for number in [0.0, -1.5, 1e10, 3.0e-20, f64::INFINITY] {
                let ty = base(name, size, BaseEncoding::Float);
                let made = Object::from_float(number, ty, &program).unwrap();
                let expected = if size == 4 { f64::from(number as f32) } else { number };
                assert_eq!(made.float(&program), Ok(expected), "{name}");
            }
        }
    }
    let truth = Object::from_integer(7, base("bool", 1, BaseEncoding::Boolean), &program).unwrap();
    assert_eq!(truth.integer(&program), Ok(1));
}

#[test]
fn pointers_lead_and_arrays_are_indexed() {
    let mut bytes = 0x1008_u64.to_le_bytes().to_vec();
    bytes.extend([1, 0, 0, 0, 2, 0, 0, 0]);
    let program = Program::new(Arch::X86_64, &bytes);
    let pointer = Object::at(Addr(0x1000), int().pointer(8));
    assert_eq!(pointer.dereference(&program).unwrap().integer(&program), Ok(1));
    assert_eq!(pointer.element(1, &program).unwrap().integer(&program), Ok(2));
    let array = Object::at(Addr(0x1008), int().array(2));
    assert_eq!(array.element(1, &program).unwrap().integer(&program), Ok(2));
    assert_eq!(array.element(2, &program).unwrap_err(), ValueError::OutOfRange { index: 2, length: 2 });
    let back = array.address_of(&program).unwrap();
    assert_eq!(back.integer(&program), Ok(0x1008));
    assert_eq!(array.cast(int().pointer(8), &program).unwrap().integer(&program), Ok(0x1008));
    let void = Object::at(Addr(0x1000), TypeRef::void().pointer(8));
    assert!(matches!(void.dereference(&program), Err(ValueError::PointsToVoid(_))));
    // Only its symbol tells of it.
    let unknown = Object::at(Addr(0x1008), TypeRef::void());
    assert_eq!(unknown.bytes(&program), Err(Unavailable::Type(TypeError::Unknown)));
    let known = unknown.cast(int(), &program).unwrap();
    assert_eq!(known.integer(&program), array.element(0, &program).unwrap().integer(&program));
}

#[test]
fn huge_arrays_and_unreadable_memory_end_soon() {
    let program = Program::new(Arch::X86_64, &[7; 64]);
    let read = |ty: TypeRef| Value::read(&Object::at(Addr(0x1000), ty), &program, &Limits::default());
    let Content::Elements { elements, length: Some(length), cut: Some(Limit::CannotRead), .. } =
        read(int().array(1 << 40)).content
    else {
        panic!("it has no end")
    };
    assert_eq!((length, elements[0].times), (1 << 40, 16));
    assert!(matches!(read(int().array(1 << 62)).content, Content::Raw | Content::Unavailable(_)));
    let limits = Limits { bytes: 1 << 14, ..Limits::default() };
    let endless = Program { arch: Arch::X86_64, memory: CapturedMemory::default().over(Box::new(Zeros)) };
    let object = Object::at(Addr(0x1000), int().array(1 << 50));
    let value = Value::read(&object, &endless, &limits);
    let Content::Elements { elements, .. } = &value.content else { panic!("{value}") };
    assert!(elements[0].times <= 1 << 14, "{value}");
}

struct Zeros;

impl Memory for Zeros {
    fn read_up_to(&self, _at: Addr, buffer: &mut [u8]) -> Result<usize, prospect_process::MemoryError> {
        buffer.fill(0);
        Ok(buffer.len())
    }
}

/// A view of a user's own.
struct Celsius;

impl View for Celsius {
    fn matches(&self, stem: &str, _ty: &Type) -> bool {
        stem == "weather::Celsius"
    }

    fn view(&self, object: &Object, _ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
        let tenths = object.member("tenths", reader.cx())?;
        if tenths.integer(reader.cx())? < -2731 {
            return Err(ValueError::Implausible("it is colder than anything"));
        }
        reader.content_of(&tenths)
    }
}

#[test]
fn users_add_views_and_what_is_implausible_shows_its_fields() {
    let mut ty = structure("Celsius<int>", 4, &[("tenths", int(), MemberPlace::Byte(0))]);
    ty.scope = vec!["weather".into()];
    ty.language = Language::Cpp;
    let ty = TypeRef::made(ty);
    let views = Views::before_standard(vec![Box::new(Celsius)]);
    let read = |bytes: &[u8]| {
        let program = Program::new(Arch::X86_64, bytes);
        let object = Object::at(Addr(0x1000), ty.clone());
        Value::read_with(&object, &program, &Limits::default(), &views).to_string()
    };
    assert_eq!(read(&215_i32.to_le_bytes()), "215");
    assert_eq!(
        read(&i32::MIN.to_le_bytes()),
        "<implausible: it is colder than anything> {tenths = -2147483648}"
    );
    assert_eq!(Program::new(Arch::X86_64, &[1, 0, 0, 0]).text(&ty), "{tenths = 1}");
}

#[test]
fn long_values_are_broken_into_lines() {
    let program = Program::new(Arch::X86_64, &[1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);
    let value = Value::read(&Object::at(Addr(0x1000), int().array(3)), &program, &Limits::default());
    assert_eq!(crate::text::Text::lines(&value, 20).to_string(), "{1, 2, 3}");
    assert_eq!(crate::text::Text::lines(&value, 6).to_string(), "{\n  1,\n  2,\n  3\n}");
}

#[test]
fn lists_of_what_is_too_deep_are_short() {
    let program = Program::new(Arch::X86_64, &[1, 0, 0, 0, 2, 0, 0, 0]);
    let object = Object::at(Addr(0x1000), int().array(1).array(2));
    let limits = Limits { depth: 1, ..Limits::default() };
    let mut value = Value::read(&object, &program, &limits);
    assert_eq!(value.to_string(), "{...}");
    let Content::Elements { elements, .. } = &value.content else { panic!("{value}") };
    let cut = elements[0].value.clone();
    let shown = Value::read(&Object::at(Addr(0x1000), int()), &program, &limits);
    let mut show = |key: &Value| {
        let entry = Entry { key: key.clone(), value: cut.clone() };
        value.content = Content::Entries { entries: vec![entry.clone(), entry], length: Some(2), cut: None };
        value.to_string()
    };
    assert_eq!(show(&cut), "{...}");
    // Keys that can be seen are.
    assert_eq!(show(&shown), "{[1] = ..., [1] = ...}");
}

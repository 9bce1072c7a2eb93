//! Expressions over a little memory: a list of two nodes, an array, a few variables.

use std::collections::HashMap;

use prospect_process::{Addr, Arch, ArchInfo, Memory, MemoryError, Unreadable};
use prospect_symbols::{
    type_info::{
        Access, Base, BaseEncoding, Composite, CompositeKind, Enumeration, Enumerator, Language, Member,
        MemberPlace, Type, TypeKind, TypeRef,
    },
    variable::Unavailable,
};

use super::super::{Expression, LookupError, Scope};
use crate::{Object, ValueContext};

const START: u64 = 0x1000;

struct Bytes(Vec<u8>);

impl Memory for Bytes {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        let bytes = at.0.checked_sub(START).and_then(|start| self.0.get(usize::try_from(start).ok()?..));
        let bytes =
            bytes.filter(|bytes| !bytes.is_empty()).ok_or(MemoryError { at, why: Unreadable::Unmapped })?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }
}

struct Program {
    memory: Bytes,
    variables: HashMap<&'static str, Object>,
    node: TypeRef,
    language: Language,
}

impl ValueContext for Program {
    fn memory(&self) -> &dyn Memory {
        &self.memory
    }

    fn arch(&self) -> &ArchInfo {
        Arch::X86_64.info()
    }

    fn register_bytes(&self, _dwarf: u16) -> Option<Vec<u8>> {
        None
    }

    fn type_named(&self, qualified: &str) -> Option<TypeRef> {
        (qualified == "node").then(|| self.node.clone())
    }
}

impl Scope for Program {
    fn variable(&self, within: Option<&str>, path: &str) -> Result<Object, LookupError> {
        if path == "gone" {
            return Err(LookupError::Unavailable { name: path.into(), why: Unavailable::OptimisedOut });
        }
        let found = self.variables.get(path).filter(|_| within.is_none());
        found.cloned().ok_or_else(|| LookupError::NoVariable { name: path.into(), similar: Vec::new() })
    }

    fn register(&self, name: &str) -> Result<Object, LookupError> {
        match name {
            "rip" => {
                Ok(Object::from_bytes(0x40_1234_u64.to_le_bytes().into(), int("unsigned long", 8, false)))
            }
            _ => Err(LookupError::NoRegister { name: name.into(), similar: Vec::new() }),
        }
    }

    fn language(&self) -> Language {
        self.language
    }
}

fn int(name: &str, bytes: u8, signed: bool) -> TypeRef {
    let encoding = match (bytes, signed) {
        (1, true) => BaseEncoding::SignedChar,
        (1, false) => BaseEncoding::UnsignedChar,
        (_, true) => BaseEncoding::Signed,
        (_, false) => BaseEncoding::Unsigned,
    };
    base(name, bytes, encoding)
}

fn base(name: &str, bytes: u8, encoding: BaseEncoding) -> TypeRef {
    TypeRef::made(Type::new(
        Some(name),
        Some(bytes.into()),
        TypeKind::Base(Base { encoding, swapped: false, bits: None }),
    ))
}

fn composite(name: &str, size: Option<u64>, members: Vec<Member>) -> TypeRef {
    let kind = TypeKind::Composite(Composite {
        kind: CompositeKind::Struct,
        is_declaration: size.is_none(),
        members,
        static_members: Vec::new(),
        enumerations: Vec::new(),
        variants: None,
        template_parameters: Vec::new(),
    });
    TypeRef::made(Type::new(Some(name), size, kind))
}

fn member(name: &str, ty: &TypeRef, place: MemberPlace) -> Member {
    Member {
        name: Some(name.into()),
        ty: ty.clone(),
        place,
        is_base: false,
        is_artificial: false,
        access: Access::Public,
    }
}

/// ```c
/// struct node { int value; unsigned low : 3, high : 5; enum color color; struct node *next; char name[8]; double d; };
/// struct node list[2];  int numbers[6];  short small = -2;  char *text;  unsigned u = 5;
/// ```
fn program(language: Language) -> Program {
    let (signed, unsigned, character) =
        (int("int", 4, true), int("unsigned int", 4, false), int("char", 1, true));
    let declared = composite("node", None, Vec::new());
    let enumerator = |name: &str, value| Enumerator { name: name.into(), value };
    let enumeration = Enumeration {
        underlying: Some(unsigned.clone()),
        enumerators: vec![enumerator("RED", 1), enumerator("GREEN", 2)],
        is_scoped: false,
    };
    let color = TypeRef::made(Type::new(Some("color"), Some(4), TypeKind::Enumeration(enumeration)));
    let double = base("double", 8, BaseEncoding::Float);
    let bits = |start, count| MemberPlace::Bits { start, count };
    let node = composite(
        "node",
        Some(40),
        vec![
            member("value", &signed, MemberPlace::Byte(0)),
            member("low", &unsigned, bits(32, 3)),
            member("high", &unsigned, bits(35, 5)),
            member("color", &color, MemberPlace::Byte(8)),
            member("next", &declared.pointer(8), MemberPlace::Byte(16)),
            member("name", &character.array(8), MemberPlace::Byte(24)),
            member("d", &double, MemberPlace::Byte(32)),
        ],
    );
    let mut memory = Vec::new();
    for (value, next, name) in [(-7_i32, START + 40, b"first\0\0\0"), (9, 0, b"second\0\0")] {
        memory.extend(value.to_le_bytes());
        memory.extend([0b1010_1101, 0, 0, 0]);
        memory.extend(2_u64.to_le_bytes());
        memory.extend(next.to_le_bytes());
        memory.extend(name);
        memory.extend(2.5_f64.to_le_bytes());
    }
    // At START + 80 the numbers, at + 104 the small one, at + 106 the text, at + 112 the pointer to it.
    memory.extend((10..16_i32).flat_map(i32::to_le_bytes));
    memory.extend((-2_i16).to_le_bytes());
    memory.extend(b"hello\0");
    memory.extend((START + 106).to_le_bytes());
    let at = |offset: u64, ty: &TypeRef| Object::at(Addr(START + offset), ty.clone());
    let variables = HashMap::from([
        ("list", at(0, &node.array(2))),
        ("p", Object::from_bytes(START.to_le_bytes().into(), declared.pointer(8))),
        ("numbers", at(80, &signed.array(6))),
        ("small", at(104, &int("short", 2, true))),
        ("text", at(112, &character.pointer(8))),
        ("u", Object::from_bytes(vec![5, 0, 0, 0], unsigned)),
        ("byte", Object::from_bytes(vec![255], int("unsigned char", 1, false))),
        ("nothing", Object::from_bytes(vec![0; 8], signed.pointer(8))),
        ("void", Object::from_bytes(START.to_le_bytes().into(), TypeRef::void().pointer(8))),
        ("symbol", at(0, &TypeRef::void())),
    ]);
    Program { memory: Bytes(memory), variables, node, language }
}

fn evaluate(program: &Program, text: &str) -> Result<Object, String> {
    let is_type = |name: &str| program.type_named(name).is_some();
    let parsed = Expression::parse(text, &is_type).map_err(|error| error.to_string())?;
    parsed.evaluate(program).map_err(|error| error.to_string())
}

fn number(text: &str) -> (i128, String) {
    let program = program(Language::C);
    let object = evaluate(&program, text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let value = object.integer(&program).unwrap_or_else(|error| panic!("{text}: {error}"));
    (value, object.ty.name())
}

fn error(text: &str) -> String {
    match evaluate(&program(Language::C), text) {
        Ok(object) => panic!("{text} is a {}", object.ty.name()),
        Err(error) => error,
    }
}

#[test]
fn paths_lead_through_members_pointers_and_elements() {
    for (text, value, ty) in [
        ("list[1].value", 9, "int"),
        ("p->value", -7, "int"),
        ("p->next->value", 9, "int"),
        ("p.next.value", 9, "int"),
        ("(*p).low", 5, "unsigned int"),
        ("p->high", 21, "unsigned int"),
        ("list[0].name[1]", 'i' as i128, "char"),
        ("numbers[2]", 12, "int"),
        ("*numbers", 10, "int"),
        ("*(numbers + 3)", 13, "int"),
        ("numbers[5] - numbers[0]", 5, "int"),
        ("text[4]", 'o' as i128, "char"),
        ("*text", 'h' as i128, "char"),
        ("numbers[2..5][1]", 13, "int"),
        ("numbers[4..][1]", 15, "int"),
        ("$len(numbers)", 6, "unsigned long"),
        ("$len(numbers[1..4]) + 1", 4, "unsigned long"),
        ("(*p@2)[1].value", 9, "int"),
        ("$rip + 4", 0x40_1238, "unsigned long"),
    ] {
        assert_eq!(number(text), (value, ty.to_owned()), "{text}");
    }
}

#[test]
fn operators_give_what_a_compiler_would() {
    for (text, value, ty) in [
        ("small * 3 + 1", -5, "int"),
        ("small < u", 0, "bool"),
        ("byte + 1", 256, "int"),
        ("-byte", -255, "int"),
        ("~0", -1, "int"),
        ("u - 6", 0xffff_ffff, "unsigned int"),
        ("1 ? 2 : nothing->x", 2, "int"),
        ("nothing && *nothing", 0, "bool"),
        ("p || *nothing", 1, "bool"),
        ("!nothing", 1, "bool"),
        ("p == &list[0]", 1, "bool"),
        ("p->next == &list[1]", 1, "bool"),
        ("&list[1] - &list[0]", 1, "long"),
        ("&numbers[3] > &numbers[1]", 1, "bool"),
        ("p->color == GREEN", 1, "bool"),
        ("RED == p->color", 0, "bool"),
        ("p->d * 2 == 5", 1, "bool"),
        ("sizeof(struct node) + sizeof numbers", 64, "unsigned long"),
        ("sizeof(long)", 8, "unsigned long"),
        ("'a' + 1", 98, "int"),
        ("(int)2.9 + (char)0x141", 67, "int"),
        ("(unsigned char)-1", 255, "unsigned char"),
        ("(long)p", 0x1000, "long"),
        ("((struct node *)void)->value", -7, "int"),
        ("*(short *)(0x1000 + 104)", -2, "short"),
        ("u as u8", 5, "u8"),
        ("-p->low", -5, "int"),
        ("p->low - p->high", -16, "int"),
        ("p->color == color::GREEN", 1, "bool"),
        ("'a' == 97", 1, "bool"),
        ("7 / 2 * 2 % 4", 2, "int"),
    ] {
        assert_eq!(number(text), (value, ty.to_owned()), "{text}");
    }
    let program = program(Language::C);
    let float = evaluate(&program, "p->d / 2 + 0.25").unwrap();
    assert_eq!((float.float(&program).ok(), float.ty.name()), (Some(1.5), "double".to_owned()));
    assert_eq!(evaluate(&program, "&p->next").unwrap().ty.name(), "struct node **");
    assert_eq!(evaluate(&program, "&numbers").unwrap().ty.name(), "int (*)[6]");
    assert_eq!(evaluate(&program, "numbers[1..3]").unwrap().ty.name(), "int [2]");
}

#[test]
fn texts_are_compared_with_what_is_there() {
    for (text, truth) in [
        (r#"text == "hello""#, 1),
        (r#""hello" != text"#, 0),
        (r#"p->name == "first""#, 1),
        (r#"list[1].name == "first""#, 0),
    ] {
        assert_eq!(number(text), (truth, "bool".to_owned()), "{text}");
    }
}

#[test]
fn numbers_of_rust_keep_their_types() {
    let program = program(Language::Rust);
    let wrapped = evaluate(&program, "byte + 1").unwrap();
    assert_eq!((wrapped.integer(&program), wrapped.ty.name()), (Ok(0), "u8".to_owned()));
    assert_eq!(evaluate(&program, "'é'").unwrap().integer(&program), Ok(0xe9));
}

#[test]
fn what_cannot_be_is_said() {
    for (text, part) in [
        ("missing", "there is no variable `missing` here"),
        ("gone + 1", "`gone`: optimised out"),
        ("$abc", "there is no register `$abc`"),
        ("(nosuch *)p", "there is no type `nosuch`"),
        ("p->nosuch", "has no member `nosuch`"),
        ("u.x", "has no member `x`"),
        ("*u", "is no pointer"),
        ("*void", "has no type"),
        ("*symbol", "nothing says of which type it is"),
        ("symbol->value", "nothing says of which type it is"),
        ("symbol[1]", "nothing says of which type it is"),
        ("*nothing + 1", "memory at 0x0 cannot be read"),
        ("&u", "it has no address"),
        ("&1", "it has no address"),
        ("numbers[6]", "there is no element 6 in an array of 6"),
        ("numbers[4..8]", "there is no element 7 in an array of 6"),
        ("numbers[3..1]", "there are no elements from 3 to 1"),
        ("1 / 0", "division by zero"),
        ("1 << 99", "is not shifted so far"),
        ("p * 2", "pointers have no `*`"),
        ("2.5 % p", "pointers have no `%`"),
        ("2.5 | 1", "`|` needs whole numbers"),
        ("~2.5", "`~` needs a whole number"),
        ("numbers[1.5]", "a whole number is needed"),
        (r#"u == "x""#, "is no text"),
        (r#"numbers["a"]"#, "elements are found by their numbers, not by \"a\""),
        ("$len(u)", "`unsigned int` has no elements"),
        ("$len(text)", "has no elements"),
        ("u[0]", "`unsigned int` has no elements"),
        ("p->node::value", "has no member `node::value`"),
        (r#"text < "x""#, "`==` and `!=` only"),
        ("*p@-1", "there cannot be so many"),
        ("list + list", "pointers have no `+`"),
        ("*p + 1", "is not a number"),
    ] {
        let error = error(text);
        assert!(error.contains(part), "{text}: {error}");
    }
}

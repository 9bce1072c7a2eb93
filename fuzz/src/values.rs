//! Values of any types — plain ones, and what looks like those of the standard libraries — over memory that holds anything.

use prospect_process::{Addr, Arch, ArchInfo, Memory, MemoryError, memory::Unreadable};
use prospect_symbols::{
    type_info::{
        Access, Array, Base, BaseEncoding, Bound, Composite, CompositeKind, Dimension, Enumeration,
        Enumerator, Language, Member, MemberPlace, TemplateParameter, Type, TypeKind, TypeRef, Variant,
        VariantPart,
    },
    variable::{Location, Piece, PieceSource},
};
use prospect_testing::Random;
use prospect_value::{
    Limits, Object, Value, ValueContext,
    expression::{Expression, LookupError, Scope},
    text::Text,
};

use crate::subject::Cursor;

/// Types are nested in each other so deep.
const DEEPEST: u32 = 3;

/// Reads one value of a type that the first bytes choose, from memory that the others are.
pub fn values(data: &[u8]) {
    let mut cursor = Cursor(data);
    let arch = [Arch::X86_64, Arch::I386, Arch::S390x, Arch::Ppc][usize::from(cursor.byte() & 3)].info();
    let ty = any_type(&mut cursor, 0);
    let limits = limits(&mut cursor);
    let object = match cursor.byte() & 7 {
        0 => Object::from_bytes(cursor.0.to_vec(), ty),
        1 => {
            let piece = |bits, skip, source| Piece { bits, skip, source };
            let first =
                piece(Some(cursor.number() % 200), cursor.number() % 100, PieceSource::Memory(Addr(3)));
            let second = piece(None, u64::from(cursor.byte()), PieceSource::Bytes(cursor.0.to_vec()));
            Object { ty, location: Location { pieces: vec![first, second] } }
        }
        _ => Object::at(Addr(u64::from(cursor.byte())), ty),
    };
    let program = Program { bytes: cursor.0, arch };
    let value = Value::read(&object, &program, &limits);
    let _ = Text::one_line(&value).to_string();
    let _ = Text::lines(&value, 40).to_string();
    expression(&mut cursor, &program, &object);
    let _ = (object.integer(&program), object.float(&program), object.element(7, &program));
    let _ = object.members(&program).map(|members| members.len());
}

/// Evaluates an expression over the object that the next bytes choose.
fn expression(cursor: &mut Cursor<'_>, program: &Program<'_>, object: &Object) {
    const BEFORE: [&str; 8] = ["", "*", "&", "-", "!", "**", "$len(x) + ", "sizeof "];
    const BEHIND: [&str; 16] = [
        "",
        "[3]",
        "[\"a\"]",
        "[x]",
        "[1..4]",
        "[2..]",
        ".first",
        "->second",
        ".0",
        ".Some.0",
        "[-1]",
        "[x.0]",
        ".first[0]",
        ".b::c",
        "[Other]",
        "[0][1]",
    ];
    const LAST: [&str; 8] = ["", " + 1", " == x", " == \"ab\"", " == Some", " && x", " < 7", " as u8"];
    let mut text = BEFORE[usize::from(cursor.byte() & 7)].to_owned();
    text.push('x');
    (0..cursor.byte() & 3).for_each(|_| text.push_str(BEHIND[usize::from(cursor.byte() & 15)]));
    text.push_str(LAST[usize::from(cursor.byte() & 7)]);
    let scope = Names { program, object };
    if let Ok(Ok(found)) = Expression::parse(&text, &|_| false).map(|parsed| parsed.evaluate(&scope)) {
        let _ = Value::read(&found, &scope, &Limits::default());
    }
}

/// One name, `x`.
struct Names<'a> {
    program: &'a Program<'a>,
    object: &'a Object,
}

impl ValueContext for Names<'_> {
    fn memory(&self) -> &dyn Memory {
        self.program
    }

    fn arch(&self) -> &ArchInfo {
        self.program.arch
    }

    fn register_bytes(&self, _dwarf: u16) -> Option<Vec<u8>> {
        None
    }
}

impl Scope for Names<'_> {
    fn variable(&self, _within: Option<&str>, path: &str) -> Result<Object, LookupError> {
        let unknown = || LookupError::NoVariable { name: path.to_owned(), similar: Vec::new() };
        if path == "x" { Ok(self.object.clone()) } else { Err(unknown()) }
    }

    fn register(&self, name: &str) -> Result<Object, LookupError> {
        Err(LookupError::RegisterUnknown(name.to_owned()))
    }
}

/// What [`values`] begins with.
pub(crate) fn seed(random: &mut Random) -> Vec<u8> {
    (0..16 + random.below(400)).map(|_| random.number() as u8 >> random.below(7)).collect()
}

fn limits(cursor: &mut Cursor<'_>) -> Limits {
    let mut limits = Limits::default();
    limits.pointers = u32::from(cursor.byte() & 3);
    limits.depth = u32::from(cursor.byte() & 31);
    limits.values = 2000;
    limits.elements = u64::from(cursor.byte());
    limits.bytes = 1 << 20;
    limits
}

/// Its memory is the same bytes again and again, up to an address.
struct Program<'a> {
    bytes: &'a [u8],
    arch: &'static ArchInfo,
}

impl Memory for Program<'_> {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        if at.0 >= 1 << 40 || self.bytes.is_empty() {
            return Err(MemoryError { at, why: Unreadable::Unmapped });
        }
        for (index, byte) in buffer.iter_mut().enumerate() {
            *byte = self.bytes[(at.0 as usize + index) % self.bytes.len()];
        }
        Ok(buffer.len())
    }
}

impl ValueContext for Program<'_> {
    fn memory(&self) -> &dyn Memory {
        self
    }

    fn arch(&self) -> &ArchInfo {
        self.arch
    }

    fn register_bytes(&self, _dwarf: u16) -> Option<Vec<u8>> {
        None
    }
}

/// Members: name, type, place in bytes.
type Parts<'a> = &'a [(&'a str, TypeRef, u64)];

fn base(name: &str, size: u64, encoding: BaseEncoding) -> TypeRef {
    let kind = TypeKind::Base(Base { encoding, swapped: false, bits: None });
    TypeRef::made(Type::new(Some(name), Some(size), kind))
}

fn word() -> TypeRef {
    base("unsigned long", 8, BaseEncoding::Unsigned)
}

fn member(name: &str, ty: &TypeRef, place: MemberPlace) -> Member {
    let name = Some(name.into());
    let access = Access::Public;
    Member { name, ty: ty.clone(), place, is_base: false, is_artificial: false, access }
}

fn composite(parts: Parts<'_>, parameters: &[TypeRef]) -> Composite {
    let parameter = |ty: &TypeRef| TemplateParameter { name: None, ty: ty.clone(), value: None };
    Composite {
        kind: CompositeKind::Struct,
        members: parts.iter().map(|(name, ty, at)| member(name, ty, MemberPlace::Byte(*at))).collect(),
        static_members: Vec::new(),
        enumerations: Vec::new(),
        variants: None,
        template_parameters: parameters.iter().map(parameter).collect(),
        is_declaration: false,
    }
}

fn named(path: &str, parts: Parts<'_>, parameters: &[TypeRef]) -> TypeRef {
    let mut names: Vec<&str> = path.split("::").collect();
    let name = names.pop().unwrap_or_default();
    let ends = parts.iter().map(|(_, ty, at)| at + ty.size().unwrap_or(0));
    let kind = TypeKind::Composite(composite(parts, parameters));
    let mut made = Type::new(Some(name), ends.max(), kind);
    made.language = if names.first() == Some(&"std") { Language::Cpp } else { Language::Rust };
    made.scope = names.into_iter().map(Into::into).collect();
    TypeRef::made(made)
}

fn any_type(cursor: &mut Cursor<'_>, depth: u32) -> TypeRef {
    let kind = cursor.byte();
    if depth >= DEEPEST || kind < 64 {
        return plain(kind);
    }
    let inner = any_type(cursor, depth + 1);
    match kind % 4 {
        0 => structured(kind / 4, &inner, cursor),
        1 => libstdcxx(kind / 4, &inner),
        2 => libcxx(kind / 4, &inner),
        _ => rust(kind / 4, &inner),
    }
}

fn plain(kind: u8) -> TypeRef {
    match kind % 12 {
        0 => base("char", 1, BaseEncoding::SignedChar),
        1 => base("int", 4, BaseEncoding::Signed),
        2 => base("__int128", 16, BaseEncoding::Signed),
        3 => base("double", 8, BaseEncoding::Float),
        4 => base("long double", 16, BaseEncoding::Float),
        5 => base("__float128", 16, BaseEncoding::Float),
        6 => base("bool", 1, BaseEncoding::Boolean),
        7 => base("char32_t", 4, BaseEncoding::Utf),
        8 => base("odd", 1 << 40, BaseEncoding::Unsigned),
        9 => base("complex", 16, BaseEncoding::ComplexFloat),
        10 => base("none", 0, BaseEncoding::Unsigned),
        _ => word(),
    }
}

fn structured(kind: u8, inner: &TypeRef, cursor: &mut Cursor<'_>) -> TypeRef {
    match kind % 6 {
        0 => inner.pointer(8),
        1 => inner.array(u64::from(cursor.byte())),
        2 => {
            let dimension = |count| Dimension { lower: -1, count: Bound::Fixed(count) };
            let dimensions = vec![dimension(cursor.number()), dimension(3)];
            let stride = Some(cursor.number() % 64);
            let array = Array { element: inner.clone(), dimensions, stride, is_vector: false };
            TypeRef::made(Type::new(None, None, TypeKind::Array(array)))
        }
        3 => {
            let bits = MemberPlace::Bits { start: cursor.number() % 300, count: cursor.number() % 70 };
            let far = MemberPlace::Byte(cursor.number());
            let mut structure = composite(&[("first", inner.clone(), 0)], &[]);
            structure.members.push(member("bits", &word(), bits));
            structure.members.push(member("far", inner, far));
            TypeRef::made(Type::new(
                Some("s"),
                Some(u64::from(cursor.byte())),
                TypeKind::Composite(structure),
            ))
        }
        4 => {
            let one = |value| Enumerator { name: "one".into(), value };
            let enumerators = vec![one(1), one(2), one(4), one(6), one(-i128::from(cursor.byte()))];
            let kind = TypeKind::Enumeration(Enumeration { underlying: None, enumerators, is_scoped: false });
            TypeRef::made(Type::new(Some("e"), Some(u64::from(cursor.byte() & 31)), kind))
        }
        _ => {
            let variant =
                |tags, name| Variant { tags, members: vec![member(name, inner, MemberPlace::Byte(8))] };
            let mut with_variants = composite(&[], &[]);
            let tag = member("tag", &plain(cursor.byte()), MemberPlace::Byte(0));
            with_variants.variants = Some(VariantPart {
                tag: Some(Box::new(tag)),
                variants: vec![variant(vec![(0, 100)], "Some"), variant(vec![], "Other")],
            });
            let mut made = Type::new(Some("Option"), Some(16), TypeKind::Composite(with_variants));
            made.language = Language::Rust;
            TypeRef::made(made)
        }
    }
}

fn libstdcxx(kind: u8, inner: &TypeRef) -> TypeRef {
    let (to, all) = (inner.pointer(8), [inner.clone(), inner.clone()]);
    let pair = named("std::pair", &[("first", inner.clone(), 0), ("second", inner.clone(), 8)], &all);
    match kind % 7 {
        0 => {
            let parts =
                [("_M_start", to.clone(), 0), ("_M_finish", to.clone(), 8), ("_M_end_of_storage", to, 16)];
            named("std::vector", &[("_M_impl", named("std::i", &parts, &[]), 0)], &all)
        }
        1 => {
            let text = named("std::a", &[("_M_p", to, 0)], &[]);
            let local = base("char", 1, BaseEncoding::SignedChar).array(16);
            let parts = [
                ("_M_dataplus", text, 0),
                ("_M_string_length", word(), 8),
                ("_M_local_buf", local, 16),
                ("_M_allocated_capacity", word(), 16),
            ];
            named("std::basic_string", &parts, &[plain(0)])
        }
        2 => {
            let node = named("std::n", &[("_M_next", word(), 0), ("_M_size", word(), 16)], &[]);
            named("std::list", &[("_M_impl", named("std::i", &[("_M_node", node, 0)], &[]), 0)], &all)
        }
        3 => {
            let header = named("std::h", &[("_M_parent", word(), 8)], &[]);
            let parts = named("std::i", &[("_M_header", header, 8), ("_M_node_count", word(), 40)], &[]);
            let tree = named("std::_Rb_tree", &[("_M_impl", parts, 0)], &[inner.clone(), pair]);
            named("std::map", &[("_M_t", tree, 0)], &all)
        }
        4 => {
            let first = named("std::b", &[("_M_nxt", word(), 0)], &[]);
            let parts = [("_M_before_begin", first, 16), ("_M_element_count", word(), 24)];
            let table = named("std::_Hashtable", &parts, &[inner.clone(), pair]);
            named("std::unordered_map", &[("_M_h", table, 0)], &all)
        }
        5 => {
            let end = [
                ("_M_cur", to.clone(), 0),
                ("_M_first", to.clone(), 8),
                ("_M_last", to, 16),
                ("_M_node", word(), 24),
            ];
            let end = named("std::e", &end, &[]);
            let parts = named("std::i", &[("_M_start", end.clone(), 16), ("_M_finish", end, 48)], &[]);
            named("std::deque", &[("_M_impl", parts, 0)], &all)
        }
        _ => {
            let counts = [("_M_use_count", plain(1), 8), ("_M_weak_count", plain(1), 12)];
            let counts = named("std::c", &counts, &[]).pointer(8);
            let counts = named("std::r", &[("_M_pi", counts, 0)], &[]);
            named("std::shared_ptr", &[("_M_ptr", to, 0), ("_M_refcount", counts, 8)], &all)
        }
    }
}

fn libcxx(kind: u8, inner: &TypeRef) -> TypeRef {
    let (to, all) = (inner.pointer(8), [inner.clone(), inner.clone()]);
    match kind % 4 {
        0 => {
            let parts = [("__begin_", to.clone(), 0), ("__end_", to.clone(), 8), ("__cap_", to, 16)];
            named("std::__1::vector", &parts, &all)
        }
        1 => {
            let long = [("__cap_", word(), 0), ("__size_", word(), 8), ("__data_", to, 16)];
            let short = [("__size_", plain(0), 0), ("__data_", plain(0).array(23), 1)];
            let parts = [("__l", named("std::l", &long, &[]), 0), ("__s", named("std::s", &short, &[]), 0)];
            named("std::__1::basic_string", &parts, &[plain(0)])
        }
        2 => {
            let end = named("std::e", &[("__left_", word(), 0)], &[]);
            let parts = [("__end_node_", end, 8), ("__size_", word(), 16)];
            let tree = named("std::__1::__tree", &parts, &all);
            named("std::__1::set", &[("__tree_", tree, 0)], &all)
        }
        _ => {
            let blocks = [("__begin_", word(), 8), ("__end_", word(), 16)];
            let blocks = named("std::b", &blocks, &[]);
            let parts = [("__map_", blocks, 0), ("__start_", word(), 32), ("__size_", word(), 40)];
            named("std::__1::deque", &parts, &all)
        }
    }
}

fn rust(kind: u8, inner: &TypeRef) -> TypeRef {
    let (to, all) = (inner.pointer(8), [inner.clone(), inner.clone()]);
    let buffer = named("raw::RawVec", &[("ptr", to.clone(), 0), ("cap", word(), 8)], &[]);
    match kind % 6 {
        0 => named("alloc::vec::Vec", &[("buf", buffer, 0), ("len", word(), 16)], &all),
        1 => {
            let bytes = named("alloc::vec::Vec", &[("buf", buffer, 0), ("len", word(), 16)], &all);
            named("alloc::string::String", &[("vec", bytes, 0)], &[])
        }
        2 => {
            let parts = [("head", word(), 24), ("len", word(), 16), ("buf", buffer, 0)];
            named("alloc::collections::vec_deque::VecDeque", &parts, &all)
        }
        3 => {
            let pair = named("(u8, u8)", &[("__0", inner.clone(), 0), ("__1", inner.clone(), 8)], &[]);
            let parts = [("bucket_mask", word(), 8), ("ctrl", to, 0), ("items", word(), 16)];
            let table = named("hashbrown::raw::RawTable", &parts, &[pair]);
            named("hashbrown::map::HashMap", &[("table", table, 0)], &all)
        }
        4 => {
            let edges = named("m::InternalNode", &[("edges", word().array(12), 24)], &[]).pointer(8);
            let parts = [
                ("parent", edges, 0),
                ("len", plain(0), 8),
                ("keys", inner.array(11), 16),
                ("vals", inner.array(11), 64),
            ];
            let leaf = named("m::LeafNode", &parts, &[]).pointer(8);
            let root = named("m::Root", &[("node", leaf, 0), ("height", plain(0), 8)], &[]);
            named(
                "alloc::collections::btree::map::BTreeMap",
                &[("root", root, 0), ("length", word(), 16)],
                &all,
            )
        }
        _ => named("&[u8]", &[("data_ptr", to, 0), ("length", word(), 8)], &[]),
    }
}

//! What single languages have.

use super::*;
use crate::testing::{run, text};

const RUST: &str = r#"
use std::{cell::Cell, rc::Rc, num::NonZeroU8};
pub struct Pair(i32, u8);
pub enum Plain { A = -5, B, C = 300 }
pub enum Data { Nothing, Tuple(u8, u32), Named { x: i64, name: String } }
pub enum Signed { Below(u8), Above(u8) }
pub enum Single { Only(u32) }
pub union Both { a: u32, b: f32 }
pub mod inner { pub struct Deep<T> { pub value: T } impl<T> Deep<T> { pub fn make(value: T) -> Self {
    struct Local { a: u16 } let local = Local { a: 7 }; std::hint::black_box(&local); std::hint::black_box(local.a); Deep { value } } } }
fn main() {
    let number = 7_u8;
    let pair = Pair(1, 2); let tuple = (1_i32, 2_u8); let unit = ();
    let text = "abc"; let string = String::from("abc"); let vector = vec![1_u8];
    let array = [1_i16; 5]; let grid = [[1_u8; 3]; 2]; let slice = &array[1..3];
    let plain = Plain::B; let data = Data::Tuple(1, 2); let single = Single::Only(9); let both = Both { a: 1 };
    let niche = Some(&number); let boxed: Option<Box<u8>> = None; let option = Some(7_u32); let wide = Some(7_u128);
    let small: Option<NonZeroU8> = None; let nested = Some(Some(true)); let result: Result<u8, String> = Ok(1);
    let ordering = std::cmp::Ordering::Less; let raw = &raw const number; let character = 'x';
    let deep = inner::Deep::make(3_u64); let counted = Rc::new(Cell::new(5_u32));
    let closure = |x: u8| x + number; let function: fn(u8) -> u8 = std::convert::identity;
    let object: &dyn std::fmt::Debug = &number; let mutable = &mut 5_i32; let signed = Signed::Above(3);
    std::hint::black_box((&number, &pair, &tuple, &unit, &text, &string, &vector, &array, &grid, &slice, &plain, &data));
    std::hint::black_box((&single, &niche, &boxed, &option, &wide, &small, &nested, &result, &ordering, &raw, &signed));
    std::hint::black_box((&deep, &counted, &closure, &function, &object, &mutable, &character)); std::hint::black_box(&both);
}
"#;

fn rust(dir: &TempDir, flags: &[&str]) -> std::path::PathBuf {
    let source = dir.write("program.rs", RUST.as_bytes());
    let path = dir.path("program");
    run("rustc", &[&["--edition=2021", "-g", "-o", text(&path), text(&source)], flags].concat());
    path
}

/// The name and size of a variable's type, and its members.
const EXPECTED: &[(&str, &str, u64, &[&str])] = &[
    ("pair", "program::Pair", 8, &["0 i32 __0", "4 u8 __1"]),
    ("tuple", "(i32, u8)", 8, &["0 i32 __0", "4 u8 __1"]),
    ("unit", "()", 0, &[]),
    ("text", "&str", 16, &["0 *mut u8 data_ptr", "8 usize length"]),
    ("string", "alloc::string::String", 24, &["0 alloc::vec::Vec<u8, alloc::alloc::Global> vec"]),
    ("array", "[i16; 5]", 10, &[]),
    ("grid", "[[u8; 3]; 2]", 6, &[]),
    ("slice", "&[i16]", 16, &["0 *mut i16 data_ptr", "8 usize length"]),
    ("plain", "program::Plain", 2, &[]),
    ("both", "program::Both", 4, &["0 u32 a", "0 f32 b"]),
    ("raw", "*const u8", 8, &[]),
    ("character", "char", 4, &[]),
    ("deep", "program::inner::Deep<u64>", 8, &["0 u64 value"]),
    ("closure", "program::main::{closure_env#0}", 8, &["0 &u8 _ref__number"]),
    ("function", "fn(u8) -> u8", 8, &[]),
    ("object", "&dyn core::fmt::Debug", 16, &["0 *mut dyn core::fmt::Debug pointer"]),
    ("mutable", "&mut i32", 8, &[]),
    ("local", "program::inner::{impl#0}::make::Local", 2, &["0 u16 a"]),
    ("ordering", "core::cmp::Ordering", 1, &[]),
    ("niche", "core::option::Option<&u8>", 8, &[]),
];

/// The tag of an enumeration with data, and the tags of its variants: none for the one that is left.
type Variants = &'static [(&'static str, Option<i128>)];
const VARIANTS: &[(&str, Option<&str>, Variants)] = &[
    ("data", Some("0 u64 -"), &[("Nothing", Some(1 << 63)), ("Tuple", Some((1 << 63) + 1)), ("Named", None)]),
    ("single", None, &[("Only", None)]),
    ("niche", Some("0 u64 -"), &[("None", Some(0)), ("Some", None)]),
    ("boxed", Some("0 u64 -"), &[("None", Some(0)), ("Some", None)]),
    ("option", Some("0 u32 -"), &[("None", Some(0)), ("Some", Some(1))]),
    ("wide", Some("0 u128 -"), &[("None", Some(0)), ("Some", Some(1))]),
    ("small", Some("0 u8 -"), &[("None", Some(0)), ("Some", None)]),
    ("signed", Some("0 u8 -"), &[("Below", Some(0)), ("Above", Some(1))]),
];

#[test]
fn the_types_of_rust() {
    for flags in
        [&["-C", "dwarf-version=4"][..], &["-C", "dwarf-version=5"], &["-C", "split-debuginfo=unpacked"]]
    {
        let dir = TempDir::new();
        let path = rust(&dir, flags);
        let debug = open(&path);
        for (variable, name, size, members) in EXPECTED {
            let ty = type_of(&debug, variable);
            assert_eq!((ty.name().as_str(), ty.size()), (*name, Some(*size)), "{flags:?}");
            if !members.is_empty() {
                assert_eq!(layout(&ty)[..members.len()], **members, "{variable} {flags:?}");
            }
        }
        for (variable, tag, expected) in VARIANTS {
            let ty = type_of(&debug, variable).get().unwrap();
            let part = ty.composite().unwrap().variants.as_ref().unwrap();
            assert_eq!(part.tag.as_deref().map(member).as_deref(), *tag, "{variable} {flags:?}");
            let variants: Vec<_> = part
                .variants
                .iter()
                .map(|one| (one.members[0].name.as_deref().unwrap(), one.tags.first().map(|tag| tag.0)))
                .collect();
            assert_eq!(variants, *expected, "{variable} {flags:?}");
        }
        let plain = type_of(&debug, "plain").get().unwrap();
        let TypeKind::Enumeration(plain) = &plain.kind else { panic!("{plain:?}") };
        let values: Vec<_> = plain.enumerators.iter().map(|one| (&*one.name, one.value)).collect();
        assert_eq!((values, plain.is_scoped), (vec![("A", -5), ("B", -4), ("C", 300)], true));
    }
}

const VLA: &str = "
int count(int n) { int line[n]; int grid[n][3]; line[n - 1] = n; grid[0][0] = 1; return line[n - 1] + grid[0][0]; }
struct tail { int n; char rest[]; } tail; enum index { A, B, C };
float four __attribute__((vector_size(16)));
struct __attribute__((scalar_storage_order(\"big-endian\"))) network { int port; } network;
int main(int argc, char **argv) { return count(argc); }
";

fn array(of: &TypeRef) -> Array {
    let (_, found) = of.bare().unwrap();
    let TypeKind::Array(array) = &found.kind else { panic!("{found:?}") };
    array.clone()
}

#[test]
fn bounds_that_only_a_frame_knows_and_other_rare_things_of_c() {
    for version in ["-gdwarf-3", "-gdwarf-4", "-gdwarf-5"] {
        let dir = TempDir::new();
        let path = dir.compile("vla", VLA, &["-g", version, "-std=gnu2x"]);
        let debug = open(&path);
        let line = array(&pointed(&type_of(&debug, "line")));
        assert!(matches!(line.dimensions[0].count, Bound::Dynamic(DynamicBound { is_last: true, .. })));
        let grid = array(&pointed(&type_of(&debug, "grid")));
        assert!(matches!(grid.dimensions[0].count, Bound::Dynamic(_)));
        assert!(matches!(grid.dimensions[1].count, Bound::Fixed(3)));
        let tail = type_of(&debug, "tail").get().unwrap();
        let rest = array(&tail.composite().unwrap().members[1].ty);
        assert!(matches!(rest.dimensions[0].count, Bound::Unknown));
        let four = type_of(&debug, "four");
        assert!(array(&four).is_vector);
        assert_eq!((four.name().as_str(), four.size()), ("float __attribute__ ((vector_size(4)))", Some(16)));
        let network = type_of(&debug, "network").get().unwrap();
        let port = network.composite().unwrap().members[0].ty.get().unwrap();
        let TypeKind::Base(port) = &port.kind else { panic!("{port:?}") };
        assert_eq!((port.swapped, port.encoding), (true, BaseEncoding::Signed));
    }
}

/// gcc describes an array of variable length as it is, or by the pointer to it that it keeps.
fn pointed(ty: &TypeRef) -> TypeRef {
    match &ty.get().unwrap().kind {
        TypeKind::Pointer(pointer) => pointer.target.clone(),
        _ => ty.clone(),
    }
}

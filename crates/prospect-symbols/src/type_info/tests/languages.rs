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

#[test]
fn the_types_of_rust() {
    for version in ["4", "5"] {
        let dir = TempDir::new();
        let path = rust(&dir, &["-C", &format!("dwarf-version={version}")]);
        let debug = open(&path);
        for name in [
            "number",
            "pair",
            "tuple",
            "unit",
            "text",
            "string",
            "vector",
            "array",
            "grid",
            "slice",
            "plain",
            "data",
            "single",
            "both",
            "niche",
            "boxed",
            "option",
            "wide",
            "small",
            "nested",
            "result",
            "ordering",
            "raw",
            "character",
            "deep",
            "counted",
            "closure",
            "function",
            "object",
            "mutable",
            "signed",
            "local",
        ] {
            let ty = type_of(&debug, name);
            eprintln!("{name}: {} {:?}", ty.name(), ty.size());
            if let Some(composite) = ty.bare().unwrap().1.composite() {
                for line in layout(&ty) {
                    eprintln!("    {line}");
                }
                if let Some(part) = &composite.variants {
                    eprintln!("   tag {:?}", part.tag.as_deref().map(member));
                    for v in &part.variants {
                        eprintln!("   {:?} {:?}", v.tags, v.members.iter().map(member).collect::<Vec<_>>());
                    }
                }
                for p in &composite.template_parameters {
                    eprintln!("   <{:?} {}>", p.name, p.ty.name());
                }
            }
        }
        if version == "5" {
            panic!();
        }
    }
}

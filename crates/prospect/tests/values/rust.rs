//! Rust.

use prospect::value::{Chars, Content, Field, Shape, Value};

use crate::subject::{Subject, with_each};

const EXPECTED: &[(&str, &str)] = &[
    ("an_i8", "-8"),
    ("a_u8", "200"),
    ("an_i64", "-64"),
    ("a_u64", "18446744073709551615"),
    ("an_i128", "-1267650600228229401496703205376"),
    ("a_u128", "340282366920938463463374607431768211455"),
    ("truth", "true"),
    ("letter", "'ß'"),
    ("an_f32", "0.5"),
    ("an_f64", "1.0"),
    ("unit", "()"),
    ("point", "{x: 1, y: 2.5}"),
    ("pair", "(3, 4)"),
    ("empty_struct", "()"),
    ("tuple", r#"(1, "two", true)"#),
    ("array", "[1, 2, 3]"),
    ("bytes", "[97, 98, 99, 100]"),
    ("text", r#""text""#),
    ("slice", "[1, 2, 3]"),
    ("string", r#""string""#),
    ("empty_string", r#""""#),
    ("vec", "[1, 2, 3]"),
    ("strings", r#"["a", "b"]"#),
    ("empty_vec", "[]"),
    ("units", "[(), ()]"),
    ("points", "[{x: 1, y: 1.0}, {x: 2, y: 2.0}]"),
    ("deque", "[3, 4, 5, 6]"),
    ("list", "[1, 2, 3]"),
    ("heap", "[5, 1, 3]"),
    ("some", "Some(3)"),
    ("none", "None"),
    ("some_box", "Some(4)"),
    ("no_box", "None"),
    ("some_string", r#"Some("some")"#),
    ("no_string", "None"),
    ("ok", "Ok(1)"),
    ("error", r#"Err("error")"#),
    ("nested", "Some(None)"),
    ("empty", "Empty"),
    ("circle", "Circle(1.5)"),
    ("rect", "Rect {width: 2, height: 3}"),
    ("named", r#"Named("name")"#),
    ("colour", "Colour::Green"),
    ("boxed", "{x: 7, y: 7.5}"),
    ("boxed_slice", "[1, 2]"),
    ("boxed_str", r#""boxed""#),
    ("rc", "5 <strong 1, weak 1>"),
    ("weak", "5 <strong 1, weak 1>"),
    ("no_weak", "null"),
    ("arc", r#""arc" <strong 1, weak 0>"#),
    ("cell", "1"),
    ("ref_cell", "1"),
    ("borrowed", "2 <mutably_borrowed 1>"),
    ("mutex", "3 <locked 0>"),
    ("locked", "4 <locked 1>"),
    ("rw_lock", "5"),
    ("hash_map", r#"{1: "one"}"#),
    ("no_hash_map", "{}"),
    ("hash_set", r#"{"element"}"#),
    ("btree_map", r#"{1: "one", 2: "two"}"#),
    ("no_btree_map", "{}"),
    ("btree_set", r#"{"a", "b"}"#),
    ("os_string", r#""os""#),
    ("path", r#""/a/path""#),
    ("c_string", r#""c string""#),
    ("non_zero", "9"),
    ("duration", "{secs: 1, nanos: 500000000}"),
    ("wrapping", "255"),
    ("atomic", "6"),
    ("range", "{start: 1, end: 5}"),
    ("inclusive", "{start: 1, end: 5}"),
    ("phantom", "()"),
    ("reference", "{x: 10, y: 0.5}"),
    ("escapes", r#""\"q\"\n\u{1}\u{202e}é""#),
];

#[test]
fn values_of_rust_are_what_they_are() {
    with_each(&["values-rust", "values-rust-optimised"], |subject| {
        let fields = everything(subject);
        let field = |name: &str| &fields.iter().find(|field| *field.name == *name).unwrap().value;
        let differing = EXPECTED.iter().filter(|(name, expected)| field(name).to_string() != *expected);
        let differing: Vec<String> =
            differing.map(|(name, expected)| format!("{name} is {}, not {expected}", field(name))).collect();
        assert!(differing.is_empty(), "{}", differing.join("\n"));

        let function = field("function").to_string();
        assert!(function.ends_with("fixture::twice>"), "{function}");
        large_maps(field("large_hash_map"), field("large_btree_map"));
        let Content::Text { chars: Chars::Bytes(text), length: Some(6), cut: None } =
            &field("string").content
        else {
            panic!("{}", field("string"))
        };
        assert_eq!(text, b"string");
    });
}

fn everything(subject: &Subject) -> Vec<Field> {
    let value = subject.value("EVERYTHING");
    let Content::Variant { name, value: Some(some) } = value.content else { panic!("{value}") };
    assert_eq!(&*name, "Some");
    let Content::Fields { shape: Shape::Tuple, mut fields, .. } = some.content else { panic!("{some}") };
    let Content::Fields { shape: Shape::Struct, fields, cut: None } = fields.remove(0).value.content else {
        panic!("it is no structure")
    };
    fields
}

/// One in an order of its own, and one with several levels of nodes.
fn large_maps(hashed: &Value, tree: &Value) {
    let numbers = |value: &Value| {
        let Content::Entries { entries, length: Some(length), cut: None } = &value.content else {
            panic!("{value}")
        };
        assert_eq!(*length, entries.len() as u64);
        let number = |value: &Value| match value.content {
            Content::Unsigned(number) => number,
            _ => panic!("{value}"),
        };
        entries.iter().map(|entry| (number(&entry.key), number(&entry.value))).collect::<Vec<_>>()
    };
    let mut hashed = numbers(hashed);
    hashed.sort_unstable();
    assert_eq!(hashed, (0..100).map(|n| (n, n * n)).collect::<Vec<_>>());
    assert_eq!(numbers(tree), (0..150).map(|n| (n, n)).collect::<Vec<_>>());
}

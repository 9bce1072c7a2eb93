//! C.

use prospect::{
    process::Addr,
    symbols::variable::Unavailable,
    value::{Content, Limit, Limits, Value},
};

use crate::subject::{Subject, with_each};

#[test]
fn values_of_c_are_what_they_are() {
    with_each(&["values-gcc", "values-gcc-optimised", "values-clang"], |subject| {
        numbers(subject);
        text(subject);
        structures(subject);
        limited(subject);
    });
}

fn numbers(subject: &Subject) {
    subject.expect(&[
        ("a_schar", r"-5 '\373'"),
        ("an_uchar", r"200 '\310'"),
        ("a_char", "65 'A'"),
        ("a_newline", r"10 '\n'"),
        ("a_short", "-1234"),
        ("an_ushort", "65000"),
        ("an_int", "-123456"),
        ("an_unsigned", "4000000000"),
        ("a_long", "-1234567890123"),
        ("an_ulong", "18446744073709551615"),
        ("a_llong", "-9223372036854775808"),
        ("an_int128", "-1267650600228229401496703205376"),
        ("an_uint128", "170141183460469231731687303715884105735"),
        ("yes", "true"),
        ("no", "3"),
        ("a_float", "1.5"),
        ("a_small_float", "0.1"),
        ("a_double", "-2.25"),
        ("a_tenth", "0.1"),
        ("a_large_double", "1e300"),
        ("an_infinity", "inf"),
        ("not_a_number", "nan"),
        ("a_long_double", "1.25"),
        ("a_large_long_double", "1e4000"),
        ("a_complex", "1.5 + -2.5i"),
        ("a_float128", "1.5"),
        ("a_wchar", "228 L'ä'"),
        ("a_char16", "8364 u'€'"),
        ("a_char32", "128512 U'😀'"),
        ("a_colour", "GREEN"),
        ("no_colour", "77"),
        ("some_flags", "F_A | F_C"),
        ("more_flags", "F_B | F_HIGH | 0x10"),
        ("a_sign", "MINUS"),
        ("a_length", "12"),
    ]);
}

fn text(subject: &Subject) {
    subject.expect(&[
        ("a_string", r#"0x@ "hello \"world\"\n\t\001""#),
        ("an_array_of_chars", r#""in place""#),
        ("without_end", r#""abcd""#),
        ("empty_text", r#""""#),
        ("a_wide_string", r#"0x@ L"wïde""#),
        ("a_string16", r#"0x@ u"€16""#),
        ("a_string32", r#"0x@ U"😀32""#),
        ("no_string", "0x0"),
        ("bad_string", "0x10 -> <memory at 0x10 cannot be read>"),
        ("broken_utf8", r#"0x@ "a\377\376b""#),
        ("names", r#"{0x@ "one", 0x@ "two", 0x0}"#),
    ]);
    let long = subject.value("long_text").content;
    let Content::Text { length: Some(3000), cut: Some(Limit::Text), .. } = long else { panic!("{long:?}") };
}

fn structures(subject: &Subject) {
    subject.expect(&[
        ("a_point", "{x = 1, y = -2}"),
        ("a_place", "{x = 8, y = 9}"),
        ("to_point", "0x@"),
        ("to_nothing", "0x0"),
        ("to_void", "0x@"),
        ("to_pointer", "0x@"),
        ("a_bits", "{first = 5, second = -3, third = 737894400291, fourth = true, eighth = -100}"),
        (
            "an_outer",
            r#"{number = 1, as_int = 1065353216, as_float = 1, as_bytes = "\000\000\200?", pair = {left = 2, right = 3}, points = {{x = 4, y = 5}, {x = 6, y = 7}}, name = 0x@ "outer"}"#,
        ),
        ("an_either", "{number = 1, real = 1e-45}"),
        ("numbers", "{1, 2, 3, 4, 5}"),
        ("matrix", "{{1, 2, 3}, {4, 5, 6}}"),
        ("zeros", "{0 <repeats 1000 times>}"),
        ("mostly", "{0 <repeats 50 times>, 7, 0 <repeats 49 times>}"),
        ("reals", "{0.5, 1}"),
        ("a_flexible", "{count = 0, items = {}}"),
        ("a_function", "0x@ <add>"),
        ("no_function", "0x0"),
        ("first_node", "{number = 1, next = 0x@}"),
        ("a_vector", "{1, 2, 3, 4}"),
    ]);
}

/// What limits cut says so, and circles end.
fn limited(subject: &Subject) {
    let mut limits = Limits::default();
    limits.pointers = 10;
    let node = subject.value_with("to_first", &limits).to_string();
    assert_eq!(node.matches("number = 1").count(), 1, "{node}");
    assert_eq!(node.matches("number = 2").count(), 1, "{node}");
    assert!(node.contains("<leads back into itself>"), "{node}");
    limits.elements = 3;
    assert_eq!(subject.value_with("numbers", &limits).to_string(), "{1, 2, 3, ...}");
    limits.depth = 1;
    assert_eq!(subject.value_with("matrix", &limits).to_string(), "{...}");
    limits.values = 3;
    assert_eq!(subject.value_with("numbers", &limits).to_string(), "{1, 2, ...}");
    let bad = subject.object("bad_string").dereference(subject).unwrap();
    let Value { content: Content::Unavailable(Unavailable::CannotRead(Addr(16))), .. } =
        Value::read(&bad, subject, &limits)
    else {
        panic!("address 16 can be read")
    };
}

//! C++, with both of its standard libraries.

use prospect::value::{Content, Limit};

use crate::subject::{Subject, with_each};

/// What both libraries have.
fn expect_all(subject: &Subject) {
    classes(subject);
    really(subject);
    text(subject);
    containers(subject);
    holders(subject);
    corrupt(subject);
}

#[test]
fn values_of_libstdcxx_are_what_they_are() {
    with_each(&["values-cxx", "values-cxx-optimised", "values-cxx-clang"], |subject| {
        expect_all(subject);
        only_libstdcxx(subject);
    });
}

#[test]
fn values_of_libcxx_are_what_they_are() {
    with_each(&["values-libcxx", "values-libcxx-optimised"], expect_all);
}

/// Classes have their bases, and pointers to members their offsets.
fn classes(subject: &Subject) {
    subject.expect(&[
        ("witness_plain", "{x = 1, y = 2.5}"),
        ("inherits", "{<Plain> = {x = 1, y = 2.5}, z = 122 'z'}"),
        ("to_derived", "0x@"),
        ("a_reference", "{x = 1, y = 2.5}"),
        ("a_colour", "Colour::Green"),
        ("a_kind", "One | Two"),
        ("nothing_at_all", "{}"),
        ("to_member", "0x0"),
        ("to_second", "0x8"),
        ("to_no_member", "nullptr"),
        ("to_method", "0x@ <Both::method()>"),
        ("a_nullptr", "0x0"),
        ("a_char8", "120 'x'"),
    ]);
}

/// Objects behind references are what they really are.
fn really(subject: &Subject) {
    let derived = "{<Base> = {_vptr$Base = 0x@ <vtable for Derived>, base = 1}, derived = 2}";
    let base = "<Base> = {_vptr$Base = 0x@ <vtable for Both>, base = 1}";
    let both = format!(
        "{{<Left> = {{{base}, _vptr$Left = 0x@ <vtable for Both>, left = 3}}, \
         <Right> = {{{base}, _vptr$Right = 0x@ <vtable for Both>, right = 4}}, both = 5}}"
    );
    for (name, expected) in [("as_base", derived), ("as_right", &both), ("witness_both", &both)] {
        // GCC names the pointer to the table in one way, Clang in another, and they place it differently.
        let found = subject.text(name).replace("_vptr.", "_vptr$");
        let parts = |text: &str| {
            let mut parts: Vec<String> =
                text.split([',', '{', '}']).map(|part| part.trim().to_owned()).collect();
            parts.sort();
            parts
        };
        assert_eq!(parts(&found), parts(expected), "{name} of {}", subject.fixture.recipe().name);
    }
}

/// Text of all kinds.
fn text(subject: &Subject) {
    subject.expect(&[
        ("a_short_string", r#""short""#),
        ("a_long_string", r#""a string that is too long to be kept in place""#),
        ("an_empty_string", r#""""#),
        ("with_zero", r#""a\000b""#),
        ("a_wide_string", r#"L"wide""#),
        ("a_string16", r#"u"sixteen""#),
        ("a_string32", r#"U"thirty-two and long""#),
        ("a_view", r#""a view""#),
    ]);
}

/// Containers are their elements.
fn containers(subject: &Subject) {
    subject.expect(&[
        ("a_vector", "{1, 2, 3}"),
        ("an_empty_vector", "{}"),
        ("strings", r#"{"one", "a string that is too long to be kept in place"}"#),
        ("truths", "{true, false, true}"),
        ("many_truths", "{true <repeats 100 times>}"),
        ("nested", "{{1}, {2, 3}, {}}"),
        ("many_zeros", "{0 <repeats 1000 times>}"),
        ("an_array", "{4, 5, 6}"),
        ("no_array", "{}"),
        ("a_deque", "{1, 2, 3}"),
        ("a_list", "{1, 2, 3}"),
        ("string_list", r#"{"a", "b"}"#),
        ("aligned_list", "{1.5, 2.5}"),
        ("an_empty_list", "{}"),
        ("a_forward_list", "{1, 2, 3}"),
        ("a_map", r#"{[1] = "one", [2] = "two", [3] = "three"}"#),
        ("words", r#"{["a"] = 1, ["b"] = 2}"#),
        ("an_empty_map", "{}"),
        ("a_multimap", "{[1] = 2, [1] = 3}"),
        ("a_set", "{1, 2, 3}"),
        ("a_multiset", "{97 'a', 98 'b', 98 'b'}"),
        ("one_hashed", r#"{[7] = "seven"}"#),
        ("one_word", r#"{["word"] = 1}"#),
        ("one_number", "{5}"),
        ("none_hashed", "{}"),
        ("a_stack", "{1, 2}"),
        ("a_queue", "{3, 4}"),
        ("a_priority_queue", "{9, 1, 4}"),
        ("a_span", "{1, 2, 3}"),
        ("a_fixed_span", "{1, 2}"),
    ]);
    let Content::Elements { elements, length: Some(290), cut: Some(Limit::Elements), .. } =
        subject.value("a_long_deque").content
    else {
        panic!("{}", subject.value("a_long_deque"))
    };
    let numbers: Vec<String> = elements.iter().map(|element| element.value.to_string()).collect();
    let expected: Vec<String> = (10..210).map(|number: i32| number.to_string()).collect();
    assert_eq!(numbers, expected);
}

/// Holders are what they hold.
fn holders(subject: &Subject) {
    subject.expect(&[
        ("a_pair", "{first = 1, second = 2.5}"),
        ("a_tuple", r#"(1, "two", 3.5)"#),
        ("an_empty_tuple", "()"),
        ("some_number", "5"),
        ("no_number", "nothing"),
        ("some_string", r#""text""#),
        ("another_variant", "<double> 2.5"),
        ("a_shared", "42 <use_count 2, weak_count 1>"),
        ("another_shared", "42 <use_count 2, weak_count 1>"),
        ("a_weak", "42 <use_count 2, weak_count 1>"),
        ("no_shared", "null"),
        ("a_unique", "0x@ -> 43"),
        ("no_unique", "0x0"),
        ("an_atomic", "6"),
        ("an_atomic_bool", "true"),
        ("an_atomic_pointer", "0x0"),
        ("some_time", "1500 <numerator 1, denominator 1000>"),
        ("a_mutex", "<locked 0>"),
    ]);
    for name in ["shared_derived", "unique_derived"] {
        let found = subject.text(name);
        assert!(found.contains("<vtable for Derived>") && found.contains("derived = 2"), "{found}");
    }
    let variant = subject.value("a_variant");
    let Content::Variant { name, value: Some(text) } = &variant.content else { panic!("{variant}") };
    assert!(name.contains("basic_string"), "{name}");
    assert_eq!(text.to_string(), r#""text""#);
    let locked = subject.text("a_locked_mutex");
    assert_eq!(locked, format!("<locked 1, owner {}>", subject.running.pid()));
}

/// What has a view for one library only.
fn only_libstdcxx(subject: &Subject) {
    subject.expect(&[
        ("a_complex", "1 + -2i"),
        ("a_moment", "0 <numerator 1, denominator 1000000000>"),
        ("no_any", "nothing"),
        ("an_any", "{x = 1, y = 2.5}"),
        ("no_function", "nothing"),
        ("a_function", "0x@ <twice(int)>"),
        ("a_wrapper", "0x@ -> {x = 1, y = 2.5}"),
    ]);
}

/// What is not what it should be is shown as it is.
fn corrupt(subject: &Subject) {
    for name in ["corrupt_vector", "corrupt_map", "corrupt_string"] {
        let value = subject.value(name);
        let Content::Pointer(pointer) = &value.content else { panic!("{value}") };
        let target = pointer.target.as_ref().unwrap();
        assert!(target.implausible.is_some(), "{name}: {value}");
        assert!(matches!(target.content, Content::Fields { .. }), "{name}: {value}");
    }
    assert_eq!(subject.text("endless"), "{1, 2, 3, <leads back into itself>}");
}

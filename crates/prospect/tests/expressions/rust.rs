//! Rust.

use crate::with_each;

const EXPECTED: &[(&str, &str)] = &[
    // What the language has.
    ("array[1]", "20"),
    ("array[1..]", "[20, 30]"),
    ("byte + 100", "44"),
    ("letter == 'ß'", "true"),
    ("tuple.0", "1"),
    ("tuple.1", "\"two\""),
    ("tuple.2.1", "4"),
    ("pair.0 * 2", "10"),
    ("pair.__1", "6"),
    ("self.number", "47"),
    ("self.queue[1]", "49"),
    ("self.state[0].y", "46"),
    ("$len(self.state)", "1"),
    ("$len(array)", "3"),
    // Text.
    ("text == \"text\"", "true"),
    ("string == same", "true"),
    ("string == text", "false"),
    ("string[0]", "115"),
    ("$len(string)", "6"),
    ("text[1] == 'e' as u8", "true"),
    ("text[7]", "! there is no element 7 in an array of 4"),
    // Sequences.
    ("vec[3]", "4"),
    ("vec[1..4]", "[2, 3, 4]"),
    ("*&vec[3]", "4"),
    ("&vec[3] - &vec[0]", "3"),
    ("vec[here]", "2"),
    ("vec[9]", "! there is no element 9 in an array of 5"),
    ("$len(vec)", "5"),
    ("$len(empty)", "0"),
    ("words[1] == \"one\"", "true"),
    ("words[1][0]", "111"),
    ("points[1].y", "4"),
    ("reference[1].y", "4"),
    ("$len(reference)", "2"),
    ("deque[0]", "3"),
    ("deque[1..5]", "[4, 5, 0, 1]"),
    ("deque[5]", "9"),
    ("boxed_slice[1]", "18"),
    // Enumerations.
    ("some.0.x", "7"),
    ("some.x", "7"),
    ("some.__0.y", "8"),
    ("(*some).y", "8"),
    ("none.x", "! the `core::option::Option<fixture::Point>` is empty"),
    ("none == None", "true"),
    ("some == None", "false"),
    ("some != None", "true"),
    ("some_number == 9", "true"),
    ("some_number.0 + 1", "10"),
    ("some_box.y", "11"),
    ("some_box.0.x", "10"),
    ("ok.0", "12"),
    ("err == Err", "true"),
    ("err.0 == \"bad\"", "true"),
    ("kind == Large", "true"),
    ("kind == Kind::Small", "false"),
    ("shape.w", "13"),
    ("shape.h + shape.w", "27"),
    ("shape.r", "! the `fixture::Shape` is `Rect`, which has no member `r`"),
    ("shape == Rect", "true"),
    ("shape == Shape::Empty", "false"),
    ("flat == Empty", "true"),
    ("circle.0 * 2", "3.0"),
    ("circle.w", "! the `fixture::Shape` is `Circle`, which has no member `w`"),
    // Pointers and cells.
    ("boxed.x", "15"),
    ("(*boxed).y", "16"),
    ("rc.x", "19"),
    ("(*rc).y", "20"),
    ("weak.y", "20"),
    ("!dead", "true"),
    ("arc[1]", "22"),
    ("$len(arc)", "2"),
    ("cell + 1", "24"),
    ("*cell", "23"),
    ("ref_cell.y", "25"),
    ("mutex[1]", "27"),
    ("shared.x + shared.y", "57"),
    ("*lock", "30"),
    ("lock", "30"),
    ("held", "31 <read_locked 1>"),
    ("written", "32 <write_locked 1>"),
    ("*poisoned", "33 <poisoned 1>"),
    ("**poisoned", "33"),
    ("atomic == 34", "true"),
    // Maps.
    ("by_name[\"bob\"]", "40"),
    ("by_name[\"ann\"] + 1", "31"),
    ("by_name[\"cyd\"]", "! there is no key \"cyd\""),
    ("by_text[\"here\"].y", "36"),
    ("by_number[-50]", "\"n-50\""),
    ("by_number[49] == \"n49\"", "true"),
    ("by_number[50]", "! there is no key 50"),
    ("$len(by_number)", "100"),
    ("by_kind[Large]", "38"),
    ("by_kind[Kind::Small]", "37"),
    ("by_kind[kind]", "38"),
    ("set[0]", "39"),
    // Trait objects.
    ("dynamic", "{x: 41, y: 42}"),
    ("dynamic.y", "42"),
    ("closure.offset", "44"),
    ("dynamic_ref.volume", "43"),
    ("vec.nosuch", "! `alloc::vec::Vec<i32, alloc::alloc::Global>` has no member `nosuch`"),
    ("here[0]", "! `i32` has no elements"),
];

/// What optimisers leave nothing of.
const NOT_OPTIMISED: &[(&str, &str)] = &[
    ("slice[0]", "2"),
    ("slice[2]", "4"),
    ("slice[3]", "! there is no element 3 in an array of 3"),
    ("$len(slice)", "3"),
    ("*number_reference + 1", "4"),
    ("number_reference + 1", "4"),
];

#[test]
fn expressions_lead_through_rust() {
    with_each(&["expressions-rust", "expressions-rust-optimised", "expressions-rust-v0"], |subject| {
        subject.expect(EXPECTED);
        if !subject.fixture.recipe().name.ends_with("optimised") {
            subject.expect(NOT_OPTIMISED);
        }
    });
}

//! Every variable of the fixtures against the value that their sources give it, over compilers, levels of optimisation and
//! forms of debug information. Where a compiler did not keep one, nothing else may be said than just that.

use prospect::{Session, value::expression::Expression};

use crate::{open, start};

/// A function, an expression in it, and its value.
type Expected = (&'static str, &'static str, i128);

const C: &[Expected] = &[
    ("clobbers", "first", 10),
    ("clobbers", "second", 3003),
    ("clobbers", "where == 0", 1),
    ("splits", "pair.first", 2001),
    ("splits", "pair.second", 1002),
    ("splits", "number", 9),
    ("inlined", "plain", 1000),
    ("inlined", "*pointed", 2000),
    ("inlined", "known.first", 7),
    ("inlined", "known.second", 8),
    ("inlined", "to_known->second", 8),
    ("keeps", "kept", 1000),
    ("keeps", "(unsigned char)small", 200),
    ("keeps", "local", 2000),
    ("keeps", "five", 5),
    ("blocks", "count", 3),
    ("blocks", "counted", 501),
    ("blocks", "shadowed", 2),
    ("blocks", "array[1]", 11),
    ("blocks", "array[2]", 22),
    ("blocks", "text[0]", 105),
    ("blocks", "text[5]", 101),
    ("blocks", "global_long", 41),
    ("main", "count", 2),
    ("main", "words[0][0] != 0", 1),
    ("main", "what[0] != 0", 1),
    ("main", "file_static", 42),
    ("main", "constant_int", 46),
    ("main", "half == 0.5", 1),
    ("main", "seed", 1000),
];

/// GCC 12 gives thread-local variables of split units a wrong place.
const C_THREAD: &[Expected] = &[("main", "thread_local_int", 43), ("main", "thread_local_pair.second", 45)];

const CXX: &[Expected] = &[
    ("packed<", "sum", 60),
    ("operator()", "inner", 49),
    ("operator()", "more", 3),
    ("Holder::method", "named", 2),
    ("Holder::method", "own", 22),
    ("Holder::method", "this->own", 22),
    ("Holder::method", "before + 0", 44),
    ("main", "holder.own", 22),
    ("main", "reference + 0", 22),
    ("main", "count", 2),
    ("main", "outer::in_namespace", 11),
    ("main", "outer::Holder::shared", 13),
];

const RUST: &[Expected] = &[
    ("takes", "number", 10),
    ("takes", "value", 33),
    ("takes", "total", 6),
    ("takes", "flag", 1),
    ("takes", "words.data_ptr[0]", 1),
    ("takes", "words.data_ptr[2]", 3),
    ("takes", "words.length", 3),
    ("fixture::main", "COUNT", 91),
    ("fixture::main", "CHANGED", 183),
];

/// What the builds say: how many variables had their values, and all that was wrong.
#[derive(Default)]
struct Found {
    right: usize,
    missing: usize,
    wrong: Vec<String>,
}

impl Found {
    fn compare(&mut self, build: &str, session: &Session, expected: &[Expected]) {
        let stacks = session.stacks(|_| true);
        for (function, text, value) in expected {
            let number = stacks[0].calls().position(|call| {
                let name = call.function.unwrap_or_default();
                // A closure has the name of its function before its own.
                let is_closure = name.contains("operator()");
                is_closure == (*function == "operator()") && name.contains(function)
            });
            let Some(number) = number else {
                // It is inlined, or is not there at all in this build.
                self.wrong.push(format!("{build}: no {function}"));
                continue;
            };
            let scope = session.scope(&stacks[0], number).unwrap();
            let is_type = |name: &str| name == "unsigned char";
            let expression = Expression::parse(text, &is_type).unwrap();
            let found = expression.evaluate(&scope).map_err(|why| why.to_string());
            match found.and_then(|object| object.integer(&scope).map_err(|why| why.to_string())) {
                Ok(found) if found == *value => self.right += 1,
                Ok(found) => self.wrong.push(format!("{build}: {function}: {text} is {found}, not {value}")),
                Err(why) if is_honest(&why) => self.missing += 1,
                Err(why) => self.wrong.push(format!("{build}: {function}: {text}: {why}")),
            }
        }
    }
}

/// Whether it says that the compiler did not keep the value.
fn is_honest(why: &str) -> bool {
    ["optimised out", "is not known in this frame", "at the call is not known", "what has no address"]
        .iter()
        .any(|words| why.contains(words))
}

/// Compares builds, of which each must have at least so many values, and counts them.
fn compare(builds: &[(&str, usize)], expected: &[&[Expected]]) -> usize {
    let mut all = 0;
    let mut wrong = Vec::new();
    for &(build, least) in builds {
        let Some(running) = start(build, &[]) else { continue };
        let session = open(&running);
        let mut found = Found::default();
        for expected in expected {
            found.compare(build, &session, expected);
        }
        if found.right < least {
            wrong.push(format!("{build}: {} have values, {} have none", found.right, found.missing));
        }
        all += found.right;
        wrong.append(&mut found.wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    all
}

#[test]
fn variables_of_c_have_the_values_of_the_source() {
    // Not DWARF 2: it cannot say of blocks and inlined calls that they are in several pieces.
    let builds = [
        ("variables-o0", 31),
        ("variables-og", 23),
        ("variables-o2", 24),
        ("variables-dwarf3", 31),
        ("variables-dwarf4", 24),
        ("variables-dwz", 24),
        ("variables-static", 24),
        ("variables-32", 23),
        ("variables-32-o0", 31),
        ("variables-clang", 20),
        ("variables-clang-o0", 31),
        ("variables-clang-dwo", 20),
    ];
    let all = compare(&builds, &[C, C_THREAD]);
    let split = compare(&[("variables-dwo", 20), ("variables-dwo4", 20)], &[C]);
    assert!(all + split >= 300, "only {all} and {split} variables have values");
}

#[test]
fn variables_of_cxx_and_rust_have_the_values_of_the_source() {
    compare(&[("variables-cxx", 6), ("variables-cxx-o0", 12)], &[CXX]);
    compare(&[("variables-rust", 8), ("variables-rust-o2", 5)], &[RUST]);
}

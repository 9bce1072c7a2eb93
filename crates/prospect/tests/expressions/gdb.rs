//! Against gdb, which evaluates the same expressions in the same frame.

use std::process::{Command, Stdio};

use prospect::value::{ValueContext as _, expression::Expression};
use prospect_testing::{Tool, require, tool};

use crate::Subject;

/// Numbers, with what gdb can do without calling functions of the program. What it makes of bit-fields without a sign is left
/// out: it does not promote them to `int`, as C has it.
const BOTH: &[&str] = &[
    "numbers[1]",
    "*(numbers + 2)",
    "&numbers[2] - &numbers[0]",
    "letter + 1",
    "minus * 2",
    "minus < 0",
    "fields.low",
    "fields.high",
    "fields.high * 2",
    "point.x",
    "to_point->y",
    "point.base + point.shadowed",
    "point.Base::shadowed",
    "to_point->Base::base",
    "Base::count",
    "point.count",
    "far.far",
    "far.base",
    "((Point *)to_base)->y",
    "((Point *)nothing_known)->x",
    "((Wrap<int> *)any_wrap)->value",
    "this->number",
    "number * 2",
    "color == Color::Green",
    "color == Color::Red",
    "plain == TWO",
    "one_number + 1",
    "&one_number == &numbers[1]",
    "sizeof one_number",
    "sizeof(Point)",
    "letters[2]",
    "sizeof fields",
    "here ? 5 : 6",
    "(unsigned char)minus",
];

#[test]
fn gdb_says_the_same() {
    require!(tool("gdb"));
    for name in ["expressions-cxx", "expressions-cxx-optimised"] {
        let mut subject = require!(Subject::new(name));
        let theirs = theirs(&subject);
        let scope = subject.scope();
        let is_type = |name: &str| scope.type_named(name).is_some();
        let mut differing = Vec::new();
        for (text, theirs) in BOTH.iter().zip(theirs) {
            let parsed = Expression::parse(text, &is_type).unwrap();
            let ours = parsed.evaluate(&scope).map(|object| object.integer(&scope));
            if ours != Ok(Ok(theirs)) {
                differing.push(format!("{text}: {ours:?}, gdb: {theirs}"));
            }
        }
        assert!(differing.is_empty(), "{name}:\n{}", differing.join("\n"));
        drop(scope);
        subject.running.assert_unharmed();
    }
}

/// gdb's numbers, in the order of [`BOTH`].
fn theirs(subject: &Subject) -> Vec<i128> {
    let mut command = Command::new("gdb");
    command.args(["-q", "-batch", "-nx", "-iex", "set debuginfod enabled off"]);
    command.args(["-p", &subject.running.arg(), "-ex", "frame function Worker::work"]);
    for text in BOTH {
        command.args(["-ex", "echo VALUE|", "-ex", &format!("output (long)({text})"), "-ex", "echo \\n"]);
    }
    let said = Tool::finish(command.stdin(Stdio::null()));
    let text = said.text();
    let lines = text.lines().filter_map(|line| line.strip_prefix("VALUE|"));
    let numbers: Vec<i128> = lines.map(|number| number.parse().unwrap_or(i128::MIN)).collect();
    assert_eq!(numbers.len(), BOTH.len(), "{text}");
    numbers
}

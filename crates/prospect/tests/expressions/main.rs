//! Expressions over the locals of live programs: paths through the types of libraries, with literal expected values.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod cxx;
mod gdb;
mod rust;

use prospect::{
    FrameScope, Session, ThreadStack,
    value::{Limits, Value, ValueContext as _, expression::Expression},
};
use prospect_testing::{Fixture, Missing, Running, fixture};

/// A stopped look at a fixture.
struct Subject {
    fixture: Fixture,
    running: Running,
    session: Session,
    stack: ThreadStack,
    /// The call whose locals are meant.
    call: usize,
}

impl Subject {
    fn new(name: &str) -> Result<Self, Missing> {
        let fixture = fixture(name)?;
        let running = fixture.start(&[]);
        let session = prospect::open(running.pid()).unwrap();
        let main = running.pid();
        let stack = session.stacks(|thread| thread.id.0 == main).pop().unwrap();
        let knows = |call: &usize| session.scope(&stack, *call).is_some_and(|scope| scope.knows("here"));
        let call = (0..stack.calls().count()).find(knows);
        let call = call.unwrap_or_else(|| panic!("nobody knows `here` in {name}"));
        Ok(Self { fixture, running, session, stack, call })
    }

    fn scope(&self) -> FrameScope<'_> {
        self.session.scope(&self.stack, self.call).unwrap()
    }

    /// The value of an expression as text, without addresses; or what is wrong with it.
    fn text(&self, scope: &FrameScope<'_>, text: &str) -> String {
        let is_type = |name: &str| scope.type_named(name).is_some();
        let found = Expression::parse(text, &is_type).and_then(|parsed| parsed.evaluate(scope));
        match found {
            Ok(object) => hidden(&Value::read(&object, scope, &Limits::default()).to_string()),
            Err(error) => format!("! {error}"),
        }
    }

    /// Compares the values of expressions with what they should be, and tells of all that differ.
    fn expect(&self, expected: &[(&str, &str)]) {
        let scope = self.scope();
        let differing = expected.iter().filter_map(|(text, expected)| {
            let found = self.text(&scope, text);
            (found != *expected).then(|| format!("{text}\n  is     {found}\n  not    {expected}"))
        });
        let differing: Vec<String> = differing.collect();
        let name = self.fixture.recipe().name;
        assert!(
            differing.is_empty(),
            "{name}: {} of {}:\n{}",
            differing.len(),
            expected.len(),
            differing.join("\n")
        );
    }
}

/// Addresses differ from run to run.
fn hidden(text: &str) -> String {
    let mut parts = text.split("0x");
    let mut hidden = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.find(|other: char| !other.is_ascii_hexdigit()).unwrap_or(part.len());
        hidden.push_str("0x");
        hidden.push_str(if digits >= 6 { "@" } else { &part[..digits] });
        hidden.push_str(&part[digits..]);
    }
    hidden
}

/// Runs a test for each build of a fixture that can be made here.
fn with_each(names: &[&str], test: impl Fn(&Subject)) {
    for name in names {
        let mut subject = prospect_testing::require!(Subject::new(name));
        test(&subject);
        subject.running.assert_unharmed();
    }
}

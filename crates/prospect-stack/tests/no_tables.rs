//! Code of which nobody wrote down what it does to the stack: written by hand, or made at run time. It is walked
//! by what it does.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod live;

use std::{collections::BTreeMap, fs};

use object::{Object, ObjectSymbol};
use prospect_process::{Addr, Arch, Process};
use prospect_stack::{
    Stack, StackEnd, StepContext, StepperGroup, Trust, Walker,
    steppers::{AnalysisStepper, CfiStepper, FramePointerStepper, ScanStepper},
};
use prospect_testing::{Fixture, fixture, require};

use live::{binaries, look_at};

/// The functions of a program by where they are linked.
struct Functions(BTreeMap<u64, String>);

impl Functions {
    fn of(program: &Fixture) -> Self {
        let bytes = fs::read(program.path()).unwrap();
        let file = object::File::parse(bytes.as_slice()).unwrap();
        let named = |symbol: object::Symbol<'_, '_>| Some((symbol.address(), symbol.name().ok()?.to_owned()));
        Self(file.symbols().filter(ObjectSymbol::is_definition).filter_map(named).collect())
    }

    fn at(&self, at: Addr) -> &str {
        self.0.range(..=at.0).next_back().map_or("?", |(_, name)| name)
    }
}

/// The stack of a program's main thread, walked by these steppers.
fn walk(program: &Fixture, steppers: StepperGroup) -> (Stack, Box<dyn Process>) {
    let running = program.start(&[]);
    let (process, registers) = look_at(&running, Arch::X86_64);
    let binaries = binaries();
    let stack = Walker::with_steppers(steppers).walk(&registers, &StepContext::new(&process, &binaries));
    (stack, Box::new(process))
}

/// All that can be tried besides.
fn others() -> StepperGroup {
    StepperGroup::new()
        .then(CfiStepper::default())
        .then(FramePointerStepper::default())
        .then(ScanStepper::default())
}

#[test]
fn code_written_by_hand_is_walked_by_what_it_does() {
    let (program, named) = (require!(fixture("by-hand")), require!(fixture("by-hand-named")));
    let functions = Functions::of(&named);
    let names = |stack: &Stack| -> Vec<String> {
        stack.frames.iter().map(|frame| functions.at(frame.for_lookup()).to_owned()).collect()
    };
    let wanted = ["waits", "chooses", "grows", "overlaps", "pushes", "frameless", "_start"];
    let alone = StepperGroup::new().then(AnalysisStepper::default());
    for steppers in [alone, StepperGroup::standard(Arch::X86_64)] {
        let (stack, _) = walk(&program, steppers);
        assert_eq!(names(&stack), wanted, "{stack:#x?}");
        assert_eq!(stack.end, StackEnd::Outermost);
        // The calls name the starts of the functions.
        assert!(stack.frames[1..].iter().all(|frame| frame.trust == Trust::Analysed), "{stack:#x?}");
    }
    let (stack, _) = walk(&program, others());
    assert_ne!(names(&stack), wanted, "the others do not need the analysis");
}

#[test]
fn code_made_at_run_time_is_walked_by_what_it_does() {
    let program = require!(fixture("jit"));
    // How many frames lie in no module, and whether the walk came to the end.
    let outcome = |steppers: StepperGroup| {
        let (stack, process) = walk(&program, steppers);
        let made = stack.frames.iter().filter(|frame| process.modules().at(frame.for_lookup()).is_none());
        (made.count(), stack.end.clone() == StackEnd::Outermost)
    };
    let tables = || StepperGroup::new().then(CfiStepper::default());
    assert_eq!(outcome(tables().then(AnalysisStepper::default())), (2, true));
    assert_eq!(outcome(tables()), (1, false), "call frame information alone stops in the first");
}

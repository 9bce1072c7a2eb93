//! Return addresses alone: the same as those of whole walks, of every program at every stop.

use prospect_process::{Addr, Process as _};
use prospect_stack::{
    CodeAddress, StepContext, Trust,
    return_addresses::{BinaryRules, StackPosition, walk},
};
use prospect_symbols::{Binaries, SearchOptions};

use crate::{
    load::Stopped,
    walk::{Steppers, walk as walk_whole},
};

/// Where a register is needed that is not followed: Thumb code keeps frame pointers in r7; and the tables of SFrame have
/// nothing for the outermost frame, whose function is known by the program's entry.
const INCOMPLETE: [&str; 4] =
    ["sframe/aarch64.stop", "thumb/arm.stop", "thumb_guarded/arm.stop", "thumb_tables/arm.stop"];

#[test]
fn they_are_those_of_the_walker_or_it_is_said_that_they_end() {
    let mut complete = 0;
    let mut incomplete = Vec::new();
    for (name, stopped) in Stopped::all() {
        let whole = walk_whole(&stopped, Steppers::Standard);
        let expected: Vec<CodeAddress> = whole.frames.iter().map(|frame| frame.code).collect();
        let binaries = Binaries::new(SearchOptions::default());
        let context = StepContext::new(&stopped.process, &binaries);
        let from = StackPosition::of(&stopped.registers).unwrap();
        let mut into = [CodeAddress::Exact(Addr(0)); 64];
        let walked = walk(&from, BinaryRules::new(&context), stopped.process.memory(), &mut [], &mut into);
        let trusted = walked.trusted.min(walked.count).min(expected.len());
        assert_eq!(into[..trusted], expected[..trusted], "{name}: {walked:?}");
        // By the tables of the compiler, all of it is found.
        let is_by_table = |trust| matches!(trust, Trust::CallFrameInfo | Trust::SignalFrame | Trust::Given);
        if !whole.end.is_complete() || !whole.frames.iter().all(|frame| is_by_table(frame.trust)) {
            continue;
        }
        if walked.is_complete() {
            assert_eq!(into[..walked.count], expected, "{name}: {walked:?}");
            complete += 1;
        } else {
            incomplete.push(name);
        }
    }
    incomplete.sort();
    assert_eq!(incomplete, INCOMPLETE);
    assert!(complete > 100, "{complete}");
}

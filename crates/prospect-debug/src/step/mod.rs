//! Steps: from line to line, over calls, into them and out of them.
//!
//! A step is a plan that is carried out over [`Control`](prospect_process::control::Control). Frames are told apart by
//! their canonical frame address, so that a step over a call that recurses ends in the frame that it began in. What
//! else happens meanwhile, a breakpoint or the end of the process, ends the plan, and is what it gives back.

mod driver;
mod landing;
mod line;
mod rules;
mod run;

use std::time::Duration;

use prospect_process::{
    Addr, ProcessId, ThreadId,
    control::{Action, ControlError, Event, TrapError},
};
use prospect_symbols::Binaries;

pub use driver::{Driver, Plain, StepMemo};
pub use rules::IntoRules;

use line::Position;
use run::{Ran, Runner};

/// So many times a step is continued within its line.
const MOST_TURNS: usize = 10_000;

/// So many instructions has what only jumps on: a stub of the procedure linkage table.
const STUB_INSTRUCTIONS: usize = 8;

/// What a step is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Step {
    /// One instruction.
    Instruction,
    /// To the next line, into functions that have lines.
    Into,
    /// To the next line of this frame, or its caller's.
    Over,
    /// To the next line that is further down in the source: out of loops.
    Until,
    /// Until the function has returned.
    Out,
    /// To this address, in any frame.
    RunTo(Addr),
}

/// What a function has returned, where the calling convention says that it is (System V ABI, AMD64 supplement, section
/// 3.2.3; of i386, section 2.2.3): which one counts depends on its type.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Returned {
    /// A whole number or pointer.
    pub integer: Option<u64>,
    /// The bytes of `xmm0`, in which a number with a fraction begins.
    pub vector: Option<Vec<u8>>,
}

/// How a step ended.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StepEnd {
    /// It is done.
    Done,
    /// The function has returned this.
    Returned(Returned),
    /// Something else has happened first.
    Interrupted(Event),
    /// It was not done in the time that it had.
    TimeOver,
}

/// Why a step cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The target fails.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A breakpoint that it needs cannot be set.
    #[error(transparent)]
    Trap(#[from] TrapError),
    /// The thread does not stand.
    #[error("thread {0} does not stand")]
    NotStopped(ThreadId),
    /// Nothing is known of who called the function.
    #[error("no caller of the function is known")]
    NoCaller,
    /// No line is known here.
    #[error("no line of the source is known at {0}")]
    NoLine(Addr),
    /// It goes on and on within its line.
    #[error("the line does not end")]
    Endless,
}

/// A step, with all that can be said about it.
#[derive(Clone, Debug)]
pub struct Stepping {
    /// What it is to do.
    pub how: Step,
    /// Whether all other threads stand meanwhile. What waits for one of them, waits until the time is over.
    pub alone: bool,
    /// Which functions [`Step::Into`] gets into.
    pub rules: IntoRules,
    /// How much time it has.
    pub within: Duration,
}

impl Stepping {
    /// A plain one: all other threads run, and all functions with lines are stepped into.
    #[must_use]
    pub fn new(how: Step, within: Duration) -> Self {
        Self { how, alone: false, rules: IntoRules::default(), within }
    }
}

/// Makes a step with a thread that stands.
///
/// # Errors
/// When it cannot be made, and why; the thread may have run for a part of it.
pub fn step(
    driver: &mut dyn Driver,
    binaries: &Binaries,
    process: ProcessId,
    thread: ThreadId,
    how: &Stepping,
) -> Result<StepEnd, StepError> {
    let mut runner = Runner::new(driver, binaries, process, thread, how);
    let ran = match how.how {
        Step::Instruction => runner.run(Action::Step)?,
        Step::RunTo(at) => runner.run_to(at)?,
        Step::Out => match out(&mut runner)? {
            (Ran::Done, true) => return Ok(StepEnd::Returned(runner.returned())),
            (ran, _) => ran,
        },
        Step::Into | Step::Over | Step::Until => lines(&mut runner, how)?,
    };
    Ok(match ran {
        Ran::Done => StepEnd::Done,
        Ran::Interrupted(event) => StepEnd::Interrupted(event),
        Ran::TimeOver => StepEnd::TimeOver,
    })
}

/// Out of the function; whether it has returned, and was not inlined or left otherwise.
fn out(runner: &mut Runner<'_>) -> Result<(Ran, bool), StepError> {
    let from = runner.position()?;
    if from.is_inlined() {
        return Ok((out_of_inlined(runner, from)?, false));
    }
    let caller = from.caller.ok_or(StepError::NoCaller)?;
    let ran = runner.run_back_to(caller.returns_to, caller.cfa)?;
    let has_returned = matches!(ran, Ran::Done) && runner.registers()?.pc() == Some(caller.returns_to);
    Ok((ran, has_returned))
}

/// Until the code is none of the copy of a function that the thread stands in.
fn out_of_inlined(runner: &mut Runner<'_>, from: Position) -> Result<Ran, StepError> {
    let mut now = from.clone();
    for _ in 0..MOST_TURNS {
        let ran = runner.run(Action::StepWhileIn(now.ranges.clone()))?;
        if !matches!(ran, Ran::Done) {
            return Ok(ran);
        }
        now = runner.position()?;
        if now.cfa != from.cfa
            && let Some((_, at)) = runner.caller_with(from.cfa)?
        {
            let ran = runner.run_back_to(at, from.cfa)?;
            if !matches!(ran, Ran::Done) {
                return Ok(ran);
            }
            now = runner.position()?;
        }
        if now.cfa != from.cfa || !now.is_within_call_of(&from) {
            return Ok(Ran::Done);
        }
    }
    Err(StepError::Endless)
}

fn lines(runner: &mut Runner<'_>, how: &Stepping) -> Result<Ran, StepError> {
    let mut from = runner.position()?;
    if from.line.is_none() {
        return Err(StepError::NoLine(from.pc));
    }
    for _ in 0..MOST_TURNS {
        let ran = runner.run(Action::StepWhileIn(from.ranges.clone()))?;
        if !matches!(ran, Ran::Done) {
            return Ok(ran);
        }
        let mut now = runner.position()?;
        let mut back = None;
        if now.cfa != from.cfa {
            back = runner.caller_with(from.cfa)?.map(|(depth, at)| (depth, at, from.cfa));
        } else if now.is_other_function(&from) {
            // The frame's place was taken by a function that it has called as the last thing it did: to its own caller.
            back = now.caller.map(|caller| (1, caller.returns_to, caller.cfa));
        }
        if let Some((depth, at, cfa)) = back {
            // Handlers of signals are not what was called.
            if how.how == Step::Into && depth == 1 {
                match into(runner, how, &now)? {
                    Entered::Stays(ran) => return Ok(ran),
                    Entered::Not => {}
                }
            }
            let ran = runner.run_back_to(at, cfa)?;
            if !matches!(ran, Ran::Done) {
                return Ok(ran);
            }
            now = runner.position()?;
        }
        if let Some(end) = ended(&now, &mut from, &how.how) {
            return Ok(end);
        }
    }
    Err(StepError::Endless)
}

/// Whether a function is stepped into.
enum Entered {
    /// It is, and the step is done, or was interrupted.
    Stays(Ran),
    /// It is to be stepped over.
    Not,
}

/// A thread stands at the first instruction of what was called.
fn into(runner: &mut Runner<'_>, how: &Stepping, called: &Position) -> Result<Entered, StepError> {
    let mut now = called.clone();
    for _ in 0..STUB_INSTRUCTIONS {
        // What has no lines may only be on the way to what has: a stub, and the dynamic linker that looks for where it leads.
        let loader = runner.loader_at(now.pc)?;
        if now.line.is_some() && loader.is_none() {
            if !how.rules.allow(now.function(), now.file()) {
                return Ok(Entered::Not);
            }
            return Ok(Entered::Stays(runner.run_to(now.after_prologue)?));
        }
        let action = match loader {
            Some(code) => Action::StepWhileIn(code),
            None => Action::Step,
        };
        let ran = runner.run(action)?;
        if !matches!(ran, Ran::Done) {
            return Ok(Entered::Stays(ran));
        }
        let next = runner.position()?;
        let returns = |position: &Position| position.caller.map(|caller| caller.returns_to);
        if returns(&next) != returns(called) {
            break;
        }
        now = next;
    }
    // It is none: what was called stands behind its first instructions.
    if how.rules.without_lines && how.rules.allow(called.function(), called.file()) {
        return Ok(Entered::Stays(Ran::Done));
    }
    Ok(Entered::Not)
}

/// Whether the step ends here; else it goes on from here.
fn ended(now: &Position, from: &mut Position, how: &Step) -> Option<Ran> {
    let has_returned = now.cfa != from.cfa;
    let is_other_line = now.line.is_some() && now.line != from.line;
    let is_behind = *how == Step::Until && now.cfa == from.cfa && now.line_number() <= from.line_number();
    // What was inlined is a call too, and is stepped over.
    let is_inside = *how != Step::Into && now.cfa == from.cfa && now.is_inlined_into(from);
    if is_inside {
        from.ranges.clone_from(&now.ranges);
        return None;
    }
    // In the middle of a line, as after a return, it goes on to where one begins.
    if is_other_line && now.is_line_start && !is_behind {
        return Some(Ran::Done);
    }
    // `main` has returned to where nothing has lines.
    if has_returned && now.line.is_none() {
        return Some(Ran::Done);
    }
    if has_returned || now.line == from.line {
        *from = now.clone();
    } else {
        from.ranges.clone_from(&now.ranges);
    }
    None
}

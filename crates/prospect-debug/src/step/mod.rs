//! Steps: from line to line, over calls, into them and out of them.
//!
//! A step is a plan that is carried out over [`Control`](prospect_process::control::Control). Frames are told apart by their canonical frame
//! address, so that a step over a call that recurses ends in the frame that it began in. What else happens meanwhile, a breakpoint or the end of
//! the process, ends the plan, and is what it gives back.

mod line;
mod run;

use std::time::Duration;

use prospect_process::{
    Addr, ProcessId, Target, ThreadId,
    control::{Action, ControlError, Event, TrapError},
};
use prospect_symbols::Binaries;

use line::Position;
use run::{Ran, Runner};

/// So many times a step is continued within its line.
const MOST_TURNS: usize = 10_000;

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

/// What a function has returned, where the calling convention says that it is (System V ABI, AMD64 supplement, section 3.2.3; of i386, section
/// 2.2.3): which one counts depends on its type.
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

/// Makes a step with a thread that stands. All other threads run meanwhile.
///
/// # Errors
/// When it cannot be made, and why; the thread may have run for a part of it.
pub fn step(
    target: &mut dyn Target,
    binaries: &Binaries,
    process: ProcessId,
    thread: ThreadId,
    how: &Step,
    within: Duration,
) -> Result<StepEnd, StepError> {
    let mut runner = Runner::new(target, binaries, process, thread, within);
    let ran = match how {
        Step::Instruction => runner.run(Action::Step)?,
        Step::RunTo(at) => runner.run_to(*at, None)?,
        Step::Out => {
            let caller = runner.position()?.caller.ok_or(StepError::NoCaller)?;
            match runner.run_to(caller.returns_to, caller.cfa)? {
                Ran::Done => return Ok(StepEnd::Returned(runner.returned())),
                ran => ran,
            }
        }
        Step::Into | Step::Over | Step::Until => lines(&mut runner, how)?,
    };
    Ok(match ran {
        Ran::Done => StepEnd::Done,
        Ran::Interrupted(event) => StepEnd::Interrupted(event),
        Ran::TimeOver => StepEnd::TimeOver,
    })
}

fn lines(runner: &mut Runner<'_>, how: &Step) -> Result<Ran, StepError> {
    let mut from = runner.position()?;
    if from.line.is_none() {
        return Err(StepError::NoLine(from.pc));
    }
    for _ in 0..MOST_TURNS {
        let ran = runner.run(Action::StepWhileIn(from.ranges.clone()))?;
        if !matches!(ran, Ran::Done) {
            return Ok(ran);
        }
        let now = runner.position()?;
        if is_called_by(&now, &from) {
            let Some(caller) = now.caller else { return Err(StepError::NoCaller) };
            if *how == Step::Into && now.line.is_some() {
                return runner.run_to(now.after_prologue, None);
            }
            let ran = runner.run_to(caller.returns_to, caller.cfa)?;
            if !matches!(ran, Ran::Done) {
                return Ok(ran);
            }
            let back = runner.position()?;
            if let Some(end) = ended(&back, &mut from, how) {
                return Ok(end);
            }
            continue;
        }
        if let Some(end) = ended(&now, &mut from, how) {
            return Ok(end);
        }
    }
    Err(StepError::Endless)
}

/// Whether a frame was entered from another one: its caller is that one.
fn is_called_by(now: &Position, from: &Position) -> bool {
    let caller = now.caller.and_then(|caller| caller.cfa);
    now.cfa != from.cfa && caller.is_some() && caller == from.cfa
}

/// Whether the step ends here; else it goes on from here.
fn ended(now: &Position, from: &mut Position, how: &Step) -> Option<Ran> {
    let has_returned = now.cfa > from.cfa;
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

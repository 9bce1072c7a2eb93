//! The loop: one instruction, every walk, and again.

use std::time::{Duration, Instant};

use prospect::{
    live::{LiveProcess, StepStop, SteppedThread},
    process::{Addr, Arch, Process, ProcessId, Registers, ThreadId},
    stack::{
        FrameStepper, Step, StepContext, StepError, StepperGroup, Walker,
        steppers::{AnalysisStepper, CfiStepper, NewThreadStepper, SignalStepper},
    },
    symbols::{Binaries, SearchOptions},
};

use super::{
    history::{CallHistory, Kind, kind_at},
    opinion::{Moment, Opinion},
};

/// How long one instruction may take: the first one waits in the kernel until the program is told to begin.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far a program is followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) steps: u64,
    pub(crate) time: Duration,
    /// Somebody else is asked at each of so many steps; 0: never.
    pub(crate) sample: u64,
}

/// A thread that runs instruction by instruction, wherever it is.
pub(crate) trait Stepped {
    /// Its registers; `None` when it has ended, or does not come back.
    fn registers(&self) -> Option<Registers>;
    /// Its process at this moment.
    fn process(&self) -> &dyn Process;
    /// Runs one instruction.
    fn step(&mut self) -> Result<StepStop, String>;
    /// Called when the process may have other mappings.
    fn refresh(&mut self);
}

impl Stepped for SteppedThread {
    fn registers(&self) -> Option<Registers> {
        Self::registers(self).copied()
    }

    fn process(&self) -> &dyn Process {
        Self::process(self)
    }

    fn step(&mut self) -> Result<StepStop, String> {
        Self::step(self, PATIENCE).map_err(|error| error.to_string())
    }

    fn refresh(&mut self) {
        Self::refresh(self);
    }
}

/// Somebody else who walks, at some steps.
pub(crate) trait Witness: Send {
    /// The addresses of the thread's frames, innermost first; `None` when there is no answer any more.
    fn addresses(&mut self, thread: &dyn Stepped) -> Option<Vec<Addr>>;
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) steps: u64,
    pub(crate) signals: u64,
    pub(crate) took: Duration,
    /// Whether the program came to its end.
    pub(crate) ended: bool,
    /// Why the truth is not known any more.
    pub(crate) lost: Option<String>,
    pub(crate) opinions: Vec<Opinion>,
}

/// The names of the ways to walk, in the order of [`Followed::opinions`].
pub(crate) const STANDARD: &str = "standard";
pub(crate) const CFI: &str = "cfi";
pub(crate) const ANALYSIS: &str = "analysis";
pub(crate) const WITNESS: &str = "gdb";

/// A program's first function has nothing to return to, and only call frame information says so: this stands for it
/// where the walk has none.
#[derive(Debug)]
struct EntryStepper(Vec<Addr>);

impl FrameStepper for EntryStepper {
    fn name(&self) -> &'static str {
        "entry"
    }

    fn step(&mut self, frame: &prospect::stack::Frame, _: &StepContext<'_>) -> Result<Step, StepError> {
        let is_last = self.0.contains(&frame.code.addr());
        Ok(if is_last { Step::Outermost } else { Step::NotMine("it is not where the program began") })
    }
}

fn walkers(arch: Arch, outermost: Addr) -> [(Walker, Opinion); 3] {
    let cfi = StepperGroup::new().then(SignalStepper::default()).then(CfiStepper::default());
    let analysis = StepperGroup::new()
        .then(SignalStepper::default())
        .then(EntryStepper(vec![outermost]))
        .then(NewThreadStepper)
        .then(AnalysisStepper::default());
    [
        (Walker::new(arch), Opinion::new(STANDARD)),
        (Walker::with_steppers(cfi), Opinion::new(CFI)),
        (Walker::with_steppers(analysis), Opinion::new(ANALYSIS)),
    ]
}

/// Runs the only thread of a process instruction by instruction, from where it waits to its end. `begin` wakes it.
pub(crate) fn follow(
    pid: u32,
    limits: Limits,
    witness: Option<&mut dyn Witness>,
    begin: impl FnOnce() + Send,
) -> Result<Followed, String> {
    let live = LiveProcess::open(ProcessId(pid)).map_err(|error| error.to_string())?;
    live.step_thread(ThreadId(pid), PATIENCE, |thread| follow_thread(thread, limits, witness, begin))
        .map_err(|error| error.to_string())?
}

/// The same for any thread that stands.
pub(crate) fn follow_thread(
    thread: &mut dyn Stepped,
    limits: Limits,
    witness: Option<&mut dyn Witness>,
    begin: impl FnOnce(),
) -> Result<Followed, String> {
    let registers = thread.registers().ok_or("it has no registers")?;
    let stack = {
        let binaries = Binaries::new(SearchOptions::default());
        let context = StepContext::new(thread.process(), &binaries);
        Walker::new(registers.arch()).walk(&registers, &context)
    };
    let _ = stack.outermost().ok_or_else(|| format!("before it begins: {}", stack.end))?;
    let history = CallHistory::from_stack(&stack).ok_or("before it begins: a frame without a CFA")?;
    begin();
    follow_on(thread, history, limits, witness)
}

fn follow_on(
    thread: &mut dyn Stepped,
    mut history: CallHistory,
    limits: Limits,
    mut witness: Option<&mut dyn Witness>,
) -> Result<Followed, String> {
    let binaries = Binaries::new(SearchOptions::default());
    let mut registers = thread.registers().ok_or("it has no registers")?;
    let outermost = history.addresses(Addr(0)).last().unwrap_or_default();
    let mut walkers = walkers(registers.arch(), outermost);
    let mut gdb = witness.is_some().then(|| Opinion::new(WITNESS));
    let started = Instant::now();
    let (mut steps, mut signals, mut ended, mut lost) = (0, 0, false, None);
    while steps < limits.steps && started.elapsed() < limits.time {
        let pc = registers.pc().ok_or("pc is not known")?;
        let truth: Vec<Addr> = history.addresses(pc).collect();
        let moment = Moment {
            step: steps,
            process: thread.process(),
            binaries: &binaries,
            truth: &truth,
            caller: history.caller_registers(),
        };
        for (walker, opinion) in &mut walkers {
            opinion.ask(walker, &registers, &moment);
        }
        if let (Some(asked), Some(opinion)) = (&mut witness, &mut gdb)
            && limits.sample > 0
            && steps % limits.sample == 0
        {
            match asked.addresses(thread) {
                Some(said) => _ = opinion.compare(&said, &moment, || format!("{said:?}")),
                None => witness = None,
            }
        }
        let kind = kind_at(pc, registers.arch(), thread.process().memory());
        let stop = thread.step()?;
        let Some(after) = thread.registers() else {
            ended = stop == StepStop::Ended;
            break;
        };
        let noted = history.note((&registers, kind), (stop, &after), thread.process().memory());
        if noted.is_none() {
            lost = Some(format!("after step {steps} at {pc}"));
            break;
        }
        if kind == Kind::SystemCall {
            thread.refresh();
        }
        signals += u64::from(stop == StepStop::Handler);
        steps += u64::from(matches!(stop, StepStop::Instruction | StepStop::Handler));
        registers = after;
    }
    let opinions = walkers.into_iter().map(|(_, opinion)| opinion).chain(gdb).collect();
    Ok(Followed { steps, signals, took: started.elapsed(), ended, lost, opinions })
}

//! What one way to walk said over all steps, beside the truth.

use std::collections::BTreeMap;

use prospect::{
    process::{Addr, Process, Registers},
    stack::{Frame, Stack, Walker},
    symbols::{Binaries, Symbolizer},
};

/// Most instructions that are remembered as walked wrongly.
const MOST_WRONG: usize = 4096;

/// One way to walk, and how often it was right.
#[derive(Debug)]
pub(crate) struct Opinion {
    pub(crate) name: &'static str,
    /// How often it was asked.
    pub(crate) asked: u64,
    /// How often the innermost frame's caller was right.
    pub(crate) callers: u64,
    /// How often it said a caller that is none.
    pub(crate) false_callers: u64,
    /// How often every frame was right, and where it ends.
    pub(crate) chains: u64,
    /// How many of the caller's preserved registers were said, and how many of these were right.
    pub(crate) registers: (u64, u64),
    /// Where it was wrong, by the innermost pc, with what kind of error.
    pub(crate) wrong: BTreeMap<(Addr, Fault), Wrong>,
}

/// What is wrong about a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Caller,
    Chain,
    Register,
}

/// One instruction at which a walk was wrong.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) times: u64,
    /// The first time, and the rest of what was so then.
    pub(crate) step: u64,
    /// Function and offset, or the address alone.
    pub(crate) place: String,
    /// The file and the address in it, to be disassembled.
    pub(crate) code: Option<(String, u64)>,
    pub(crate) what: String,
}

/// One moment of the thread.
pub(crate) struct Moment<'a> {
    pub(crate) step: u64,
    pub(crate) process: &'a dyn Process,
    pub(crate) binaries: &'a Binaries,
    /// What a walk has to give.
    pub(crate) truth: &'a [Addr],
    /// What the caller's preserved registers are, where that is known.
    pub(crate) caller: Option<Registers>,
}

impl Opinion {
    pub(crate) fn new(name: &'static str) -> Self {
        let wrong = BTreeMap::new();
        Self { name, asked: 0, callers: 0, false_callers: 0, chains: 0, registers: (0, 0), wrong }
    }

    /// Walks, and holds the result against the truth.
    pub(crate) fn ask(&mut self, walker: &mut Walker, registers: &Registers, moment: &Moment<'_>) {
        let context = prospect::stack::StepContext::new(moment.process, moment.binaries);
        let stack = walker.walk(registers, &context);
        let said: Vec<Addr> = stack.frames.iter().map(|frame| frame.code.addr()).collect();
        let explain = || explain(walker, registers, &stack, moment);
        let is_right = self.compare(&said, moment, explain);
        if let (true, Some(truth), Some(frame)) = (is_right, &moment.caller, stack.frames.get(1)) {
            self.compare_registers(frame, truth, moment);
        }
    }

    /// Holds addresses against the truth; says whether the caller is right.
    pub(crate) fn compare(
        &mut self,
        said: &[Addr],
        moment: &Moment<'_>,
        explain: impl FnOnce() -> String,
    ) -> bool {
        self.asked += 1;
        let caller = said.get(1) == moment.truth.get(1);
        self.callers += u64::from(caller);
        self.false_callers += u64::from(!caller && said.len() > 1);
        if said == moment.truth {
            self.chains += 1;
            return true;
        }
        let first = said.iter().zip(moment.truth).take_while(|(said, truth)| said == truth).count();
        let name = |at: Option<&Addr>| at.map_or("the end".to_owned(), |at| place(*at, moment));
        let what = || {
            let (truth, said) = (name(moment.truth.get(first)), name(said.get(first)));
            format!("frame {first} is {truth}; said {said} ({})", explain())
        };
        self.note(if caller { Fault::Chain } else { Fault::Caller }, moment, what);
        caller
    }

    /// Holds the preserved registers that a frame says against what they were before the call.
    fn compare_registers(&mut self, frame: &Frame, truth: &Registers, moment: &Moment<'_>) {
        let info = truth.arch().info();
        for (row, value) in truth.known() {
            let is_special = row.name == info.register(info.sp).name
                || info.link.is_some_and(|link| info.register(link).name == row.name)
                || row.name.ends_with("_base");
            let said = frame.registers.known().find(|(said, _)| said.name == row.name);
            let (true, false, Some((_, said))) = (row.preserved, is_special, said) else { continue };
            self.registers.0 += 1;
            if said == value {
                self.registers.1 += 1;
            } else {
                let what = || format!("{} of the caller is {value:#x}; said {said:#x}", row.name);
                self.note(Fault::Register, moment, what);
            }
        }
    }

    fn note(&mut self, fault: Fault, moment: &Moment<'_>, what: impl FnOnce() -> String) {
        let pc = moment.truth[0];
        if let Some(wrong) = self.wrong.get_mut(&(pc, fault)) {
            wrong.times += 1;
        } else if self.wrong.len() < MOST_WRONG {
            let code = moment
                .process
                .modules()
                .at(pc)
                .map(|module| (module.path_lossy().into_owned(), pc.0.wrapping_sub(module.bias)));
            let wrong = Wrong { times: 1, step: moment.step, place: place(pc, moment), code, what: what() };
            self.wrong.insert((pc, fault), wrong);
        }
    }
}

/// Who found the frames, and why others did not.
fn explain(walker: &mut Walker, registers: &Registers, stack: &Stack, moment: &Moment<'_>) -> String {
    let found: Vec<&str> = stack.frames.iter().map(|frame| frame.found_by).collect();
    let mut text = format!("by {}", found.get(1..).unwrap_or_default().join(","));
    if !stack.end.is_complete() {
        text += &format!("; {}", stack.end);
    }
    let context = prospect::stack::StepContext::new(moment.process, moment.binaries);
    if let Ok(mut frame) = Walker::first_frame(registers)
        && walker.step(&mut frame, &context).is_ok()
    {
        for declined in walker.declined() {
            text += &format!("; {}: {}", declined.stepper, declined.reason);
        }
    }
    text
}

/// An address as `MODULE FUNCTION+OFFSET`.
fn place(at: Addr, moment: &Moment<'_>) -> String {
    let resolved = Symbolizer::new(moment.process, moment.binaries).resolve(&[at]).pop().unwrap_or_default();
    let module = moment.process.modules().at(at);
    let (name, bias) =
        module.map_or((String::new(), 0), |module| (module.file_name().into_owned(), module.bias));
    let function = resolved.frames.last().and_then(|frame| frame.function.clone()).unwrap_or("?".to_owned());
    format!("{name}!{:#x} {function}", at.0.wrapping_sub(bias))
}

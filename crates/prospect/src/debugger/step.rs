//! Steps.

use std::time::Duration;

use prospect_debug::step::{self, Driver, Step, StepEnd, StepMemo, Stepping};
use prospect_process::{
    Target, ThreadId,
    control::{Control as _, ControlError, Event},
};

use prospect_value::Value;

use super::{DebugError, Debugger, Stop};

/// How a step ended.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Stepped {
    /// It is done.
    Done,
    /// The function has returned.
    Returned {
        /// Where the calling convention says that results are.
        registers: step::Returned,
        /// What that is by the function's type; `None` for nothing, and where the type is not known, or does not say by itself where it is.
        value: Option<Value>,
    },
    /// Something else has happened first.
    Stopped(Stop),
    /// It was not done in the time that it had.
    TimeOver,
}

impl Debugger {
    /// Makes a step with a thread that stands, while all others run. What happens meanwhile ends it, if it stops anything at all: libraries
    /// that come, conditions that are false and handlers that let it go on do not.
    ///
    /// # Errors
    /// When it cannot be made, and why.
    pub fn step(&mut self, thread: ThreadId, how: Step, within: Duration) -> Result<Stepped, DebugError> {
        self.step_as(thread, &Stepping::new(how, within))
    }

    /// The same, with all that can be said about it.
    ///
    /// # Errors
    /// When it cannot be made, and why.
    pub fn step_as(&mut self, thread: ThreadId, how: &Stepping) -> Result<Stepped, DebugError> {
        let process = self.process_of(thread)?;
        let binaries = self.binaries.clone();
        let result = if how.how == Step::Out { self.result_type(thread) } else { None };
        let mut stepper = Stepper { debugger: self, stop: None, failure: None };
        let end = step::step(&mut stepper, &binaries, process, thread, how);
        let Stepper { stop, failure, .. } = stepper;
        self.resumed = None;
        if let Some(failure) = failure {
            return Err(failure);
        }
        Ok(match (end?, stop) {
            (StepEnd::Returned(registers), _) => {
                let value = result.and_then(|ty| self.returned_value(thread, &ty));
                Stepped::Returned { registers, value }
            }
            (StepEnd::Interrupted(_), Some(stop)) => Stepped::Stopped(stop),
            (StepEnd::TimeOver, _) => Stepped::TimeOver,
            _ => Stepped::Done,
        })
    }
}

/// Decides what is not the step's own matter.
struct Stepper<'a> {
    debugger: &'a mut Debugger,
    stop: Option<Stop>,
    failure: Option<DebugError>,
}

impl Driver for Stepper<'_> {
    fn target(&self) -> &dyn Target {
        &self.debugger.controlled
    }

    fn target_mut(&mut self) -> &mut dyn Target {
        &mut self.debugger.controlled
    }

    fn memo(&mut self) -> &mut StepMemo {
        &mut self.debugger.step_memo
    }

    fn happened(&mut self, event: Event) -> Result<Option<Event>, ControlError> {
        for record in self.debugger.controlled.take_records() {
            self.debugger.recorded(&record);
        }
        match self.debugger.happened(event.clone()) {
            Ok(Some(stop)) => {
                self.stop = Some(stop);
                Ok(Some(event))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                self.failure = Some(error);
                Ok(Some(event))
            }
        }
    }
}

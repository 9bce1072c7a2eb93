//! Watched variables.

use prospect_debug::breakpoint::{BreakAt, BreakpointId, Wanted};
use prospect_process::{
    Addr, Process, ProcessId, Target as _, ThreadId,
    control::{Control, DataAccess, Filter, Trap, TrapId, TrapPlace},
};

use super::{DebugError, Debugger, Point};

/// A watched variable.
#[derive(Debug)]
pub(super) struct Watched {
    at: Addr,
    /// As it was last.
    last: Vec<u8>,
    frame: Option<Frame>,
}

/// The frame that a local variable is of.
#[derive(Debug)]
struct Frame {
    process: ProcessId,
    thread: ThreadId,
    /// Its canonical frame address: its caller's stack pointer.
    cfa: Addr,
    /// Where it returns to.
    end: Option<TrapId>,
}

impl Watched {
    /// The value before and now, which is kept.
    pub(super) fn changed(&mut self, process: &dyn Process) -> String {
        let info = process.info().arch.info();
        let number =
            |bytes: &[u8]| info.unsigned(bytes).map_or_else(|| "?".into(), |number| number.to_string());
        let mut now = vec![0; self.last.len()];
        let text = match process.memory().read(self.at, &mut now) {
            Ok(()) => format!("{} -> {}", number(&self.last), number(&now)),
            Err(error) => format!("{} -> <{error}>", number(&self.last)),
        };
        self.last = now;
        text
    }

    pub(super) fn is_local(&self) -> bool {
        self.frame.is_some()
    }

    pub(super) fn ends_at(&self, trap: TrapId) -> bool {
        self.frame.as_ref().is_some_and(|frame| frame.end == Some(trap))
    }

    pub(super) fn forget(self, control: &mut dyn Control) {
        if let Some(trap) = self.frame.and_then(|frame| frame.end) {
            control.clear_trap(trap);
        }
    }
}

impl Debugger {
    /// Watches a variable, of 1, 2, 4 or 8 bytes, as it is named in the innermost frame of a thread, by a debug register in all threads. One
    /// of that frame is watched until the frame ends, which is [told](super::Stop::out_of_scope). The rest of the [`Point`] says what comes of
    /// an access; what it is at does not matter.
    ///
    /// # Errors
    /// When it is nowhere or has another size, and why; when no debug register is left.
    pub fn watch(
        &mut self,
        thread: ThreadId,
        variable: &str,
        access: DataAccess,
        point: Point,
    ) -> Result<BreakpointId, DebugError> {
        let process = self.process_of(thread)?;
        let (at, size) = self.address(thread, variable)?;
        let size = size.and_then(|size| u8::try_from(size).ok()).filter(|size| matches!(size, 1 | 2 | 4 | 8));
        let wrong = "has not 1, 2, 4 or 8 bytes, and cannot be watched";
        let bytes = size.ok_or_else(|| DebugError::Expression(format!("`{variable}` {wrong}")))?;
        let mut last = vec![0; usize::from(bytes)];
        self.process(process)?
            .memory()
            .read(at, &mut last)
            .map_err(prospect_process::control::ControlError::from)?;
        let place = TrapPlace::Data { at, bytes, access };
        let wanted = Wanted { at: BreakAt::Trap(place), ..point.wanted.clone() };
        let id = self.add(Point { wanted, ..point })?;
        let breakpoint = self.breakpoints.get(id);
        if let Some(problem) =
            breakpoint.filter(|one| one.sites.is_empty()).map(|one| one.problems.join("; "))
        {
            self.remove(id)?;
            return Err(DebugError::Expression(format!("`{variable}`: {problem}")));
        }
        let frame = self.frame_of(process, thread, at)?;
        self.watched.insert(id, Watched { at, last, frame });
        Ok(id)
    }

    /// The innermost frame of the thread, if a variable is in it.
    fn frame_of(
        &mut self,
        process: ProcessId,
        thread: ThreadId,
        at: Addr,
    ) -> Result<Option<Frame>, DebugError> {
        let stack = self.walk(thread)?;
        let sp = self.process(process)?.registers(thread).and_then(|registers| registers.sp());
        let (Some(sp), Some(cfa)) = (sp, stack.frames.first().and_then(|frame| frame.cfa)) else {
            return Ok(None);
        };
        // Leaf functions use memory below the stack pointer, too (System V ABI, AMD64 supplement, section 3.2.2).
        if !(Addr(sp.0.saturating_sub(128))..cfa).contains(&at) {
            return Ok(None);
        }
        let returns_to = stack.frames.get(1).map(|frame| frame.code.addr());
        let end = returns_to.and_then(|at| {
            let place = TrapPlace::Code { at, hardware: false };
            let filter = Filter { thread: Some(thread), ..Filter::default() };
            self.controlled.set_trap(process, Trap { place, filter }).ok()
        });
        Ok(Some(Frame { process, thread, cfa, end }))
    }

    /// The watched variable whose frame has ended, where a thread stands at a trap.
    pub(super) fn frame_ended(
        &self,
        trap: TrapId,
        process: ProcessId,
        thread: ThreadId,
    ) -> Option<BreakpointId> {
        let own = self.breakpoints.of_trap(trap).map(|(breakpoint, _)| breakpoint.id);
        let sp = self.controlled.process(process).ok()?.registers(thread)?.sp()?;
        let is_over = |frame: &Frame| (frame.process, frame.thread) == (process, thread) && sp >= frame.cfa;
        let mut ended = self.watched.iter().filter(|(id, one)| {
            // A frame that was left by an exception is seen when its memory is used by others.
            (one.ends_at(trap) || own == Some(**id)) && one.frame.as_ref().is_some_and(is_over)
        });
        ended.next().map(|(id, _)| *id)
    }
}

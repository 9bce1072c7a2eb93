//! Looking at what stands.

use prospect_live::procfs;
use prospect_process::{Addr, Mappings, ProcessId, Target as _, ThreadId};
use prospect_stack::{Stack, StepContext, Walker};
use prospect_value::expression::Expression;

use super::{DebugError, Debugger, point};
use crate::FrameScope;

impl Debugger {
    /// The process of a thread.
    #[must_use]
    pub fn find_thread(&self, thread: ThreadId) -> Option<ProcessId> {
        let has = |process: &&ProcessId| {
            let view = self.controlled.process(**process);
            view.is_ok_and(|view| view.threads().iter().any(|one| one.id == thread))
        };
        self.controlled.processes().iter().find(has).copied()
    }

    pub(super) fn process_of(&self, thread: ThreadId) -> Result<ProcessId, DebugError> {
        self.find_thread(thread).ok_or(DebugError::NoThread(thread))
    }

    /// What is mapped in a process.
    ///
    /// # Errors
    /// When it is not under control any more.
    pub fn memory_map(&self, process: ProcessId) -> Result<&Mappings, DebugError> {
        Ok(self.process(process)?.mappings())
    }

    /// The first instruction of the program itself, behind that of the dynamic linker (`AT_ENTRY`).
    ///
    /// # Errors
    /// When the process is not under control any more.
    pub fn entry_point(&self, process: ProcessId) -> Result<Option<Addr>, DebugError> {
        let arch = self.process(process)?.info().arch;
        // It is another one when it has executed another program.
        let auxv = procfs::auxv::read(process, arch).ok();
        Ok(auxv.and_then(|auxv| auxv.get(procfs::auxv::ENTRY)).map(Addr))
    }

    /// The frames of a thread that stands.
    ///
    /// # Errors
    /// When there is none of that number, or it does not stand.
    pub fn walk(&self, thread: ThreadId) -> Result<Stack, DebugError> {
        let process = self.process(self.process_of(thread)?)?;
        let registers = process.registers(thread).ok_or(DebugError::NoThread(thread))?;
        let mut walker = Walker::new(process.info().arch);
        Ok(walker.walk(&registers, &StepContext::new(process, &self.binaries)))
    }

    /// What names mean in a frame of a thread that stands, from the innermost, 0, on.
    ///
    /// # Errors
    /// When there is no such thread or frame.
    pub fn in_frame<T>(
        &self,
        thread: ThreadId,
        frame: usize,
        look: impl FnOnce(&FrameScope<'_>) -> T,
    ) -> Result<T, DebugError> {
        let process = self.process_of(thread)?;
        let stack = self.walk(thread)?;
        let frames = stack.frames.get(frame..).unwrap_or_default();
        let scope = self.session(process)?.at_moment(self.process(process)?, thread, frames);
        scope.map(|scope| look(&scope)).ok_or_else(|| DebugError::Expression("there is no such frame".into()))
    }

    /// Where an expression is in the innermost frame of a thread, and how many bytes it has; of one that is nowhere, the address that it is.
    ///
    /// # Errors
    /// When it has no value: why.
    pub fn address(&self, thread: ThreadId, text: &str) -> Result<(Addr, Option<u64>), DebugError> {
        let process = self.process_of(thread)?;
        let session = self.session(process)?;
        let failed = |error: &dyn std::fmt::Display| DebugError::Expression(format!("`{text}`: {error}"));
        let expression = Expression::parse(text, &|name| point::is_type(session, name));
        let expression = expression.map_err(|error| failed(&error))?;
        self.in_frame(thread, 0, |scope| {
            let object = expression.evaluate(scope).map_err(|error| failed(&error))?;
            if let Some(at) = object.address() {
                return Ok((at, object.ty.size()));
            }
            let number = object.integer(scope).map_err(|error| failed(&error))?;
            let at = u64::try_from(number).map_err(|_| failed(&"it is no address"))?;
            Ok((Addr(at), None))
        })?
    }
}

//! What names mean at a moment of a process under control: where it stands, as a record of a hit has it, or in frames
//! that are made up.

use std::sync::Arc;

use prospect_debug::condition::{Compiled, Compiler, MadeUp, Template};
use prospect_live::LiveMemory;
use prospect_process::{
    Addr, CapturedMemory, FrozenProcess, Process, Registers, ThreadId, control::Collection,
};
use prospect_stack::Frame;
use prospect_symbols::{Binaries, CfaRule};
use prospect_value::expression::Expression;

use crate::{FrameScope, FrameView, OpenOptions, Session, frame_view::Scene, session::View};

impl OpenOptions {
    /// The files of modules, found as is said here, for [sessions](Self::beside) that share them.
    #[must_use]
    pub fn new_binaries(&self) -> Arc<Binaries> {
        self.binaries()
    }

    /// A session beside a live process that somebody else holds, with the files that are known: its modules and its
    /// memory, and none of its threads. What a thread is in is asked for [at a moment](Session::at_moment). When its
    /// modules change, another one is made.
    #[must_use]
    pub fn beside(&self, process: &dyn Process, binaries: &Arc<Binaries>) -> Session {
        let memory = CapturedMemory::new(Vec::new(), []);
        let info = process.info().clone();
        let source = Box::new(LiveMemory::new(info.id));
        let frozen = FrozenProcess::new(info, Vec::new(), memory, process.mappings().clone()).over(source);
        // While there is memory to find them in: the process may end before anybody asks.
        frozen.modules();
        self.session(View::Frozen(Box::new(frozen)), None, binaries, &Arc::default())
    }
}

impl Session {
    /// What names mean in the innermost of these frames, at a moment of this process that is another than the session is of.
    /// `None` where there is no frame.
    #[must_use]
    pub fn at_moment<'a>(
        &'a self,
        process: &'a dyn Process,
        thread: ThreadId,
        frames: &'a [Frame],
    ) -> Option<FrameScope<'a>> {
        let scene = Scene { process, binaries: &self.binaries };
        Some(FrameScope::new(self, FrameView::of(scene, thread, frames, 0)?, 0))
    }

    /// The frame of a thread with these registers, with its canonical frame address where a register says it.
    #[must_use]
    pub fn innermost_frame(&self, registers: &Registers) -> Option<Frame> {
        let mut frame = Frame::innermost(registers).ok()?;
        let module = self.process().modules().at(frame.code.addr());
        let row = module.and_then(|module| {
            let binary = self.binaries.get(module, self.process().info(), self.process().memory());
            binary.unwind_row(frame.code.addr().to_link(module.bias)).ok()?
        });
        if let Some(CfaRule::Register(register, offset)) = row.map(|row| row.cfa) {
            let value = registers.get(register);
            frame.cfa = value.map(|value| Addr(value.wrapping_add(offset.cast_unsigned())));
        }
        Some(frame)
    }

    /// A condition as a program that is evaluated next to a stop at this address, or why it cannot be one.
    #[must_use]
    pub fn compile(&self, at: Addr, condition: &Expression) -> Compiled {
        self.compiler(at, |compiler| compiler.condition(condition)).unwrap_or_else(|| {
            Compiled::No("conditions are not evaluated next to a stop on this machine".into())
        })
    }

    /// What is to be collected at this address so that a template can be written later.
    ///
    /// # Errors
    /// When it cannot be: why, a sentence.
    pub fn compile_template(&self, at: Addr, template: &Template) -> Result<Collection, String> {
        let compiled = self.compiler(at, |compiler| compiler.collection(template));
        let none = || Err("values are not collected next to a stop on this machine".into());
        let mut collection = compiled.unwrap_or_else(none)?;
        // What the frame is found by.
        let module = self.process().modules().at(at);
        let row = module.and_then(|module| {
            let binary = self.binaries.get(module, self.process().info(), self.process().memory());
            binary.unwind_row(at.to_link(module.bias)).ok()?
        });
        if let Some(CfaRule::Register(register, _)) = row.map(|row| row.cfa)
            && !collection.registers.contains(&register)
        {
            collection.registers.push(register);
        }
        Ok(collection)
    }

    fn compiler<T>(&self, at: Addr, run: impl FnOnce(&Compiler<'_>) -> T) -> Option<T> {
        let process = self.process();
        let module = process.modules().at(at);
        let binary = module.map(|module| self.binaries.get(module, process.info(), process.memory()));
        let bias = module.map_or(0, |module| module.bias);
        let made_up = MadeUp::new(process.info().arch, at, binary.as_deref(), bias)?;
        // No thread has this number: what is one thread's own is not found.
        let scope = |frame| self.at_moment(process, ThreadId(0), std::slice::from_ref(frame));
        let [one, two, three] = made_up.frames();
        let (one, two, three) = (scope(one)?, scope(two)?, scope(three)?);
        Some(run(&Compiler::new(&made_up, [&one, &two, &three])))
    }
}

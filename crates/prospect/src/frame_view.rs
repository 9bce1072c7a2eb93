//! A frame of a walked stack, as the places of variables are computed from it.

use std::{cell::OnceCell, sync::Arc};

use prospect_process::{Addr, ArchInfo, LinkAddr, Memory, Module, Process, ThreadId};
use prospect_stack::{CodeAddress, Frame, FrameRegisters};
use prospect_symbols::{Binaries, ModuleBinary, variable::FrameContext};

use crate::{signal_frame, thread_local};

/// One frame of a thread, with what its callers say of it: the [`FrameContext`] of what was walked.
#[derive(Debug)]
pub struct FrameView<'a> {
    scene: Scene<'a>,
    thread: ThreadId,
    /// The frame, and those that called it behind it; none for what belongs to a module and to no frame.
    frames: &'a [Frame],
    /// What it called; `None` where the thread itself is in it, whose registers are the frame's.
    callee: Option<&'a Frame>,
    module: Option<&'a Module>,
    binary: Option<Arc<ModuleBinary>>,
    caller: OnceCell<Option<Box<FrameView<'a>>>>,
}

/// What frames are frames of.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) process: &'a dyn Process,
    pub(crate) binaries: &'a Binaries,
}

impl std::fmt::Debug for Scene<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scene").field("process", &self.process.info().id).finish_non_exhaustive()
    }
}

impl<'a> Scene<'a> {
    pub(crate) fn binary(&self, module: &Module) -> Arc<ModuleBinary> {
        self.binaries.get(module, self.process.info(), self.process.memory())
    }
}

impl<'a> FrameView<'a> {
    /// The frame of that number of a stack.
    pub(crate) fn of(scene: Scene<'a>, thread: ThreadId, frames: &'a [Frame], index: usize) -> Option<Self> {
        let callee = index.checked_sub(1).and_then(|callee| frames.get(callee));
        let frames = frames.get(index..).filter(|frames| !frames.is_empty())?;
        Some(Self::new(scene, thread, frames, callee))
    }

    /// What is true of a module in each frame of a thread: where its global and thread-local variables are.
    pub(crate) fn of_module(scene: Scene<'a>, thread: ThreadId, module: &'a Module) -> Self {
        Self {
            module: Some(module),
            binary: Some(scene.binary(module)),
            ..Self::new(scene, thread, &[], None)
        }
    }

    fn new(scene: Scene<'a>, thread: ThreadId, frames: &'a [Frame], callee: Option<&'a Frame>) -> Self {
        let module = frames.first().and_then(|frame| scene.process.modules().at(frame.for_lookup()));
        let binary = module.map(|module| scene.binary(module));
        Self { scene, thread, frames, callee, module, binary, caller: OnceCell::new() }
    }

    /// The frame itself; `None` for a view [of a module](crate::Session::module_view).
    #[must_use]
    pub fn frame(&self) -> Option<&'a Frame> {
        self.frames.first()
    }

    /// The thread that it is of.
    #[must_use]
    pub fn thread(&self) -> ThreadId {
        self.thread
    }

    /// The module that its code is in.
    #[must_use]
    pub fn module(&self) -> Option<&'a Module> {
        self.module
    }

    /// The binary of that module, as a handle to keep.
    #[must_use]
    pub fn module_binary(&self) -> Option<&Arc<ModuleBinary>> {
        self.binary.as_ref()
    }

    fn registers(&self) -> Option<&'a FrameRegisters> {
        self.frame().map(|frame| &frame.registers)
    }
}

impl FrameContext for FrameView<'_> {
    fn arch(&self) -> &ArchInfo {
        let process = || self.scene.process.info().arch;
        self.registers().map_or_else(process, FrameRegisters::arch).info()
    }

    fn at(&self) -> LinkAddr {
        self.frame().map_or(LinkAddr(0), |frame| frame.for_lookup().to_link(self.bias()))
    }

    fn bias(&self) -> u64 {
        self.module.map_or(0, |module| module.bias)
    }

    fn memory(&self) -> &dyn Memory {
        self.scene.process.memory()
    }

    fn register(&self, number: u16) -> Option<u64> {
        self.registers()?.get(self.arch().by_dwarf(number)?)
    }

    fn register_bytes(&self, number: u16) -> Option<Vec<u8>> {
        let arch = self.arch();
        if arch.by_dwarf(number).is_some() {
            let value = self.register(number)?;
            let word = usize::from(arch.word_bytes);
            return Some(if arch.big_endian {
                value.to_be_bytes()[8 - word..].to_vec()
            } else {
                value.to_le_bytes()[..word].to_vec()
            });
        }
        // No call keeps them: they are known where nothing was called.
        let register = arch.wide_register(number)?;
        match self.callee {
            None if self.frame().is_some() => {
                register.bytes(self.scene.process.register_set(self.thread, register.set())?)
            }
            None => None,
            Some(trampoline) => {
                register.bytes(&signal_frame::register_set(self.scene, self.frame()?, trampoline)?)
            }
        }
    }

    fn binary(&self) -> Option<&ModuleBinary> {
        self.binary.as_deref()
    }

    fn return_address(&self) -> Option<LinkAddr> {
        match self.frame()?.code {
            CodeAddress::ReturnAddress(at) => Some(at.to_link(self.bias())),
            CodeAddress::Exact(_) => None,
        }
    }

    fn cfa(&self) -> Option<Addr> {
        self.frame()?.cfa
    }

    fn caller(&self) -> Option<&dyn FrameContext> {
        let make = || {
            let callers = self.frames.get(1..).filter(|callers| !callers.is_empty())?;
            Some(Box::new(FrameView::new(self.scene, self.thread, callers, self.frame())))
        };
        let caller = self.caller.get_or_init(make).as_deref()?;
        Some(caller)
    }

    fn thread_local(&self, offset: u64) -> Option<Addr> {
        thread_local::find(self.scene, self.thread, self.module?, offset)
    }
}

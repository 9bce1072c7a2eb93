//! Processes made by hand: some code, a stack, and another stack.

use prospect_process::{
    Addr, Advice, Arch, CapturedMemory, FrozenProcess, Mapping, Mappings, Permissions, ProcessId,
    ProcessInfo, Registers,
};
use prospect_symbols::{Binaries, SearchOptions};

use crate::{Frame, FrameRegisters, FrameStepper, Stack, Step, StepContext, StepError, StepperGroup, Walker};

/// Where the code is.
pub(crate) const TEXT: u64 = 0x40_0000;
/// Where the stack is; it ends at `STACK + BYTES`.
pub(crate) const STACK: u64 = 0x7000_0000;
/// Where another stack is, below the first.
pub(crate) const ALTERNATE: u64 = 0x6000_0000;
/// The size of each.
pub(crate) const BYTES: u64 = 0x4000;

pub(crate) struct Scene {
    pub(crate) arch: Arch,
    parts: [(u64, Vec<u8>); 3],
}

impl Scene {
    pub(crate) fn new(arch: Arch) -> Self {
        let part = |start, byte| (start, vec![byte; BYTES as usize]);
        Self { arch, parts: [part(TEXT, 0xcc), part(ALTERNATE, 0), part(STACK, 0)] }
    }

    pub(crate) fn bytes(&mut self, at: u64, bytes: &[u8]) -> &mut Self {
        let (start, part) = self
            .parts
            .iter_mut()
            .find(|(start, _)| (*start..start.saturating_add(BYTES)).contains(&at))
            .expect("within a part");
        let offset = (at - *start) as usize;
        part[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn word(&mut self, at: u64, value: u64) -> &mut Self {
        let width = usize::from(self.arch.info().word_bytes);
        if self.arch.info().big_endian {
            self.bytes(at, &value.to_be_bytes()[8 - width..])
        } else {
            self.bytes(at, &value.to_le_bytes()[..width])
        }
    }

    /// Makes a call of five bytes end at `at`.
    pub(crate) fn call_before(&mut self, at: u64) -> &mut Self {
        self.bytes(at - 5, &[0xe8, 0, 0, 0, 0])
    }

    pub(crate) fn process(&self) -> FrozenProcess {
        let mapping = |start: u64, execute: bool| Mapping {
            range: Addr(start)..Addr(start + BYTES),
            permissions: Permissions { read: true, write: !execute, execute, shared: false },
            offset: 0,
            file: None,
            name: Vec::new(),
            deleted: false,
            advice: Advice::default(),
        };
        let bytes = self.parts.iter().flat_map(|(_, bytes)| bytes).copied().collect();
        let size = BYTES as usize;
        let ranges = self.parts.iter().enumerate().map(|(index, (at, _))| (Addr(*at), size, index * size));
        FrozenProcess::new(
            ProcessInfo::new(ProcessId(1), self.arch),
            Vec::new(),
            CapturedMemory::new(bytes, ranges),
            Mappings::new(vec![mapping(TEXT, true), mapping(ALTERNATE, false), mapping(STACK, false)]),
        )
    }

    pub(crate) fn with_context<T>(&self, with: impl FnOnce(&StepContext<'_>) -> T) -> T {
        let (process, binaries) = (self.process(), no_binaries());
        with(&StepContext::new(&process, &binaries))
    }

    pub(crate) fn walk(&self, steppers: StepperGroup, registers: &Registers) -> Stack {
        self.with_context(|context| Walker::with_steppers(steppers).walk(registers, context))
    }
}

pub(crate) fn no_binaries() -> Binaries {
    Binaries::new(SearchOptions { debug_directories: Vec::new(), names: false, ..SearchOptions::default() })
}

/// Registers by name.
pub(crate) fn registers(arch: Arch, values: &[(&str, u64)]) -> Registers {
    let mut registers = Registers::unknown(arch);
    for (name, value) in values {
        registers.set(arch.info().by_name(name).expect("a register of that name"), *value);
    }
    registers
}

/// A register's value by name.
pub(crate) fn get(registers: &FrameRegisters, name: &str) -> Option<u64> {
    registers.get(registers.arch().info().by_name(name).expect("a register of that name"))
}

/// The pc of each frame.
pub(crate) fn pcs(stack: &Stack) -> Vec<u64> {
    stack.frames.iter().map(|frame| frame.code.addr().0).collect()
}

/// A stepper that is a function.
pub(crate) struct Scripted<F>(pub(crate) &'static str, pub(crate) F);

impl<F: FnMut(&Frame, &StepContext<'_>) -> Result<Step, StepError> + Send> FrameStepper for Scripted<F> {
    fn name(&self) -> &'static str {
        self.0
    }

    fn step(&mut self, frame: &Frame, context: &StepContext<'_>) -> Result<Step, StepError> {
        (self.1)(frame, context)
    }
}

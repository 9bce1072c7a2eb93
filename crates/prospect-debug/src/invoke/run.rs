//! Making a call, and undoing it.

use std::time::Instant;

use prospect_process::{
    Addr, Arch, Process, ProcessId, RegisterSet, Registers, Target, ThreadId,
    control::{
        Action, Control, ControlError, Event, EventKind, Filter, Numbers, Resume, Trap, TrapId, TrapPlace,
    },
};
use prospect_symbols::Binaries;

use super::{
    Class, Invocation, InvocationEnd, InvocationError, Returned, Returns,
    convention::{self, INTEGERS, Placed},
};
use crate::{
    runtime_functions::{LONG_JUMPS, functions},
    waiting::next_event,
};

/// A jump out of frames takes fewer instructions.
const MOST_STEPS: usize = 4000;

/// Where `e_entry` is in a header of ELF for 64 bits.
const ENTRY_OFFSET: u64 = 24;

/// Where `xmm0` is in what `FXSAVE` writes, and how much room each has (Intel SDM volume 1, table 10-2).
const VECTORS_OFFSET: usize = 160;
const VECTOR_BYTES: usize = 16;

/// Flags that functions begin without: trap, direction (section 3.2.1).
const FLAGS: u64 = 1 << 8 | 1 << 10;

/// Signals that a function ends with which fails: of faults, and that of `abort`.
const FAILURES: [u32; 7] = [4, 5, 6, 7, 8, 11, 31];

pub(super) struct Run<'a> {
    target: &'a mut dyn Target,
    process: ProcessId,
    thread: ThreadId,
    what: &'a Invocation,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        target: &'a mut dyn Target,
        process: ProcessId,
        thread: ThreadId,
        what: &'a Invocation,
    ) -> Self {
        Self { target, process, thread, what }
    }

    fn view(&self) -> Result<&dyn Process, InvocationError> {
        let gone = |_| ControlError::NotControlled(self.process);
        Ok(self.target.process(self.process).map_err(gone)?)
    }

    fn control(&mut self) -> Result<&mut dyn Control, InvocationError> {
        self.target.control().ok_or_else(|| ControlError::Unsupported("be run".into()).into())
    }

    fn registers(&self) -> Result<Registers, InvocationError> {
        self.view()?.registers(self.thread).ok_or(InvocationError::NotStopped(self.thread))
    }

    pub(super) fn run(mut self, binaries: &Binaries) -> Result<InvocationEnd, InvocationError> {
        let view = self.view()?;
        if view.info().arch != Arch::X86_64 {
            return Err(InvocationError::Architecture);
        }
        let returns_to = entry_point(view).ok_or(InvocationError::NoEntryPoint)?;
        let jumps = functions(view, binaries, &LONG_JUMPS);
        let sp = self.registers()?.sp().ok_or(InvocationError::NotStopped(self.thread))?;
        let Invocation { arguments, returns, .. } = self.what;
        let placed = convention::place(arguments, returns, returns_to.0, sp.0)?;
        let thread = self.thread;
        self.control()?.borrow_thread(thread)?;
        let mut set = Vec::new();
        let result = self.trapped(returns_to, &jumps, &placed, &mut set);
        let control = self.control()?;
        for trap in set {
            control.clear_trap(trap);
        }
        match &result {
            Ok(InvocationEnd::Exited(_)) => {}
            _ => control.return_thread(thread)?,
        }
        result
    }

    /// Makes the call between traps at all that may become of it, which are `set` then.
    fn trapped(
        &mut self,
        returns_to: Addr,
        jumps: &[Addr],
        placed: &Placed,
        set: &mut Vec<TrapId>,
    ) -> Result<InvocationEnd, InvocationError> {
        // One that fails would end the process.
        set.push(self.trap(TrapPlace::Signal(Numbers::Only(FAILURES.to_vec())))?);
        let code = |at| TrapPlace::Code { at, hardware: false };
        let back = self.trap(code(returns_to))?;
        set.push(back);
        // Without one, it is only not seen where it goes.
        let jumps: Vec<TrapId> = jumps.iter().filter_map(|at| self.trap(code(*at)).ok()).collect();
        set.extend(&jumps);
        self.begin(placed)?;
        self.follow(placed, back, &jumps)
    }

    fn trap(&mut self, place: TrapPlace) -> Result<TrapId, InvocationError> {
        let filter = Filter { thread: Some(self.thread), ..Filter::default() };
        let process = self.process;
        Ok(self.control()?.set_trap(process, Trap { place, filter })?)
    }

    /// Gives the thread what it begins with.
    fn begin(&mut self, placed: &Placed) -> Result<(), InvocationError> {
        let mut registers = self.registers()?;
        let info = Arch::X86_64.info();
        let mut set = |name: &str, value| {
            if let Some(id) = info.by_name(name) {
                registers.set(id, value);
            }
        };
        for (name, value) in INTEGERS.iter().zip(&placed.integers) {
            set(name, *value);
        }
        set("rip", self.what.function.0);
        set("rsp", placed.stack_pointer);
        // How many vector registers there are for a function with a variable number of arguments.
        set("rax", placed.vectors.len() as u64);
        set("orig_rax", u64::MAX);
        if let Some(flags) = info.by_name("eflags").or_else(|| info.by_name("rflags")) {
            registers.set(flags, registers.get(flags).unwrap_or(0) & !FLAGS);
        }
        let vectors = self.view()?.register_set(self.thread, RegisterSet::FLOAT).map(<[u8]>::to_vec);
        let (process, thread) = (self.process, self.thread);
        let control = self.control()?;
        if let Some(mut bytes) = vectors.filter(|_| !placed.vectors.is_empty()) {
            for (vector, value) in bytes
                .get_mut(VECTORS_OFFSET..)
                .unwrap_or_default()
                .chunks_exact_mut(VECTOR_BYTES)
                .zip(&placed.vectors)
            {
                vector[..8].copy_from_slice(&value.to_le_bytes());
            }
            control.write_register_set(thread, RegisterSet::FLOAT, &bytes)?;
        }
        control.write_memory(process, Addr(placed.stack_pointer), &placed.stack)?;
        Ok(control.write_registers(thread, &registers)?)
    }

    /// Lets it run until there is an end.
    fn follow(
        &mut self,
        placed: &Placed,
        back: TrapId,
        jumps: &[TrapId],
    ) -> Result<InvocationEnd, InvocationError> {
        let deadline = Instant::now() + self.what.within;
        let thread = self.thread;
        loop {
            let how = match self.what.all_run {
                true => Resume::all(),
                false => Resume::only(thread, Action::Continue),
            };
            let Some(event) = self.next(&how, deadline)? else { return Ok(InvocationEnd::TimeOver) };
            let EventKind::Trapped { traps: hit, .. } = &event.kind else { return Ok(self.other(event)) };
            let is_own = |trap: &TrapId| *trap == back || jumps.contains(trap);
            if event.thread != thread || !hit.iter().all(is_own) {
                return Ok(InvocationEnd::Stopped(event));
            }
            if hit.contains(&back) {
                let sp = self.registers()?.sp();
                // It has taken the return address with it.
                let is_back = sp == Some(Addr(placed.stack_pointer.wrapping_add(8)));
                return Ok(if is_back {
                    InvocationEnd::Returned(self.returned(placed)?)
                } else {
                    InvocationEnd::Stopped(event)
                });
            }
            if hit.iter().any(|trap| jumps.contains(trap))
                && let Some(end) = self.jump(placed, deadline)?
            {
                return Ok(end);
            }
        }
    }

    /// From the beginning of a jump to where it leads to: the end of the call, if that is none of its own frames.
    fn jump(&mut self, placed: &Placed, deadline: Instant) -> Result<Option<InvocationEnd>, InvocationError> {
        let (thread, from) = (self.thread, self.registers()?.sp());
        for _ in 0..MOST_STEPS {
            let how = Resume::only(thread, Action::Step);
            let Some(event) = self.next(&how, deadline)? else { return Ok(Some(InvocationEnd::TimeOver)) };
            if event.kind != EventKind::Stepped {
                return Ok(Some(self.other(event)));
            }
            let now = self.registers()?.sp();
            if now > from {
                let is_outside = now > Some(Addr(placed.stack_pointer));
                return Ok(is_outside.then_some(InvocationEnd::Left));
            }
        }
        Ok(None)
    }

    fn other(&self, event: Event) -> InvocationEnd {
        match event.kind {
            EventKind::Signal { signal, .. } if event.thread == self.thread => {
                let at = self.registers().ok().and_then(|registers| registers.pc());
                InvocationEnd::Signalled { signal, at }
            }
            EventKind::Ended(ending) if event.process == self.process => InvocationEnd::Exited(ending),
            _ => InvocationEnd::Stopped(event),
        }
    }

    /// Lets threads run to the next event; `None` when the time is over, and all stand then.
    fn next(&mut self, how: &Resume, deadline: Instant) -> Result<Option<Event>, InvocationError> {
        let thread = self.thread;
        let control = self.control()?;
        control.resume(how)?;
        Ok(next_event(control, thread, deadline)?)
    }

    fn returned(&self, placed: &Placed) -> Result<Returned, InvocationError> {
        let (registers, view) = (self.registers()?, self.view()?);
        let integer =
            |name: &str| Arch::X86_64.info().by_name(name).and_then(|id| registers.get(id)).unwrap_or(0);
        let floats = view.register_set(self.thread, RegisterSet::FLOAT);
        let vector = |number: usize| {
            let at = VECTORS_OFFSET + number * VECTOR_BYTES;
            let bytes = floats.and_then(|bytes| bytes.get(at..)?.first_chunk::<8>());
            bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
        };
        Ok(match &self.what.returns {
            Returns::Nothing => Returned::Nothing,
            Returns::Integer => Returned::Integer(integer("rax")),
            Returns::Float => Returned::Float(f32::from_bits(vector(0) as u32)),
            Returns::Double => Returned::Double(f64::from_bits(vector(0))),
            Returns::Structure(size, classes) => {
                let mut bytes = Vec::new();
                if let Some(at) = placed.result_at {
                    bytes.resize(*size, 0);
                    view.memory().read(Addr(at), &mut bytes).map_err(ControlError::from)?;
                }
                let (mut integers, mut vectors) = (["rax", "rdx"].into_iter(), 0..);
                for class in classes {
                    let word = match class {
                        Class::Integer => integers.next().map_or(0, integer),
                        Class::Sse => vectors.next().map_or(0, vector),
                    };
                    bytes.extend_from_slice(&word.to_le_bytes());
                }
                bytes.truncate(*size);
                Returned::Structure(bytes)
            }
        })
    }
}

/// Where the program began: nothing comes there again.
fn entry_point(process: &dyn Process) -> Option<Addr> {
    let executable = process.modules().executable()?;
    let mut word = [0; 8];
    process.memory().read(executable.first_mapping.start.wrapping_add(ENTRY_OFFSET), &mut word).ok()?;
    let entry = Addr(u64::from_le_bytes(word).wrapping_add(executable.bias));
    let mapping = process.mappings().at(entry)?;
    mapping.permissions.execute.then_some(entry)
}

//! Running one thread instruction by instruction (`PTRACE_SINGLESTEP`).
//!
//! The processor stops behind each instruction because the trap flag is set for it. The kernel hides that flag from
//! the program, but for three things. `pushf` stores it. Behind a stepped `popf` the kernel takes it for the program's
//! own and leaves it set (Linux `arch/x86/kernel/step.c`). Both are mended here, or the program would die of a `SIGTRAP`
//! when nobody steps it any more; so a program that sets the trap flag itself loses it. And the *death* of the tracer
//! leaves it set: a thread that is being stepped when this program is killed dies too. When this program ends in any
//! other way, or panics, the thread runs on as it was.

use std::{
    marker::PhantomData,
    panic,
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

use prospect_process::{
    Addr, FrozenThread, Mappings, Memory, Modules, NoRegisters, Process, ProcessInfo, Registers, Thread,
    ThreadId,
};

use super::{
    LiveError, LiveMemory, LiveProcess, Threads,
    attachment::Attachment,
    identity::Identity,
    patience::Patience,
    procfs,
    ptrace::{self, Stop, Waited},
    stopping,
};

/// `si_code` of a `SIGTRAP`: behind an instruction; behind a system call; at the start of a signal handler
/// (Linux `arch/x86/kernel/traps.c`, `arch/x86/kernel/ptrace.c`, `kernel/signal.c: ptrace_notify`).
const TRAP_TRACE: i32 = 2;
const TRAP_BRKPT: i32 = 1;
const TRAP_NOTIFIED: i32 = libc::SIGTRAP;

/// The register with the trap flag, and where in it that flag is (Intel SDM, volume 1, section 3.4.3).
const FLAGS: &str = "eflags";
const TRAP_FLAG_BYTE: usize = 1;
const TRAP_FLAG: u8 = 1;

/// How long a thread that does not come back is waited for when it is let go.
const GRACE: Duration = Duration::from_millis(100);

/// Why a thread that was to run one instruction came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StepStop {
    /// It ran one instruction. (Of one that repeats, one round; system calls are instructions too.)
    Instruction,
    /// It ran nothing: a signal of this number is about to be delivered. It gets it with the next step.
    Signal(i32),
    /// It got its signal and is before the first instruction of the handler.
    Handler,
    /// It ran nothing: job control has stopped its process. The next step comes back when that is over.
    GroupStop,
    /// It has not come back in time: it waits in the kernel, most likely. The next step goes on waiting.
    Waiting,
    /// It has ended, or runs no more under this tracer.
    Ended,
}

/// How it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// It stands, and is to get this signal (0: none).
    Standing(i32),
    GroupStopped,
    /// It was let go for one instruction.
    Running,
    /// The same, while job control has it stopped.
    Listening,
    Ended,
}

/// A thread that runs one instruction at a time, as [`LiveProcess::step_thread`] gives it. The other threads of its
/// process run on.
#[derive(Debug)]
pub struct SteppedThread {
    thread: ThreadId,
    state: State,
    /// Whether the program had set the trap flag before it was stepped.
    own_trap_flag: bool,
    view: View,
    /// Only the thread that traces it can step it.
    patience: Patience,
    _not_send: PhantomData<*const ()>,
}

impl LiveProcess {
    /// Stops one thread and lets `work` run it instruction by instruction. When `work` ends, the thread runs on.
    ///
    /// `work` runs on another thread than the caller's: Linux ties a tracee to the thread that traces it.
    ///
    /// # Errors
    /// When there is no such thread, the system does not let us trace it, or it does not stop before `timeout` is
    /// over.
    ///
    /// # Panics
    /// When `work` does.
    pub fn step_thread<T: Send>(
        &self,
        thread: ThreadId,
        timeout: Duration,
        work: impl FnOnce(&mut SteppedThread) -> T + Send,
    ) -> Result<T, LiveError> {
        self.refuse_itself()?;
        let (identity, info) = (self.identity().clone(), self.info().clone());
        thread::scope(|scope| {
            let work = move || {
                let mut stepped = SteppedThread::seize(identity, info, thread, Instant::now() + timeout)?;
                Ok(work(&mut stepped))
            };
            let tracer = thread::Builder::new().name("stepper".into()).spawn_scoped(scope, work);
            tracer.map_err(LiveError::Tracer)?.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
        })
    }
}

impl SteppedThread {
    fn seize(
        identity: Arc<Identity>,
        mut info: ProcessInfo,
        thread: ThreadId,
        deadline: Instant,
    ) -> Result<Self, LiveError> {
        let mut attachment = Attachment::new(identity);
        let (_, threads) = attachment.hold(&Threads::Only(vec![thread]), deadline)?;
        let held = threads.into_iter().next().ok_or(LiveError::NoSuchThread(thread))?;
        let (FrozenThread { thread: facts, registers, .. }, stop) = (held, attachment.give_away(thread));
        let (Some(stop), Some(registers)) = (stop, registers) else {
            return Err(not_stopped(thread, facts.not_stopped.as_ref().unwrap_or(&NoRegisters::Deadline)));
        };
        let state = match stop {
            Stop::Interrupted => State::Standing(0),
            Stop::Signal(signal) => State::Standing(signal),
            Stop::Group => State::GroupStopped,
        };
        info.arch = registers.arch();
        let own_trap_flag = trap_flag(&registers);
        let view = View {
            memory: LiveMemory::new(info.id),
            info,
            threads: [facts],
            registers: Some(registers),
            mappings: OnceLock::new(),
            modules: OnceLock::new(),
        };
        Ok(Self { thread, state, own_trap_flag, view, patience: Patience::new(), _not_send: PhantomData })
    }

    /// Its general registers; `None` while it waits in the kernel, and when it has ended.
    #[must_use]
    pub fn registers(&self) -> Option<&Registers> {
        self.view.registers.as_ref()
    }

    /// Its process, with this thread alone. The memory is that of each moment; the memory map and the modules are
    /// as they were when they were first asked for after [`refresh`](Self::refresh).
    #[must_use]
    pub fn process(&self) -> &dyn Process {
        &self.view
    }

    /// Forgets the memory map and the modules: to be called when the process may have others.
    pub fn refresh(&mut self) {
        self.view.mappings = OnceLock::new();
        self.view.modules = OnceLock::new();
    }

    /// Lets it run one instruction, or go on with the one that it is in, and waits until it is back, or `timeout` is
    /// over.
    ///
    /// # Errors
    /// When the kernel does not give its registers.
    pub fn step(&mut self, timeout: Duration) -> Result<StepStop, LiveError> {
        let deadline = Instant::now() + timeout;
        let pushed = self.pushes_flags();
        self.resume();
        let stop = self.wait(deadline)?;
        if let Some(at) = pushed.filter(|_| stop == StepStop::Instruction) {
            self.hide_trap_flag(at);
        }
        Ok(stop)
    }

    /// Lets it go on where it stands.
    fn resume(&mut self) {
        let (request, state) = match self.state {
            State::Standing(signal) => (ptrace::single_step(self.thread, signal), State::Running),
            State::GroupStopped => (ptrace::listen(self.thread), State::Listening),
            State::Running | State::Listening | State::Ended => return,
        };
        // An error means that it has been killed, which waiting for it shows.
        let _ = request;
        self.state = state;
        self.view.registers = None;
    }

    /// Waits until it is back.
    fn wait(&mut self, deadline: Instant) -> Result<StepStop, LiveError> {
        if self.state == State::Ended {
            return Ok(StepStop::Ended);
        }
        self.patience.renew();
        let stop = loop {
            match self.patience.wait(self.thread) {
                Waited::Stopped(stop) => {
                    if let Some(stop) = self.stopped(stop)? {
                        break stop;
                    }
                    self.patience.renew();
                }
                Waited::Ended => {
                    self.state = State::Ended;
                    break StepStop::Ended;
                }
                Waited::Nothing if Instant::now() < deadline => {}
                Waited::Nothing => break StepStop::Waiting,
            }
        };
        self.patience.rest();
        Ok(stop)
    }

    /// Takes note of a stop, and says what it is; `None` when it has run nothing and goes on.
    fn stopped(&mut self, stop: Stop) -> Result<Option<StepStop>, LiveError> {
        let was_listening = self.state == State::Listening;
        let (state, stop) = match stop {
            // Who was listened to hears that job control lets its process go on.
            Stop::Interrupted if was_listening => {
                self.state = State::Standing(0);
                self.resume();
                return Ok(None);
            }
            // Behind the interruption may wait the trap of an instruction that did run.
            Stop::Interrupted if ptrace::is_queued(self.thread, libc::SIGTRAP) => {
                self.state = State::Standing(0);
                self.resume();
                return Ok(None);
            }
            Stop::Interrupted => (State::Standing(0), StepStop::Waiting),
            Stop::Group => (State::GroupStopped, StepStop::GroupStop),
            Stop::Signal(libc::SIGTRAP) => match ptrace::signal_code(self.thread) {
                Ok(TRAP_TRACE | TRAP_BRKPT) => (State::Standing(0), StepStop::Instruction),
                Ok(TRAP_NOTIFIED) => (State::Standing(0), StepStop::Handler),
                _ => (State::Standing(libc::SIGTRAP), StepStop::Signal(libc::SIGTRAP)),
            },
            Stop::Signal(signal) => (State::Standing(signal), StepStop::Signal(signal)),
        };
        self.state = state;
        match self.read_registers() {
            Ok(registers) => self.view.registers = Some(registers),
            Err(NoRegisters::Exited) => {
                self.state = State::Ended;
                return Ok(Some(StepStop::Ended));
            }
            Err(why) => return Err(not_stopped(self.thread, &why)),
        }
        Ok(Some(stop))
    }

    /// Its registers, without a trap flag that the kernel takes for the program's own.
    fn read_registers(&self) -> Result<Registers, NoRegisters> {
        let registers = stopping::registers(self.thread)?;
        if self.own_trap_flag || !trap_flag(&registers) {
            return Ok(registers);
        }
        let mut bytes = [0; ptrace::REGISTER_SET_BYTES];
        let length = ptrace::register_set(self.thread, &mut bytes).map_err(|_| NoRegisters::Exited)?;
        let rows = registers.arch().info().registers;
        if let Some(row) = rows.iter().find(|row| row.name == FLAGS) {
            bytes[usize::from(row.regset_offset) + TRAP_FLAG_BYTE] &= !TRAP_FLAG;
            ptrace::set_register_set(self.thread, &mut bytes[..length]).map_err(|_| NoRegisters::Exited)?;
        }
        stopping::registers(self.thread)
    }

    /// Where the byte with the trap flag will lie when the next instruction stores the flags: `pushf`, if need be
    /// with prefixes for the size of its operand. `None` when that flag is the program's own.
    fn pushes_flags(&self) -> Option<Addr> {
        const PUSHF: u8 = 0x9c;
        const OPERAND_SIZE: u8 = 0x66;
        const REX_W: u8 = 0x48;
        let registers = self.registers().filter(|_| !self.own_trap_flag)?;
        let word = registers.arch().info().word_bytes;
        let mut code = [0; 3];
        let read = self.view.memory.read_available(registers.pc()?, &mut code);
        let bytes = match code[..read] {
            [PUSHF, ..] => word,
            [REX_W, PUSHF, ..] | [OPERAND_SIZE, REX_W, PUSHF] if word == 8 => word,
            [OPERAND_SIZE, PUSHF, ..] => 2,
            _ => return None,
        };
        Some(Addr(registers.sp()?.0.wrapping_sub(bytes.into()).wrapping_add(TRAP_FLAG_BYTE as u64)))
    }

    fn hide_trap_flag(&self, at: Addr) {
        let mut byte = [0];
        if self.view.memory.read(at, &mut byte).is_ok() {
            // It wrote there itself a moment ago.
            let _ = ptrace::write_memory_at(self.thread, at.0, &[byte[0] & !TRAP_FLAG]);
        }
    }
}

fn not_stopped(thread: ThreadId, why: &NoRegisters) -> LiveError {
    match why {
        NoRegisters::Exited | NoRegisters::Zombie => LiveError::NoSuchThread(thread),
        _ => LiveError::NotStopped(thread),
    }
}

/// Whether the trap flag is set; the kernel does not show one that it knows to be its own.
fn trap_flag(registers: &Registers) -> bool {
    let flags = registers.known().find(|(row, _)| row.name == FLAGS);
    flags.is_some_and(|(_, value)| value.to_le_bytes()[TRAP_FLAG_BYTE] & TRAP_FLAG != 0)
}

impl Drop for SteppedThread {
    /// Lets it go, with the signal that it was about to get.
    fn drop(&mut self) {
        if matches!(self.state, State::Running | State::Listening) {
            // It stands soon, or has ended. One that does neither is freed when the tracer thread ends.
            let _ = ptrace::interrupt(self.thread);
            let _ = self.wait(Instant::now() + GRACE);
        }
        let signal = match self.state {
            State::Standing(signal) => signal,
            State::GroupStopped => 0,
            State::Running | State::Listening | State::Ended => return,
        };
        // Who cannot be detached has been killed.
        let _ = ptrace::detach(self.thread, signal);
    }
}

/// The process as it is at this moment.
#[derive(Debug)]
struct View {
    info: ProcessInfo,
    threads: [Thread; 1],
    registers: Option<Registers>,
    memory: LiveMemory,
    mappings: OnceLock<Mappings>,
    modules: OnceLock<Modules>,
}

impl Process for View {
    fn info(&self) -> &ProcessInfo {
        &self.info
    }

    fn threads(&self) -> &[Thread] {
        &self.threads
    }

    fn registers(&self, thread: ThreadId) -> Option<Registers> {
        self.registers.filter(|_| thread == self.threads[0].id)
    }

    fn memory(&self) -> &dyn Memory {
        &self.memory
    }

    fn mappings(&self) -> &Mappings {
        self.mappings.get_or_init(|| procfs::mappings(self.info.id).unwrap_or_default())
    }

    fn modules(&self) -> &Modules {
        let executable = self.info.executable.as_deref();
        self.modules.get_or_init(|| Modules::find(self.mappings(), &self.memory, executable))
    }
}

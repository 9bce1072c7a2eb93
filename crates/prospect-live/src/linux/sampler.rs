//! Looking at threads very often, as a profiler does.

use std::{
    cell::{OnceCell, RefCell},
    marker::PhantomData,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use prospect_process::{
    Addr, CapturedMemory, FrozenProcess, FrozenThread, Memory, MemoryError, ProcessId, Registers, ThreadId,
};

use super::{
    LiveError, LiveMemory, LiveProcess, arch,
    identity::Identity,
    patience::Patience,
    ptrace::{self, Stop, Waited},
    stopping::registers,
};

/// Takes [`Sample`]s of the threads of a process. Between two samples nobody is attached to the process: it runs as
/// if nobody looked, and gets its signals at once.
#[derive(Debug)]
pub struct Sampler {
    identity: Arc<Identity>,
    /// The number that the process goes by, also where it was opened by that of another of its threads.
    leader: ProcessId,
    /// The most bytes of a stack that are copied.
    stack_bytes: usize,
    /// The end of the mapping that each stack is in is looked up here.
    mappings: prospect_process::Mappings,
    /// A thread that did not stop in time. It is let go when the tracing thread ends, so that there is nothing
    /// more to do here.
    stuck: OnceCell<ThreadId>,
    patience: RefCell<Patience>,
    _not_send: PhantomData<*const ()>,
}

/// One thread at one moment: its registers and its stack. All other memory is the process's as it runs on.
///
/// It is used for one sample after the other, so that its room is not taken anew each time.
#[derive(Debug)]
pub struct Sample {
    registers: Registers,
    stack: Vec<u8>,
    start: Addr,
    length: usize,
    pause: Duration,
    rest: LiveMemory,
}

impl LiveProcess {
    /// Runs `work` with a sampler, on a thread of its own: Linux ties a stopped thread to the one that stopped it.
    /// `work` gets the process too as it was then: its memory map and modules, for walking the samples. When the
    /// process has loaded others, or maps its stacks anew, sample it anew.
    ///
    /// Of each stack at most `stack_bytes` are copied.
    ///
    /// # Errors
    /// When the process has ended or is this one, or its memory map cannot be read.
    pub fn sampling<T: Send>(
        &self,
        stack_bytes: usize,
        work: impl FnOnce(&FrozenProcess, &mut Sampler) -> T + Send,
    ) -> Result<T, LiveError> {
        self.refuse_itself()?;
        let threads = self.threads()?;
        let leader = threads.first().map_or(self.info().id, |thread| ProcessId(thread.id.0));
        let threads = threads.into_iter().map(|thread| FrozenThread {
            thread,
            registers: None,
            register_sets: Vec::new(),
        });
        let (threads, mappings) = (threads.collect(), self.mappings()?);
        let identity = self.identity();
        // What was read by number was of this process.
        identity.check()?;
        let rest = Box::new(LiveMemory::of(identity.clone()));
        let process =
            FrozenProcess::new(self.info().clone(), threads, CapturedMemory::default(), mappings.clone())
                .over(rest);
        let run = || {
            let (stuck, patience) = (OnceCell::new(), RefCell::new(Patience::new()));
            let (identity, _not_send) = (identity.clone(), PhantomData);
            work(
                &process,
                &mut Sampler { identity, leader, stack_bytes, mappings, stuck, patience, _not_send },
            )
        };
        thread::scope(|scope| {
            let worker = thread::Builder::new().name("sampler".into()).spawn_scoped(scope, run);
            let worker = worker.map_err(LiveError::Tracer)?;
            worker.join().map_or_else(|panic| std::panic::resume_unwind(panic), Ok)
        })
    }
}

impl Sampler {
    /// A sample to be filled.
    #[must_use]
    pub fn empty_sample(&self) -> Sample {
        Sample {
            registers: Registers::unknown(prospect_process::Arch::X86_64),
            stack: Vec::new(),
            start: Addr(0),
            length: 0,
            pause: Duration::ZERO,
            rest: LiveMemory::of(self.identity.clone()),
        }
    }

    /// Stops a thread, copies its registers and its stack, and lets it run on.
    ///
    /// # Errors
    /// [`Ended`](LiveError::Ended) when the process has; [`NoSuchThread`](LiveError::NoSuchThread) when it has no such
    /// thread, whoever has one of that number; when the system does not let us trace it; or when it has not stopped
    /// within `timeout` (it waits for a device, say). After that the sampler is spent: the thread is set free for good
    /// when the work that has the sampler ends.
    pub fn sample(&self, thread: ThreadId, timeout: Duration, sample: &mut Sample) -> Result<(), LiveError> {
        if let Some(stuck) = self.stuck.get() {
            return Err(LiveError::NotStopped(*stuck));
        }
        ptrace::seize(thread).map_err(|error| match error.raw_os_error() {
            Some(libc::ESRCH) => self.gone(thread),
            _ if !self.has(thread) => self.gone(thread),
            _ => LiveError::refused(self.identity.process(), error),
        })?;
        let began = Instant::now();
        // An error means that it has ended, which waiting for it shows.
        let _ = ptrace::interrupt(thread);
        // Asked while it is about to stop. From when it was seized it keeps its number.
        let is_ours = self.has(thread);
        let stop = self.wait(thread, began + timeout)?;
        let found = registers(thread).ok().filter(|_| is_ours);
        if let Some(registers) = found {
            arch::restart_interrupted(thread, &registers);
            sample.registers = registers;
            self.copy_stack(thread, sample);
        }
        let signal = if let Stop::Signal(signal) = stop { signal } else { 0 };
        // Who cannot be detached has been killed.
        let _ = ptrace::detach(thread, signal);
        sample.pause = began.elapsed();
        found.map(drop).ok_or_else(|| self.gone(thread))
    }

    /// Whether the process, and no other that has its number by now, has this thread.
    fn has(&self, thread: ThreadId) -> bool {
        ptrace::is_thread_of(thread, self.leader) && self.identity.check().is_ok()
    }

    /// What there is to say of a thread that the process does not have.
    fn gone(&self, thread: ThreadId) -> LiveError {
        if self.identity.has_ended() {
            return LiveError::Ended(self.identity.process());
        }
        LiveError::NoSuchThread(thread)
    }

    fn wait(&self, thread: ThreadId, deadline: Instant) -> Result<Stop, LiveError> {
        let mut patience = self.patience.borrow_mut();
        patience.renew();
        let stop = loop {
            match patience.wait(thread) {
                Waited::Stopped(stop) => break Ok(stop),
                Waited::Ended => break Err(self.gone(thread)),
                Waited::Nothing if Instant::now() < deadline => {}
                Waited::Nothing => {
                    let _ = self.stuck.set(thread);
                    break Err(LiveError::NotStopped(thread));
                }
            }
        };
        patience.rest();
        stop
    }

    fn copy_stack(&self, thread: ThreadId, sample: &mut Sample) {
        sample.length = 0;
        let Some(sp) = sample.registers.sp() else { return };
        let red_zone = u64::from(sample.registers.arch().info().red_zone_bytes);
        let mapping = self.mappings.at(sp);
        // A stack that has grown since is in none.
        let (lowest, end) =
            mapping.map_or((0, u64::MAX), |mapping| (mapping.range.start.0, mapping.range.end.0));
        sample.start = Addr(sp.0.saturating_sub(red_zone).max(lowest));
        let wanted = usize::try_from(end - sample.start.0).unwrap_or(usize::MAX).min(self.stack_bytes);
        if sample.stack.len() < wanted {
            sample.stack.resize(wanted, 0);
        }
        let buffer = &mut sample.stack[..wanted];
        sample.length = ptrace::read_memory_at(thread, sample.start.0, buffer).unwrap_or(0);
    }
}

impl Sample {
    /// The thread's registers.
    #[must_use]
    pub fn registers(&self) -> &Registers {
        &self.registers
    }

    /// For how long the thread was held: from when it was asked to stop to when it was let go.
    #[must_use]
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// The copy of the stack from the red zone on, and where it begins.
    #[must_use]
    pub fn stack(&self) -> (Addr, &[u8]) {
        (self.start, &self.stack[..self.length])
    }
}

impl Memory for Sample {
    fn at_hand(&self, at: Addr) -> Option<&[u8]> {
        let skip = usize::try_from(at.0.wrapping_sub(self.start.0)).ok()?;
        self.stack[..self.length].get(skip..).filter(|bytes| !bytes.is_empty())
    }

    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        let Some(bytes) = self.at_hand(at) else {
            // Bytes that were copied are not to be taken from the process, where they may have changed.
            let room = usize::try_from(self.start.0.wrapping_sub(at.0)).unwrap_or(usize::MAX);
            let length = if self.length == 0 { buffer.len() } else { buffer.len().min(room.max(1)) };
            return self.rest.read_up_to(at, &mut buffer[..length]);
        };
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        process::{Command, Stdio},
    };

    use prospect_process::Mappings;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn a_process_that_has_the_number_of_another_one_is_not_sampled() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let thread = ThreadId(child.id());
        let identity = Identity::of(ProcessId(child.id())).unwrap();
        let sampler = |identity: Identity| Sampler {
            leader: identity.process(),
            identity: Arc::new(identity),
            stack_bytes: 4096,
            mappings: Mappings::default(),
            stuck: OnceCell::new(),
            patience: RefCell::new(Patience::new()),
            _not_send: PhantomData,
        };
        let before = sampler(identity.predecessor());
        let mut sample = before.empty_sample();
        let none = before.sample(thread, TIMEOUT, &mut sample);
        assert!(matches!(none, Err(LiveError::Ended(_))), "{none:?}");
        assert!(sample.stack().1.is_empty() && sample.read_up_to(Addr(0), &mut [0]).is_err());
        // It runs on.
        child.stdin.as_mut().unwrap().write_all(b"on\n").unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "on\n");
        let now = sampler(identity);
        now.sample(thread, TIMEOUT, &mut sample).unwrap();
        assert!(!sample.stack().1.is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

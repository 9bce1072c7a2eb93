//! The calling thread's stack, from wherever it is.

use std::{
    num::NonZero,
    sync::{Mutex, MutexGuard, PoisonError, RwLock, TryLockError},
    thread,
};

use prospect_live::{LiveError, own::OwnMemory, procfs};
use prospect_process::{Addr, CapturedMemory, FrozenProcess, ProcessId, Registers};
use prospect_stack::{
    CodeAddress, StepContext,
    return_addresses::{ProcessRules, RuleCache, StackPosition, Walked, walk},
};
use prospect_symbols::{Binaries, ResolvedAddress, SearchOptions, Symbolizer};

use crate::OpenError;

/// How much of a stack is copied at once at most.
const STACK_BYTES: usize = 64 << 10;

/// The return addresses of the calling thread, in a signal handler too.
///
/// All that may take time is done when it is made: the unwind rules of all code that is loaded are compiled into
/// tables. After that, [`walk`](Self::walk) allocates nothing, takes no lock that it would have to wait for, and reads
/// the stack so that a bad pointer is an error ([`OwnMemory`]). Names are for later, outside of the handler.
///
/// A profiler's handler, with `STACKS` as a `OnceLock<OwnStacks>` that was filled before the first signal:
///
/// ```no_run
/// # use std::sync::OnceLock;
/// use prospect::{OwnStacks, live::own::interrupted_registers, process::Addr, stack::CodeAddress};
/// # static STACKS: OnceLock<OwnStacks> = OnceLock::new();
///
/// extern "C" fn on_signal(_: i32, _: *mut std::ffi::c_void, context: *mut std::ffi::c_void) {
///     let Some(stacks) = STACKS.get() else { return };
///     // SAFETY: it is the third argument of a handler that was installed with SA_SIGINFO.
///     let registers = unsafe { interrupted_registers(context) };
///     let mut addresses = [CodeAddress::Exact(Addr(0)); 128];
///     if let Some(walked) = stacks.walk(&registers, &mut addresses) {
///         let _found = &addresses[..walked.count]; // to where the handler has room for them
///     }
/// }
/// ```
///
/// Outside of a handler, the registers are those of
/// [`current_registers`](prospect_live::own::current_registers), called in the very function whose stack is
/// wanted.
///
/// **Rules for handlers.** Make it before the first signal may come; never [`refresh`](Self::refresh), drop or
/// [`name`](Self::names) in a handler. A walk needs some 2 KiB of stack (5 KiB
/// without optimisation) beside the room for the addresses: mind it where the handler has a small alternate stack, as
/// the threads of Rust programs have.
#[derive(Debug)]
pub struct OwnStacks {
    rules: RwLock<ProcessRules>,
    rooms: Box<[Mutex<Room>]>,
    binaries: Binaries,
}

/// What one walk needs to be fast, used by one after the other.
#[derive(Debug)]
struct Room {
    stack: Box<[u8]>,
    cache: RuleCache,
}

impl OwnStacks {
    /// Compiles the rules of all code that is loaded now. That takes some milliseconds for a C library, and a quarter
    /// of a second for a library of a hundred megabytes; the tables take about a twentieth of its size.
    ///
    /// # Errors
    /// When `/proc/self` cannot be read.
    pub fn new() -> Result<Self, OpenError> {
        let binaries = Binaries::new(SearchOptions::default());
        let process = own_process()?;
        let rules = ProcessRules::new(&StepContext::new(&process, &binaries));
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        // No more threads run at the same time; but one may be kept from running in the middle of a walk.
        let rooms = (0..2 * processors).map(|_| Mutex::new(Room::new()));
        Ok(Self { rules: RwLock::new(rules), rooms: rooms.collect(), binaries })
    }

    /// Compiles the rules of what was loaded since it was made. Until then, code that is not known
    /// [ends](prospect_stack::return_addresses::ReturnEnd::NotExecutable) a walk. Walks in other threads go on
    /// meanwhile.
    ///
    /// # Errors
    /// When `/proc/self` cannot be read; the rules are as they were then.
    pub fn refresh(&self) -> Result<(), OpenError> {
        let process = own_process()?;
        let context = StepContext::new(&process, &self.binaries);
        let rules = {
            let before = self.rules.read().unwrap_or_else(PoisonError::into_inner);
            ProcessRules::again(&context, Some(&before))
        };
        let mut place = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *place, rules);
        // Walks have the new ones while the old ones are freed.
        drop(place);
        drop(before);
        Ok(())
    }

    /// Walks from registers of the calling thread, or of another that stands still, and writes the addresses of the
    /// frames, the innermost one first. `None` in the moment in which [`refresh`](Self::refresh) replaces the rules, and
    /// where pc or sp is not known.
    ///
    /// It may be called in signal handlers, and in several threads at once. Walks at the same time, up to twice as
    /// many as there are processors, have room to copy stacks and to remember rules; more are slower.
    pub fn walk(&self, registers: &Registers, into: &mut [CodeAddress]) -> Option<Walked> {
        let rules = match self.rules.try_read() {
            Ok(rules) => rules,
            Err(TryLockError::Poisoned(rules)) => rules.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let from = StackPosition::of(registers)?;
        let Some(mut room) = self.rooms.iter().find_map(take) else {
            return Some(walk(&from, &*rules, &OwnMemory, &mut [], into));
        };
        let Room { stack, cache } = &mut *room;
        Some(walk(&from, cache.over(rules.generation(), &*rules), &OwnMemory, stack, into))
    }

    /// The functions and lines of addresses, each of them as it is
    /// [looked up](CodeAddress::for_lookup). Not for handlers.
    ///
    /// # Errors
    /// When `/proc/self` cannot be read.
    pub fn names(&self, addresses: &[CodeAddress]) -> Result<Vec<ResolvedAddress>, OpenError> {
        let process = own_process()?;
        let addresses: Vec<Addr> = addresses.iter().map(|code| code.for_lookup()).collect();
        Ok(Symbolizer::new(&process, &self.binaries).resolve(&addresses))
    }

    /// How many bytes it takes: the tables, and the room for walks.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let tables = self.rules.read().unwrap_or_else(PoisonError::into_inner).bytes();
        tables + self.rooms.len() * (STACK_BYTES + RuleCache::default().bytes())
    }
}

impl Room {
    fn new() -> Self {
        Self { stack: vec![0; STACK_BYTES].into(), cache: RuleCache::default() }
    }
}

/// A room that nobody uses now. This never waits, and so does not care what was interrupted.
fn take(room: &Mutex<Room>) -> Option<MutexGuard<'_, Room>> {
    match room.try_lock() {
        Ok(room) => Some(room),
        Err(TryLockError::Poisoned(room)) => Some(room.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// One's own process as it is now, to be read by whoever stays in it.
fn own_process() -> Result<FrozenProcess, LiveError> {
    let id = ProcessId(std::process::id());
    let mut info = procfs::process_info(id)?;
    // As what the process was started does not matter here: an interpreter would be looked at.
    info.arch = procfs::host_arch();
    let mappings = procfs::mappings(id)?;
    let process = FrozenProcess::new(info, Vec::new(), CapturedMemory::default(), mappings);
    Ok(process.over(Box::new(OwnMemory)))
}

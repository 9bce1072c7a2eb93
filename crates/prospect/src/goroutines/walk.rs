//! The stacks of goroutines.

use std::{collections::HashMap, time::Duration};

use prospect_live::monotonic_clock;
use prospect_process::{Addr, Arch, Process, Registers, ThreadId};
use prospect_stack::{Stack, StepContext, Walker};
use prospect_symbols::Binaries;

use super::{
    GoRuntime, Goroutine, GoroutineState, Goroutines, RawGoroutines, before,
    read::{RawGoroutine, Status},
};
use crate::walk::Positions;

/// The goroutines of a process with their stacks, without names. `is_system` says of a function's address whether the runtime
/// starts it for itself; `is_live`, whether this machine's clock is that of the process.
pub(crate) fn goroutines(
    runtime: &GoRuntime,
    raw: &RawGoroutines,
    process: &dyn Process,
    binaries: &Binaries,
    walker: &mut Walker,
    is_system: impl Fn(Addr) -> bool,
    is_live: bool,
) -> Goroutines {
    let context = StepContext::new(process, binaries);
    let mut positions = Positions::new(process);
    let mut starts: HashMap<Addr, bool> = HashMap::new();
    let now = is_live.then(monotonic_clock);
    let all = raw.all.iter().map(|one| {
        let registers = registers(one, process, runtime.arch);
        let stack: Stack = walker.walk(&registers, &context);
        // The first one was made by no goroutine.
        let created_at = Some(one.created_at).filter(|at| *at != Addr(0) && one.id != 1);
        Goroutine {
            id: one.id,
            state: state(one.status),
            wait_reason: wait_reason(runtime, one),
            waiting: now.and_then(|now| waiting(one, now)),
            thread: one.thread,
            is_system: *starts.entry(one.starts_at).or_insert_with(|| is_system(one.starts_at)),
            parent: Some(one.parent).filter(|parent| *parent != 0),
            created_at,
            names: stack
                .frames
                .iter()
                .map(|frame| positions.name(frame.for_lookup(), frame.code.addr()))
                .collect(),
            created_by: positions.name(before(one.created_at), one.created_at),
            stack,
        }
    });
    Goroutines { release: runtime.release.clone(), all: all.collect(), unread: raw.unread }
}

/// The registers that a walk begins with: those of the thread that runs it, as long as it is on the goroutine's own stack;
/// else what was saved when it left that.
fn registers(one: &RawGoroutine, process: &dyn Process, arch: Arch) -> Registers {
    let is_on_stack = |registers: &Registers| registers.sp().is_some_and(|sp| one.stack.contains(&sp));
    let of_thread = |thread: ThreadId| process.registers(thread);
    let runs = matches!(one.status, Status::Running | Status::SystemCall | Status::CopyingStack);
    let thread = one.thread.filter(|_| runs).and_then(of_thread);
    if let Some(registers) = thread.filter(is_on_stack) {
        return registers;
    }
    let call = one.status == Status::SystemCall && one.call_sp != Addr(0);
    if !call
        && one.sp == Addr(0)
        && let Some(registers) = thread
    {
        // In a signal handler, say: nothing was saved.
        return registers;
    }
    let (pc, sp) = if call { (one.call_pc, one.call_sp) } else { (one.pc, one.sp) };
    let info = arch.info();
    let mut registers = Registers::unknown(arch);
    registers.set(info.pc, pc.0);
    registers.set(info.sp, sp.0);
    if !call {
        registers.set(info.fp, one.fp.0);
    }
    registers
}

fn state(status: Status) -> GoroutineState {
    match status {
        Status::Idle => GoroutineState::Idle,
        Status::Runnable => GoroutineState::Runnable,
        Status::Running => GoroutineState::Running,
        Status::SystemCall => GoroutineState::SystemCall,
        Status::Waiting => GoroutineState::Waiting,
        Status::CopyingStack => GoroutineState::CopyingStack,
        Status::Preempted => GoroutineState::Preempted,
        Status::Leaked => GoroutineState::Leaked,
        Status::Dead | Status::Unknown => GoroutineState::Unknown,
    }
}

fn is_waiting(one: &RawGoroutine) -> bool {
    matches!(one.status, Status::Waiting | Status::Leaked)
}

fn wait_reason(runtime: &GoRuntime, one: &RawGoroutine) -> Option<&'static str> {
    let reason = runtime.layout.wait_reasons.get(usize::from(one.wait_reason)).copied()?;
    Some(reason).filter(|reason| is_waiting(one) && !reason.is_empty())
}

fn waiting(one: &RawGoroutine, now: Duration) -> Option<Duration> {
    let is_noted = is_waiting(one) && one.waiting_since != 0;
    is_noted.then(|| now.saturating_sub(Duration::from_nanos(one.waiting_since)))
}

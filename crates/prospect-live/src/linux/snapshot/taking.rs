//! The stop, the clone, and what is made of them.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use prospect_process::{
    Addr, CapturedMemory, FrozenProcess, FrozenThread, Mappings, Memory as _, NoRegisters, ProcessId,
    ThreadId,
};

use super::{
    Snapshot, SnapshotError, SnapshotPlan,
    guardian::{Guardian, Lent},
    memory::ChildMemory,
    places::Places,
    survey::{self, Survey},
};
use crate::linux::{
    LiveError, LiveMemory, LiveProcess,
    attachment::Attachment,
    core_facts,
    identity::Identity,
    procfs::{self, Status},
    stopping,
    wall_clock::monotonic_clock,
};

/// What was learnt while the process stood.
struct Taken {
    threads: Vec<FrozenThread>,
    copied: CapturedMemory,
    left_out: Vec<Range<Addr>>,
    child: ProcessId,
    pause: Duration,
    guardian: Guardian,
    survey: Survey,
}

impl LiveProcess {
    /// Copies the process: it stands still for as long as the kernel takes to clone it, runs on, and its copy is read at
    /// leisure. The copy is a child of it that never runs, and is gone with nothing left when the snapshot is dropped.
    ///
    /// It stands still for about [`snapshot_estimate`](Self::snapshot_estimate): what a process has of its own in
    /// memory decides, some twenty microseconds for each megabyte, and more on a busy machine; huge pages take nearly
    /// nothing. `timeout` is for all of its threads to stop.
    ///
    /// Of a program that is killed while it does this nothing stays: a second process ends what was begun.
    ///
    /// # Errors
    /// When it cannot be done; the process is as it was. [`freeze`](Self::freeze) and [`stop`](Self::stop) may be possible.
    pub fn snapshot(&self, plan: &SnapshotPlan, timeout: Duration) -> Result<Snapshot, SnapshotError> {
        self.refuse_itself()?;
        self.identity().check()?;
        plan.pass("begun");
        let (process, plan) = (self.info().id, plan.clone());
        let survey = Survey::of(process, &plan);
        self.identity().check()?;
        let survey = survey?;
        plan.pass("surveyed");
        let places = Places::find(process, &survey.mappings, survey.info.arch);
        let guardian =
            Guardian::start(self.identity(), places, plan.witness).map_err(SnapshotError::Guardian)?;
        plan.pass("guarded");
        let deadline = Instant::now() + timeout;
        let identity = self.identity().clone();
        let stopping = plan.clone();
        let taken = self.still_itself(self.holds().run(move |attachment| {
            Ok(take(attachment, &identity, guardian, survey, &stopping, deadline))
        }))??;
        plan.pass("taken");
        let snapshot = self.made_of(taken);
        plan.pass("made");
        Ok(snapshot)
    }

    /// About how long the process would stand still for a [`snapshot`](Self::snapshot), rather more than less.
    ///
    /// # Errors
    /// When it is gone, or we may not look.
    pub fn snapshot_estimate(&self) -> Result<Duration, LiveError> {
        self.of_itself(survey::estimate_of)
    }

    /// About how long the process would stand still if it were [stopped](Self::stop_for_core) for as long as all of its
    /// memory is read and written to a file, or `most` bytes of it, rather more than less. How fast the file takes it
    /// is not known.
    ///
    /// # Errors
    /// When it is gone, or we may not look.
    pub fn stop_estimate(&self, most: Option<u64>) -> Result<Duration, LiveError> {
        self.of_itself(|process| survey::copying_estimate_of(process, most))
    }

    fn made_of(&self, taken: Taken) -> Snapshot {
        let Taken { threads, copied, left_out, child, pause, guardian, survey } = taken;
        let guardian = Arc::new(guardian);
        let of_child = procfs::mappings(child).unwrap_or_default();
        let mut mappings: Vec<_> = core_facts::with_advice(&of_child, &survey.mappings).collect();
        let known = Mappings::new(mappings.clone());
        mappings
            .extend(survey.not_in_child().filter(|mapping| known.at(mapping.range.start).is_none()).cloned());
        let memory = ChildMemory {
            memory: LiveMemory::of_copy(child),
            left_out: left_out.clone(),
            _guardian: guardian.clone(),
        };
        let info = core_facts::of_threads(survey.info, &threads);
        let process =
            FrozenProcess::new(info, threads, copied, Mappings::new(mappings)).over(Box::new(memory));
        Snapshot { process, pause, child, live: survey.live, left_out, _guardian: guardian }
    }
}

/// Stops all threads, copies what must be copied, clones the process, and lets it go.
fn take(
    attachment: &mut Attachment,
    identity: &Identity,
    guardian: Guardian,
    survey: Survey,
    plan: &SnapshotPlan,
    deadline: Instant,
) -> Result<Taken, SnapshotError> {
    let process = identity.process();
    let candidates = survey.candidates(|thread| attachment.has(thread));
    let mut room = vec![0u8; survey.copied.iter().map(length).sum()];
    let began = monotonic_clock();
    let lent = guardian.hold(&candidates, deadline)?;
    plan.pass("one thread held");
    // Numbers are given away again: what was held by number must be what was meant.
    identity.check()?;
    let (grip, mut threads) = attachment.hold_beside(lent.thread, deadline)?;
    plan.pass("all threads held");
    let status = procfs::thread_status(process, lent.thread).ok();
    if plan.register_sets {
        stopping::add_register_sets(&mut threads);
        stopping::add_signals(&mut threads);
    }
    let (ranges, failed) = copy(process, &survey.copied, &mut room);
    plan.pass("ranges copied");
    let cloned = match (running_on(&threads), plan.max_pause) {
        (Some(thread), _) => Err(SnapshotError::NotStopped(thread)),
        (None, Some(most)) if monotonic_clock() > began + most => {
            Err(SnapshotError::TooLong { estimate: monotonic_clock() - began, most })
        }
        _ => guardian.clone_target(deadline),
    };
    plan.pass("cloned");
    attachment.release(grip);
    let released = monotonic_clock();
    plan.pass("threads let go");
    cloned?;
    let (child, let_go) = guardian.child(deadline)?;
    plan.pass("child known");
    insert(&mut threads, lent, &survey, plan.register_sets, status);
    let mut left_out = [survey.left_out.as_slice(), &failed].concat();
    left_out.sort_by_key(|range| range.start);
    Ok(Taken {
        threads,
        copied: CapturedMemory::new(room, ranges),
        left_out,
        child,
        pause: released.max(let_go).saturating_sub(began),
        guardian,
        survey,
    })
}

fn length(range: &Range<Addr>) -> usize {
    usize::try_from(range.end.0.saturating_sub(range.start.0)).unwrap_or(usize::MAX)
}

/// Where it is, how long it is, and where its bytes begin in the copy: as [`CapturedMemory`] wants it.
type CopiedRange = (Addr, usize, usize);

/// Copies these ranges one behind the other into `room`, which is as long as they are: says where each is then, and
/// what could not be read.
fn copy(process: ProcessId, ranges: &[Range<Addr>], room: &mut [u8]) -> (Vec<CopiedRange>, Vec<Range<Addr>>) {
    let memory = LiveMemory::new(process);
    let (mut copied, mut failed, mut used) = (Vec::new(), Vec::new(), 0);
    for range in ranges {
        let length = length(range);
        let read = memory.read_available(range.start, &mut room[used..used + length]);
        copied.push((range.start, read, used));
        if read < length {
            failed.push(range.start.wrapping_add(read as u64)..range.end);
        }
        used += length;
    }
    (copied, failed)
}

/// A thread that runs on, and so may write to memory that is to be of one moment. One in state `D` does not.
fn running_on(threads: &[FrozenThread]) -> Option<ThreadId> {
    let runs = |why: &NoRegisters| matches!(why, NoRegisters::Deadline | NoRegisters::Refused(_));
    threads.iter().find(|one| one.thread.not_stopped.as_ref().is_some_and(runs)).map(|one| one.thread.id)
}

/// Puts the thread that the guardian held to its place among the others.
fn insert(
    threads: &mut Vec<FrozenThread>,
    lent: Lent,
    survey: &Survey,
    with_sets: bool,
    status: Option<Status>,
) {
    let Some(place) = survey.threads.iter().position(|facts| facts.thread.id == lent.thread) else { return };
    let mut thread = survey.threads[place].thread.clone();
    if let Some(status) = status {
        thread.signals.pending = status.pending_signals;
        thread.signals.blocked = status.blocked_signals;
    }
    if lent.registers.is_none() {
        thread.not_stopped = Some(NoRegisters::Exited);
    }
    let register_sets = if with_sets { lent.register_sets } else { Vec::new() };
    let one = FrozenThread { thread, registers: lent.registers, register_sets };
    threads.insert(place.min(threads.len()), one);
}

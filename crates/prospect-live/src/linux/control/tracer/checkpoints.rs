//! Moments of a process that are kept: copies of it that stand.
//!
//! A copy is made as a snapshot is: the process is made to clone itself, and the new one never runs anything. To go back to it, it is copied
//! once more, and that copy runs in the place of the one that was there. Copies end with this process.
//!
//! The program does not see them. If this process is its parent, which has started it, it is that of the copies too. Else they are its children, of whose end
//! nobody is told; they are waited for in its name when they have ended, so that nothing stays of them.
//!
//! A process that was started here ends when another moment of it is gone back to. One that was attached to stands aside, and goes on
//! as it was when we leave; then the copy ends that ran in its place.

use std::time::Instant;

use prospect_process::{ProcessId, ThreadId, control::TrapPlace};

use super::{
    CALL_WITHIN, END_WITH_US, Mode, Tracer,
    displaced::Slots,
    raw::{self, Status},
    space::Space,
    tracee::{Pending, State, Tracee},
};
use crate::linux::{control::wire::Failure, procfs, ptrace, snapshot::borrowed::Borrowed};

/// Options of copies that stand.
const OF_COPIES: i32 = libc::PTRACE_O_TRACESYSGOOD | END_WITH_US;

/// A moment that was kept.
#[derive(Debug)]
pub(super) struct Checkpoint {
    id: u32,
    /// The process that it is of: as long as others take its place, the latest of them.
    of: u32,
    copy: Copied,
}

/// A copy that stands.
#[derive(Debug)]
struct Copied {
    process: u32,
    /// Without a trap in it.
    space: Space,
    awaited: Awaited,
}

/// The parent that is to wait for a copy, and by which number it knows it; `None` where that is this process.
type Awaited = Option<(u32, i64)>;

/// A process that stands while a copy runs in its place.
#[derive(Debug)]
struct Aside {
    /// What runs in its place; 0 when that has ended.
    replaced_by: u32,
    awaited: Awaited,
    process: u32,
    tracee: Tracee,
    space: Space,
}

#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    last: u32,
    all: Vec<Checkpoint>,
    aside: Vec<Aside>,
    /// Copies that have ended.
    unawaited: Vec<(u32, i64)>,
}

impl Checkpoints {
    fn knows(&self, process: u32) -> bool {
        let copies = self.all.iter().map(|one| one.copy.process);
        copies.chain(self.aside.iter().map(|aside| aside.process)).any(|one| one == process)
    }

    /// A process has ended by itself: its number may be given to another one.
    pub(super) fn ended(&mut self, process: u32) {
        for lost in self.all.extract_if(.., |one| one.copy.process == process) {
            self.unawaited.extend(lost.copy.awaited);
        }
        self.aside.retain(|aside| aside.process != process);
        for aside in self.aside.iter_mut().filter(|aside| aside.replaced_by == process) {
            aside.replaced_by = 0;
            self.unawaited.extend(aside.awaited.take());
        }
    }
}

impl Tracer {
    /// Keeps this moment of a process.
    pub(super) fn keep_moment(&mut self, process: u32) -> Result<u32, Failure> {
        let threads = self.threads_of(process);
        let &[thread] = &threads[..] else {
            let what =
                format!("keep a moment of a process with {} threads: a copy has but one", threads.len());
            return Err(Failure::Unsupported(what));
        };
        let tracee = self.tracees.get(&thread);
        if tracee.is_none_or(|tracee| tracee.is_at_call || tracee.kept.is_some() || tracee.pending.is_some())
            || !self.come_to_rest(thread)
        {
            let why = "keep a moment in the middle of a system call, or at a signal";
            return Err(Failure::Unsupported(why.into()));
        }
        let space = self.spaces.get(&process).ok_or(Failure::NotControlled(ProcessId(process)))?;
        let slots = space.emptied_slots();
        let running = self.checkpoints.aside.iter().find(|aside| aside.replaced_by == process);
        let awaited = running.and_then(|aside| aside.awaited);
        let copy = self.copy(thread, awaited, slots, self.options())?;
        // Its own memory is as it was, with the traps in it.
        if let (Some(from), copy) = (self.spaces.get(&process), &copy.space) {
            from.restore_into(copy);
        }
        let id = self.checkpoints.last + 1;
        self.checkpoints.last = id;
        self.checkpoints.all.push(Checkpoint { id, of: process, copy });
        Ok(id)
    }

    pub(super) fn forget_moment(&mut self, id: u32) -> Result<(), Failure> {
        let place = self.checkpoints.all.iter().position(|one| one.id == id);
        let place = place.ok_or_else(|| Failure::Unsupported(format!("find checkpoint {id}")))?;
        let Copied { process, awaited, .. } = self.checkpoints.all.remove(place).copy;
        end(process);
        self.checkpoints.unawaited.extend(awaited);
        self.wait_in_their_names();
        Ok(())
    }

    /// Goes back to a moment: the process that runs from there, and where bytes are hidden in it.
    pub(super) fn go_back(&mut self, id: u32) -> Result<(u32, Vec<(u64, u8)>), Failure> {
        let missing = || Failure::Unsupported(format!("find checkpoint {id}"));
        let kept = self.checkpoints.all.iter().find(|one| one.id == id).ok_or_else(missing)?;
        let before = kept.of;
        let Copied { process: source, space, awaited } = &kept.copy;
        let (source, awaited, slots) = (*source, *awaited, space.emptied_slots());
        let Copied { process: new, space, awaited } = self.copy(source, awaited, slots, OF_COPIES)?;
        let options = self.options() | if is_child(new) { 0 } else { END_WITH_US };
        if let Err(error) = ptrace::set_options(ThreadId(new), options) {
            end(new);
            self.checkpoints.unawaited.extend(awaited);
            return Err(Failure::system("trace a copy", &error));
        }
        // Traps of a process that has ended are without one; they are those of its successor.
        let adopted: Vec<(u64, TrapPlace)> = self
            .traps
            .iter()
            .filter(|(_, one)| one.processes.contains(&before) || one.processes.is_empty())
            .map(|(id, one)| (*id, one.trap.place.clone()))
            .collect();
        self.put_aside(before, new, awaited);
        let mut tracee = Tracee::new(new);
        (tracee.is_new, tracee.state) = (false, State::Standing);
        self.tracees.insert(new, tracee);
        self.spaces.insert(new, space);
        for one in &mut self.checkpoints.all {
            if one.of == before {
                one.of = new;
            }
        }
        for (id, place) in adopted {
            if let Some(one) = self.traps.get_mut(&id) {
                one.processes.push(new);
            }
            // What cannot be set there any more is not: its code was not there yet.
            let _ = self.put_in(new, id, &place);
        }
        let sites =
            self.spaces.get(&new).map(|space| space.sites.iter().map(|(at, site)| (*at, site.original)));
        Ok((new, sites.into_iter().flatten().collect()))
    }

    /// What another one takes the place of ends, or stands until we leave.
    fn put_aside(&mut self, before: u32, new: u32, awaited: Awaited) {
        if !self.spaces.contains_key(&before) {
            return;
        }
        self.forget_traps_of(before);
        self.events.retain(|event| event.process.0 != before);
        let was_copy = self.checkpoints.aside.iter_mut().find(|aside| aside.replaced_by == before);
        let is_copy = was_copy.is_some();
        if let Some(aside) = was_copy {
            aside.replaced_by = new;
            self.checkpoints.unawaited.extend(std::mem::replace(&mut aside.awaited, awaited));
        }
        if is_copy || is_child(before) {
            end(before);
            self.tracees.retain(|_, tracee| tracee.process != before);
            self.spaces.remove(&before);
        } else if let (Some(tracee), Some(space)) =
            (self.tracees.remove(&before), self.spaces.remove(&before))
        {
            self.checkpoints.aside.push(Aside { replaced_by: new, awaited, process: before, tracee, space });
        }
    }

    /// A process is about to be let go. If it stands in the place of another one, it ends, and that one is the one that is let go; its number.
    pub(super) fn come_back(&mut self, process: u32) -> u32 {
        let Some(place) = self.checkpoints.aside.iter().position(|aside| aside.replaced_by == process) else {
            return process;
        };
        let Aside { process: former, awaited, tracee, space, .. } = self.checkpoints.aside.remove(place);
        if process != 0 {
            self.forget_traps_of(process);
            end(process);
        }
        self.tracees.retain(|_, tracee| tracee.process != process);
        self.spaces.remove(&process);
        self.tracees.insert(former, tracee);
        self.spaces.insert(former, space);
        for one in self.checkpoints.all.iter_mut().filter(|one| one.of == process) {
            one.of = former;
        }
        self.checkpoints.unawaited.extend(awaited);
        self.wait_in_their_names();
        former
    }

    /// A process is let go: what was kept of it is no more.
    pub(super) fn forget_moments_of(&mut self, process: u32) {
        let ids: Vec<u32> =
            self.checkpoints.all.iter().filter(|one| one.of == process).map(|one| one.id).collect();
        ids.into_iter().for_each(|id| drop(self.forget_moment(id)));
    }

    /// All that was kept ends, and what stood aside comes back.
    pub(super) fn forget_moments(&mut self) {
        let running: Vec<u32> = self.checkpoints.aside.iter().map(|aside| aside.replaced_by).collect();
        for process in running {
            self.come_back(process);
        }
        let ids: Vec<u32> = self.checkpoints.all.iter().map(|one| one.id).collect();
        ids.into_iter().for_each(|id| drop(self.forget_moment(id)));
    }

    /// Has a thread that stands, and whose options these are, clone its process. The new one stands where the thread does.
    fn copy(
        &mut self,
        thread: u32,
        awaited: Awaited,
        slots: Vec<Slots>,
        options: i32,
    ) -> Result<Copied, Failure> {
        let failed = |error: std::io::Error| Failure::system("copy the process", &error);
        let arch = self.tracees.get_mut(&thread).and_then(|one| Some(one.general(thread).ok()?.arch()));
        let is_ours = is_child(thread);
        // Copies of a copy are of the same parent: one that never runs waits for nobody.
        let parent = if is_ours || awaited.is_some() { libc::CLONE_PARENT } else { 0 };
        // It is no event that this thread makes a process.
        let quiet = options & !(libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_TRACEFORK);
        ptrace::set_options(ThreadId(thread), quiet).map_err(failed)?;
        let made = Borrowed::standing(ThreadId(thread), || {}).and_then(|mut borrowed| {
            let arguments = [(libc::CLONE_PTRACE | parent) as u64, 0, 0, 0, 0];
            let deadline = Instant::now() + CALL_WITHIN;
            let number = borrowed.call(|calls| calls.clone, arguments, deadline, |_| {})?;
            Ok((number, borrowed.own, borrowed.signal()))
        });
        let _ = ptrace::set_options(ThreadId(thread), options);
        if let Some(tracee) = self.tracees.get_mut(&thread) {
            tracee.forget_registers();
            if let Ok((_, _, Some(signal))) = made {
                tracee.pending = Some(Pending { signal, info: None });
            }
        }
        let (number, own, _) = made.map_err(|_| Failure::Unsupported("be made to copy itself".into()))?;
        if number <= 0 {
            return Err(failed(std::io::Error::from_raw_os_error(
                i32::try_from(-number).unwrap_or(libc::EAGAIN),
            )));
        }
        let late = || Failure::Unsupported("find its copy".into());
        let new = self.new_stranger().ok_or_else(late)?;
        let kept = ptrace::set_options(ThreadId(new), OF_COPIES)
            .and_then(|()| own.of_copy(ThreadId(new)).put())
            .and_then(|()| Space::open(new, arch.unwrap_or_else(procfs::host_arch)));
        match kept {
            Ok(mut space) => {
                space.slots = slots;
                let parent = awaited.map_or(thread, |(parent, _)| parent);
                Ok(Copied { process: new, space, awaited: (!is_ours).then_some((parent, number)) })
            }
            Err(error) => {
                end(new);
                Err(failed(error))
            }
        }
    }

    /// What has stopped that nobody knows: the copy that was just made.
    fn new_stranger(&mut self) -> Option<u32> {
        let deadline = Instant::now() + CALL_WITHIN;
        while Instant::now() < deadline {
            match raw::wait_any(true) {
                Ok(Some((thread, Status::Stopped { .. })))
                    if !self.tracees.contains_key(&thread) && !self.checkpoints.knows(thread) =>
                {
                    return Some(thread);
                }
                Ok(Some(news)) => self.news.push_back(news),
                Ok(None) => {}
                Err(_) => break,
            }
        }
        None
    }

    /// Has parents wait for children that have ended and that they know nothing of.
    fn wait_in_their_names(&mut self) {
        for (parent, number) in std::mem::take(&mut self.checkpoints.unawaited) {
            if self.mode != Mode::Standing || !self.wait_in_the_name_of(parent, number) {
                self.checkpoints.unawaited.push((parent, number));
            }
        }
    }

    fn wait_in_the_name_of(&mut self, parent: u32, number: i64) -> bool {
        let Ok(mut borrowed) = Borrowed::standing(ThreadId(parent), || {}) else { return true };
        let flags = (libc::__WALL | libc::WNOHANG) as u64;
        let arguments = [number.cast_unsigned(), 0, flags, 0];
        let waited = borrowed.call(|calls| calls.wait4, arguments, Instant::now() + CALL_WITHIN, |_| {});
        if let Some(tracee) = self.tracees.get_mut(&parent) {
            tracee.forget_registers();
        }
        waited.is_ok_and(|result| result != 0)
    }
}

/// Ends a copy, and waits until it has.
fn end(process: u32) {
    if raw::kill(process, libc::SIGKILL).is_ok() {
        let deadline = Instant::now() + CALL_WITHIN;
        while matches!(raw::wait_for(process), None | Some(Status::Stopped { .. }))
            && Instant::now() < deadline
        {}
    }
}

/// Whether a process was started here.
fn is_child(process: u32) -> bool {
    let parent = procfs::process_info(ProcessId(process)).ok().and_then(|info| info.parent);
    parent == Some(ProcessId(std::process::id()))
}

//! The breakpoints of a group of processes.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use prospect_process::{
    Addr, Process, ProcessId, Target, ThreadId,
    control::{Control, ControlError, EventKind, Filter, Trap, TrapCounts, TrapError, TrapId, TrapPlace},
};
use prospect_symbols::{Binaries, Pattern};

use super::{BreakpointSpec, Catch, Place};

/// A breakpoint by its number, from 1 on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BreakpointId(pub u32);

/// What a breakpoint is at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BreakAt {
    /// Code, by name, line, pattern or address.
    Code(BreakpointSpec),
    /// What a language's runtime does.
    Catch(Catch),
    /// What the kernel or the processor tells: system calls, signals, new processes, programs and threads, accesses to memory.
    Trap(TrapPlace),
}

impl fmt::Display for BreakAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(spec) => spec.fmt(f),
            Self::Catch(catch) => catch.fmt(f),
            Self::Trap(TrapPlace::Code { at, .. }) => at.fmt(f),
            Self::Trap(TrapPlace::Data { at, bytes, .. }) => write!(f, "{bytes} bytes at {at}"),
            Self::Trap(TrapPlace::Call { .. }) => f.write_str("system calls"),
            Self::Trap(TrapPlace::Signal(_)) => f.write_str("signals"),
            Self::Trap(TrapPlace::Fork) => f.write_str("fork"),
            Self::Trap(TrapPlace::Exec) => f.write_str("exec"),
            Self::Trap(TrapPlace::ThreadCreated) => f.write_str("new threads"),
            Self::Trap(TrapPlace::ThreadExited) => f.write_str("threads that end"),
            Self::Trap(_) => f.write_str("trap"),
        }
    }
}

/// What a breakpoint is to be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// At what.
    pub at: BreakAt,
    /// At the first instruction of functions, and not behind their prologue.
    pub entry: bool,
    /// By a debug register of the processor.
    pub hardware: bool,
    /// It is taken away when it was hit.
    pub temporary: bool,
    /// So many hits are passed over first, over all its places and processes.
    pub ignore: u64,
    /// Only hits of this thread count.
    pub thread: Option<ThreadId>,
}

impl Wanted {
    /// A plain one in code.
    #[must_use]
    pub fn at(spec: BreakpointSpec) -> Self {
        Self::new(BreakAt::Code(spec))
    }

    /// A plain one.
    #[must_use]
    pub fn new(at: BreakAt) -> Self {
        Self { at, entry: false, hardware: false, temporary: false, ignore: 0, thread: None }
    }
}

/// One place of one process that a breakpoint is at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Site {
    /// In which process.
    pub process: ProcessId,
    /// The trap there. A process that was made by fork has those of its parent.
    pub trap: TrapId,
    /// Where; `None` for what has no place, as a system call.
    pub place: Option<Place>,
}

/// A breakpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Breakpoint {
    /// Its number.
    pub id: BreakpointId,
    /// What it is to be.
    pub wanted: Wanted,
    /// Whether it is in force.
    pub is_enabled: bool,
    /// Where it is now. None: it waits for a library that has such a place.
    pub sites: Vec<Site>,
    /// At how many places it was at most.
    pub most_sites: usize,
    /// Why it is not at places that were found.
    pub problems: Vec<String>,
    /// What came of places where it is no more.
    pub before: TrapCounts,
}

impl Breakpoint {
    /// Whether it waits for a library.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.is_enabled && self.sites.is_empty()
    }
}

/// Says what is done at a place of a breakpoint, or why it cannot be set there. How many hits are to be passed over it says too: none where the
/// condition is not evaluated next to the stop, but by whoever is told of it.
pub type FilterAt<'f> = dyn FnMut(&Breakpoint, Option<&Place>) -> Result<Filter, String> + 'f;

/// The breakpoints of processes that are run together: each is in each of them.
#[derive(Debug, Default)]
pub struct Breakpoints {
    all: Vec<Breakpoint>,
    last: u32,
    /// Where the dynamic linker of each process says that it has changed what is loaded.
    loaders: HashMap<ProcessId, (Addr, TrapId)>,
    /// The number that hits of all places of each are counted by, and the last one that was given.
    together: HashMap<BreakpointId, u32>,
    last_together: u32,
    /// Hits that somebody was asked about.
    asked: HashMap<BreakpointId, u64>,
}

impl Breakpoints {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All of them.
    #[must_use]
    pub fn list(&self) -> &[Breakpoint] {
        &self.all
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: BreakpointId) -> Option<&Breakpoint> {
        self.all.iter().find(|one| one.id == id)
    }

    /// Adds one. It is at no place before [`update`](Self::update).
    pub fn add(&mut self, wanted: Wanted) -> BreakpointId {
        self.last += 1;
        let id = BreakpointId(self.last);
        self.all.push(Breakpoint {
            id,
            wanted,
            is_enabled: true,
            sites: Vec::new(),
            most_sites: 0,
            problems: Vec::new(),
            before: TrapCounts::default(),
        });
        id
    }

    /// Takes one away; false when there is none of that number.
    pub fn remove(&mut self, control: &mut dyn Control, id: BreakpointId) -> bool {
        for breakpoint in self.all.iter_mut().filter(|one| one.id == id) {
            clear(control, breakpoint, |_| false);
        }
        let before = self.all.len();
        self.all.retain(|one| one.id != id);
        self.count_anew(id);
        self.all.len() < before
    }

    /// Enables or disables one; an enabled one is at its places after the next [`update`](Self::update). False when
    /// there is none of that number.
    pub fn enable(&mut self, control: &mut dyn Control, id: BreakpointId, enabled: bool) -> bool {
        let Some(breakpoint) = self.all.iter_mut().find(|one| one.id == id) else { return false };
        breakpoint.is_enabled = enabled;
        if !enabled {
            clear(control, breakpoint, |_| false);
        }
        true
    }

    /// Passes over so many more hits of one, from now on. Its traps are set anew at the next [`update`](Self::update).
    /// False when there is none of that number.
    pub fn ignore(&mut self, control: &mut dyn Control, id: BreakpointId, hits: u64) -> bool {
        let Some(breakpoint) = self.all.iter_mut().find(|one| one.id == id) else { return false };
        breakpoint.wanted.ignore = hits;
        clear(control, breakpoint, |_| false);
        self.count_anew(id);
        true
    }

    fn count_anew(&mut self, id: BreakpointId) {
        self.together.remove(&id);
        self.asked.remove(&id);
    }

    /// Looks where each leads to in a process now, and puts it there: when one was added or enabled, and when libraries
    /// were loaded or unloaded.
    ///
    /// # Errors
    /// When the target has no such process, or cannot be run.
    pub fn update(
        &mut self,
        target: &mut dyn Target,
        process: ProcessId,
        binaries: &Binaries,
        evaluate: &dyn Fn(&str) -> Result<Addr, String>,
        filter: &mut FilterAt<'_>,
    ) -> Result<(), ControlError> {
        let gone = |_| ControlError::NotControlled(process);
        let view = target.process(process).map_err(gone)?;
        let enabled = self.all.iter().filter(|one| one.is_enabled);
        let resolve = |one: &Breakpoint| -> (Vec<(TrapPlace, Option<Place>)>, Vec<String>) {
            let Wanted { at, entry, hardware, .. } = &one.wanted;
            let resolution = match at {
                BreakAt::Code(spec) => spec.resolve(view, binaries, *entry, evaluate),
                BreakAt::Catch(catch) => match catch.spec() {
                    Ok(spec) => spec.resolve(view, binaries, true, evaluate),
                    Err(error) => return (Vec::new(), vec![error.to_string()]),
                },
                BreakAt::Trap(place) => return (vec![(place.clone(), Place::of_trap(place))], Vec::new()),
            };
            let code = |place: Place| (TrapPlace::Code { at: place.at, hardware: *hardware }, Some(place));
            (resolution.places.into_iter().map(code).collect(), resolution.problems)
        };
        let resolutions: Vec<_> = enabled.map(|one| (one.id, resolve(one))).collect();
        let loader = loader_trap(view, binaries);
        let control = target.control().ok_or_else(|| ControlError::Unsupported("be run".into()))?;
        for (id, (places, problems)) in resolutions {
            let Some(breakpoint) = self.all.iter_mut().find(|one| one.id == id) else { continue };
            let wanted: HashSet<Option<Addr>> = places.iter().map(|(_, place)| address(place)).collect();
            clear(control, breakpoint, |site| {
                site.process != process || wanted.contains(&address(&site.place))
            });
            let of_process = breakpoint.sites.iter().filter(|site| site.process == process);
            let mut known: HashSet<Option<Addr>> = of_process.map(|site| address(&site.place)).collect();
            breakpoint.problems = problems;
            for (trap, place) in places {
                if !known.insert(address(&place)) {
                    continue;
                }
                let cannot = |why: &dyn fmt::Display| match &place {
                    Some(place) => format!("cannot be set at {}: {why}", place.at),
                    None => format!("cannot be set: {why}"),
                };
                let mut filter = match filter(breakpoint, place.as_ref()) {
                    Ok(filter) => filter,
                    Err(why) => {
                        breakpoint.problems.push(cannot(&why));
                        continue;
                    }
                };
                filter.thread = filter.thread.or(breakpoint.wanted.thread);
                let Self { together, last_together, .. } = self;
                filter.together = Some(*together.entry(id).or_insert_with(|| {
                    *last_together += 1;
                    *last_together
                }));
                match control.set_trap(process, Trap { place: trap, filter }) {
                    Ok(trap) => breakpoint.sites.push(Site { process, trap, place }),
                    Err(error) => breakpoint.problems.push(cannot(&error)),
                }
            }
            breakpoint.most_sites = breakpoint.most_sites.max(breakpoint.sites.len());
        }
        if let Err(error) = self.watch_loader(control, process, loader) {
            for breakpoint in self.all.iter_mut().filter(|one| one.is_enabled && one.sites.is_empty()) {
                breakpoint.problems.push(format!("libraries that come are not seen: {error}"));
            }
        }
        Ok(())
    }

    /// Without it, breakpoints are put into no library that comes later.
    fn watch_loader(
        &mut self,
        control: &mut dyn Control,
        process: ProcessId,
        loader: Option<Addr>,
    ) -> Result<(), TrapError> {
        if self.loaders.get(&process).map(|(at, _)| *at) == loader {
            return Ok(());
        }
        self.leave_loader(control, process);
        if let Some(at) = loader {
            let trap = Trap { place: TrapPlace::Code { at, hardware: false }, filter: Filter::default() };
            self.loaders.insert(process, (at, control.set_trap(process, trap)?));
        }
        Ok(())
    }

    fn leave_loader(&mut self, control: &mut dyn Control, process: ProcessId) {
        let Some((_, trap)) = self.loaders.remove(&process) else { return };
        if !self.loaders.values().any(|(_, other)| *other == trap) {
            control.clear_trap(trap);
        }
    }

    /// A process was made by fork: it has all that its parent has, in its copy of the memory.
    pub fn forked(&mut self, parent: ProcessId, child: ProcessId) {
        for breakpoint in &mut self.all {
            let of_parent = breakpoint.sites.iter().filter(|site| site.process == parent);
            let copies: Vec<Site> = of_parent.map(|site| Site { process: child, ..site.clone() }).collect();
            breakpoint.sites.extend(copies);
        }
        if let Some(loader) = self.loaders.get(&parent).copied() {
            self.loaders.insert(child, loader);
        }
    }

    /// A process has gone back to a moment that was kept, and has another number now; its traps are the same.
    pub fn went_back(&mut self, before: ProcessId, now: ProcessId) {
        let sites = self.all.iter_mut().flat_map(|one| &mut one.sites);
        sites.filter(|site| site.process == before).for_each(|site| site.process = now);
        if let Some(loader) = self.loaders.remove(&before) {
            self.loaders.insert(now, loader);
        }
    }

    /// Another program has begun in a process, with no code and no memory of the former one: an
    /// [`update`](Self::update) is due. What watches memory is disabled where no other process has it.
    pub fn executed(&mut self, control: &mut dyn Control, process: ProcessId) {
        for one in &mut self.all {
            clear(control, one, |site| site.process != process || site.place.is_none());
            one.disable_data();
        }
        self.leave_loader(control, process);
    }

    /// A process has ended, or was let go.
    pub fn ended(&mut self, control: &mut dyn Control, process: ProcessId) {
        self.all.iter_mut().for_each(|one| clear(control, one, |site| site.process != process));
        self.leave_loader(control, process);
    }

    /// All processes are gone, and their tracer with them, and another run begins: every breakpoint stays, with its
    /// number and its wishes; hits are counted from 0, and as many are ignored as were wanted. What watches memory is
    /// disabled: its address means nothing in another run.
    pub fn restarted(&mut self) {
        for one in &mut self.all {
            one.sites.clear();
            one.problems.clear();
            one.before = TrapCounts::default();
            one.disable_data();
        }
        self.loaders.clear();
        self.together.clear();
        self.asked.clear();
    }

    /// Whether an event is the dynamic linker's word that libraries have come or gone: an [`update`](Self::update) of
    /// that process is due then.
    #[must_use]
    pub fn is_loader(&self, event: &EventKind) -> bool {
        let EventKind::Trapped { traps, .. } = event else { return false };
        self.loaders.values().any(|(_, trap)| traps.contains(trap))
    }

    /// The breakpoint and the place that a trap is of.
    #[must_use]
    pub fn of_trap(&self, trap: TrapId) -> Option<(&Breakpoint, &Site)> {
        self.all.iter().find_map(|one| Some((one, one.sites.iter().find(|site| site.trap == trap)?)))
    }

    /// Counts a hit that somebody is asked about: its number, over all places, from 1 on since hits were last
    /// [to be ignored](Self::ignore).
    pub fn asked(&mut self, id: BreakpointId) -> u64 {
        let asked = self.asked.entry(id).or_default();
        *asked += 1;
        *asked
    }

    /// What came of one so far, over all its places.
    pub fn totals(&self, control: &mut dyn Control, id: BreakpointId) -> TrapCounts {
        let Some(breakpoint) = self.get(id) else { return TrapCounts::default() };
        let mut traps: Vec<TrapId> = breakpoint.sites.iter().map(|site| site.trap).collect();
        traps.sort_unstable();
        traps.dedup();
        traps.into_iter().map(|trap| control.counts(trap)).fold(breakpoint.before, sum)
    }
}

impl Breakpoint {
    fn disable_data(&mut self) {
        if matches!(self.wanted.at, BreakAt::Trap(TrapPlace::Data { .. })) && self.sites.is_empty() {
            self.is_enabled = false;
        }
    }
}

/// What tells places apart.
fn address(place: &Option<Place>) -> Option<Addr> {
    place.as_ref().map(|place| place.at)
}

/// Takes a breakpoint from places that are not to stay.
fn clear(control: &mut dyn Control, breakpoint: &mut Breakpoint, stays: impl Fn(&Site) -> bool) {
    let (staying, going): (Vec<Site>, Vec<Site>) = breakpoint.sites.drain(..).partition(stays);
    breakpoint.sites = staying;
    let mut traps: Vec<TrapId> = going.iter().map(|site| site.trap).collect();
    traps.sort_unstable();
    traps.dedup();
    // One trap may be in several processes.
    traps.retain(|trap| breakpoint.sites.iter().all(|site| site.trap != *trap));
    for trap in traps {
        breakpoint.before = sum(breakpoint.before, control.clear_trap(trap));
    }
}

fn sum(one: TrapCounts, other: TrapCounts) -> TrapCounts {
    TrapCounts {
        hits: one.hits + other.hits,
        matched: one.matched + other.matched,
        taken: one.taken + other.taken,
        faults: one.faults + other.faults,
    }
}

/// Where the dynamic linker calls before and after it changes what is loaded: as it says itself, or before it has
/// begun, by name.
fn loader_trap(process: &dyn Process, binaries: &Binaries) -> Option<Addr> {
    let (modules, arch) = (process.modules(), process.info().arch);
    modules.loader_trap(arch, process.memory()).or_else(|| {
        let loader = modules.loader()?;
        let binary = binaries.get(loader, process.info(), process.memory());
        let names = ["_dl_debug_state", "rtld_db_dlactivity"];
        let symbol = names.iter().find_map(|name| binary.symbols(&Pattern::name(name).ok()?, 1).pop())?;
        Some(symbol.range.start.to_addr(loader.bias))
    })
}

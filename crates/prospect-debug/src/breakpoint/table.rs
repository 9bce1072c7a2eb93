//! The breakpoints of a process.

use std::collections::HashMap;

use prospect_process::{
    Addr, Process, ProcessId, Target,
    control::{Control, ControlError, EventKind, Filter, Trap, TrapCounts, TrapId, TrapPlace},
};
use prospect_symbols::{Binaries, Pattern};

use super::{BreakpointSpec, Place};

/// A breakpoint by its number, from 1 on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BreakpointId(pub u32);

/// What a breakpoint is to be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where.
    pub spec: BreakpointSpec,
    /// At the first instruction of functions, and not behind their prologue.
    pub entry: bool,
    /// By a debug register of the processor.
    pub hardware: bool,
    /// It is taken away when it was hit.
    pub temporary: bool,
    /// So many hits are passed over first, over all its places.
    pub ignore: u64,
}

impl Wanted {
    /// A plain one.
    #[must_use]
    pub fn at(spec: BreakpointSpec) -> Self {
        Self { spec, entry: false, hardware: false, temporary: false, ignore: 0 }
    }
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
    pub places: Vec<(Place, TrapId)>,
    /// Why it is not at places that were found.
    pub problems: Vec<String>,
    /// What came of places where it is no more.
    pub before: TrapCounts,
}

impl Breakpoint {
    /// Whether it waits for a library.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.is_enabled && self.places.is_empty()
    }
}

/// Says what is done at a place of a breakpoint.
pub type FilterAt<'f> = dyn FnMut(&Breakpoint, &Place) -> Filter + 'f;

/// The breakpoints of one process.
#[derive(Debug)]
pub struct Breakpoints {
    process: ProcessId,
    all: Vec<Breakpoint>,
    last: u32,
    /// Where the dynamic linker says that it has changed what is loaded.
    loader: Option<(Addr, TrapId)>,
    passed: HashMap<BreakpointId, u64>,
}

impl Breakpoints {
    /// None, of this process.
    #[must_use]
    pub fn new(process: ProcessId) -> Self {
        Self { process, all: Vec::new(), last: 0, loader: None, passed: HashMap::new() }
    }

    /// All of them.
    #[must_use]
    pub fn list(&self) -> &[Breakpoint] {
        &self.all
    }

    /// Adds one. It is at no place before [`update`](Self::update).
    pub fn add(&mut self, wanted: Wanted) -> BreakpointId {
        self.last += 1;
        let id = BreakpointId(self.last);
        self.all.push(Breakpoint {
            id,
            wanted,
            is_enabled: true,
            places: Vec::new(),
            problems: Vec::new(),
            before: TrapCounts::default(),
        });
        id
    }

    /// Takes one away.
    pub fn remove(&mut self, control: &mut dyn Control, id: BreakpointId) {
        for breakpoint in self.all.iter_mut().filter(|one| one.id == id) {
            clear(control, breakpoint, |_| false);
        }
        self.all.retain(|one| one.id != id);
    }

    /// Enables or disables one; an enabled one is at its places after the next [`update`](Self::update).
    pub fn enable(&mut self, control: &mut dyn Control, id: BreakpointId, enabled: bool) {
        for breakpoint in self.all.iter_mut().filter(|one| one.id == id) {
            breakpoint.is_enabled = enabled;
            if !enabled {
                clear(control, breakpoint, |_| false);
            }
        }
    }

    /// Looks where each leads to now, and puts it there: when one was added or enabled, and when libraries were loaded or unloaded.
    ///
    /// # Errors
    /// When the target has no such process, or cannot be run.
    pub fn update(
        &mut self,
        target: &mut dyn Target,
        binaries: &Binaries,
        evaluate: &dyn Fn(&str) -> Result<Addr, String>,
        filter: &mut FilterAt<'_>,
    ) -> Result<(), ControlError> {
        let id = self.process;
        let gone = |_| ControlError::NotControlled(id);
        let process = target.process(id).map_err(gone)?;
        let enabled = self.all.iter().filter(|one| one.is_enabled);
        let resolutions: Vec<_> = enabled
            .map(|one| (one.id, one.wanted.spec.resolve(process, binaries, one.wanted.entry, evaluate)))
            .collect();
        let loader = loader_trap(process, binaries);
        let control = target.control().ok_or_else(|| ControlError::Unsupported("be run".into()))?;
        for (id, resolution) in resolutions {
            let Some(breakpoint) = self.all.iter_mut().find(|one| one.id == id) else { continue };
            let places = resolution.places;
            clear(control, breakpoint, |at| places.iter().any(|place| place.at == at));
            breakpoint.problems = resolution.problems;
            for place in places {
                if breakpoint.places.iter().any(|(known, _)| known.at == place.at) {
                    continue;
                }
                let mut filter = filter(breakpoint, &place);
                filter.ignore = if may_be_elsewhere(breakpoint) { 0 } else { breakpoint.wanted.ignore };
                let code = TrapPlace::Code { at: place.at, hardware: breakpoint.wanted.hardware };
                match control.set_trap(self.process, Trap { place: code, filter }) {
                    Ok(trap) => breakpoint.places.push((place, trap)),
                    Err(error) => breakpoint.problems.push(format!("cannot be set at {}: {error}", place.at)),
                }
            }
        }
        self.watch_loader(control, loader);
        Ok(())
    }

    fn watch_loader(&mut self, control: &mut dyn Control, loader: Option<Addr>) {
        if self.loader.map(|(at, _)| at) == loader {
            return;
        }
        if let Some((_, trap)) = self.loader.take() {
            control.clear_trap(trap);
        }
        let Some(at) = loader else { return };
        let trap = Trap { place: TrapPlace::Code { at, hardware: false }, filter: Filter::default() };
        // Without it, breakpoints are put into no library that comes later.
        self.loader = control.set_trap(self.process, trap).ok().map(|trap| (at, trap));
    }

    /// Another program has begun in the process, with nothing of the former one in it: an [`update`](Self::update) is due.
    pub fn executed(&mut self, control: &mut dyn Control) {
        self.all.iter_mut().for_each(|one| clear(control, one, |_| false));
        if let Some((_, trap)) = self.loader.take() {
            control.clear_trap(trap);
        }
    }

    /// Whether an event is the dynamic linker's word that libraries have come or gone: an [`update`](Self::update) is due then.
    #[must_use]
    pub fn is_loader(&self, event: &EventKind) -> bool {
        let EventKind::Trapped { traps, .. } = event else { return false };
        self.loader.is_some_and(|(_, trap)| traps.contains(&trap))
    }

    /// The breakpoint and the place that a trap is of.
    #[must_use]
    pub fn of_trap(&self, trap: TrapId) -> Option<(&Breakpoint, &Place)> {
        self.all.iter().find_map(|one| {
            let (place, _) = one.places.iter().find(|(_, known)| *known == trap)?;
            Some((one, place))
        })
    }

    /// Whether a hit counts, or is one of those to be passed over. To be asked once for each trap that stopped or was recorded.
    pub fn counts(&mut self, trap: TrapId) -> bool {
        let Some((breakpoint, _)) = self.of_trap(trap) else { return false };
        let (id, ignore) = (breakpoint.id, breakpoint.wanted.ignore);
        if !may_be_elsewhere(breakpoint) {
            return true;
        }
        let passed = self.passed.entry(id).or_default();
        *passed += 1;
        *passed > ignore
    }

    /// Takes away those of these that are temporary.
    pub fn was_hit(&mut self, control: &mut dyn Control, traps: &[TrapId]) {
        let hit = traps.iter().filter_map(|trap| self.of_trap(*trap));
        let gone: Vec<BreakpointId> =
            hit.filter(|(one, _)| one.wanted.temporary).map(|(one, _)| one.id).collect();
        gone.into_iter().for_each(|id| self.remove(control, id));
    }

    /// What came of one so far, over all its places.
    pub fn totals(&self, control: &mut dyn Control, id: BreakpointId) -> TrapCounts {
        let Some(breakpoint) = self.all.iter().find(|one| one.id == id) else { return TrapCounts::default() };
        let places = breakpoint.places.iter().map(|(_, trap)| control.counts(*trap));
        places.fold(breakpoint.before, sum)
    }
}

/// Whether it can have several places, over which hits are counted together.
fn may_be_elsewhere(breakpoint: &Breakpoint) -> bool {
    matches!(breakpoint.wanted.spec, BreakpointSpec::Query(..))
}

/// Takes a breakpoint from places that are not to stay.
fn clear(control: &mut dyn Control, breakpoint: &mut Breakpoint, stays: impl Fn(Addr) -> bool) {
    let before = &mut breakpoint.before;
    breakpoint.places.retain(|(place, trap)| {
        let stays = stays(place.at);
        if !stays {
            *before = sum(*before, control.clear_trap(*trap));
        }
        stays
    });
}

fn sum(one: TrapCounts, other: TrapCounts) -> TrapCounts {
    TrapCounts {
        hits: one.hits + other.hits,
        matched: one.matched + other.matched,
        taken: one.taken + other.taken,
        faults: one.faults + other.faults,
    }
}

/// Where the dynamic linker calls before and after it changes what is loaded: as it says itself, or before it has begun, by name.
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

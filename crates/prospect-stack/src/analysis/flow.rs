//! The dataflow over a function's instructions.

use prospect_process::ArchInfo;

use super::{
    Why,
    code::{Code, Instruction, Number, Way},
    state::{State, Value},
};

/// So often, on average, is an instruction visited until nothing changes any more, with all that is done anew
/// where a call was found not to return.
const MOST_VISITS: usize = 40;
/// More calls are not found not to return.
const MOST_ENDLESS: usize = 16;

/// What is known where paths meet.
pub(super) struct Flow<'a> {
    code: &'a Code,
    info: &'static ArchInfo,
    /// What is known at the first instruction.
    start: State,
    /// By the number of an instruction, the index of its entry, plus one.
    places: Vec<u16>,
    /// In the order in which they were reached first.
    entries: Vec<Entry>,
    /// The calls that do not return.
    endless: Vec<Number>,
    visits: usize,
    /// Entries that say something new, the most certain first. What is behind calls waits until there is nothing
    /// else, for they may not return; and longest where the code behind is jumped to, as that of another path is.
    work: [Vec<Number>; 3],
}

/// What is known at an instruction that leads a path.
struct Entry {
    state: State,
    leader: Number,
    /// The call that it was reached behind, if on no other path.
    behind: Option<Number>,
    /// Whether the only returns that it leads to leave a stack behind that is not as it was.
    is_off: bool,
}

/// How a function returns.
#[derive(Default)]
pub(super) struct Returns {
    is_one_good: bool,
    /// The leaders of paths that return with a stack that is not as it was.
    bad: Vec<Number>,
}

impl Returns {
    /// Whether it returns with the stack as it was, as far as is known.
    pub(super) fn are_good(&self) -> bool {
        self.bad.is_empty()
    }

    /// Takes note of an instruction on the path of a leader.
    pub(super) fn note(
        &mut self,
        leader: Number,
        instruction: &Instruction,
        state: &State,
        is_as_on_entry: bool,
    ) {
        match instruction.way {
            Way::Return if is_as_on_entry => self.is_one_good = true,
            Way::Return if matches!(state.sp(), Value::At(..)) => self.bad.push(leader),
            Way::Jump if instruction.target().is_none() => self.is_one_good |= is_as_on_entry,
            _ => {}
        }
    }
}

/// Why the dataflow stops early.
enum Stop {
    /// This call cannot return: what is behind it is reached with another sp on another path.
    Endless(Number),
    Failed(Why),
}

impl<'a> Flow<'a> {
    /// Finds what is known at every place where paths meet.
    pub(super) fn solve(code: &'a Code, info: &'static ArchInfo, start: State) -> Result<Self, Why> {
        if code.instructions().is_empty() {
            return Err("there is no code where the function should be");
        }
        let mut flow = Self {
            code,
            info,
            start,
            places: Vec::new(),
            entries: Vec::new(),
            endless: Vec::new(),
            visits: 0,
            work: Default::default(),
        };
        loop {
            match flow.run() {
                Ok(()) => break,
                Err(Stop::Failed(why)) => return Err(why),
                Err(Stop::Endless(_)) if flow.endless.len() >= MOST_ENDLESS => {
                    return Err("too many calls that do not return");
                }
                Err(Stop::Endless(call)) => flow.endless.push(call),
            }
        }
        Ok(flow)
    }

    fn run(&mut self) -> Result<(), Stop> {
        let code = self.code;
        self.places.clear();
        self.places.resize(code.instructions().len(), 0);
        self.entries.clear();
        self.entries.reserve(code.instructions().iter().filter(|instruction| instruction.leads).count());
        self.work.iter_mut().for_each(Vec::clear);
        self.reach(0, None, &self.start.clone())?;
        let mut islands = code.islands().iter();
        // What is known at all jumps to unknown places, and at all calls.
        let (mut jumps, mut calls): (Option<State>, Option<State>) = (None, None);
        loop {
            let Some(leader) = self.work.iter_mut().find_map(Vec::pop) else {
                // What was not reached by now, those jumps must lead to. Where there are none, exceptions do, which calls
                // end in.
                let state = jumps.or_else(|| calls.as_ref().map(State::where_caught));
                let (Some(island), Some(state)) = (islands.next(), state) else { break };
                if self.index(*island).is_none() {
                    self.reach(*island, None, &state)?;
                }
                continue;
            };
            let Some(entry) = self.entry(leader) else { continue };
            let (mut state, mut behind) = (entry.state, entry.behind);
            let mut number = leader;
            while let Some(instruction) = code.instructions().get(usize::from(number)) {
                self.visits += 1;
                // What fills the room behind a call belongs to it: it may be one that does not return.
                behind = behind.filter(|_| instruction.is_idle);
                for op in code.ops(number) {
                    state.apply(*op, number);
                }
                if let (Way::Jump | Way::Branch, Some(to)) = (instruction.way, instruction.target()) {
                    self.reach(to, None, &state)?;
                }
                if let Some(register) = instruction.sp_behind {
                    state.set_sp(register);
                }
                // On 32-bit x86, calls are made with arguments on the stack, and exceptions caught without them.
                let may_throw = instruction.way == Way::Call && self.info.word_bytes == 8;
                if may_throw && !code.islands().is_empty() {
                    self.note(&mut calls, &state);
                }
                match (instruction.way, instruction.behind()) {
                    (Way::Behind | Way::Branch, Some(next)) if !code.leads(next) => {
                        number = next;
                        continue;
                    }
                    (Way::Behind | Way::Branch, Some(next)) => self.reach(next, behind, &state)?,
                    (Way::Call, Some(next)) if !self.endless.contains(&number) => {
                        self.reach(next, Some(number), &state)?;
                    }
                    (Way::Table(table), _) => {
                        code.table(table).iter().try_for_each(|to| self.reach(*to, None, &state))?;
                    }
                    (Way::Unknown, _) => self.note(&mut jumps, &state),
                    _ => {}
                }
                break;
            }
            if self.visits > code.instructions().len() * MOST_VISITS {
                return Err(Stop::Failed("the function's paths do not come to agree"));
            }
        }
        Ok(())
    }

    /// Takes note of what is known where code goes on at a place which is not known. Where that is the same as on
    /// entry, it rather goes on in another function.
    fn note(&self, noted: &mut Option<State>, state: &State) {
        match noted {
            Some(noted) if !noted.is_as_on_entry(self.info) => {
                if !state.is_as_on_entry(self.info) {
                    noted.join(state);
                }
            }
            _ => *noted = Some(*state),
        }
    }

    fn index(&self, leader: Number) -> Option<usize> {
        usize::from(*self.places.get(usize::from(leader))?).checked_sub(1)
    }

    fn entry(&self, leader: Number) -> Option<&Entry> {
        self.entries.get(self.index(leader)?)
    }

    /// Comes to an instruction with a state, behind a call or not.
    fn reach(&mut self, to: Number, call: Option<Number>, state: &State) -> Result<(), Stop> {
        let Some(entry) = self.index(to).and_then(|index| self.entries.get_mut(index)) else {
            self.entries.push(Entry { state: *state, leader: to, behind: call, is_off: false });
            self.places[usize::from(to)] = self.entries.len() as u16;
            self.wait(to, call);
            return Ok(());
        };
        let differs = match (entry.state.sp(), state.sp()) {
            (Value::At(one, mine), Value::At(other, theirs)) => one == other && mine != theirs,
            _ => false,
        };
        // What lies behind the function may end in a jump to it.
        if to == 0 && differs {
            return Ok(());
        }
        match (entry.behind, call) {
            // A call that does not return, with the code of another path behind it.
            (None, Some(_)) if differs => return Ok(()),
            (Some(call), None) if differs => return Err(Stop::Endless(call)),
            (Some(_), None) => entry.behind = None,
            _ => {}
        }
        if entry.state.join(state) {
            self.wait(to, call);
        }
        Ok(())
    }

    fn wait(&mut self, at: Number, call: Option<Number>) {
        let urgency = call.map_or(0, |_| 1 + usize::from(self.code.is_label(at)));
        self.work[urgency].push(at);
    }

    /// Rules out the paths that only lead to returns with a stack that is not as it was: something was not
    /// understood, or they are another function's. Fails where there are no others.
    pub(super) fn rule_out(&mut self, returns: &Returns) -> Result<(), Why> {
        if !returns.is_one_good {
            return Err("the function would return with a stack that is not as it was");
        }
        let mut bad = returns.bad.clone();
        let mut edges = self.edges();
        edges.sort_unstable_by_key(|(_, to)| *to);
        while let Some(leader) = bad.pop() {
            let Some(index) = self.index(leader) else { continue };
            if std::mem::replace(&mut self.entries[index].is_off, true) {
                continue;
            }
            let from = edges.partition_point(|(_, to)| *to < leader);
            bad.extend(edges[from..].iter().take_while(|(_, to)| *to == leader).map(|(from, _)| *from));
        }
        Ok(())
    }

    /// The leaders of paths, with the places that they lead to.
    fn edges(&self) -> Vec<(Number, Number)> {
        let mut edges = Vec::new();
        self.visit(|leader, instruction, _, _| {
            let behind = instruction.behind().filter(|_| instruction.way != Way::Call);
            let table = match instruction.way {
                Way::Table(table) => self.code.table(table),
                _ => &[],
            };
            let places = instruction.target().into_iter().chain(behind).chain(table.iter().copied());
            edges.extend(places.map(|to| (leader, to)));
        });
        edges
    }

    /// Visits every instruction, with the leader of its path, what is known before it, and whether that is the
    /// same as what was known at the one that was visited before.
    pub(super) fn visit(&self, mut visit: impl FnMut(Number, &Instruction, &State, bool)) {
        for entry in self.entries.iter().filter(|entry| !entry.is_off) {
            let (mut state, mut number, mut same) = (entry.state, entry.leader, false);
            while let Some(instruction) = self.code.instructions().get(usize::from(number)) {
                visit(entry.leader, instruction, &state, same);
                if !matches!(instruction.way, Way::Behind | Way::Branch) {
                    break;
                }
                same = true;
                for op in self.code.ops(number) {
                    same &= !state.apply(*op, number);
                }
                if let Some(register) = instruction.sp_behind {
                    same &= !state.set_sp(register);
                }
                match instruction.behind().filter(|next| !self.code.leads(*next)) {
                    Some(next) => number = next,
                    None => break,
                }
            }
        }
    }
}

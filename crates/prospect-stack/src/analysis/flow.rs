//! A function's instructions, and the dataflow over them.

use iced_x86::{Decoder, DecoderOptions, Instruction as Decoded};
use prospect_process::{Addr, Arch};

pub(super) use super::effect::Next;
use super::{
    FunctionCode, LARGEST_FUNCTION, MOST_INSTRUCTIONS, Why,
    effect::{Effect, Reader},
    jump_table::TableFinder,
    state::{SP, State, Value},
};

/// So often, on average, is an instruction visited until nothing changes any more.
const MOST_VISITS: usize = 12;
/// More calls are not found not to return.
const MOST_ENDLESS: usize = 16;

/// One instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instruction {
    /// From the start of the function.
    pub(super) offset: u32,
    pub(super) bytes: u8,
    pub(super) next: Next,
    effect: Effect,
    /// Whether paths may meet before it.
    leads: bool,
}

/// The instructions that can be reached from a function's start.
pub(super) struct Flow {
    start: u64,
    word: u8,
    /// By offset, the number of the instruction there plus one; 0 where none begins.
    numbers: Vec<u16>,
    instructions: Vec<Instruction>,
    /// Where the jumps through tables lead, as offsets.
    tables: Vec<Vec<u32>>,
}

/// What is known where paths meet.
pub(super) struct Solved {
    /// By the number of the instruction.
    entries: Vec<Option<Box<Entry>>>,
    /// The numbers in the order in which they were reached first.
    order: Vec<u16>,
}

#[derive(Clone)]
struct Entry {
    state: State,
    /// The number of the call that it was reached behind, if on no other path.
    behind: Option<u16>,
    /// Whether the only returns that it leads to leave a stack behind that is not as it was.
    is_off: bool,
}

impl Instruction {
    /// Whether it is a jump, or something else that code does not go on behind.
    pub(super) fn is_jump(&self) -> bool {
        matches!(self.next, Next::Jump(_) | Next::Nowhere)
    }
}

impl Flow {
    pub(super) fn decode(function: &FunctionCode<'_>) -> Self {
        let word = function.arch.info().word_bytes;
        let code = function.bytes.get(..LARGEST_FUNCTION as usize).unwrap_or(function.bytes);
        let mut flow = Self {
            start: function.start.0,
            word,
            numbers: vec![0; code.len()],
            instructions: Vec::with_capacity((code.len() / 4).min(512)),
            tables: Vec::new(),
        };
        let mut finder = TableFinder::default();
        let mut reader = Reader::new(word);
        let mut decoder = Decoder::with_ip(u32::from(word) * 8, code, function.start.0, DecoderOptions::NONE);
        let mut decoded = Decoded::default();
        let mut work = vec![0u32];
        while let Some(mut offset) = work.pop() {
            let mut leads = true;
            finder.begin();
            while let Some(number) = flow.numbers.get(offset as usize) {
                if let Some(known) = usize::from(*number).checked_sub(1) {
                    flow.instructions[known].leads = true;
                    break;
                }
                if flow.instructions.len() >= MOST_INSTRUCTIONS {
                    break;
                }
                if decoder.set_position(offset as usize).is_err() {
                    break;
                }
                decoder.set_ip(function.start.0.wrapping_add(u64::from(offset)));
                decoder.decode_out(&mut decoded);
                if decoded.is_invalid() {
                    break;
                }
                let mut next = reader.next(&decoded);
                if let Some(targets) = finder.next(&decoded, function).filter(|_| next == Next::Nowhere) {
                    let targets: Vec<u32> = targets.into_iter().filter_map(|to| flow.offset(to)).collect();
                    work.extend(&targets);
                    next = Next::Table(flow.tables.len() as u16);
                    flow.tables.push(targets);
                }
                let by_callee = match next {
                    Next::Call if word == 4 => thunk_register(&decoded, function),
                    _ => 0,
                };
                flow.numbers[offset as usize] = flow.instructions.len() as u16 + 1;
                flow.instructions.push(Instruction {
                    offset,
                    bytes: decoded.len() as u8,
                    next,
                    effect: reader.effect(&decoded, by_callee),
                    leads,
                });
                leads = false;
                if let Next::Jump(to) | Next::Branch(to) = next
                    && let Some(to) = flow.offset(to)
                {
                    work.push(to);
                }
                match next {
                    Next::Behind | Next::Branch(_) => offset += decoded.len() as u32,
                    // What is behind a call is a path of its own: the call may not return.
                    Next::Call => {
                        offset += decoded.len() as u32;
                        leads = true;
                    }
                    Next::Jump(_) | Next::Table(_) | Next::Return | Next::Nowhere => break,
                }
            }
        }
        flow
    }

    /// The offset of an address within the code.
    fn offset(&self, to: u64) -> Option<u32> {
        let offset = to.checked_sub(self.start)?;
        (offset < self.numbers.len() as u64).then_some(offset as u32)
    }

    fn number(&self, offset: u32) -> Option<u16> {
        self.numbers.get(offset as usize)?.checked_sub(1)
    }

    fn behind(&self, instruction: &Instruction) -> Option<u16> {
        self.number(instruction.offset + u32::from(instruction.bytes))
    }

    fn places(&self, table: u16) -> impl Iterator<Item = u16> {
        let table = self.tables.get(usize::from(table));
        table.into_iter().flatten().filter_map(|offset| self.number(*offset))
    }

    fn target(&self, to: u64) -> Option<u16> {
        self.number(self.offset(to)?)
    }

    /// Finds what is known at every place where paths meet.
    pub(super) fn solve(&self, arch: Arch) -> Result<Solved, Why> {
        let mut endless = Vec::new();
        let mut solved = loop {
            match self.run(&endless)? {
                Ok(solved) => break solved,
                Err(call) if endless.len() < MOST_ENDLESS => endless.push(call),
                Err(_) => return Err("too many calls that do not return"),
            }
        };
        self.judge(&mut solved).map_err(|why| match arch {
            Arch::I386 => "a called function may have taken its arguments off the stack",
            _ => why,
        })?;
        Ok(solved)
    }

    /// The dataflow. Fails with the number of a call that cannot return, for what is behind it is reached
    /// with another sp on another path.
    fn run(&self, endless: &[u16]) -> Result<Result<Solved, u16>, Why> {
        let mut solved = Solved { entries: vec![None; self.instructions.len()], order: Vec::new() };
        if self.instructions.is_empty() {
            return Err("there is no code where the function should be");
        }
        let first = Entry { state: State::entry(self.word), behind: None, is_off: false };
        solved.entries[0] = Some(Box::new(first));
        solved.order.push(0);
        let (mut work, mut behind_calls) = (vec![0u16], Vec::new());
        let mut visits = 0;
        while let Some(leader) = work.pop().or_else(|| behind_calls.pop()) {
            let Some(entry) = &solved.entries[usize::from(leader)] else { continue };
            let mut state = entry.state;
            let mut edges: [Option<(u16, Option<u16>)>; 2] = [None; 2];
            let mut number = leader;
            loop {
                visits += 1;
                let instruction = &self.instructions[usize::from(number)];
                instruction.effect.apply(instruction.offset, &mut state);
                let behind = || self.behind(instruction);
                match instruction.next {
                    Next::Behind => match behind() {
                        Some(next) if !self.instructions[usize::from(next)].leads => {
                            number = next;
                            continue;
                        }
                        next => edges[0] = next.map(|next| (next, None)),
                    },
                    Next::Jump(to) => edges[0] = self.target(to).map(|to| (to, None)),
                    Next::Branch(to) => {
                        edges[0] = self.target(to).map(|to| (to, None));
                        match behind() {
                            Some(next) if !self.instructions[usize::from(next)].leads => {
                                if let Some((to, _)) = edges[0].take() {
                                    match self.reach(&mut solved, to, None, &state) {
                                        Ok(true) => work.push(to),
                                        Ok(false) => {}
                                        Err(call) => return Ok(Err(call)),
                                    }
                                }
                                number = next;
                                continue;
                            }
                            next => edges[1] = next.map(|next| (next, None)),
                        }
                    }
                    Next::Call if !endless.contains(&number) => {
                        edges[0] = behind().map(|next| (next, Some(number)));
                    }
                    Next::Table(table) => {
                        for to in self.places(table) {
                            match self.reach(&mut solved, to, None, &state) {
                                Ok(true) => work.push(to),
                                Ok(false) => {}
                                Err(call) => return Ok(Err(call)),
                            }
                        }
                    }
                    Next::Call | Next::Return | Next::Nowhere => {}
                }
                break;
            }
            for (to, call) in edges.into_iter().flatten() {
                match self.reach(&mut solved, to, call, &state) {
                    Ok(true) if call.is_some() => behind_calls.push(to),
                    Ok(true) => work.push(to),
                    Ok(false) => {}
                    Err(call) => return Ok(Err(call)),
                }
            }
            if visits > self.instructions.len() * MOST_VISITS {
                return Err("the function's paths do not come to agree");
            }
        }
        Ok(Ok(solved))
    }

    /// Comes to an instruction with a state; whether something is new there.
    fn reach(&self, solved: &mut Solved, to: u16, call: Option<u16>, state: &State) -> Result<bool, u16> {
        let place = &mut solved.entries[usize::from(to)];
        let Some(entry) = place else {
            *place = Some(Box::new(Entry { state: *state, behind: call, is_off: false }));
            solved.order.push(to);
            return Ok(true);
        };
        let differs = match (entry.state.get(SP), state.get(SP)) {
            (Value::At(one, mine), Value::At(other, theirs)) => one == other && mine != theirs,
            _ => false,
        };
        // What lies behind the function may end in a jump to it.
        if to == 0 && differs {
            return Ok(false);
        }
        match (entry.behind, call) {
            // A call that does not return, with the code of another path behind it.
            (None, Some(_)) if differs => return Ok(false),
            (Some(call), None) if differs => return Err(call),
            (Some(_), None) => entry.behind = None,
            _ => {}
        }
        Ok(entry.state.join(state))
    }

    /// Marks the paths that only lead to returns with a stack that is not as it was: something was not
    /// understood, or they are another function's. Fails where there are no others.
    fn judge(&self, solved: &mut Solved) -> Result<(), Why> {
        let (mut good, mut bad) = (0, Vec::new());
        let mut edges: Vec<(u16, u16)> = Vec::new();
        let mut leader = 0;
        let entries = std::mem::take(&mut solved.entries);
        self.each(&entries, &solved.order, |number, instruction, state, _| {
            if instruction.leads {
                leader = number;
            }
            let mut edge = |to: Option<u16>| edges.extend(to.map(|to| (leader, to)));
            match instruction.next {
                Next::Return => match state.get(SP) {
                    _ if state.is_as_on_entry() => good += 1,
                    Value::At(..) => bad.push(leader),
                    _ => {}
                },
                Next::Jump(to) => {
                    let to = self.target(to);
                    good += usize::from(to.is_none() && state.is_as_on_entry());
                    edge(to);
                }
                Next::Branch(to) => {
                    edge(self.target(to));
                    edge(self.behind(instruction));
                }
                Next::Behind => edge(self.behind(instruction)),
                Next::Table(table) => self.places(table).for_each(|to| edge(Some(to))),
                Next::Call | Next::Nowhere => {}
            }
        });
        solved.entries = entries;
        if bad.is_empty() {
            return Ok(());
        }
        if good == 0 {
            return Err("the function would return with a stack that is not as it was");
        }
        edges.sort_unstable_by_key(|(_, to)| *to);
        while let Some(leader) = bad.pop() {
            let Some(entry) = &mut solved.entries[usize::from(leader)] else { continue };
            if entry.is_off {
                continue;
            }
            entry.is_off = true;
            let from = edges.partition_point(|(_, to)| *to < leader);
            bad.extend(edges[from..].iter().take_while(|(_, to)| *to == leader).map(|(from, _)| *from));
        }
        Ok(())
    }

    /// Visits every instruction with what is known before it, and whether that is the same as what was
    /// known at the one that was visited before.
    pub(super) fn visit(&self, solved: &Solved, mut visit: impl FnMut(&Instruction, &State, bool)) {
        self.each(&solved.entries, &solved.order, |_, instruction, state, same| {
            visit(instruction, state, same)
        });
    }

    fn each(
        &self,
        entries: &[Option<Box<Entry>>],
        order: &[u16],
        mut visit: impl FnMut(u16, &Instruction, &State, bool),
    ) {
        for leader in order {
            let Some(entry) = entries[usize::from(*leader)].as_ref().filter(|entry| !entry.is_off) else {
                continue;
            };
            let (mut state, mut number, mut same) = (entry.state, *leader, false);
            loop {
                let instruction = &self.instructions[usize::from(number)];
                visit(number, instruction, &state, same);
                if !matches!(instruction.next, Next::Behind | Next::Branch(_)) {
                    break;
                }
                instruction.effect.apply(instruction.offset, &mut state);
                same = matches!(instruction.effect, Effect::Nothing);
                match self.behind(instruction) {
                    Some(next) if !self.instructions[usize::from(next)].leads => number = next,
                    _ => break,
                }
            }
        }
    }
}

/// The register that a called function sets to where it returns to, as those do that 32-bit code calls to
/// learn where it is: `mov (%esp), %reg; ret`.
fn thunk_register(call: &Decoded, function: &FunctionCode<'_>) -> u16 {
    let mut code = [0; 4];
    let read =
        call.is_call_near() && function.memory.read(Addr(call.near_branch_target()), &mut code).is_ok();
    match code {
        [0x8b, operand, 0x24, 0xc3] if read && operand & 0xc7 == 0x04 => 1 << (operand >> 3 & 7),
        _ => 0,
    }
}

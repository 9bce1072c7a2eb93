//! A function's instructions, and which of them run behind each other.

use super::{
    FunctionCode, LARGEST_FUNCTION, MOST_INSTRUCTIONS,
    isa::{Decode, Decoded, Isa, Listing, Next, Op, Register},
};

/// The number of an instruction, in the order in which they were decoded.
pub(super) type Number = u16;
/// No instruction of this function.
const NONE: Number = Number::MAX;

/// No instruction of any architecture has more bytes.
pub(super) const LONGEST_INSTRUCTION: usize = 16;

/// One instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instruction {
    /// From the start of the function.
    pub(super) offset: u32,
    pub(super) bytes: u8,
    /// Whether paths may meet before it.
    pub(super) leads: bool,
    /// Whether some instruction jumps to it.
    pub(super) is_label: bool,
    /// Whether it does nothing.
    pub(super) is_idle: bool,
    /// Behind the branch, sp is as this register.
    pub(super) sp_behind: Option<Register>,
    pub(super) way: Way,
    behind: Number,
    target: Number,
    /// Where what it does begins among all that is done.
    ops: u32,
}

/// Where code goes on behind an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    Behind,
    Jump,
    Branch,
    Call,
    Return,
    Table(u16),
    Unknown,
    Nowhere,
}

impl Instruction {
    /// Whether it is a jump that is always taken.
    pub(super) fn is_jump(&self) -> bool {
        matches!(self.way, Way::Jump | Way::Unknown)
    }

    /// Where it ends.
    pub(super) fn end(&self) -> u32 {
        self.offset + u32::from(self.bytes)
    }

    /// The instruction behind it.
    pub(super) fn behind(&self) -> Option<Number> {
        (self.behind != NONE).then_some(self.behind)
    }

    /// Where it jumps to, within the function.
    pub(super) fn target(&self) -> Option<Number> {
        (self.target != NONE).then_some(self.target)
    }
}

/// The instructions that can be reached from a function's start; the first is there.
pub(super) struct Code {
    instructions: Vec<Instruction>,
    ops: Vec<Op>,
    tables: Vec<Vec<Number>>,
    /// Where code begins that only jumps to unknown places and exceptions can lead to.
    islands: Vec<Number>,
    /// Whether more bytes might have had more of its code.
    is_cut: bool,
}

/// What is known while a function is decoded.
struct Decoding<'a> {
    start: u64,
    decoder: Box<dyn Decode + 'a>,
    listing: Listing,
    instructions: Vec<Instruction>,
    /// The offset of the target of each, in the same order.
    targets: Vec<Option<u32>>,
    /// By offset, the number of the instruction there.
    numbers: Vec<Number>,
    /// Places that are still to be decoded.
    work: Vec<u32>,
    /// Whether there is code to be decoded behind the bytes.
    is_cut: bool,
}

impl Code {
    pub(super) fn decode(function: &FunctionCode<'_>, isa: &Isa, looks_into_calls: bool) -> Self {
        let length = function.bytes.len().min(LARGEST_FUNCTION as usize);
        let room = (length / 4).min(1024);
        let mut decoding = Decoding {
            start: function.start.0,
            decoder: (isa.decoder)(function, looks_into_calls),
            listing: Listing { ops: Vec::with_capacity(room), tables: Vec::new() },
            instructions: Vec::with_capacity(room),
            targets: Vec::with_capacity(room),
            numbers: vec![NONE; length],
            work: Vec::new(),
            is_cut: false,
        };
        decoding.from(0);
        let islands = if function.is_whole { decoding.islands() } else { Vec::new() };
        decoding.finish(islands)
    }

    /// Whether more bytes might have had more of its code.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    pub(super) fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// What an instruction does.
    pub(super) fn ops(&self, number: Number) -> &[Op] {
        let of = |number: usize| self.instructions.get(number).map(|instruction| instruction.ops as usize);
        let number = usize::from(number);
        let end = of(number + 1).unwrap_or(self.ops.len());
        of(number).and_then(|start| self.ops.get(start..end)).unwrap_or(&[])
    }

    /// Where a jump table leads within the function.
    pub(super) fn table(&self, table: u16) -> &[Number] {
        self.tables.get(usize::from(table)).map_or(&[], Vec::as_slice)
    }

    /// Where code begins that only jumps to unknown places and exceptions can lead to.
    pub(super) fn islands(&self) -> &[Number] {
        &self.islands
    }

    /// Whether some instruction jumps to this one, or behind it where it only fills room.
    pub(super) fn is_label(&self, mut number: Number) -> bool {
        while let Some(instruction) = self.instructions.get(usize::from(number)) {
            match instruction.behind() {
                Some(behind) if instruction.is_idle && !instruction.is_label => number = behind,
                _ => return instruction.is_label,
            }
        }
        false
    }

    /// Whether an instruction leads a path: where paths may meet.
    pub(super) fn leads(&self, number: Number) -> bool {
        self.instructions.get(usize::from(number)).is_none_or(|instruction| instruction.leads)
    }
}

impl Decoding<'_> {
    /// Decodes all that can be reached from a place.
    fn from(&mut self, place: u32) {
        self.work.push(place);
        while let Some(offset) = self.work.pop() {
            self.run(offset);
        }
    }

    /// Decodes a straight run of code, up to where it does not go on or was decoded before.
    fn run(&mut self, mut offset: u32) {
        let mut leads = true;
        self.decoder.begin(offset);
        while let Some(number) = self.numbers.get_mut(offset as usize) {
            if let Some(known) = self.instructions.get_mut(usize::from(*number)) {
                known.leads = true;
                return;
            }
            if self.instructions.len() >= MOST_INSTRUCTIONS {
                return;
            }
            let ops = self.listing.ops.len() as u32;
            let Some(Decoded { bytes, next, sp_behind, is_idle }) = self.decoder.decode(&mut self.listing)
            else {
                self.is_cut |= self.numbers.len() < offset as usize + LONGEST_INSTRUCTION;
                return;
            };
            *number = self.instructions.len() as Number;
            let (way, target) = (Way::of(next), self.target(next));
            let (behind, unknown) = (NONE, NONE);
            self.instructions.push(Instruction {
                offset,
                bytes,
                leads,
                is_label: false,
                is_idle,
                sp_behind,
                way,
                behind,
                target: unknown,
                ops,
            });
            self.targets.push(target);
            self.work.extend(target);
            if let Way::Table(table) = way {
                let places = self.listing.tables.get(usize::from(table)).into_iter().flatten();
                let places: Vec<u32> = places.filter_map(|to| self.inside(*to)).collect();
                self.work.extend(places);
            }
            if !way.goes_on() {
                return;
            }
            // What is behind a call is a path of its own: the call may not return.
            leads = way == Way::Call;
            offset += u32::from(bytes);
        }
        self.is_cut = true;
    }

    /// Decodes what lies between what was decoded, and says where it begins.
    fn islands(&mut self) -> Vec<Number> {
        let (mut islands, mut offset) = (Vec::new(), 0);
        while (offset as usize) < self.numbers.len() {
            if self.number(offset) == NONE {
                let first = self.instructions.len();
                self.from(offset);
                // The first that does something. Others only fill the room before what was reached otherwise.
                let mut end = offset;
                let run = self.instructions.iter_mut().enumerate().skip(first);
                let mut next =
                    run.take_while(|(_, one)| std::mem::replace(&mut end, one.end()) == one.offset);
                if let Some((number, island)) = next.find(|(_, one)| !one.is_idle) {
                    island.leads = true;
                    islands.push(number as Number);
                }
            }
            let known = self.instructions.get(usize::from(self.number(offset)));
            offset = known.map_or(offset + 1, Instruction::end);
        }
        islands
    }

    /// The offset of an address within the code.
    fn inside(&self, to: u64) -> Option<u32> {
        let offset = to.checked_sub(self.start).filter(|offset| *offset < LARGEST_FUNCTION)?;
        Some(offset as u32)
    }

    fn target(&self, next: Next) -> Option<u32> {
        match next {
            Next::Jump(to) | Next::Branch(to) => self.inside(to),
            _ => None,
        }
    }

    fn number(&self, offset: u32) -> Number {
        self.numbers.get(offset as usize).copied().unwrap_or(NONE)
    }

    fn finish(mut self, islands: Vec<Number>) -> Code {
        for index in 0..self.instructions.len() {
            let instruction = self.instructions[index];
            let target = self.targets[index].map_or(NONE, |target| self.number(target));
            let behind = if instruction.way.goes_on() { self.number(instruction.end()) } else { NONE };
            self.instructions[index] = Instruction { target, behind, ..instruction };
        }
        for target in self.targets.iter().flatten() {
            let number = self.number(*target);
            if let Some(label) = self.instructions.get_mut(usize::from(number)) {
                label.is_label = true;
            }
        }
        let numbers_of = |table: &Vec<u64>| {
            let places = table.iter().filter_map(|to| self.inside(*to));
            places.map(|place| self.number(place)).filter(|number| *number != NONE).collect()
        };
        let tables = self.listing.tables.iter().map(numbers_of).collect();
        Code { instructions: self.instructions, ops: self.listing.ops, tables, islands, is_cut: self.is_cut }
    }
}

impl Way {
    fn of(next: Next) -> Self {
        match next {
            Next::Behind => Self::Behind,
            Next::Jump(_) => Self::Jump,
            Next::Branch(_) => Self::Branch,
            Next::Call => Self::Call,
            Next::Return => Self::Return,
            Next::Table(table) => Self::Table(table),
            Next::Unknown => Self::Unknown,
            Next::Nowhere => Self::Nowhere,
        }
    }

    /// Whether code may go on behind the instruction.
    fn goes_on(self) -> bool {
        matches!(self, Self::Behind | Self::Branch | Self::Call)
    }
}

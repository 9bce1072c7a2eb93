//! What one x86 instruction does to registers and stack, and where code goes on behind it.

use std::collections::BTreeMap;

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, InstructionInfoOptions,
    Mnemonic, OpAccess, OpKind, Register as Name,
};
use prospect_process::{Addr, RegisterId};

use super::{
    super::{
        FunctionCode,
        isa::{Decode, Decoded, Listing, Next, Op, Place, Register},
    },
    jump_table::TableFinder,
};

/// By the number of an instruction's register, its place in the table of x86_64, which is DWARF's. Those of
/// i386 have the same numbers.
const X86_64: [Register; 16] = [0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15];

/// So much of a called function is looked through for its return.
const CALLEE_BYTES: usize = 1024;
/// No more of them are looked into.
const MOST_CALLEES: usize = 256;

/// Reads instructions.
pub(super) struct Reader<'a> {
    function: &'a FunctionCode<'a>,
    decoder: Decoder<'a>,
    code: Instruction,
    info: InstructionInfoFactory,
    /// The register that the last instruction compared with sp.
    compared_to_sp: Option<Register>,
    /// Whether the last instruction that wrote to the stack put the word there that sp points to.
    has_put_word: bool,
    tables: TableFinder,
    word: u8,
    sp: Register,
    fp: Register,
    /// The registers that a called function need not give back.
    volatile: u32,
    /// Whether to find out what called functions take off the stack.
    looks_into_calls: bool,
    /// What it was for those that were looked into.
    callees: BTreeMap<u64, i32>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(function: &'a FunctionCode<'a>, looks_into_calls: bool) -> Self {
        let info = function.arch.info();
        let preserved = info.preserved().fold(0u32, |bits, RegisterId(number)| bits | 1 << number);
        let bits = u32::from(info.word_bytes) * 8;
        Self {
            function,
            decoder: Decoder::with_ip(bits, function.bytes, function.start.0, DecoderOptions::NONE),
            code: Instruction::default(),
            info: InstructionInfoFactory::new(),
            compared_to_sp: None,
            has_put_word: false,
            tables: TableFinder::default(),
            word: info.word_bytes,
            sp: info.sp.0,
            fp: info.fp.0,
            volatile: !preserved,
            looks_into_calls,
            callees: BTreeMap::new(),
        }
    }
}

impl Decode for Reader<'_> {
    fn begin(&mut self, offset: u32) {
        self.tables.begin();
        self.compared_to_sp = None;
        self.has_put_word = false;
        // Behind the code, there is nothing to decode.
        let _ = self.decoder.set_position((offset as usize).min(self.function.bytes.len()));
        self.decoder.set_ip(self.function.start.0.wrapping_add(u64::from(offset)));
    }

    fn decode(&mut self, listing: &mut Listing) -> Option<Decoded> {
        self.decoder.decode_out(&mut self.code);
        if self.code.is_invalid() {
            return None;
        }
        let mut next = self.next();
        let targets = self.tables.next(&self.code, self.function);
        if let Some(targets) = targets.filter(|_| next == Next::Unknown) {
            next = Next::Table(u16::try_from(listing.tables.len()).ok()?);
            listing.tables.push(targets);
        }
        let is_idle = self.is_idle();
        if !is_idle {
            self.ops(&mut listing.ops);
        }
        // `cmp %reg, %sp; jne`
        let is_loop = matches!(next, Next::Branch(_)) && self.code.mnemonic() == Mnemonic::Jne;
        let sp_behind = self.compared_to_sp.filter(|_| is_loop);
        self.compared_to_sp = self.compared_to_sp();
        self.has_put_word = self.puts_word() || self.has_put_word && !self.moves_sp();
        Some(Decoded { bytes: self.code.len() as u8, next, sp_behind, is_idle })
    }
}

impl Reader<'_> {
    /// Where code goes on behind the instruction.
    fn next(&self) -> Next {
        let code = &self.code;
        let is_near =
            matches!(code.op0_kind(), OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64);
        match code.flow_control() {
            FlowControl::Next => match code.code() {
                Code::Hlt => Next::Nowhere,
                _ => Next::Behind,
            },
            FlowControl::UnconditionalBranch if is_near => Next::Jump(code.near_branch_target()),
            FlowControl::ConditionalBranch | FlowControl::XbeginXabortXend if is_near => {
                Next::Branch(code.near_branch_target())
            }
            FlowControl::XbeginXabortXend => Next::Behind,
            // A system call.
            FlowControl::Call if matches!(code.mnemonic(), Mnemonic::Syscall | Mnemonic::Sysenter) => {
                Next::Behind
            }
            FlowControl::Interrupt if code.mnemonic() == Mnemonic::Int => Next::Behind,
            FlowControl::Call if self.is_next() => Next::Behind,
            FlowControl::Call | FlowControl::IndirectCall => Next::Call,
            // A jump to what was put there.
            FlowControl::Return if self.has_put_word => Next::Unknown,
            FlowControl::Return => Next::Return,
            // Where a procedure linkage table goes on until what is jumped to was looked up. It is the same outside.
            FlowControl::IndirectBranch if self.is_bound_late() => Next::Branch(u64::MAX),
            FlowControl::IndirectBranch => Next::Unknown,
            _ => Next::Nowhere,
        }
    }

    /// Whether it jumps through a word in memory, with a `push imm32` behind it.
    fn is_bound_late(&self) -> bool {
        let behind = self.code.next_ip().wrapping_sub(self.function.start.0);
        let behind = usize::try_from(behind).ok().and_then(|offset| self.function.bytes.get(offset..));
        self.code.op0_kind() == OpKind::Memory
            && self.code.memory_index() == Name::None
            && behind.is_some_and(|code| matches!(code, [0x68, ..]))
    }

    /// Whether it calls what lies behind it: so position-independent code learns where it is.
    fn is_next(&self) -> bool {
        self.code.is_call_near() && self.code.near_branch_target() == self.code.next_ip()
    }

    /// Whether the instruction does nothing, or is one that only fills room.
    fn is_idle(&self) -> bool {
        let code = &self.code;
        match code.mnemonic() {
            Mnemonic::Nop | Mnemonic::Int3 => true,
            // What is narrower may clear the upper half.
            Mnemonic::Mov if self.word_register(code.op0_register()).is_none() => false,
            Mnemonic::Xchg | Mnemonic::Mov => {
                code.op1_kind() == OpKind::Register && code.op0_register() == code.op1_register()
            }
            Mnemonic::Lea => self.place().is_some_and(|place| {
                place.offset == 0 && self.word_register(code.op0_register()) == Some(place.register)
            }),
            _ => false,
        }
    }

    /// Whether the instruction writes the word that sp then points to.
    fn puts_word(&self) -> bool {
        let code = &self.code;
        match code.mnemonic() {
            Mnemonic::Push => true,
            Mnemonic::Mov if code.op0_kind() == OpKind::Memory => {
                self.place().is_some_and(|place| place.register == self.sp && place.offset == 0)
            }
            _ => false,
        }
    }

    fn moves_sp(&self) -> bool {
        let code = &self.code;
        let is_sp = code.op0_kind() == OpKind::Register && self.number(code.op0_register()) == Some(self.sp);
        is_sp || code.is_stack_instruction()
    }

    /// The register that the instruction compares with sp.
    fn compared_to_sp(&self) -> Option<Register> {
        let code = &self.code;
        let is_of_sp = code.mnemonic() == Mnemonic::Cmp && code.op1_kind() == OpKind::Register;
        let is_sp = |register: &Register| *register == self.sp;
        self.word_register(code.op0_register()).filter(|_| is_of_sp).filter(is_sp)?;
        self.word_register(code.op1_register())
    }

    /// What the instruction does.
    fn ops(&mut self, ops: &mut Vec<Op>) {
        let code = &self.code;
        let register = |operand| self.word_register(code.op_register(operand));
        let is_register = |operand| code.op_kind(operand) == OpKind::Register;
        let word = i32::from(self.word);
        match code.mnemonic() {
            Mnemonic::Endbr64 | Mnemonic::Endbr32 | Mnemonic::Cmp | Mnemonic::Test => return,
            Mnemonic::Mov if is_register(0) && is_register(1) => {
                if let (Some(to), Some(from)) = (register(0), register(1)) {
                    return ops.push(Op::Add { to, from, bytes: 0 });
                }
            }
            Mnemonic::Mov if is_register(0) && code.op1_kind() == OpKind::Memory => {
                if let (Some(to), Some(from)) = (register(0), self.place()) {
                    return ops.push(Op::Load { to, from });
                }
            }
            Mnemonic::Mov if code.op0_kind() == OpKind::Memory => {
                let bytes = code.memory_size().size() as u16;
                let from = if is_register(1) { register(1) } else { None };
                return ops.extend(self.place().map(|to| Op::Store { to, bytes, from }));
            }
            Mnemonic::Lea => {
                if let (Some(to), Some(place)) = (register(0), self.place()) {
                    return ops.push(Op::Add { to, from: place.register, bytes: place.offset });
                }
            }
            Mnemonic::Mov if is_register(0) => {
                if let (Some(to), Some(value)) = (register(0), self.immediate()) {
                    return ops.push(Op::Number { to, value });
                }
            }
            Mnemonic::Add | Mnemonic::Sub if is_register(0) => {
                let is_minus = code.mnemonic() == Mnemonic::Sub;
                let other = if is_register(1) { register(1) } else { None };
                if let (Some(to), Some(other)) = (register(0), other) {
                    return ops.push(Op::Sum { to, from: to, other, is_minus });
                }
                if let (Some(to), Some(bytes)) = (register(0), self.immediate()) {
                    let bytes = if is_minus { bytes.saturating_neg() } else { bytes };
                    return ops.push(Op::Add { to, from: to, bytes });
                }
            }
            Mnemonic::Inc | Mnemonic::Dec if is_register(0) => {
                let bytes = if code.mnemonic() == Mnemonic::Inc { 1 } else { -1 };
                if let Some(to) = register(0) {
                    return ops.push(Op::Add { to, from: to, bytes });
                }
            }
            Mnemonic::And if is_register(0) && register(0) == Some(self.sp) => {
                return ops.push(Op::Align { to: self.sp, from: self.sp });
            }
            // The shorter form clears the upper half too.
            Mnemonic::Xor
                if is_register(0) && is_register(1) && code.op0_register() == code.op1_register() =>
            {
                let zero = self.number(code.op0_register()).filter(|_| code.op0_register().size() >= 4);
                if let Some(to) = zero {
                    return ops.push(Op::Number { to, value: 0 });
                }
            }
            Mnemonic::Push if code.stack_pointer_increment() == -word => {
                return self.push(if is_register(0) { register(0) } else { None }, ops);
            }
            Mnemonic::Pop if code.stack_pointer_increment() == word && is_register(0) => {
                if let Some(to) = register(0) {
                    return self.pop(to, ops);
                }
            }
            Mnemonic::Leave if matches!(code.code(), Code::Leaveq | Code::Leaved) => {
                ops.push(Op::Add { to: self.sp, from: self.fp, bytes: 0 });
                return self.pop(self.fp, ops);
            }
            // The kernel gives back all registers but that with the result, and those that it has no room for.
            Mnemonic::Syscall | Mnemonic::Sysenter => return ops.push(Op::Forget { changed: self.volatile }),
            Mnemonic::Call if self.is_next() => return self.push(None, ops),
            Mnemonic::Call => {
                ops.push(Op::Call { changed: self.by_thunk().unwrap_or(self.volatile) });
                let bytes = self.popped_by_callee();
                if bytes != 0 {
                    ops.push(Op::Add { to: self.sp, from: self.sp, bytes });
                }
                return;
            }
            _ => {}
        }
        match self.code.op0_kind() {
            OpKind::Register if writes_first_only(self.code.mnemonic()) => {
                let changed = self.number(self.code.op0_register());
                ops.extend(changed.map(|register| Op::Forget { changed: 1 << register }));
            }
            _ => self.others(ops),
        }
    }

    /// Writes a word below sp and moves sp there.
    fn push(&self, from: Option<Register>, ops: &mut Vec<Op>) {
        let (sp, word) = (self.sp, i32::from(self.word));
        let to = Place { register: sp, offset: -word };
        ops.extend([
            Op::Store { to, bytes: self.word.into(), from },
            Op::Add { to: sp, from: sp, bytes: -word },
        ]);
    }

    /// Reads the word at sp and moves sp above it; a `pop` of sp itself does not.
    fn pop(&self, to: Register, ops: &mut Vec<Op>) {
        let sp = self.sp;
        ops.push(Op::Load { to, from: Place { register: sp, offset: 0 } });
        if to != sp {
            ops.push(Op::Add { to: sp, from: sp, bytes: self.word.into() });
        }
    }

    /// Any other instruction: which registers it writes, and where to.
    fn others(&mut self, ops: &mut Vec<Op>) {
        let (place, code) = (self.place(), &self.code);
        let info = self.info.info_options(code, InstructionInfoOptions::NO_MEMORY_USAGE);
        let in_memory = (0..code.op_count())
            .any(|operand| code.op_kind(operand) == OpKind::Memory && writes(info.op_access(operand)));
        let mut changed = 0;
        for used in info.used_registers().iter().filter(|used| writes(used.access())) {
            changed |= number(self.word, used.register()).map_or(0, |register| 1 << register);
        }
        if let Some(to) = place.filter(|_| in_memory) {
            ops.push(Op::Store { to, bytes: code.memory_size().size() as u16, from: None });
        }
        let sp = self.sp;
        if code.is_stack_instruction() {
            changed &= !(1 << sp);
            let bytes = code.stack_pointer_increment();
            if bytes < 0 {
                let below = Place { register: sp, offset: bytes };
                ops.push(Op::Store { to: below, bytes: bytes.unsigned_abs() as u16, from: None });
            }
            if bytes != 0 {
                ops.push(Op::Add { to: sp, from: sp, bytes });
            }
        }
        if changed != 0 {
            ops.push(Op::Forget { changed });
        }
    }

    /// How much a called function takes off the stack besides the return address, by its first return.
    fn popped_by_callee(&mut self) -> i32 {
        if !self.looks_into_calls || !self.code.is_call_near() {
            return 0;
        }
        let target = self.code.near_branch_target();
        if let Some(known) = self.callees.get(&target) {
            return *known;
        }
        if self.callees.len() >= MOST_CALLEES {
            return 0;
        }
        let mut bytes = [0; CALLEE_BYTES];
        let read = self.function.memory.read_available(Addr(target), &mut bytes);
        let bits = u32::from(self.word) * 8;
        let callee = Decoder::with_ip(bits, &bytes[..read], target, DecoderOptions::NONE);
        let first = callee.into_iter().find(|code| code.flow_control() == FlowControl::Return);
        let is_by_number = |code: &Instruction| code.op0_kind() == OpKind::Immediate16;
        let popped = first.filter(is_by_number).map_or(0, |code| i32::from(code.immediate16()));
        self.callees.insert(target, popped);
        popped
    }

    /// The only register that a called function changes, where it is one of those that 32-bit code calls to
    /// learn where it is: `mov (%esp), %reg; ret`.
    fn by_thunk(&self) -> Option<u32> {
        let mut code = [0; 4];
        let read = self.word == 4
            && self.code.is_call_near()
            && self.function.memory.read(Addr(self.code.near_branch_target()), &mut code).is_ok();
        match code {
            [0x8b, operand, 0x24, 0xc3] if read && operand & 0xc7 == 0x04 => Some(1 << (operand >> 3 & 7)),
            _ => None,
        }
    }

    fn number(&self, name: Name) -> Option<Register> {
        number(self.word, name)
    }

    /// A register as wide as a word.
    fn word_register(&self, name: Name) -> Option<Register> {
        self.number(name).filter(|_| name.size() == usize::from(self.word))
    }

    /// An operand in memory that is a register and an offset.
    fn place(&self) -> Option<Place> {
        let code = &self.code;
        let plain = code.memory_index() == Name::None
            && matches!(code.segment_prefix(), Name::None | Name::SS | Name::DS);
        let register = self.word_register(code.memory_base()).filter(|_| plain)?;
        let offset = i32::try_from(self.signed(code.memory_displacement64())).ok()?;
        Some(Place { register, offset })
    }

    /// A second operand that is a number.
    fn immediate(&self) -> Option<i32> {
        let is_number = !matches!(self.code.op1_kind(), OpKind::Register | OpKind::Memory);
        is_number.then(|| i32::try_from(self.signed(self.code.immediate(1))).ok()).flatten()
    }

    fn signed(&self, value: u64) -> i64 {
        if self.word == 8 { value.cast_signed() } else { i64::from((value as u32).cast_signed()) }
    }
}

fn writes(access: OpAccess) -> bool {
    !matches!(access, OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess)
}

/// A general register, or the one that it is a part of.
fn number(word: u8, name: Name) -> Option<Register> {
    let number = name.is_gpr().then(|| name.full_register().number())?;
    if word == 8 { X86_64.get(number).copied() } else { Some(number as Register & 7) }
}

/// Whether an instruction with a register as its first operand writes that alone. Those of which this is not
/// known are looked up, which takes longer.
fn writes_first_only(mnemonic: Mnemonic) -> bool {
    matches!(
        mnemonic,
        Mnemonic::Mov
            | Mnemonic::Movzx
            | Mnemonic::Movsx
            | Mnemonic::Movsxd
            | Mnemonic::Lea
            | Mnemonic::Add
            | Mnemonic::Sub
            | Mnemonic::And
            | Mnemonic::Or
            | Mnemonic::Xor
            | Mnemonic::Not
            | Mnemonic::Neg
            | Mnemonic::Shl
            | Mnemonic::Shr
            | Mnemonic::Sar
            | Mnemonic::Cmove
            | Mnemonic::Cmovne
            | Mnemonic::Sete
            | Mnemonic::Setne
            | Mnemonic::Movaps
            | Mnemonic::Movups
            | Mnemonic::Movdqa
            | Mnemonic::Movdqu
            | Mnemonic::Movd
            | Mnemonic::Movq
            | Mnemonic::Pxor
    )
}

//! What one x86 instruction does to registers and stack, and where code goes on behind it.

use iced_x86::{
    Code, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register,
};

use super::state::{Base, FP, SP, State, Value};

/// A place in memory: a register and what is added to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    register: u8,
    offset: i32,
}

/// What an instruction does, as far as it matters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    Nothing,
    /// dst = src + bytes
    Offset {
        to: u8,
        from: u8,
        bytes: i32,
    },
    /// dst = 0
    Zero(u8),
    /// sp with some low bits cut off.
    AlignSp,
    Load {
        to: u8,
        from: Place,
    },
    Store {
        to: Place,
        bytes: i32,
        from: Option<u8>,
    },
    Push(Option<u8>),
    Pop(Option<u8>),
    Leave,
    /// Calls a function; it changes the registers of the mask.
    Call(u16),
    /// Everything else: moves sp, then changes the registers of the mask, and writes to memory.
    Other {
        sp: i32,
        changed: u16,
        store: Option<(Place, i32)>,
    },
}

/// Where code goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Behind the instruction.
    Behind,
    /// There only.
    Jump(u64),
    /// There or behind.
    Branch(u64),
    /// Behind, if the call returns.
    Call,
    Return,
    /// At one of the places of the jump table of this number.
    Table(u16),
    /// Where nobody knows, or nowhere.
    Nowhere,
}

impl Effect {
    /// What happens to a state. `at` names the place of the instruction in its function.
    pub(super) fn apply(&self, at: Base, state: &mut State) {
        let address = |state: &State, place: Place| state.plus(place.register, place.offset);
        match *self {
            Self::Nothing => {}
            Self::Offset { to, from, bytes } => state.set(to, state.plus(from, bytes)),
            Self::Zero(register) => state.set(register, Value::Zero),
            Self::AlignSp => state.rebase_sp(at),
            Self::Load { to, from } => state.set(to, state.load(address(state, from))),
            Self::Store { to, bytes, from } => {
                let value = from.map_or(Value::Unknown, |register| state.get(register));
                state.store(address(state, to), bytes, value);
            }
            Self::Push(register) => {
                state.push(register.map_or(Value::Unknown, |register| state.get(register)));
            }
            Self::Pop(register) => {
                let value = state.pop();
                if let Some(register) = register {
                    state.set(register, value);
                }
            }
            Self::Leave => {
                state.set(SP, state.get(FP));
                let value = state.pop();
                state.set(FP, value);
            }
            Self::Call(changed) => {
                state.forget_below_sp();
                forget(state, changed);
            }
            Self::Other { sp, changed, store } => {
                if let Some((place, bytes)) = store {
                    state.store(address(state, place), bytes, Value::Unknown);
                }
                if sp != 0 {
                    state.set(SP, state.plus(SP, sp));
                    if sp < 0 {
                        state.store(state.get(SP), sp.saturating_neg(), Value::Unknown);
                    }
                }
                forget(state, changed);
            }
        }
    }
}

fn forget(state: &mut State, changed: u16) {
    for register in (0..16).filter(|register| changed >> register & 1 == 1) {
        state.set(register, Value::Unknown);
    }
}

/// Reads instructions.
pub(super) struct Reader {
    info: InstructionInfoFactory,
    word: u8,
    /// The registers that a called function need not give back.
    volatile: u16,
}

impl Reader {
    pub(super) fn new(word: u8) -> Self {
        // rbx, rsp, rbp, r12 to r15; ebx, esp, ebp, esi, edi.
        let preserved: u16 = if word == 8 { 0xf038 } else { 0x00f8 };
        Self { info: InstructionInfoFactory::new(), word, volatile: !preserved }
    }

    /// Where code goes on behind an instruction.
    pub(super) fn next(&self, code: &Instruction) -> Next {
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
            FlowControl::Call if self.is_next(code) => Next::Behind,
            FlowControl::Call | FlowControl::IndirectCall => Next::Call,
            FlowControl::Return => Next::Return,
            _ => Next::Nowhere,
        }
    }

    /// Whether it calls what lies behind it: so position-independent code learns where it is.
    fn is_next(&self, code: &Instruction) -> bool {
        code.is_call_near() && code.near_branch_target() == code.next_ip()
    }

    /// What an instruction does. A call changes the registers of `by_callee` besides the usual ones.
    pub(super) fn effect(&mut self, code: &Instruction, by_callee: u16) -> Effect {
        let register = |operand| self.word_register(code.op_register(operand));
        let is_register = |operand| code.op_kind(operand) == OpKind::Register;
        match code.mnemonic() {
            Mnemonic::Nop | Mnemonic::Endbr64 | Mnemonic::Endbr32 | Mnemonic::Cmp | Mnemonic::Test => {
                return Effect::Nothing;
            }
            Mnemonic::Mov if is_register(0) && is_register(1) => {
                if let (Some(to), Some(from)) = (register(0), register(1)) {
                    return Effect::Offset { to, from, bytes: 0 };
                }
            }
            Mnemonic::Mov if is_register(0) && code.op1_kind() == OpKind::Memory => {
                if let (Some(to), Some(from)) = (register(0), self.place(code)) {
                    return Effect::Load { to, from };
                }
            }
            Mnemonic::Mov if code.op0_kind() == OpKind::Memory => {
                let bytes = code.memory_size().size() as i32;
                let from = if is_register(1) { register(1) } else { None };
                return self.place(code).map_or(Effect::Nothing, |to| Effect::Store { to, bytes, from });
            }
            Mnemonic::Lea => {
                if let (Some(to), Some(place)) = (register(0), self.place(code)) {
                    return Effect::Offset { to, from: place.register, bytes: place.offset };
                }
            }
            Mnemonic::Add | Mnemonic::Sub if is_register(0) => {
                let immediate = (!is_register(1) && code.op1_kind() != OpKind::Memory)
                    .then(|| i32::try_from(self.signed(code.immediate(1))).ok())
                    .flatten();
                let sign = if code.mnemonic() == Mnemonic::Add { 1 } else { -1 };
                if let (Some(to), Some(bytes)) = (register(0), immediate) {
                    return Effect::Offset { to, from: to, bytes: bytes.saturating_mul(sign) };
                }
            }
            Mnemonic::Inc | Mnemonic::Dec if is_register(0) => {
                let bytes = if code.mnemonic() == Mnemonic::Inc { 1 } else { -1 };
                if let Some(to) = register(0) {
                    return Effect::Offset { to, from: to, bytes };
                }
            }
            Mnemonic::And if is_register(0) && register(0) == Some(SP) => return Effect::AlignSp,
            // The shorter form clears the upper half too.
            Mnemonic::Xor
                if is_register(0) && is_register(1) && code.op0_register() == code.op1_register() =>
            {
                let zero = number(code.op0_register()).filter(|_| code.op0_register().size() >= 4);
                if let Some(to) = zero {
                    return Effect::Zero(to);
                }
            }
            Mnemonic::Push if code.stack_pointer_increment() == -i32::from(self.word) => {
                return Effect::Push(if is_register(0) { register(0) } else { None });
            }
            Mnemonic::Pop if code.stack_pointer_increment() == i32::from(self.word) && is_register(0) => {
                return Effect::Pop(register(0));
            }
            Mnemonic::Leave if matches!(code.code(), Code::Leaveq | Code::Leaved) => return Effect::Leave,
            Mnemonic::Call if self.is_next(code) => return Effect::Push(None),
            Mnemonic::Call => return Effect::Call(self.volatile | by_callee),
            _ => {}
        }
        self.other(code)
    }

    /// Any other instruction: which registers it writes, and where to.
    fn other(&mut self, code: &Instruction) -> Effect {
        let place = self.place(code);
        let sp = code.stack_pointer_increment();
        let moves_sp = code.is_stack_instruction();
        let info = self.info.info(code);
        let mut changed = 0;
        for used in info.used_registers() {
            if writes(used.access())
                && let Some(register) = number(used.register())
            {
                changed |= 1 << register;
            }
        }
        if moves_sp {
            changed &= !(1 << SP);
        }
        let mut store = None;
        if (0..code.op_count())
            .any(|operand| code.op_kind(operand) == OpKind::Memory && writes(info.op_access(operand)))
        {
            store = place.map(|place| (place, code.memory_size().size() as i32));
        }
        match (moves_sp, changed, store) {
            (false, 0, None) => Effect::Nothing,
            _ => Effect::Other { sp: if moves_sp { sp } else { 0 }, changed, store },
        }
    }

    /// The number of a register as wide as a word.
    fn word_register(&self, register: Register) -> Option<u8> {
        number(register).filter(|_| register.size() == usize::from(self.word))
    }

    /// An operand in memory that is a register and an offset.
    fn place(&self, code: &Instruction) -> Option<Place> {
        let plain = code.memory_index() == Register::None
            && matches!(code.segment_prefix(), Register::None | Register::SS | Register::DS);
        let register = self.word_register(code.memory_base()).filter(|_| plain)?;
        let offset = i32::try_from(self.signed(code.memory_displacement64())).ok()?;
        Some(Place { register, offset })
    }

    fn signed(&self, value: u64) -> i64 {
        if self.word == 8 { value.cast_signed() } else { i64::from((value as u32).cast_signed()) }
    }
}

fn writes(access: OpAccess) -> bool {
    !matches!(access, OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess)
}

/// The number of a general register, or of the one that it is a part of.
fn number(register: Register) -> Option<u8> {
    register.is_gpr().then(|| register.full_register().number() as u8)
}

//! One instruction, as people write it, and the memory that it uses. So far of x86.

use iced_x86::{
    Decoder, DecoderOptions, FastFormatter, Instruction, InstructionInfoFactory, OpAccess, Register,
};
use prospect_process::{Addr, Arch, RegisterId, Registers};

/// An instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InstructionText {
    /// As Intel writes it: `mov rax,[rdi+0x10]`.
    pub text: String,
    /// Its length in bytes.
    pub bytes: usize,
    /// The memory that it reads or writes, the first of it where it is two places.
    pub memory: Option<MemoryUse>,
}

/// Memory that an instruction reads or writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemoryUse {
    /// Where, before the processor looks whether that can be an address. `None` when a register that it depends on is not
    /// known.
    pub address: Option<Addr>,
    /// The register that it is counted from: its name, and what it is.
    pub base: Option<(&'static str, u64)>,
    /// Whether it is written, and not read alone.
    pub is_written: bool,
    /// How many bytes.
    pub bytes: usize,
}

/// The instruction that `code` begins with, at the pc of these registers. `None` when it is none, not whole, or of an
/// architecture whose instructions cannot be written.
#[must_use]
pub fn instruction(registers: &Registers, code: &[u8]) -> Option<InstructionText> {
    let (arch, pc) = (registers.arch(), registers.pc()?);
    let bits = match arch {
        Arch::X86_64 => 64,
        Arch::I386 => 32,
        _ => return None,
    };
    let decoded = Decoder::with_ip(bits, code, pc.0, DecoderOptions::NONE).decode();
    if decoded.is_invalid() {
        return None;
    }
    let mut text = String::new();
    let mut formatter = FastFormatter::new();
    formatter.options_mut().set_use_hex_prefix(true);
    formatter.options_mut().set_uppercase_hex(false);
    formatter.format(&decoded, &mut text);
    Some(InstructionText { text, bytes: decoded.len(), memory: memory_use(registers, &decoded) })
}

fn memory_use(registers: &Registers, decoded: &Instruction) -> Option<MemoryUse> {
    let mut factory = InstructionInfoFactory::new();
    let used = factory
        .info(decoded)
        .used_memory()
        .iter()
        .find(|used| !matches!(used.access(), OpAccess::NoMemAccess | OpAccess::None))?;
    let value = |register: Register| value(registers, register);
    let address = used.virtual_address(0, |register, _, _| value(register));
    Some(MemoryUse {
        address: address.map(|address| Addr(address & registers.arch().info().word_mask())),
        base: (used.base() != Register::None && used.base() != Register::RIP)
            .then(|| Some((register(registers.arch(), used.base())?, value(used.base())?)))
            .flatten()
            .map(|(id, value)| (registers.arch().info().register(id).name, value)),
        is_written: !matches!(used.access(), OpAccess::Read | OpAccess::CondRead),
        bytes: used.memory_size().size(),
    })
}

/// What a register is. Segments begin at 0 but for those that threads have their own of.
fn value(registers: &Registers, asked: Register) -> Option<u64> {
    if asked.is_segment_register() {
        let base = match asked {
            Register::FS => "fs_base",
            Register::GS => "gs_base",
            _ => return Some(0),
        };
        return registers.get(registers.arch().info().by_name(base)?);
    }
    let whole = registers.get(register(registers.arch(), asked)?)?;
    Some(if asked.size() == 4 { whole & 0xffff_ffff } else { whole })
}

/// The general register that one of any width is part of.
fn register(arch: Arch, asked: Register) -> Option<RegisterId> {
    let whole = if arch == Arch::X86_64 { asked.full_register() } else { asked.full_register32() };
    let name = format!("{whole:?}").to_ascii_lowercase();
    arch.info().by_name(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers(arch: Arch, values: &[(&str, u64)]) -> Registers {
        let mut registers = Registers::unknown(arch);
        registers.set(arch.info().pc, 0x1000);
        for (name, value) in values {
            registers.set(arch.info().by_name(name).unwrap(), *value);
        }
        registers
    }

    #[test]
    fn an_instruction_says_what_memory_it_uses() {
        let at = registers(Arch::X86_64, &[("rdi", 0)]);
        let read = instruction(&at, &[0x48, 0x8b, 0x47, 0x10, 0x90]).unwrap();
        assert_eq!((read.text.as_str(), read.bytes), ("mov rax,[rdi+0x10]", 4));
        let memory =
            MemoryUse { address: Some(Addr(0x10)), base: Some(("rdi", 0)), is_written: false, bytes: 8 };
        assert_eq!(read.memory, Some(memory));
        let at = registers(Arch::X86_64, &[("rax", 8), ("fs_base", 0x7000)]);
        let write = instruction(&at, &[0x64, 0xc6, 0x00, 0x2a]).unwrap();
        let memory = write.memory.unwrap();
        assert_eq!((memory.address, memory.is_written, memory.bytes), (Some(Addr(0x7008)), true, 1));
        let at = registers(Arch::I386, &[("ecx", 0xffff_fffc)]);
        let narrow = instruction(&at, &[0x8b, 0x41, 0x08]).unwrap();
        assert_eq!(
            (narrow.text.as_str(), narrow.memory.unwrap().address),
            ("mov eax,[ecx+0x8]", Some(Addr(4)))
        );
        assert_eq!(instruction(&at, &[0x8b]), None);
        assert_eq!(instruction(&registers(Arch::Aarch64, &[]), &[0; 4]), None);
        let at = registers(Arch::X86_64, &[]);
        assert_eq!(instruction(&at, &[0x48, 0x8b, 0x47, 0x10]).unwrap().memory.unwrap().address, None);
        assert_eq!(instruction(&at, &[0x0f, 0x0b]).unwrap().text, "ud2");
    }
}

//! System calls: what is collected of them, and how they are written.

use prospect_debug::call;
use prospect_process::{
    Addr, Arch, Process, Registers,
    agent::{Assembler, Opcode},
    control::{Collection, Numbers},
};

/// A path is no longer (`PATH_MAX`).
const LONGEST_PATH: u64 = 4096;

/// The registers of number and arguments, and the paths that calls of these numbers are given.
pub(super) fn registers(arch: Arch, numbers: &Numbers) -> Option<Collection> {
    let known = call::registers(arch)?;
    let id = |name: &str| arch.info().by_name(name);
    let registers = known.arguments.iter().chain([&known.number]).filter_map(|name| id(name)).collect();
    let mut code = Assembler::new();
    // Of several, paths may be at several places.
    let paths = match numbers {
        Numbers::Only(numbers) if numbers.len() == 1 => call::paths(call::name(arch, numbers[0])?),
        _ => &[],
    };
    for register in paths.iter().filter_map(|path| id(known.arguments[*path])) {
        code.register(register).constant(LONGEST_PATH).op(Opcode::TraceString);
    }
    let memory = if paths.is_empty() { None } else { code.finish().ok() };
    Some(Collection { registers, memory })
}

/// The number of the call that a thread is in.
pub(super) fn number(arch: Arch, registers: &Registers) -> Option<u32> {
    u32::try_from(registers.get(arch.info().by_name(call::registers(arch)?.number)?)?).ok()
}

/// Its arguments as text.
pub(super) fn arguments(process: &dyn Process, registers: &Registers) -> String {
    let info = process.info();
    let Some(known) = call::registers(info.arch) else { return String::new() };
    let name = number(info.arch, registers).and_then(|number| call::name(info.arch, number));
    let paths = name.map_or(&[][..], call::paths);
    let argument = |(index, name): (usize, &&str)| {
        let value = info.arch.info().by_name(name).and_then(|id| registers.get(id));
        let Some(value) = value else { return "?".into() };
        let path = paths.contains(&index).then(|| process.memory().read_c_string(Addr(value), 4096));
        match path {
            Some(Ok(path)) => format!("\"{}\"", String::from_utf8_lossy(&path).escape_debug()),
            _ if value < 1 << 16 => value.to_string(),
            // Errors and `AT_FDCWD`, whether as numbers of 32 or 64 bits.
            _ if (value as u32).cast_signed() > -4096
                && matches!(value >> 32, 0 | 0xffff_ffff)
                && value >> 31 & 1 == 1 =>
            {
                (value as u32).cast_signed().to_string()
            }
            _ => format!("{value:#x}"),
        }
    };
    let arguments = known.arguments.iter().enumerate().map(argument);
    arguments.collect::<Vec<String>>().join(", ")
}

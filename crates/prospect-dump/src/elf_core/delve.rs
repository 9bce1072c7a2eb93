//! The notes that delve writes where it does not write those of the system (`pkg/elfwriter/delve_core_notes.go`,
//! `pkg/proc/dump.go` of go-delve): numbers little-endian, whatever the machine.

use prospect_process::{Addr, Arch, Registers, Thread, ThreadId};

/// The process: lines of text.
pub(crate) const HEADER: u32 = 0x444c_5645;
/// A thread.
pub(crate) const THREAD: u32 = 0x444c_5654;

/// Longer names of registers are not right.
const LONGEST_NAME: usize = 20;

/// What the first note says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Header {
    pub(crate) process: Option<u32>,
    pub(crate) entry: Option<Addr>,
}

impl Header {
    /// `OS/ARCHITECTURE`, the version of delve, then `Target Pid: N` and `Entry Point: 0xN`, a line each.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let entry = field("Entry Point: 0x").and_then(|entry| u64::from_str_radix(entry, 16).ok());
        Some(Self {
            process: field("Target Pid: ").and_then(|process| process.parse().ok()),
            entry: entry.filter(|entry| *entry > 0).map(Addr),
        })
    }
}

/// The number of the thread, pc, sp, the frame pointer, the thread pointer, eight bytes each; whether its goroutine is known, a
/// byte, and where that is; how many registers follow, four bytes; each with the length of its name in two bytes, the
/// name, the length of its value in two bytes, the value.
pub(crate) fn thread(arch: Arch, bytes: &[u8]) -> Option<(Thread, Registers)> {
    let info = arch.info();
    let mut rest = bytes;
    let mut take = |length: usize| {
        let (taken, after) = rest.split_at_checked(length)?;
        rest = after;
        Some(taken)
    };
    let mut registers = Registers::unknown(arch);
    let id = number(take(8)?);
    for register in [info.pc, info.sp, info.fp] {
        registers.set(register, number(take(8)?));
    }
    let thread_pointer = number(take(8)?);
    if let Some(register) = info.by_name("fs_base") {
        registers.set(register, thread_pointer);
    }
    take(9)?;
    let count = number(take(4)?);
    for _ in 0..count {
        let Some(name) = take(2).and_then(|length| take(number(length) as usize)) else { break };
        let Some(value) = take(2).and_then(|length| take(number(length) as usize)) else { break };
        let name = std::str::from_utf8(name).ok().filter(|name| name.len() <= LONGEST_NAME);
        let Some(name) = name.map(str::to_ascii_lowercase) else { continue };
        // Vector registers have names of their own.
        if let Some(register) = info.by_name(register_name(arch, &name)).filter(|_| value.len() <= 8) {
            registers.set(register, number(value));
        }
    }
    Some((Thread::new(ThreadId(u32::try_from(id).ok()?)), registers))
}

/// delve writes the names of its Go structures.
fn register_name(arch: Arch, name: &str) -> &str {
    match (arch, name) {
        (Arch::X86_64, "rflags") => "eflags",
        (Arch::Aarch64, "lr") => "x30",
        _ => name,
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_lines_of_text() {
        let text = b"linux/amd64\nVersion: 1.21.2\nTarget Pid: 4711\nEntry Point: 0x46b0a0\n";
        let header = Header::decode(text).unwrap();
        assert_eq!(header, Header { process: Some(4711), entry: Some(Addr(0x46_b0a0)) });
        assert_eq!(Header::decode(b"linux/amd64\nTarget Pid: x\n").unwrap(), Header::default());
    }

    #[test]
    fn a_thread_keeps_the_registers_that_are_whole() {
        let mut bytes: Vec<u8> = [7u64, 0x1000, 0x2000, 0x3000, 0x4000].map(u64::to_le_bytes).concat();
        bytes.extend([0; 9]);
        bytes.extend(3u32.to_le_bytes());
        for (name, value) in [("Rax", 5u64), ("Rflags", 0x246), ("Rbx", 6)] {
            bytes.extend((name.len() as u16).to_le_bytes());
            bytes.extend(name.bytes());
            bytes.extend(8u16.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        let info = Arch::X86_64.info();
        let get = |registers: &Registers, name: &str| registers.get(info.by_name(name).unwrap());
        let (thread, registers) = thread(Arch::X86_64, &bytes).unwrap();
        assert_eq!(
            (thread.id, registers.pc(), registers.sp()),
            (ThreadId(7), Some(Addr(0x1000)), Some(Addr(0x2000)))
        );
        assert_eq!(
            ["rax", "eflags", "rbx", "fs_base", "rcx"].map(|name| get(&registers, name)),
            [Some(5), Some(0x246), Some(6), Some(0x4000), None]
        );
        let (_, cut) = super::thread(Arch::X86_64, &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!((get(&cut, "eflags"), get(&cut, "rbx")), (Some(0x246), None));
        assert!(super::thread(Arch::X86_64, &bytes[..52]).is_none());
    }
}

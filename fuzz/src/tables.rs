//! Unwind tables of every format with damaged contents, in a file that is sound otherwise.

use prospect_process::{Addr, Arch, CapturedMemory, LinkAddr, RegisterId, Registers};
use prospect_symbols::{Binary, CfaRule, RegisterRule};
use prospect_testing::Random;

use crate::subject::{Cursor, as_file};

/// Where the code is linked, and how long it is.
const TEXT: u64 = 0x1000;
const TEXT_BYTES: u64 = 0x1000;
/// Where the tables are linked, each so far from the one before it.
const TABLES: u64 = 0x1_0000;
const APART: u64 = 0x1_0000;

/// A section: its name and its bytes.
type Table = (&'static str, Vec<u8>);

/// Rows of tables whose contents are `data`, and the values of their expressions.
pub fn tables(data: &[u8]) {
    let mut cursor = Cursor(data);
    let kind = cursor.byte();
    let arch = [Arch::X86_64, Arch::Aarch64, Arch::Arm, Arch::I386][usize::from(kind >> 6)];
    let content = cursor.0;
    let tables: Vec<Table> = match kind & 7 {
        0 => vec![(".eh_frame", content.to_vec())],
        1 => vec![(".debug_frame", content.to_vec())],
        2 => vec![(".eh_frame", call_frames(true, content))],
        3 => vec![(".debug_frame", call_frames(false, content))],
        4 => vec![(".sframe", content.to_vec())],
        5 => vec![(".sframe", sframe(arch, content))],
        6 => {
            let (index, table) = content.split_at(content.len() / 2);
            vec![(".ARM.exidx", index.to_vec()), (".ARM.extab", table.to_vec())]
        }
        _ => exception_tables(content),
    };
    look_up(arch, &tables);
}

/// What [`tables`] begins with: each format, with contents of any kind.
pub(crate) fn seed(random: &mut Random) -> Vec<u8> {
    (0..2 + random.below(300)).map(|_| random.number() as u8 >> random.below(6)).collect()
}

/// How many rows were found in the code.
fn look_up(arch: Arch, tables: &[Table]) -> usize {
    let Ok(binary) = Binary::open(&as_file(&elf(arch, tables))) else { return 0 };
    let mut registers = Registers::unknown(arch);
    for index in 0..arch.info().registers.len() as u8 {
        registers.set(RegisterId(index), 0x7000 + u64::from(index));
    }
    let memory = CapturedMemory::new((0..=255).collect(), [(Addr(0x7000), 256, 0)]);
    let mut found = 0;
    for at in (TEXT - 1..=TEXT + TEXT_BYTES).step_by(61).chain([0, u64::MAX]) {
        let Ok(Some(row)) = binary.unwind_row(LinkAddr(at)) else { continue };
        assert!(row.range.contains(&LinkAddr(at)), "{at:#x} is in {:?}", row.range);
        assert!(row.rules.len() <= 64, "as many rules as there are registers");
        found += 1;
        if let CfaRule::Expression(is) = &row.cfa {
            let _ = is.evaluate(None, &registers, &memory);
        }
        for (_, rule) in &row.rules {
            if let RegisterRule::AtExpression(is) | RegisterRule::IsExpression(is) = rule {
                let _ = is.evaluate(Some(0x7010), &registers, &memory);
            }
        }
    }
    found
}

/// A common entry and one for all of the code, whose instructions are `content`.
fn call_frames(is_eh_frame: bool, content: &[u8]) -> Vec<u8> {
    let (id, augmentation): (u32, &[u8]) =
        if is_eh_frame { (0, b"\x01zR\0\x01\x78\x10\x01\x1b") } else { (u32::MAX, b"\x03\0\x01\x78\x10") };
    let mut bytes = Vec::new();
    let common = [augmentation, &[0x0c, 7, 8, 0x90, 1]].concat();
    bytes.extend((common.len() as u32 + 4).to_le_bytes());
    bytes.extend(id.to_le_bytes());
    bytes.extend(&common);
    let function = bytes.len();
    bytes.extend([0; 4]);
    if is_eh_frame {
        bytes.extend((function as u32 + 4).to_le_bytes());
        let here = TABLES + bytes.len() as u64;
        bytes.extend((TEXT.wrapping_sub(here) as u32).to_le_bytes());
        bytes.extend((TEXT_BYTES as u32).to_le_bytes());
        bytes.push(0);
    } else {
        // Addresses of 64 bits; on other architectures they are read as something else.
        bytes.extend(0u32.to_le_bytes());
        bytes.extend(TEXT.to_le_bytes());
        bytes.extend(TEXT_BYTES.to_le_bytes());
    }
    bytes.extend(content);
    let length = (bytes.len() - function - 4) as u32;
    bytes[function..function + 4].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// Two functions, the second of blocks, whose rows are `content`.
fn sframe(arch: Arch, content: &[u8]) -> Vec<u8> {
    let abi = if arch == Arch::Aarch64 { 2 } else { 3 };
    let ra = if arch == Arch::Aarch64 { 0 } else { 0xf8 };
    let mut bytes = vec![0xe2, 0xde, 2, 1, abi, 0, ra, 0];
    for number in [2u32, 40, content.len() as u32, 0, 40] {
        bytes.extend(number.to_le_bytes());
    }
    for (start, first_row, info) in [(TEXT, 0, [0, 0]), (TEXT + TEXT_BYTES / 2, 7u32, [0b1_0001u8, 32])] {
        bytes.extend((start.wrapping_sub(TABLES) as u32).to_le_bytes());
        for number in [TEXT_BYTES as u32 / 2, first_row, 20] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend([info[0], info[1], 0, 0]);
    }
    bytes.extend(content);
    bytes
}

/// An index of a function that is described in the index, and two that are in the table, which is `content`.
fn exception_tables(content: &[u8]) -> Vec<Table> {
    let word = |at: usize| {
        content
            .get(at..at + 4)
            .map_or(0x80b0_b0b0, |word| u32::from_le_bytes([word[0], word[1], word[2], 0x80]))
    };
    let mut index = Vec::new();
    for (start, table) in [(TEXT, None), (TEXT + 0x400, Some(0)), (TEXT + 0x800, Some(8))] {
        let here = TABLES + index.len() as u64;
        index.extend((start.wrapping_sub(here) as u32 & 0x7fff_ffff).to_le_bytes());
        let relative = |to: u64| (TABLES + APART + to).wrapping_sub(here + 4) as u32 & 0x7fff_ffff;
        index.extend(table.map_or_else(|| word(4), relative).to_le_bytes());
    }
    vec![(".ARM.exidx", index), (".ARM.extab", content.to_vec())]
}

/// An ELF file for `arch` with code, which has no bytes, and these sections.
fn elf(arch: Arch, tables: &[Table]) -> Vec<u8> {
    let info = arch.info();
    let is_wide = info.word_bytes == 8;
    let (header_bytes, section_bytes) = if is_wide { (64, 64) } else { (52, 40) };
    // A number as wide as an address.
    let word = |to: &mut Vec<u8>, value: u64| to.extend(&value.to_le_bytes()[..usize::from(info.word_bytes)]);
    let mut names = b"\0.text\0.shstrtab\0".to_vec();
    let (mut body, mut sections) = (Vec::new(), vec![0; section_bytes]);
    let mut section = |name: u32, kind: u32, flags: u64, address: u64, offset: u64, size: u64| {
        sections.extend(name.to_le_bytes());
        sections.extend(kind.to_le_bytes());
        for value in [flags, address, offset, size] {
            word(&mut sections, value);
        }
        sections.extend([0; 8]);
        word(&mut sections, 1);
        word(&mut sections, 0);
    };
    section(1, 8, 6, TEXT, 0, TEXT_BYTES);
    for (index, (name, bytes)) in tables.iter().enumerate() {
        let at = names.len() as u32;
        names.extend(name.as_bytes());
        names.push(0);
        let offset = (header_bytes + body.len()) as u64;
        section(at, 1, 2, TABLES + index as u64 * APART, offset, bytes.len() as u64);
        body.extend(bytes);
    }
    section(7, 3, 0, 0, (header_bytes + body.len()) as u64, names.len() as u64);
    body.extend(&names);
    let mut file = vec![0x7f, b'E', b'L', b'F', if is_wide { 2 } else { 1 }, 1, 1];
    file.resize(16, 0);
    file.extend(3u16.to_le_bytes());
    file.extend(info.elf_machine.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    for value in [TEXT, 0, (header_bytes + body.len()) as u64] {
        word(&mut file, value);
    }
    file.extend(0u32.to_le_bytes());
    let count = (sections.len() / section_bytes) as u16;
    for value in [header_bytes as u16, 0, 0, section_bytes as u16, count, count - 1] {
        file.extend(value.to_le_bytes());
    }
    [file, body, sections].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sound is read: else this would fuzz nothing.
    #[test]
    fn sound_tables_have_rows() {
        let rows = |arch, tables: &[Table]| look_up(arch, tables);
        assert_eq!(rows(Arch::X86_64, &[(".eh_frame", call_frames(true, &[0x0e, 16]))]), 67);
        assert_eq!(rows(Arch::X86_64, &[(".debug_frame", call_frames(false, &[0x0e, 16]))]), 67);
        let mut section = sframe(Arch::X86_64, &[0, 3, 8]);
        // One row in the first of the two functions.
        section[28 + 12] = 1;
        assert_eq!(rows(Arch::X86_64, &[(".sframe", section)]), 33);
        let words = [0xa8, 0xb0, 0x00, 0x80, 0xb0, 0xb0, 0xa8, 0x80, 0xb0, 0xb0, 0xa8, 0x80];
        assert_eq!(rows(Arch::Arm, &exception_tables(&words)), 67);
    }
}

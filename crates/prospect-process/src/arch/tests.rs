use super::*;

#[test]
fn tables_are_sound() {
    for arch in Arch::ALL {
        let info = arch.info();
        assert!(info.registers.len() <= MAX_REGISTERS);
        let mut ends = Vec::new();
        for (index, row) in info.registers.iter().enumerate() {
            let end = row.regset_offset + u16::from(row.bytes);
            assert!(end <= info.regset_bytes && row.bytes <= info.word_bytes, "{}", row.name);
            assert!(row.regset_offset.is_multiple_of(u16::from(row.bytes)), "{}", row.name);
            ends.push(end);
            assert_eq!(info.by_name(row.name), Some(RegisterId(index as u8)));
            if let Some(number) = row.dwarf {
                assert_eq!(info.by_dwarf(number), Some(RegisterId(index as u8)), "{}", row.name);
            }
        }
        ends.sort_unstable();
        assert!(ends.windows(2).all(|pair| pair[0] < pair[1]), "{}: two registers in one place", info.name);
        let found = Arch::from_elf_machine(info.elf_machine, info.word_bytes == 8, info.big_endian);
        assert_eq!(found, Some(arch));
        assert!(info.register(info.sp).preserved && info.register(info.fp).preserved, "{}", info.name);
        assert!(!info.register(info.pc).preserved, "{}", info.name);
        assert!(info.link.is_none_or(|link| link != info.pc && !info.register(link).preserved));
    }
}

#[test]
fn the_parts_of_the_tables_that_everything_hangs_on() {
    let expected = [
        (Arch::X86_64, ["rip", "rsp", "rbp"], None, Some(16)),
        (Arch::I386, ["eip", "esp", "ebp"], None, Some(8)),
        (Arch::Aarch64, ["pc", "sp", "x29"], Some("x30"), Some(30)),
        (Arch::Arm, ["pc", "sp", "r11"], Some("lr"), Some(14)),
        (Arch::Ppc64le, ["nip", "r1", "r31"], Some("lr"), Some(65)),
        (Arch::Ppc64, ["nip", "r1", "r31"], Some("lr"), Some(65)),
        (Arch::Ppc, ["nip", "r1", "r31"], Some("lr"), Some(65)),
        (Arch::Riscv64, ["pc", "sp", "s0"], Some("ra"), Some(1)),
        (Arch::S390x, ["pswa", "r15", "r11"], Some("r14"), Some(14)),
    ];
    assert_eq!(expected.map(|(arch, ..)| arch), Arch::ALL);
    for (arch, names, link, return_column) in expected {
        let info = arch.info();
        assert_eq!([info.pc, info.sp, info.fp].map(|id| info.register(id).name), names);
        assert_eq!(info.link.map(|id| info.register(id).name), link);
        // The column of the return address in what compilers write.
        assert_eq!(info.register(info.link.unwrap_or(info.pc)).dwarf, return_column);
    }
}

#[test]
fn machines_of_both_byte_orders_and_classes_are_told_apart() {
    let arch = Arch::from_elf_machine;
    assert_eq!(arch(21, true, false), Some(Arch::Ppc64le));
    assert_eq!(arch(21, true, true), Some(Arch::Ppc64));
    assert_eq!(arch(20, false, true), Some(Arch::Ppc));
    // x32, and what is not there: big-endian AArch64, s390 of 31 bits, RISC-V of 32 bits.
    assert_eq!(arch(62, false, false), Some(Arch::X86_64));
    for (machine, is_64_bit, big_endian) in
        [(183, true, true), (22, false, true), (243, false, false), (62, true, true), (20, false, false)]
    {
        assert_eq!(arch(machine, is_64_bit, big_endian), None, "{machine}");
    }
}

#[test]
fn register_sets_are_told_apart_by_size_on_x86_only() {
    assert_eq!(Arch::from_regset_bytes(216), Some(Arch::X86_64));
    assert_eq!(Arch::from_regset_bytes(68), Some(Arch::I386));
    assert_eq!(Arch::from_regset_bytes(272), None);
}

#[test]
fn register_sets_are_read_in_their_byte_order_and_widths() {
    // psw mask, psw address, r0 ..., a0, a1, orig_r2 (`s390_regs`).
    let mut bytes = [0; 216];
    bytes[8..16].copy_from_slice(&0x0123_4567_89ab_cdefu64.to_be_bytes());
    bytes[16 + 15 * 8..16 + 16 * 8].copy_from_slice(&0x3ff_ffff_e000u64.to_be_bytes());
    bytes[144..152].copy_from_slice(&[0, 0, 3, 0xff, 0xf7, 0xf0, 0, 0]);
    let registers = Registers::from_regset(Arch::S390x, &bytes);
    let get = |name| registers.get(Arch::S390x.info().by_name(name).unwrap());
    assert_eq!(registers.pc().unwrap().0, 0x0123_4567_89ab_cdef);
    assert_eq!(registers.sp().unwrap().0, 0x3ff_ffff_e000);
    assert_eq!((get("a0"), get("a1")), (Some(0x3ff), Some(0xf7f0_0000)));
    let mut bytes = [0; 192];
    bytes[128..132].copy_from_slice(&0x1000_04b8u32.to_be_bytes());
    bytes[4..8].copy_from_slice(&0xbfff_f000u32.to_be_bytes());
    let registers = Registers::from_regset(Arch::Ppc, &bytes);
    assert_eq!((registers.pc().unwrap().0, registers.sp().unwrap().0), (0x1000_04b8, 0xbfff_f000));
}

#[test]
fn what_is_no_address_is_taken_off_return_addresses() {
    let code = |arch: Arch, word| arch.info().code_address(word);
    assert_eq!(code(Arch::Aarch64, 0x0035_aaaa_1234_5678), 0xaaaa_1234_5678);
    assert_eq!(code(Arch::Aarch64, 0xff7f_aaaa_1234_5678), 0xaaaa_1234_5678);
    assert_eq!(code(Arch::Aarch64, 0x1280_8000_1234_5678), 0xffff_8000_1234_5678);
    assert_eq!(code(Arch::Arm, 0x0001_0455), 0x0001_0454);
    for arch in [Arch::X86_64, Arch::Ppc64, Arch::S390x, Arch::Riscv64] {
        assert_eq!(code(arch, 0x80_1234_5670), 0x80_1234_5670);
        assert_eq!(code(arch, u64::MAX << 8), u64::MAX << 8, "{arch:?}");
    }
    assert_eq!(code(Arch::X86_64, u64::MAX), u64::MAX);
    assert_eq!(code(Arch::I386, 0xf7ff_ffff), 0xf7ff_ffff);
}

#[test]
fn only_authentication_has_bits_above_an_address() {
    for arch in Arch::ALL {
        let expected = if arch == Arch::Aarch64 { 0xffff << 48 } else { 0 };
        assert_eq!(arch.info().authentication_mask, expected, "{arch:?}");
    }
    let plain = |arch: Arch, word| arch.info().authenticated_address(word, 0);
    assert_eq!(plain(Arch::Aarch64, 0x0035_aaaa_1234_5678), 0x0035_aaaa_1234_5678);
    assert_eq!(plain(Arch::Aarch64, u64::MAX - 3), u64::MAX - 3);
    assert_eq!(plain(Arch::Arm, 0x0001_0455), 0x0001_0454);
    assert_eq!(plain(Arch::I386, 0xf7ff_ffff), 0xf7ff_ffff);
}

#[test]
fn a_process_may_say_where_authentication_keeps_its_code() {
    let mut process = crate::ProcessInfo::new(crate::ProcessId(1), Arch::Aarch64);
    assert_eq!(process.code_address(0x0035_aaaa_1234_5678), 0xaaaa_1234_5678);
    // Addresses of 52 bits, as a program with large ones has them.
    process.authentication_mask = Some(0x0070 << 48);
    assert_eq!(process.code_address(0x0035_aaaa_1234_5678), 0x0005_aaaa_1234_5678);
}

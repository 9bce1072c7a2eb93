use std::collections::HashMap;

use prospect_process::RegisterId;

use super::*;

/// Every register of an architecture that a format has room for, each with a value of its own.
fn registers(format: &ContextFormat) -> Registers {
    let info = format.arch.info();
    let mut registers = Registers::unknown(format.arch);
    for (index, row) in info.registers.iter().enumerate() {
        if let Some(place) = format.registers.iter().find(|place| place.name == row.name) {
            let value = 0x0123_4567_89ab_cd00 + index as u64;
            let mask = u64::MAX >> (64 - 8 * u32::from(place.bytes));
            registers.set(RegisterId(index as u8), value & mask);
        }
    }
    registers
}

#[test]
fn every_row_names_a_register_and_lies_within_alone() {
    for format in FORMATS {
        let mut taken = vec![false; usize::from(format.bytes)];
        for row in format.registers {
            assert!(format.arch.info().by_name(row.name).is_some(), "{:?}: {}", format.arch, row.name);
            for index in row.offset..row.offset + u16::from(row.bytes) {
                let index = usize::from(index);
                assert!(!std::mem::replace(&mut taken[index], true), "{:?}: {}", format.arch, row.name);
            }
        }
        for set in format.sets {
            assert!(format.arch.info().other_sets.contains(&set.set), "{:?}: {:?}", format.arch, set.set);
            for (from, to, length) in set.parts {
                assert!(from + length <= set.bytes, "{:?}", format.arch);
                for index in *to..to + length {
                    assert!(!std::mem::replace(&mut taken[usize::from(index)], true), "{:?}", format.arch);
                }
            }
        }
    }
}

#[test]
fn registers_are_read_as_they_were_written() {
    for arch in Arch::ALL {
        let Some(format) = FORMATS.iter().find(|format| format.arch == arch) else {
            assert!(matches!(arch, Arch::S390x), "{arch:?}");
            assert_eq!(encode(&Registers::unknown(arch), |_| None), None);
            continue;
        };
        let registers = registers(format);
        let mut sets: HashMap<RegisterSet, Vec<u8>> = format
            .sets
            .iter()
            .map(|set| {
                let mut bytes = vec![0; usize::from(set.bytes)];
                for (from, _, length) in set.parts {
                    for index in *from..from + length {
                        bytes[usize::from(index)] = index as u8 ^ 0x5a;
                    }
                }
                (set.set, bytes)
            })
            .collect();
        let bytes = encode(&registers, |set| sets.get(&set).map(Vec::as_slice)).unwrap();
        assert_eq!(bytes.len(), usize::from(format.bytes));
        let context = decode(arch, &bytes).unwrap();
        assert_eq!(context.registers, registers, "{arch:?}");
        for (set, bytes) in &mut sets {
            // What `FXSAVE` writes has nothing there.
            if is_fxsave(arch, *set) {
                bytes[464..472].fill(0);
            }
            let bytes = &*bytes;
            assert_eq!(context.sets.iter().find(|(one, _)| one == set).map(|(_, bytes)| bytes), Some(bytes));
        }
        let bytes = encode(&registers, |_| None).unwrap();
        let alone = decode(arch, &bytes).unwrap();
        assert_eq!((alone.registers, alone.sets), (registers, Vec::new()), "{arch:?}");
        for length in 0..bytes.len() {
            decode(arch, &bytes[..length]);
        }
    }
}

#[test]
fn older_layouts_are_read_as_well() {
    let mut bytes = vec![0; 796];
    bytes[..8].copy_from_slice(&0x8000_0006u64.to_le_bytes());
    bytes[264..272].copy_from_slice(&0x1234u64.to_le_bytes());
    bytes[284..300].fill(9);
    let context = decode(Arch::Aarch64, &bytes).unwrap();
    assert_eq!(context.registers.pc().map(|pc| pc.0), Some(0x1234));
    assert_eq!(context.sets[0].1[..16], [9; 16]);
    let mut bytes = vec![0; 416];
    bytes[..4].copy_from_slice(&0x20_0007u32.to_le_bytes());
    bytes[64..68].copy_from_slice(&0x1235u32.to_le_bytes());
    assert_eq!(decode(Arch::Arm, &bytes).unwrap().registers.pc().map(|pc| pc.0), Some(0x1235));
}

#[test]
fn what_the_flags_deny_is_unknown() {
    let format = &x86::AMD64;
    let mut bytes = encode(&registers(format), |_| None).unwrap();
    bytes[0x30..0x34].copy_from_slice(&0x10_0001u32.to_le_bytes());
    let control = decode(Arch::X86_64, &bytes).unwrap().registers;
    let names: Vec<&str> = control.known().map(|(row, _)| row.name).collect();
    assert_eq!(names, ["rsp", "rip", "eflags", "cs", "ss"]);
    bytes[0x30..0x34].copy_from_slice(&0x1_0001u32.to_le_bytes());
    assert_eq!(decode(Arch::X86_64, &bytes), None);
}

/// What a processor with AVX writes.
fn extended() -> Vec<u8> {
    let mut set: Vec<u8> = (0..832u32).map(|index| (index / 16) as u8 + 1).collect();
    set[464..472].copy_from_slice(&7u64.to_le_bytes());
    set[512..576].fill(0);
    set[512] = 7;
    set
}

#[test]
fn vectors_stand_behind_the_context() {
    let registers = registers(&x86::AMD64);
    let set = extended();
    let bytes = encode(&registers, |one| (one == RegisterSet::X86_EXTENDED).then_some(&*set)).unwrap();
    assert_eq!(bytes[0x30..0x34], 0x10_004fu32.to_le_bytes());
    let context = decode(Arch::X86_64, &bytes).unwrap();
    let mut float = set[..512].to_vec();
    float[464..472].fill(0);
    assert_eq!(context.sets, [(RegisterSet::FLOAT, float), (RegisterSet::X86_EXTENDED, set)]);
}

#[test]
fn the_compacted_form_is_made_the_standard_one() {
    let registers = registers(&x86::AMD64);
    let mut set = vec![0; 576 + 64 + 256];
    set[512..520].copy_from_slice(&0b100_0111u64.to_le_bytes()[..8]);
    // Mask registers, which are not in use and keep their room, lie between the vectors and their upper parts.
    set[520..528].copy_from_slice(&(1u64 << 63 | 0b110_0111).to_le_bytes());
    set[576..832].fill(1);
    set[832..896].fill(2);
    set.extend([3; 512]);
    let bytes = encode(&registers, |one| (one == RegisterSet::X86_EXTENDED).then_some(&*set)).unwrap();
    let context = decode(Arch::X86_64, &bytes).unwrap();
    let standard = &context.sets[1].1;
    assert_eq!((standard.len(), &standard[576..832], standard[1088]), (1664, &[1; 256][..], 0));
    assert_eq!(
        (&standard[1152..1664], standard[512], standard[464]),
        (&[3; 512][..], 0b100_0111, 0b100_0111)
    );
}

#[test]
fn vectors_of_32_bit_programs_are_those_of_fxsave() {
    let registers = registers(&x86::X86);
    let set = extended();
    let bytes = encode(&registers, |one| (one == RegisterSet::X86_EXTENDED).then_some(&*set)).unwrap();
    let context = decode(Arch::I386, &bytes).unwrap();
    let (float, legacy) = &context.sets[0];
    assert_eq!((*float, &legacy[..464]), (RegisterSet::X86_FXSAVE, &set[..464]));
    let (name, whole) = &context.sets[1];
    assert_eq!((*name, &whole[..512], whole.len()), (RegisterSet::X86_EXTENDED, &set[..512], 576));
}

/// What is not zero of a large area takes little room, and comes back where it was.
#[test]
fn areas_of_all_processors_come_back() {
    let registers = registers(&x86::AMD64);
    let intel: &[(usize, usize)] = &[(832, 0x7), (2688, 0xe7), (2696, 0x2e7), (11008, 0x6_02e7)];
    // Of AMD, the components lie elsewhere.
    let amd: &[(usize, usize)] = &[(2440, 0x2e7)];
    for (is_intel, (length, enabled)) in
        intel.iter().map(|one| (true, one)).chain(amd.iter().map(|one| (false, one)))
    {
        let mut set = vec![0; *length];
        set[464..472].copy_from_slice(&enabled.to_le_bytes());
        set[512..520].copy_from_slice(&enabled.to_le_bytes());
        set[600] = 1;
        set[length - 8] = 0x54;
        let bytes = encode(&registers, |one| (one == RegisterSet::X86_EXTENDED).then_some(&*set)).unwrap();
        let (_, back) = decode(Arch::X86_64, &bytes).unwrap().sets.pop().unwrap();
        assert!(back == set, "{length}: {}", back.len());
        let is_small = bytes.len() < 0x4d0 + 48 + 64 + 256 + 64;
        assert!(is_small || !is_intel || *length == 11008 || *length == 2688, "{length}: {}", bytes.len());
    }
}

use super::*;

fn has_others(registers: &FrameRegisters) -> bool {
    registers.apart.is_some()
}

#[test]
fn they_hold_what_the_wide_ones_hold() {
    for arch in Arch::ALL {
        for some in [u64::MAX, 0, 0x5555_5555_5555_5555, 0x3333_3333_3333_3333] {
            let mut wide = Registers::unknown(arch);
            let mut frame = FrameRegisters::unknown(arch);
            for index in 0..arch.info().registers.len() as u8 {
                if some >> index & 1 == 1 {
                    wide.set(RegisterId(index), u64::MAX - u64::from(index));
                    frame.set(RegisterId(index), u64::MAX - u64::from(index));
                }
            }
            assert_eq!(FrameRegisters::from(wide), frame);
            assert_eq!(frame.expand(), wide);
            assert_eq!((frame.pc(), frame.sp(), frame.fp()), (wide.pc(), wide.sp(), wide.fp()));
            assert_eq!(format!("{frame:?}"), format!("{wide:?}"));
            for index in 0..arch.info().registers.len() as u8 {
                frame.forget(RegisterId(index));
                assert_eq!(frame.get(RegisterId(index)), None);
                assert_eq!(frame == FrameRegisters::from(wide), wide.get(RegisterId(index)).is_none());
                wide.forget(RegisterId(index));
            }
        }
    }
}

#[test]
fn a_caller_has_what_its_callee_gives_back_and_it_takes_no_room_apart() {
    for arch in Arch::ALL {
        let info = arch.info();
        let mut frame = FrameRegisters::unknown(arch);
        for index in 0..info.registers.len() as u8 {
            frame.set(RegisterId(index), u64::from(index) + 1);
        }
        assert!(has_others(&frame));
        let mut caller = frame.preserved();
        let expected = info.preserved().map(|id| (info.register(id).name, u64::from(id.0) + 1));
        assert!(caller.known().map(|(row, value)| (row.name, value)).eq(expected));
        caller.set(info.pc, 5);
        assert_eq!(has_others(&caller), LAYOUTS[arch as usize].apart != 0, "{arch:?}");
        assert_ne!(caller, frame);
    }
}

#[test]
fn ids_beyond_every_table_are_unknown() {
    let mut frame = FrameRegisters::unknown(Arch::X86_64);
    for id in [48, 63, 64, 200, 255].map(RegisterId) {
        frame.forget(id);
        assert_eq!(frame.get(id), None);
    }
    assert!(size_of::<FrameRegisters>() <= 24 + 16 * SLOTS);
}

#[test]
fn a_location_goes_where_its_value_goes() {
    for arch in Arch::ALL {
        let mut registers = FrameRegisters::unknown(arch);
        let ids = || (0..arch.info().registers.len() as u8).map(RegisterId);
        let at = |id: RegisterId| match id.0 % 3 {
            0 => Location::Address(Addr(0xffff_0000 + u64::from(id.0))),
            1 => Location::Register(RegisterId(id.0 / 2)),
            _ => Location::Computed,
        };
        for id in ids() {
            assert_eq!(registers.location(id), None);
            // What was there before does not matter.
            for location in [Location::Address(Addr(0x1000)), Location::Register(RegisterId(1)), at(id)] {
                registers.set_at(id, 7, location);
                assert_eq!(registers.location(id), Some(location));
            }
        }
        let caller = registers.preserved();
        for id in ids() {
            assert_eq!(registers.location(id), Some(at(id)));
            assert_eq!(caller.location(id), caller.get(id).map(|_| at(id)));
        }
        assert!(ids().any(|id| caller.location(id).is_some()));
        registers.set(RegisterId(0), 8);
        assert_eq!(registers.location(RegisterId(0)), Some(Location::Computed));
        registers.forget(RegisterId(0));
        assert_eq!(registers.location(RegisterId(0)), None);
        assert_eq!(registers.location(RegisterId(u8::MAX)), None);
    }
}

#[test]
fn of_a_thread_each_is_in_its_own_register() {
    let arch = Arch::X86_64;
    let mut thread = Registers::unknown(arch);
    thread.set(arch.info().pc, 1);
    let mut registers = FrameRegisters::from(thread);
    let pc = arch.info().pc;
    assert_eq!(registers.located(pc), Some((1, Location::Register(pc))));
    assert_eq!(registers.location(arch.info().sp), None);
    registers.set_at(pc, 1, Location::Address(Addr(MAX_REGISTERS as u64)));
    assert_eq!(registers.location(pc), Some(Location::Computed), "nothing is mapped there");
}

//! Unwind tables of other formats, and signed return addresses.

use prospect_process::{Arch, Process as _};

use crate::{
    load::Stopped,
    walk::{Steppers, check, walk},
};

#[test]
fn return_addresses_signed_in_leaves_too() {
    check(
        "signed_leaf",
        "",
        Steppers::Standard,
        &[(
            Arch::Aarch64,
            &[
                "stop 0x40018c 0x5500800bc0 registers Given",
                "leafy 0x4001c4 0x5500800c10 cfi CallFrameInfo",
                "sized 0x400228 0x5500800c50 cfi CallFrameInfo",
                "deep 0x4002cc 0x5500800c90 cfi CallFrameInfo",
                "deep 0x400298 0x5500800cd0 cfi CallFrameInfo",
                "deep 0x400298 0x5500800d10 cfi CallFrameInfo",
                "deep 0x400298 0x5500800d50 cfi CallFrameInfo",
                "main 0x4002fc 0x5500800d70 cfi CallFrameInfo",
                "_start 0x400188 - cfi CallFrameInfo",
                "outermost",
            ],
        )],
    );
}

#[test]
fn return_addresses_signed_with_the_other_key() {
    check(
        "signed_b_key",
        "",
        Steppers::Standard,
        &[(
            Arch::Aarch64,
            &[
                "stop 0x40018c 0x5500800bc0 registers Given",
                "leafy 0x4001c4 0x5500800c10 cfi CallFrameInfo",
                "sized 0x400228 0x5500800c50 cfi CallFrameInfo",
                "deep 0x4002cc 0x5500800c90 cfi CallFrameInfo",
                "deep 0x400298 0x5500800cd0 cfi CallFrameInfo",
                "deep 0x400298 0x5500800d10 cfi CallFrameInfo",
                "deep 0x400298 0x5500800d50 cfi CallFrameInfo",
                "main 0x4002fc 0x5500800d70 cfi CallFrameInfo",
                "_start 0x400188 - cfi CallFrameInfo",
                "outermost",
            ],
        )],
    );
}

#[test]
fn sframe_alone() {
    check(
        "sframe",
        "",
        Steppers::Standard,
        &[(
            Arch::Aarch64,
            &[
                "stop 0x4001c4 0x5500800bc0 registers Given",
                "leafy 0x4001fc 0x5500800c10 cfi CallFrameInfo",
                "sized 0x400260 0x5500800c50 cfi CallFrameInfo",
                "deep 0x400304 0x5500800c90 cfi CallFrameInfo",
                "deep 0x4002d0 0x5500800cd0 cfi CallFrameInfo",
                "deep 0x4002d0 0x5500800d10 cfi CallFrameInfo",
                "deep 0x4002d0 0x5500800d50 cfi CallFrameInfo",
                "main 0x400334 0x5500800d70 cfi CallFrameInfo",
                "_start 0x4001c0 - cfi CallFrameInfo",
                "outermost",
            ],
        )],
    );
}

#[test]
fn exception_tables_alone() {
    check(
        "tables",
        "",
        Steppers::Standard,
        &[(
            Arch::Arm,
            &[
                "stop 0x100c8 0x40800d38 registers Given",
                "leafy 0x10100 0x40800d68 cfi CallFrameInfo",
                "sized 0x10154 0x40800d90 cfi CallFrameInfo",
                "deep 0x101d0 0x40800db0 cfi CallFrameInfo",
                "deep 0x101a8 0x40800dd0 cfi CallFrameInfo",
                "deep 0x101a8 0x40800df0 cfi CallFrameInfo",
                "deep 0x101a8 0x40800e10 cfi CallFrameInfo",
                "main 0x10200 0x40800e20 cfi CallFrameInfo",
                "_start 0x100c4 - cfi CallFrameInfo",
                "outermost",
            ],
        )],
    );
}

#[test]
fn exception_tables_of_thumb_code() {
    check(
        "thumb_tables",
        "",
        Steppers::Standard,
        &[(
            Arch::Arm,
            &[
                "stop 0x100c8 0x40800d30 registers Given",
                "leafy 0x100ee 0x40800d60 cfi CallFrameInfo",
                "sized 0x10130 0x40800d88 cfi CallFrameInfo",
                "deep 0x10188 0x40800da8 cfi CallFrameInfo",
                "deep 0x10168 0x40800dc8 cfi CallFrameInfo",
                "deep 0x10168 0x40800de8 cfi CallFrameInfo",
                "deep 0x10168 0x40800e08 cfi CallFrameInfo",
                "main 0x101a6 0x40800e20 cfi CallFrameInfo",
                "_start 0x100c4 - cfi CallFrameInfo",
                "outermost",
            ],
        )],
    );
}

#[test]
fn exception_tables_with_a_personality_routine() {
    check(
        "guarded",
        "",
        Steppers::Standard,
        &[(
            Arch::Arm,
            &[
                "stop 0x100c8 0x40800d98 registers Given",
                "bottom(int) 0x100d8 0x40800da0 cfi CallFrameInfo",
                "leafy(int) 0x10130 0x40800dd0 cfi CallFrameInfo",
                "sized(double) 0x101b8 0x40800df8 cfi CallFrameInfo",
                "deep(int) 0x1023c 0x40800e00 cfi CallFrameInfo",
                "deep(int) 0x10210 0x40800e08 cfi CallFrameInfo",
                "deep(int) 0x10210 0x40800e10 cfi CallFrameInfo",
                "deep(int) 0x10210 0x40800e18 cfi CallFrameInfo",
                "main 0x1026c 0x40800e20 cfi CallFrameInfo",
                "_start 0x100c4 - cfi CallFrameInfo",
                "outermost",
            ],
        )],
    );
}

#[test]
fn exception_tables_with_a_personality_routine_of_thumb_code() {
    check(
        "thumb_guarded",
        "",
        Steppers::Standard,
        &[(
            Arch::Arm,
            &[
                "stop 0x100c8 0x40800d98 registers Given",
                "bottom(int) 0x100d4 0x40800da0 cfi CallFrameInfo",
                "leafy(int) 0x10110 0x40800dd0 cfi CallFrameInfo",
                "sized(double) 0x10176 0x40800df8 cfi CallFrameInfo",
                "deep(int) 0x101d6 0x40800e00 cfi CallFrameInfo",
                "deep(int) 0x101b6 0x40800e08 cfi CallFrameInfo",
                "deep(int) 0x101b6 0x40800e10 cfi CallFrameInfo",
                "deep(int) 0x101b6 0x40800e18 cfi CallFrameInfo",
                "main 0x101fa 0x40800e20 cfi CallFrameInfo",
                "_start 0x100c4 - cfi CallFrameInfo",
                "outermost",
            ],
        )],
    );
}

/// The words that were saved do hold other bits than those of the return addresses: all seven, or nearly.
#[test]
fn return_addresses_of_aarch64_are_signed() {
    for case in ["signed", "signed_leaf", "signed_b_key", "sframe"] {
        let stopped = Stopped::load(case, "", Arch::Aarch64);
        let stack = walk(&stopped, Steppers::Standard);
        let sp = stopped.registers.sp().unwrap();
        let words: Vec<u64> = (0..100)
            .map_while(|index| {
                stopped.process.memory().read_word(Arch::Aarch64, sp.wrapping_add(8 * index)).ok()
            })
            .collect();
        // A signature of seven bits may happen to be 0.
        let signed = stack.frames[2..].iter().filter(|frame| {
            let to = frame.code.addr().0;
            words.iter().any(|word| word & 0xffff_ffff_ffff == to && word >> 48 != 0)
        });
        assert!(signed.count() >= 6, "{case} {words:x?}");
    }
}

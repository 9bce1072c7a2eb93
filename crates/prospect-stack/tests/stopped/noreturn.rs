//! A call as the very last instruction of a function: the return address is behind it.

use prospect_process::{Addr, Arch};

use crate::{
    load::Stopped,
    walk::{Steppers, check, functions, walk},
};

#[test]
fn a_call_that_does_not_return_is_the_callers() {
    check(
        "noreturn",
        "",
        Steppers::Standard,
        &[
            (
                Arch::X86_64,
                &[
                    "stop 0x400104 0x4000800d00 registers Given",
                    "never 0x400114 0x4000800d10 cfi CallFrameInfo",
                    "fails 0x40013f 0x4000800d70 cfi CallFrameInfo",
                    "main 0x40015d 0x4000800d80 cfi CallFrameInfo",
                    "_start 0x400102 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::I386,
                &[
                    "stop 0x80480b4 0x40800d50 registers Given",
                    "never 0x80480c6 0x40800d60 cfi CallFrameInfo",
                    "fails 0x80480fa 0x40800dd0 cfi CallFrameInfo",
                    "main 0x8048125 0x40800e00 cfi CallFrameInfo",
                    "_start 0x80480b0 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Aarch64,
                &[
                    "stop 0x4000fc 0x5500800ce0 registers Given",
                    "never 0x400118 0x5500800d00 cfi CallFrameInfo",
                    "fails 0x400150 0x5500800d60 cfi CallFrameInfo",
                    "main 0x400174 0x5500800d70 cfi CallFrameInfo",
                    "_start 0x4000f8 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Arm,
                &[
                    "stop 0x100c8 0x40800dc0 registers Given",
                    "never 0x100e0 0x40800dc8 cfi CallFrameInfo",
                    "fails 0x10114 0x40800e18 cfi CallFrameInfo",
                    "main 0x10138 0x40800e20 cfi CallFrameInfo",
                    "_start 0x100c4 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64le,
                &[
                    "stop 0x10000110 0x4000800c90 registers Given",
                    "never 0x10000134 0x4000800cb0 cfi CallFrameInfo",
                    "fails 0x1000018c 0x4000800d20 cfi CallFrameInfo",
                    "main 0x100001e0 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x10000108 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64,
                &[
                    "stop 0x10000108 0x4000800ba0 registers Given",
                    "never 0x10000124 0x4000800c10 cfi CallFrameInfo",
                    "fails 0x10000174 0x4000800cd0 cfi CallFrameInfo",
                    "main 0x100001b8 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x10000100 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc,
                &[
                    "stop 0x100000b4 0x40800d80 registers Given",
                    "never 0x100000d4 0x40800d90 cfi CallFrameInfo",
                    "fails 0x10000114 0x40800df0 cfi CallFrameInfo",
                    "main 0x1000013c 0x40800e00 cfi CallFrameInfo",
                    "_start 0x100000b0 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Riscv64,
                &[
                    "stop 0x10130 0x4000800d20 registers Given",
                    "never 0x10148 0x4000800d30 cfi CallFrameInfo",
                    "fails 0x10174 0x4000800d90 cfi CallFrameInfo",
                    "main 0x10196 0x4000800da0 cfi CallFrameInfo",
                    "_start 0x1012e - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::S390x,
                &[
                    "stop 0x1000104 0x4000800c18 registers Given",
                    "never 0x1000120 0x4000800cb8 cfi CallFrameInfo",
                    "fails 0x100015a 0x4000800da0 cfi CallFrameInfo",
                    "main 0x100018c 0x4000800e40 cfi CallFrameInfo",
                    "_start 0x1000100 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
        ],
    );
}

#[test]
fn the_return_address_is_in_no_part_of_the_caller() {
    // With 64-bit PowerPC, a table that counts as part of the function lies behind its code.
    for arch in Arch::ALL.into_iter().filter(|arch| !matches!(arch, Arch::Ppc64 | Arch::Ppc64le)) {
        let stopped = Stopped::load("noreturn", "", arch);
        let stack = walk(&stopped, Steppers::Standard);
        let returns_to = stack.frames[2].code.addr();
        // Some architectures have padding between functions.
        let names = functions(&stopped, &[returns_to, Addr(returns_to.0.next_multiple_of(8))]);
        assert!(names[0] != "fails" && names.contains(&"after".to_owned()), "{arch:?} {names:?}");
    }
}

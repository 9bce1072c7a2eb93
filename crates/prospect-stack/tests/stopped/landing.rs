//! Frames that an exception has landed in.

use prospect_process::Arch;

use crate::walk::{Steppers, check};

#[test]
fn at_the_first_instruction_of_a_landing_pad() {
    check(
        "landing",
        "pad",
        Steppers::Standard,
        &[
            (
                Arch::X86_64,
                &[
                    "landing(int, int, int) 0x4002dc 0x4000800d70 registers Given",
                    "main 0x400312 0x4000800d80 cfi CallFrameInfo",
                    "_start 0x400102 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::I386,
                &[
                    "landing(int, int, int) 0x80482bb 0x40800dd0 registers Given",
                    "main 0x8048301 0x40800e00 cfi CallFrameInfo",
                    "_start 0x80480b0 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Aarch64,
                &[
                    "landing(int, int, int) 0x400308 0x5500800d50 registers Given",
                    "main 0x400344 0x5500800d70 cfi CallFrameInfo",
                    "_start 0x4000f8 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Arm,
                &[
                    "landing(int, int, int) 0x1033c 0x40800e18 registers Given",
                    "main 0x10378 0x40800e20 cfi CallFrameInfo",
                    "_start 0x100c4 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64le,
                &[
                    "landing(int, int, int) 0x100004a8 0x4000800d10 registers Given",
                    "main 0x10000508 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x10000118 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64,
                &[
                    "landing(int, int, int) 0x10000498 0x4000800cc0 registers Given",
                    "main 0x100004f0 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x10000110 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc,
                &[
                    "landing(int, int, int) 0x100003c4 0x40800df0 registers Given",
                    "main 0x10000404 0x40800e00 cfi CallFrameInfo",
                    "_start 0x100000b0 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Riscv64,
                &[
                    "landing(int, int, int) 0x1033c 0x4000800d90 registers Given",
                    "main 0x1037a 0x4000800da0 cfi CallFrameInfo",
                    "_start 0x1012e - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::S390x,
                &[
                    "landing(int, int, int) 0x100039c 0x4000800da0 registers Given",
                    "main 0x10003ea 0x4000800e40 cfi CallFrameInfo",
                    "_start 0x1000100 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
        ],
    );
}

#[test]
fn in_a_destructor_that_a_landing_pad_calls() {
    check(
        "landing",
        "cleanup",
        Steppers::Standard,
        &[
            (
                Arch::X86_64,
                &[
                    "stop 0x400104 0x4000800cf0 registers Given",
                    "Guard::~Guard() 0x40032b 0x4000800d00 cfi CallFrameInfo",
                    "landing(int, int, int) 0x4002e5 0x4000800d70 cfi CallFrameInfo",
                    "main 0x400312 0x4000800d80 cfi CallFrameInfo",
                    "_start 0x400102 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::I386,
                &[
                    "stop 0x80480b4 0x40800d60 registers Given",
                    "Guard::~Guard() 0x804831e 0x40800d70 cfi CallFrameInfo",
                    "landing(int, int, int) 0x80482c7 0x40800dd0 cfi CallFrameInfo",
                    "main 0x8048301 0x40800e00 cfi CallFrameInfo",
                    "_start 0x80480b0 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Aarch64,
                &[
                    "stop 0x4000fc 0x5500800cd0 registers Given",
                    "Guard::~Guard() 0x40036c 0x5500800cf0 cfi CallFrameInfo",
                    "landing(int, int, int) 0x400310 0x5500800d50 cfi CallFrameInfo",
                    "main 0x400344 0x5500800d70 cfi CallFrameInfo",
                    "_start 0x4000f8 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Arm,
                &[
                    "stop 0x100c8 0x40800dd8 registers Given",
                    "Guard::~Guard() 0x10390 0x40800de0 cfi CallFrameInfo",
                    "landing(int, int, int) 0x10344 0x40800e18 cfi CallFrameInfo",
                    "main 0x10378 0x40800e20 cfi CallFrameInfo",
                    "_start 0x100c4 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64le,
                &[
                    "stop 0x10000120 0x4000800c60 registers Given",
                    "Guard::~Guard() 0x10000554 0x4000800c90 cfi CallFrameInfo",
                    "landing(int, int, int) 0x100004b0 0x4000800d10 cfi CallFrameInfo",
                    "main 0x10000508 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x10000118 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64,
                &[
                    "stop 0x10000118 0x4000800b70 registers Given",
                    "Guard::~Guard() 0x10000534 0x4000800bf0 cfi CallFrameInfo",
                    "landing(int, int, int) 0x100004a0 0x4000800cc0 cfi CallFrameInfo",
                    "main 0x100004f0 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x10000110 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc,
                &[
                    "stop 0x100000b4 0x40800d90 registers Given",
                    "Guard::~Guard() 0x10000438 0x40800da0 cfi CallFrameInfo",
                    "landing(int, int, int) 0x100003cc 0x40800df0 cfi CallFrameInfo",
                    "main 0x10000404 0x40800e00 cfi CallFrameInfo",
                    "_start 0x100000b0 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Riscv64,
                &[
                    "stop 0x10130 0x4000800d20 registers Given",
                    "Guard::~Guard() 0x1039a 0x4000800d30 cfi CallFrameInfo",
                    "landing(int, int, int) 0x10348 0x4000800d90 cfi CallFrameInfo",
                    "main 0x1037a 0x4000800da0 cfi CallFrameInfo",
                    "_start 0x1012e - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::S390x,
                &[
                    "stop 0x1000104 0x4000800c38 registers Given",
                    "Guard::~Guard() 0x1000416 0x4000800cd8 cfi CallFrameInfo",
                    "landing(int, int, int) 0x10003a6 0x4000800da0 cfi CallFrameInfo",
                    "main 0x10003ea 0x4000800e40 cfi CallFrameInfo",
                    "_start 0x1000100 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
        ],
    );
}

#[test]
fn in_a_handler() {
    check(
        "landing",
        "catch",
        Steppers::Standard,
        &[
            (
                Arch::X86_64,
                &[
                    "stop 0x400104 0x4000800d00 registers Given",
                    "landing(int, int, int) 0x4002ea 0x4000800d70 cfi CallFrameInfo",
                    "main 0x400312 0x4000800d80 cfi CallFrameInfo",
                    "_start 0x400102 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::I386,
                &[
                    "stop 0x80480b4 0x40800d80 registers Given",
                    "landing(int, int, int) 0x80482cf 0x40800dd0 cfi CallFrameInfo",
                    "main 0x8048301 0x40800e00 cfi CallFrameInfo",
                    "_start 0x80480b0 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Aarch64,
                &[
                    "stop 0x4000fc 0x5500800cf0 registers Given",
                    "landing(int, int, int) 0x400314 0x5500800d50 cfi CallFrameInfo",
                    "main 0x400344 0x5500800d70 cfi CallFrameInfo",
                    "_start 0x4000f8 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Arm,
                &[
                    "stop 0x100c8 0x40800de0 registers Given",
                    "landing(int, int, int) 0x10348 0x40800e18 cfi CallFrameInfo",
                    "main 0x10378 0x40800e20 cfi CallFrameInfo",
                    "_start 0x100c4 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64le,
                &[
                    "stop 0x10000120 0x4000800c90 registers Given",
                    "landing(int, int, int) 0x100004b8 0x4000800d10 cfi CallFrameInfo",
                    "main 0x10000508 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x10000118 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64,
                &[
                    "stop 0x10000118 0x4000800bf0 registers Given",
                    "landing(int, int, int) 0x100004a8 0x4000800cc0 cfi CallFrameInfo",
                    "main 0x100004f0 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x10000110 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc,
                &[
                    "stop 0x100000b4 0x40800da0 registers Given",
                    "landing(int, int, int) 0x100003d0 0x40800df0 cfi CallFrameInfo",
                    "main 0x10000404 0x40800e00 cfi CallFrameInfo",
                    "_start 0x100000b0 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Riscv64,
                &[
                    "stop 0x10130 0x4000800d30 registers Given",
                    "landing(int, int, int) 0x10350 0x4000800d90 cfi CallFrameInfo",
                    "main 0x1037a 0x4000800da0 cfi CallFrameInfo",
                    "_start 0x1012e - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::S390x,
                &[
                    "stop 0x1000104 0x4000800cd8 registers Given",
                    "landing(int, int, int) 0x10003ac 0x4000800da0 cfi CallFrameInfo",
                    "main 0x10003ea 0x4000800e40 cfi CallFrameInfo",
                    "_start 0x1000100 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
        ],
    );
}

//! Call frame information alone leads out of every frame.

use prospect_process::Arch;

use crate::walk::{Steppers, check};

#[test]
fn recursion_with_preserved_registers_in_use() {
    check(
        "deep",
        "",
        Steppers::Standard,
        &[
            (
                Arch::X86_64,
                &[
                    "stop 0x400104 0x4000800c30 registers Given",
                    "leafy 0x400122 0x4000800c70 cfi CallFrameInfo",
                    "sized 0x400164 0x4000800cb0 cfi CallFrameInfo",
                    "deep 0x4001da 0x4000800ce0 cfi CallFrameInfo",
                    "deep 0x4001ad 0x4000800d10 cfi CallFrameInfo",
                    "deep 0x4001ad 0x4000800d40 cfi CallFrameInfo",
                    "deep 0x4001ad 0x4000800d70 cfi CallFrameInfo",
                    "main 0x400203 0x4000800d80 cfi CallFrameInfo",
                    "_start 0x400102 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::I386,
                &[
                    "stop 0x80480b4 0x40800c50 registers Given",
                    "leafy 0x80480d9 0x40800c90 cfi CallFrameInfo",
                    "sized 0x8048113 0x40800cd0 cfi CallFrameInfo",
                    "deep 0x804818a 0x40800d00 cfi CallFrameInfo",
                    "deep 0x8048162 0x40800d40 cfi CallFrameInfo",
                    "deep 0x8048162 0x40800d80 cfi CallFrameInfo",
                    "deep 0x8048162 0x40800dc0 cfi CallFrameInfo",
                    "main 0x80481ba 0x40800e00 cfi CallFrameInfo",
                    "_start 0x80480b0 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Aarch64,
                &[
                    "stop 0x4000fc 0x5500800bc0 registers Given",
                    "leafy 0x400134 0x5500800c10 cfi CallFrameInfo",
                    "sized 0x400190 0x5500800c50 cfi CallFrameInfo",
                    "deep 0x400228 0x5500800c90 cfi CallFrameInfo",
                    "deep 0x4001f8 0x5500800cd0 cfi CallFrameInfo",
                    "deep 0x4001f8 0x5500800d10 cfi CallFrameInfo",
                    "deep 0x4001f8 0x5500800d50 cfi CallFrameInfo",
                    "main 0x400254 0x5500800d70 cfi CallFrameInfo",
                    "_start 0x4000f8 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
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
            ),
            (
                Arch::Ppc64le,
                &[
                    "stop 0x10000110 0x4000800b50 registers Given",
                    "leafy 0x1000018c 0x4000800bb0 cfi CallFrameInfo",
                    "sized 0x10000238 0x4000800c10 cfi CallFrameInfo",
                    "deep 0x1000031c 0x4000800c50 cfi CallFrameInfo",
                    "deep 0x100002d8 0x4000800c90 cfi CallFrameInfo",
                    "deep 0x100002d8 0x4000800cd0 cfi CallFrameInfo",
                    "deep 0x100002d8 0x4000800d10 cfi CallFrameInfo",
                    "main 0x1000039c 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x10000108 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64,
                &[
                    "stop 0x10000108 0x4000800920 registers Given",
                    "leafy 0x1000017c 0x40008009d0 cfi CallFrameInfo",
                    "sized 0x10000220 0x4000800a80 cfi CallFrameInfo",
                    "deep 0x100002fc 0x4000800b10 cfi CallFrameInfo",
                    "deep 0x100002b8 0x4000800ba0 cfi CallFrameInfo",
                    "deep 0x100002b8 0x4000800c30 cfi CallFrameInfo",
                    "deep 0x100002b8 0x4000800cc0 cfi CallFrameInfo",
                    "main 0x10000374 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x10000100 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc,
                &[
                    "stop 0x100000b4 0x40800cf0 registers Given",
                    "leafy 0x1000011c 0x40800d30 cfi CallFrameInfo",
                    "sized 0x1000019c 0x40800d70 cfi CallFrameInfo",
                    "deep 0x1000026c 0x40800d90 cfi CallFrameInfo",
                    "deep 0x10000224 0x40800db0 cfi CallFrameInfo",
                    "deep 0x10000224 0x40800dd0 cfi CallFrameInfo",
                    "deep 0x10000224 0x40800df0 cfi CallFrameInfo",
                    "main 0x100002d4 0x40800e00 cfi CallFrameInfo",
                    "_start 0x100000b0 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Riscv64,
                &[
                    "stop 0x10130 0x4000800c50 registers Given",
                    "leafy 0x10162 0x4000800c90 cfi CallFrameInfo",
                    "sized 0x101b2 0x4000800cd0 cfi CallFrameInfo",
                    "deep 0x10232 0x4000800d00 cfi CallFrameInfo",
                    "deep 0x10206 0x4000800d30 cfi CallFrameInfo",
                    "deep 0x10206 0x4000800d60 cfi CallFrameInfo",
                    "deep 0x10206 0x4000800d90 cfi CallFrameInfo",
                    "main 0x10258 0x4000800da0 cfi CallFrameInfo",
                    "_start 0x1012e - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::S390x,
                &[
                    "stop 0x1000104 0x40008009a0 registers Given",
                    "leafy 0x100013e 0x4000800a68 cfi CallFrameInfo",
                    "sized 0x100019c 0x4000800b20 cfi CallFrameInfo",
                    "deep 0x100023a 0x4000800bc0 cfi CallFrameInfo",
                    "deep 0x1000210 0x4000800c60 cfi CallFrameInfo",
                    "deep 0x1000210 0x4000800d00 cfi CallFrameInfo",
                    "deep 0x1000210 0x4000800da0 cfi CallFrameInfo",
                    "main 0x100028a 0x4000800e40 cfi CallFrameInfo",
                    "_start 0x1000100 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
        ],
    );
}

#[test]
fn thumb_code() {
    check(
        "thumb",
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
fn signed_return_addresses() {
    check(
        "signed",
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

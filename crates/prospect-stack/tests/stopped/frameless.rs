//! A leaf that saves nothing, at its first instruction, in its middle, and at its last.

use prospect_process::Arch;

use crate::walk::{Steppers, check};

#[test]
fn at_the_first_instruction() {
    check(
        "frameless",
        "first",
        Steppers::Standard,
        &[
            (
                Arch::X86_64,
                &[
                    "leaf 0x400105 0x4000800c70 registers Given",
                    "large 0x400150 0x4000800d70 cfi CallFrameInfo",
                    "main 0x40016e 0x4000800d80 cfi CallFrameInfo",
                    "_start 0x400102 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::I386,
                &[
                    "leaf 0x80480b5 0x40800cf4 registers Given",
                    "large 0x804810c 0x40800df8 cfi CallFrameInfo",
                    "main 0x8048123 0x40800e00 cfi CallFrameInfo",
                    "_start 0x80480b0 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Aarch64,
                &[
                    "leaf 0x400100 0x5500800c50 registers Given",
                    "large 0x40016c 0x5500800d60 cfi CallFrameInfo",
                    "main 0x400190 0x5500800d70 cfi CallFrameInfo",
                    "_start 0x4000f8 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Arm,
                &[
                    "leaf 0x100cc 0x40800d20 registers Given",
                    "large 0x10138 0x40800e18 cfi CallFrameInfo",
                    "main 0x10154 0x40800e20 cfi CallFrameInfo",
                    "_start 0x100c4 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64le,
                &[
                    "leaf 0x1000012c 0x4000800c00 registers Given",
                    "large 0x100001dc 0x4000800d20 cfi CallFrameInfo",
                    "main 0x10000228 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x10000118 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64,
                &[
                    "leaf 0x1000011c 0x4000800b60 registers Given",
                    "large 0x100001bc 0x4000800cd0 cfi CallFrameInfo",
                    "main 0x10000200 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x10000110 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc,
                &[
                    "leaf 0x100000b8 0x40800cf0 registers Given",
                    "large 0x1000015c 0x40800df0 cfi CallFrameInfo",
                    "main 0x10000190 0x40800e00 cfi CallFrameInfo",
                    "_start 0x100000b0 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Riscv64,
                &[
                    "leaf 0x10132 0x4000800c90 registers Given",
                    "large 0x1019a 0x4000800d90 cfi CallFrameInfo",
                    "main 0x101b6 0x4000800da0 cfi CallFrameInfo",
                    "_start 0x1012e - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::S390x,
                &[
                    "leaf 0x1000108 0x4000800c10 registers Given",
                    "large 0x100017e 0x4000800da0 cfi CallFrameInfo",
                    "main 0x10001a6 0x4000800e40 cfi CallFrameInfo",
                    "_start 0x1000100 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
        ],
    );
}

#[test]
fn at_an_instruction_in_the_middle() {
    check(
        "frameless",
        "middle",
        Steppers::Standard,
        &[
            (
                Arch::X86_64,
                &[
                    "leaf 0x400113 0x4000800c70 registers Given",
                    "large 0x400150 0x4000800d70 cfi CallFrameInfo",
                    "main 0x40016e 0x4000800d80 cfi CallFrameInfo",
                    "_start 0x400102 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::I386,
                &[
                    "leaf 0x80480ce 0x40800cf4 registers Given",
                    "large 0x804810c 0x40800df8 cfi CallFrameInfo",
                    "main 0x8048123 0x40800e00 cfi CallFrameInfo",
                    "_start 0x80480b0 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Aarch64,
                &[
                    "leaf 0x400110 0x5500800c50 registers Given",
                    "large 0x40016c 0x5500800d60 cfi CallFrameInfo",
                    "main 0x400190 0x5500800d70 cfi CallFrameInfo",
                    "_start 0x4000f8 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Arm,
                &[
                    "leaf 0x100e0 0x40800d20 registers Given",
                    "large 0x10138 0x40800e18 cfi CallFrameInfo",
                    "main 0x10154 0x40800e20 cfi CallFrameInfo",
                    "_start 0x100c4 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64le,
                &[
                    "leaf 0x10000140 0x4000800c00 registers Given",
                    "large 0x100001dc 0x4000800d20 cfi CallFrameInfo",
                    "main 0x10000228 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x10000118 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64,
                &[
                    "leaf 0x10000130 0x4000800b60 registers Given",
                    "large 0x100001bc 0x4000800cd0 cfi CallFrameInfo",
                    "main 0x10000200 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x10000110 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc,
                &[
                    "leaf 0x100000c8 0x40800cf0 registers Given",
                    "large 0x1000015c 0x40800df0 cfi CallFrameInfo",
                    "main 0x10000190 0x40800e00 cfi CallFrameInfo",
                    "_start 0x100000b0 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Riscv64,
                &[
                    "leaf 0x10142 0x4000800c90 registers Given",
                    "large 0x1019a 0x4000800d90 cfi CallFrameInfo",
                    "main 0x101b6 0x4000800da0 cfi CallFrameInfo",
                    "_start 0x1012e - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::S390x,
                &[
                    "leaf 0x100011a 0x4000800c10 registers Given",
                    "large 0x100017e 0x4000800da0 cfi CallFrameInfo",
                    "main 0x10001a6 0x4000800e40 cfi CallFrameInfo",
                    "_start 0x1000100 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
        ],
    );
}

#[test]
fn at_the_last_instruction() {
    check(
        "frameless",
        "last",
        Steppers::Standard,
        &[
            (
                Arch::X86_64,
                &[
                    "leaf 0x40011b 0x4000800c70 registers Given",
                    "large 0x400150 0x4000800d70 cfi CallFrameInfo",
                    "main 0x40016e 0x4000800d80 cfi CallFrameInfo",
                    "_start 0x400102 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::I386,
                &[
                    "leaf 0x80480db 0x40800cf4 registers Given",
                    "large 0x804810c 0x40800df8 cfi CallFrameInfo",
                    "main 0x8048123 0x40800e00 cfi CallFrameInfo",
                    "_start 0x80480b0 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Aarch64,
                &[
                    "leaf 0x400120 0x5500800c50 registers Given",
                    "large 0x40016c 0x5500800d60 cfi CallFrameInfo",
                    "main 0x400190 0x5500800d70 cfi CallFrameInfo",
                    "_start 0x4000f8 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Arm,
                &[
                    "leaf 0x100f0 0x40800d20 registers Given",
                    "large 0x10138 0x40800e18 cfi CallFrameInfo",
                    "main 0x10154 0x40800e20 cfi CallFrameInfo",
                    "_start 0x100c4 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64le,
                &[
                    "leaf 0x10000150 0x4000800c00 registers Given",
                    "large 0x100001dc 0x4000800d20 cfi CallFrameInfo",
                    "main 0x10000228 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x10000118 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64,
                &[
                    "leaf 0x10000140 0x4000800b60 registers Given",
                    "large 0x100001bc 0x4000800cd0 cfi CallFrameInfo",
                    "main 0x10000200 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x10000110 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc,
                &[
                    "leaf 0x100000d8 0x40800cf0 registers Given",
                    "large 0x1000015c 0x40800df0 cfi CallFrameInfo",
                    "main 0x10000190 0x40800e00 cfi CallFrameInfo",
                    "_start 0x100000b0 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Riscv64,
                &[
                    "leaf 0x1014a 0x4000800c90 registers Given",
                    "large 0x1019a 0x4000800d90 cfi CallFrameInfo",
                    "main 0x101b6 0x4000800da0 cfi CallFrameInfo",
                    "_start 0x1012e - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::S390x,
                &[
                    "leaf 0x1000124 0x4000800c10 registers Given",
                    "large 0x100017e 0x4000800da0 cfi CallFrameInfo",
                    "main 0x10001a6 0x4000800e40 cfi CallFrameInfo",
                    "_start 0x1000100 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
        ],
    );
}

#[test]
fn at_the_first_instruction_without_call_frame_information() {
    check(
        "frameless",
        "first",
        Steppers::Chain,
        &[
            (
                Arch::X86_64,
                &[
                    "leaf 0x400105 0x4000800c70 registers Given",
                    "large 0x400150 - frame pointer Analysed",
                    "no-stepper",
                ],
            ),
            (
                Arch::I386,
                &[
                    "leaf 0x80480b5 0x40800cf4 registers Given",
                    "large 0x804810c - frame pointer Analysed",
                    "no-stepper",
                ],
            ),
            (
                Arch::Aarch64,
                &[
                    "leaf 0x400100 - registers Given",
                    "large 0x40016c - link register Scanned",
                    "main 0x400190 - frame pointer FramePointer",
                    "_start 0x4000f8 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Arm,
                &["leaf 0x100cc - registers Given", "large 0x10138 - link register Scanned", "no-stepper"],
            ),
            (
                Arch::Ppc64le,
                &[
                    "leaf 0x1000012c - registers Given",
                    "large 0x100001dc 0x4000800d20 link register Scanned",
                    "main 0x10000228 0x4000800d40 frame pointer FramePointer",
                    "_start 0x10000118 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64,
                &[
                    "leaf 0x1000011c - registers Given",
                    "large 0x100001bc 0x4000800cd0 link register Scanned",
                    "main 0x10000200 0x4000800d40 frame pointer FramePointer",
                    "_start 0x10000110 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc,
                &[
                    "leaf 0x100000b8 - registers Given",
                    "large 0x1000015c 0x40800df0 link register Scanned",
                    "main 0x10000190 0x40800e00 frame pointer FramePointer",
                    "_start 0x100000b0 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Riscv64,
                &["leaf 0x10132 - registers Given", "large 0x1019a - link register Scanned", "no-stepper"],
            ),
            (
                Arch::S390x,
                &[
                    "leaf 0x1000108 - registers Given",
                    "large 0x100017e - link register Scanned",
                    "no-stepper",
                ],
            ),
        ],
    );
}

#[test]
fn in_the_middle_without_call_frame_information() {
    check(
        "frameless",
        "middle",
        Steppers::Chain,
        &[
            (
                Arch::X86_64,
                &[
                    "leaf 0x400113 0x4000800c70 registers Given",
                    "large 0x400150 - frame pointer Analysed",
                    "no-stepper",
                ],
            ),
            (Arch::I386, &["leaf 0x80480ce - registers Given", "no-stepper"]),
            (
                Arch::Aarch64,
                &[
                    "leaf 0x400110 - registers Given",
                    "large 0x40016c - link register Scanned",
                    "main 0x400190 - frame pointer FramePointer",
                    "_start 0x4000f8 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Arm,
                &["leaf 0x100e0 - registers Given", "large 0x10138 - link register Scanned", "no-stepper"],
            ),
            (
                Arch::Ppc64le,
                &[
                    "leaf 0x10000140 - registers Given",
                    "large 0x100001dc 0x4000800d20 link register Scanned",
                    "main 0x10000228 0x4000800d40 frame pointer FramePointer",
                    "_start 0x10000118 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64,
                &[
                    "leaf 0x10000130 - registers Given",
                    "large 0x100001bc 0x4000800cd0 link register Scanned",
                    "main 0x10000200 0x4000800d40 frame pointer FramePointer",
                    "_start 0x10000110 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc,
                &[
                    "leaf 0x100000c8 - registers Given",
                    "large 0x1000015c 0x40800df0 link register Scanned",
                    "main 0x10000190 0x40800e00 frame pointer FramePointer",
                    "_start 0x100000b0 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Riscv64,
                &["leaf 0x10142 - registers Given", "large 0x1019a - link register Scanned", "no-stepper"],
            ),
            (
                Arch::S390x,
                &[
                    "leaf 0x100011a - registers Given",
                    "large 0x100017e - link register Scanned",
                    "no-stepper",
                ],
            ),
        ],
    );
}

#[test]
fn at_the_last_instruction_without_call_frame_information() {
    check(
        "frameless",
        "last",
        Steppers::Chain,
        &[
            (
                Arch::X86_64,
                &[
                    "leaf 0x40011b 0x4000800c70 registers Given",
                    "large 0x400150 - frame pointer Analysed",
                    "no-stepper",
                ],
            ),
            (
                Arch::I386,
                &[
                    "leaf 0x80480db 0x40800cf4 registers Given",
                    "large 0x804810c - frame pointer Analysed",
                    "no-stepper",
                ],
            ),
            (
                Arch::Aarch64,
                &[
                    "leaf 0x400120 0x5500800c50 registers Given",
                    "large 0x40016c - link register Analysed",
                    "main 0x400190 - frame pointer FramePointer",
                    "_start 0x4000f8 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Arm,
                &[
                    "leaf 0x100f0 0x40800d20 registers Given",
                    "large 0x10138 - link register Analysed",
                    "no-stepper",
                ],
            ),
            (
                Arch::Ppc64le,
                &[
                    "leaf 0x10000150 0x4000800c00 registers Given",
                    "large 0x100001dc 0x4000800d20 link register Analysed",
                    "main 0x10000228 0x4000800d40 frame pointer FramePointer",
                    "_start 0x10000118 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64,
                &[
                    "leaf 0x10000140 0x4000800b60 registers Given",
                    "large 0x100001bc 0x4000800cd0 link register Analysed",
                    "main 0x10000200 0x4000800d40 frame pointer FramePointer",
                    "_start 0x10000110 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc,
                &[
                    "leaf 0x100000d8 0x40800cf0 registers Given",
                    "large 0x1000015c 0x40800df0 link register Analysed",
                    "main 0x10000190 0x40800e00 frame pointer FramePointer",
                    "_start 0x100000b0 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Riscv64,
                &[
                    "leaf 0x1014a 0x4000800c90 registers Given",
                    "large 0x1019a - link register Analysed",
                    "no-stepper",
                ],
            ),
            (
                Arch::S390x,
                &[
                    "leaf 0x1000124 0x4000800c10 registers Given",
                    "large 0x100017e - link register Analysed",
                    "no-stepper",
                ],
            ),
        ],
    );
}

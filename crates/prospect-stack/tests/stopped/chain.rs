//! Programs without call frame information, but with frame pointers or what the architecture has for them.

use prospect_process::Arch;

use crate::walk::{Steppers, check};

#[test]
fn the_link_register_and_frame_chains_lead_to_the_outermost_frame() {
    check(
        "chain",
        "",
        Steppers::Chain,
        &[
            (
                Arch::X86_64,
                &[
                    "stop 0x400104 0x4000800c20 registers Given",
                    "leafy 0x40012b 0x4000800c70 frame pointer Analysed",
                    "sized 0x40016e 0x4000800cb0 frame pointer FramePointer",
                    "deep 0x4001ea 0x4000800ce0 frame pointer FramePointer",
                    "deep 0x4001ba 0x4000800d10 frame pointer FramePointer",
                    "deep 0x4001ba 0x4000800d40 frame pointer FramePointer",
                    "deep 0x4001ba 0x4000800d70 frame pointer FramePointer",
                    "main 0x400213 0x4000800d80 frame pointer FramePointer",
                    "_start 0x400102 - frame pointer FramePointer",
                    "no-stepper",
                ],
            ),
            (
                Arch::I386,
                &[
                    "stop 0x80480b4 0x40800c50 registers Given",
                    "leafy 0x80480d9 0x40800c90 frame pointer Analysed",
                    "sized 0x8048113 0x40800cd0 frame pointer FramePointer",
                    "deep 0x804818a 0x40800d00 frame pointer FramePointer",
                    "deep 0x804815e 0x40800d40 frame pointer FramePointer",
                    "deep 0x804815e 0x40800d80 frame pointer FramePointer",
                    "deep 0x804815e 0x40800dc0 frame pointer FramePointer",
                    "main 0x80481ba 0x40800df0 frame pointer FramePointer",
                    "_start 0x80480b0 - frame pointer FramePointer",
                    "no-stepper",
                ],
            ),
            (
                Arch::Aarch64,
                &[
                    "stop 0x4000fc 0x5500800bc0 registers Given",
                    "leafy 0x400134 - link register Analysed",
                    "sized 0x400190 - frame pointer FramePointer",
                    "deep 0x400228 - frame pointer FramePointer",
                    "deep 0x4001f8 - frame pointer FramePointer",
                    "deep 0x4001f8 - frame pointer FramePointer",
                    "deep 0x4001f8 - frame pointer FramePointer",
                    "main 0x400254 - frame pointer FramePointer",
                    "_start 0x4000f8 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64le,
                &[
                    "stop 0x10000110 0x4000800b10 registers Given",
                    "leafy 0x10000198 0x4000800b70 link register Analysed",
                    "sized 0x1000024c 0x4000800bd0 frame pointer FramePointer",
                    "deep 0x10000338 0x4000800c20 frame pointer FramePointer",
                    "deep 0x100002ec 0x4000800c70 frame pointer FramePointer",
                    "deep 0x100002ec 0x4000800cc0 frame pointer FramePointer",
                    "deep 0x100002ec 0x4000800d10 frame pointer FramePointer",
                    "main 0x10000388 0x4000800d40 frame pointer FramePointer",
                    "_start 0x10000108 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64,
                &[
                    "stop 0x10000108 0x40008008e0 registers Given",
                    "leafy 0x10000188 0x4000800990 link register Analysed",
                    "sized 0x10000234 0x4000800a40 frame pointer FramePointer",
                    "deep 0x10000318 0x4000800ae0 frame pointer FramePointer",
                    "deep 0x100002cc 0x4000800b80 frame pointer FramePointer",
                    "deep 0x100002cc 0x4000800c20 frame pointer FramePointer",
                    "deep 0x100002cc 0x4000800cc0 frame pointer FramePointer",
                    "main 0x10000360 0x4000800d40 frame pointer FramePointer",
                    "_start 0x10000100 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc,
                &[
                    "stop 0x100000b4 0x40800cf0 registers Given",
                    "leafy 0x1000012c 0x40800d30 link register Analysed",
                    "sized 0x100001b4 0x40800d70 frame pointer FramePointer",
                    "deep 0x1000028c 0x40800d90 frame pointer FramePointer",
                    "deep 0x1000023c 0x40800db0 frame pointer FramePointer",
                    "deep 0x1000023c 0x40800dd0 frame pointer FramePointer",
                    "deep 0x1000023c 0x40800df0 frame pointer FramePointer",
                    "main 0x100002c4 0x40800e00 frame pointer FramePointer",
                    "_start 0x100000b0 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Riscv64,
                &[
                    "stop 0x10130 0x4000800bf0 registers Given",
                    "leafy 0x10164 0x4000800c40 link register Analysed",
                    "sized 0x101b6 0x4000800c80 frame pointer FramePointer",
                    "deep 0x1023e 0x4000800cc0 frame pointer FramePointer",
                    "deep 0x1020e 0x4000800d00 frame pointer FramePointer",
                    "deep 0x1020e 0x4000800d40 frame pointer FramePointer",
                    "deep 0x1020e 0x4000800d80 frame pointer FramePointer",
                    "main 0x10268 0x4000800da0 frame pointer FramePointer",
                    "_start 0x1012e - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::S390x,
                &[
                    "stop 0x1000104 0x40008009a0 registers Given",
                    "leafy 0x100014c 0x4000800a68 link register Analysed",
                    "sized 0x10001c2 0x4000800b20 frame pointer FramePointer",
                    "deep 0x1000270 0x4000800bc0 frame pointer FramePointer",
                    "deep 0x1000246 0x4000800c60 frame pointer FramePointer",
                    "deep 0x1000246 0x4000800d00 frame pointer FramePointer",
                    "deep 0x1000246 0x4000800da0 frame pointer FramePointer",
                    "main 0x10002c8 0x4000800e40 frame pointer FramePointer",
                    "_start 0x1000100 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
        ],
    );
}

#[test]
fn signed_return_addresses_are_followed_by_frame_pointers() {
    check(
        "signed",
        "",
        Steppers::Chain,
        &[(
            Arch::Aarch64,
            &[
                "stop 0x40018c 0x5500800bc0 registers Given",
                "leafy 0x4001c4 - link register Analysed",
                "sized 0x400228 - frame pointer FramePointer",
                "deep 0x4002cc - frame pointer FramePointer",
                "deep 0x400298 - frame pointer FramePointer",
                "deep 0x400298 - frame pointer FramePointer",
                "deep 0x400298 - frame pointer FramePointer",
                "main 0x4002fc - frame pointer FramePointer",
                "_start 0x400188 - frame pointer FramePointer",
                "outermost",
            ],
        )],
    );
}

#[test]
fn code_is_analysed_before_frame_pointers_are_believed() {
    check(
        "chain",
        "",
        Steppers::Standard,
        &[
            (
                Arch::X86_64,
                &[
                    "stop 0x400104 0x4000800c20 registers Given",
                    "leafy 0x40012b 0x4000800c70 analysis Analysed",
                    "sized 0x40016e 0x4000800cb0 analysis Analysed",
                    "deep 0x4001ea 0x4000800ce0 analysis Analysed",
                    "deep 0x4001ba 0x4000800d10 analysis Analysed",
                    "deep 0x4001ba 0x4000800d40 analysis Analysed",
                    "deep 0x4001ba 0x4000800d70 analysis Analysed",
                    "main 0x400213 0x4000800d80 analysis Analysed",
                    "_start 0x400102 - analysis Analysed",
                    "outermost",
                ],
            ),
            (
                Arch::I386,
                &[
                    "stop 0x80480b4 0x40800c50 registers Given",
                    "leafy 0x80480d9 0x40800c90 analysis Analysed",
                    "sized 0x8048113 0x40800cd0 analysis Analysed",
                    "deep 0x804818a 0x40800d00 analysis Analysed",
                    "deep 0x804815e 0x40800d40 analysis Analysed",
                    "deep 0x804815e 0x40800d80 analysis Analysed",
                    "deep 0x804815e 0x40800dc0 analysis Analysed",
                    "main 0x80481ba 0x40800e00 analysis Analysed",
                    "_start 0x80480b0 - analysis Analysed",
                    "outermost",
                ],
            ),
        ],
    );
}

#[test]
fn a_handler_without_call_frame_information() {
    check(
        "chained_signal",
        "",
        Steppers::SignalChain,
        &[
            (
                Arch::Aarch64,
                &[
                    "stop 0x4000fc 0x55007ff9f0 registers Given",
                    "inner 0x4001b8 - link register Analysed",
                    "handler 0x4001e8 - frame pointer FramePointer",
                    "? 0x5500801000 0x5500800cd0 frame pointer FramePointer",
                    "interrupted 0x400190 - signal trampoline SignalFrame",
                    "outer 0x40021c - link register Scanned",
                    "main 0x4002a4 - frame pointer FramePointer",
                    "_start 0x4000f8 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64le,
                &[
                    "stop 0x10000108 0x40008002c0 registers Given",
                    "inner 0x100001f8 0x4000800330 link register Analysed",
                    "handler 0x10000254 0x4000800360 frame pointer FramePointer",
                    "? 0x4000801008 0x4000800c70 frame pointer FramePointer",
                    "interrupted 0x100001c0 - signal trampoline SignalFrame",
                    "outer 0x100002ac 0x4000800cd0 link register Scanned",
                    "main 0x10000384 0x4000800d40 frame pointer FramePointer",
                    "_start 0x10000100 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64,
                &[
                    "stop 0x10000100 0x4000800180 registers Given",
                    "inner 0x100001e8 0x4000800240 link register Analysed",
                    "handler 0x1000023c 0x40008002c0 frame pointer FramePointer",
                    "? 0x4000801008 0x4000800bd0 frame pointer FramePointer",
                    "interrupted 0x100001b8 - signal trampoline SignalFrame",
                    "outer 0x1000028c 0x4000800c80 link register Scanned",
                    "main 0x10000360 0x4000800d40 frame pointer FramePointer",
                    "_start 0x100000f8 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc,
                &[
                    "stop 0x100000a8 0x408006d0 registers Given",
                    "inner 0x10000188 0x40800720 link register Analysed",
                    "handler 0x100001d0 0x40800730 frame pointer FramePointer",
                    "? 0x3ffff008 0x40800d80 frame pointer FramePointer",
                    "interrupted 0x10000158 - signal trampoline SignalFrame",
                    "outer 0x10000218 0x40800dc0 link register Scanned",
                    "main 0x100002e0 0x40800e00 frame pointer FramePointer",
                    "_start 0x100000a4 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::Riscv64,
                &[
                    "stop 0x10130 0x4000800940 registers Given",
                    "inner 0x101e8 0x40008009a0 link register Analysed",
                    "handler 0x10212 0x40008009c0 frame pointer FramePointer",
                    "? 0x4000801000 0x4000800d00 frame pointer FramePointer",
                    "interrupted 0x101bc - signal trampoline SignalFrame",
                    "outer 0x10246 0x4000800d50 link register Scanned",
                    "main 0x102c2 0x4000800da0 frame pointer FramePointer",
                    "_start 0x1012e - frame pointer FramePointer",
                    "outermost",
                ],
            ),
            (
                Arch::S390x,
                &[
                    "stop 0x1000104 0x40008005f8 registers Given",
                    "inner 0x1000192 0x40008006d0 link register Analysed",
                    "handler 0x10001d4 0x4000800770 frame pointer FramePointer",
                    "? 0x4000801002 0x4000800bf8 frame pointer FramePointer",
                    "interrupted 0x1000160 - signal trampoline SignalFrame",
                    "outer 0x1000210 0x4000800d60 link register Scanned",
                    "main 0x10002a6 0x4000800e40 frame pointer FramePointer",
                    "_start 0x1000100 - frame pointer FramePointer",
                    "outermost",
                ],
            ),
        ],
    );
}

#[test]
fn a_handler_whose_code_is_analysed() {
    check(
        "chained_signal",
        "",
        Steppers::Standard,
        &[
            (
                Arch::X86_64,
                &[
                    "stop 0x4000fc 0x40007fff48 registers Given",
                    "inner 0x400192 0x40007fffa8 analysis Analysed",
                    "handler 0x4001b3 0x40007fffc8 analysis Analysed",
                    "__restore_rt 0x400110 0x4000800cc8 analysis Analysed",
                    "interrupted 0x400172 0x4000800cd0 signal trampoline SignalFrame",
                    "outer 0x4001d5 0x4000800d20 analysis Analysed",
                    "main 0x40025a 0x4000800d80 analysis Analysed",
                    "_start 0x4000fa - analysis Analysed",
                    "outermost",
                ],
            ),
            (
                Arch::I386,
                &[
                    "stop 0x80480a8 0x408000d4 registers Given",
                    "inner 0x8048111 0x40800124 analysis Analysed",
                    "handler 0x8048130 0x40800144 analysis Analysed",
                    "__restore_rt 0x80480e9 0x40800d4c analysis Analysed",
                    "interrupted 0x80480e2 0x40800d50 signal trampoline SignalFrame",
                    "outer 0x8048151 0x40800d90 analysis Analysed",
                    "main 0x80481e7 0x40800e00 analysis Analysed",
                    "_start 0x80480a4 - analysis Analysed",
                    "outermost",
                ],
            ),
        ],
    );
}

//! Frames whose size is known at run time alone, and one on a realigned stack.

use prospect_process::Arch;

use crate::walk::{Steppers, check};

#[test]
fn the_canonical_frame_address_comes_from_a_frame_pointer() {
    check(
        "sized",
        "",
        Steppers::Standard,
        &[
            (
                Arch::X86_64,
                &[
                    "stop 0x4000fc 0x4000800ba0 registers Given",
                    "sized 0x400124 0x4000800be0 cfi CallFrameInfo",
                    "allocated 0x40017e 0x4000800c40 cfi CallFrameInfo",
                    "aligned 0x4001b9 0x4000800ca0 cfi CallFrameInfo",
                    "aligned_and_sized 0x40020a 0x4000800d70 cfi CallFrameInfo",
                    "main 0x400233 0x4000800d80 cfi CallFrameInfo",
                    "_start 0x4000fa - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::I386,
                &[
                    "stop 0x80480a8 0x40800be0 registers Given",
                    "sized 0x80480c4 0x40800c10 cfi CallFrameInfo",
                    "allocated 0x8048102 0x40800c70 cfi CallFrameInfo",
                    "aligned 0x8048148 0x40800d10 cfi CallFrameInfo",
                    "aligned_and_sized 0x804819b 0x40800dd0 cfi CallFrameInfo",
                    "main 0x80481cc 0x40800e00 cfi CallFrameInfo",
                    "_start 0x80480a4 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Aarch64,
                &[
                    "stop 0x4000fc 0x5500800b70 registers Given",
                    "sized 0x400138 0x5500800bb0 cfi CallFrameInfo",
                    "allocated 0x400198 0x5500800c10 cfi CallFrameInfo",
                    "aligned 0x4001ec 0x5500800ca0 cfi CallFrameInfo",
                    "aligned_and_sized 0x400248 0x5500800d50 cfi CallFrameInfo",
                    "main 0x40027c 0x5500800d70 cfi CallFrameInfo",
                    "_start 0x4000f8 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Arm,
                &[
                    "stop 0x100c8 0x40800c80 registers Given",
                    "sized 0x100f4 0x40800cb0 cfi CallFrameInfo",
                    "allocated 0x1013c 0x40800cf0 cfi CallFrameInfo",
                    "aligned 0x10184 0x40800d78 cfi CallFrameInfo",
                    "aligned_and_sized 0x101d0 0x40800e18 cfi CallFrameInfo",
                    "main 0x101f8 0x40800e20 cfi CallFrameInfo",
                    "_start 0x100c4 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64le,
                &[
                    "stop 0x10000108 0x4000800ac0 registers Given",
                    "sized 0x1000016c 0x4000800b20 cfi CallFrameInfo",
                    "allocated 0x10000210 0x4000800ba0 cfi CallFrameInfo",
                    "aligned 0x10000290 0x4000800c40 cfi CallFrameInfo",
                    "aligned_and_sized 0x10000324 0x4000800d10 cfi CallFrameInfo",
                    "main 0x10000380 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x10000100 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64,
                &[
                    "stop 0x10000100 0x4000800930 registers Given",
                    "sized 0x1000015c 0x40008009e0 cfi CallFrameInfo",
                    "allocated 0x100001f8 0x4000800ab0 cfi CallFrameInfo",
                    "aligned 0x10000270 0x4000800ba0 cfi CallFrameInfo",
                    "aligned_and_sized 0x100002fc 0x4000800cc0 cfi CallFrameInfo",
                    "main 0x10000350 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x100000f8 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc,
                &[
                    "stop 0x100000a8 0x40800bf0 registers Given",
                    "sized 0x100000f8 0x40800c30 cfi CallFrameInfo",
                    "allocated 0x10000180 0x40800c80 cfi CallFrameInfo",
                    "aligned 0x100001ec 0x40800d20 cfi CallFrameInfo",
                    "aligned_and_sized 0x10000260 0x40800df0 cfi CallFrameInfo",
                    "main 0x100002a8 0x40800e00 cfi CallFrameInfo",
                    "_start 0x100000a4 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Riscv64,
                &[
                    "stop 0x10130 0x4000800bb0 registers Given",
                    "sized 0x1015c 0x4000800bf0 cfi CallFrameInfo",
                    "allocated 0x101b4 0x4000800c50 cfi CallFrameInfo",
                    "aligned 0x10200 0x4000800ce0 cfi CallFrameInfo",
                    "aligned_and_sized 0x10252 0x4000800d90 cfi CallFrameInfo",
                    "main 0x1027e 0x4000800da0 cfi CallFrameInfo",
                    "_start 0x1012e - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::S390x,
                &[
                    "stop 0x1000104 0x40008009d0 registers Given",
                    "sized 0x1000140 0x4000800a90 cfi CallFrameInfo",
                    "allocated 0x10001b4 0x4000800b58 cfi CallFrameInfo",
                    "aligned 0x1000208 0x4000800c70 cfi CallFrameInfo",
                    "aligned_and_sized 0x100026c 0x4000800da0 cfi CallFrameInfo",
                    "main 0x10002a0 0x4000800e40 cfi CallFrameInfo",
                    "_start 0x1000100 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
        ],
    );
}

//! Signal frames as the kernel lays them out.

use prospect_process::Arch;
use prospect_stack::StackEnd;

use crate::{
    load::Stopped,
    walk::{Steppers, check, walk},
};

#[test]
fn a_handler_on_the_same_stack() {
    check(
        "signal",
        "",
        Steppers::Standard,
        &[
            (
                Arch::X86_64,
                &[
                    "stop 0x4000fc 0x40007fffa8 registers Given",
                    "inner 0x40018d 0x40007ffff8 cfi CallFrameInfo",
                    "handler 0x4001a5 0x4000800008 cfi CallFrameInfo",
                    "__restore_rt 0x400110 0x4000800cd8 cfi CallFrameInfo",
                    "interrupted 0x400172 0x4000800ce0 signal trampoline SignalFrame",
                    "outer 0x4001be 0x4000800d20 cfi CallFrameInfo",
                    "main 0x400244 0x4000800d80 cfi CallFrameInfo",
                    "_start 0x4000fa - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::I386,
                &[
                    "stop 0x80480a8 0x408000d4 registers Given",
                    "inner 0x804810f 0x40800124 cfi CallFrameInfo",
                    "handler 0x804812c 0x40800144 cfi CallFrameInfo",
                    "__restore_rt 0x80480e9 0x40800d4c cfi CallFrameInfo",
                    "interrupted 0x80480e2 0x40800d50 signal trampoline SignalFrame",
                    "outer 0x8048148 0x40800d90 cfi CallFrameInfo",
                    "main 0x80481de 0x40800e00 cfi CallFrameInfo",
                    "_start 0x80480a4 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Aarch64,
                &[
                    "stop 0x4000fc 0x55007ff9f0 registers Given",
                    "inner 0x4001b8 0x55007ffa50 cfi CallFrameInfo",
                    "handler 0x4001e8 0x55007ffa70 cfi CallFrameInfo",
                    "? 0x5500801000 0x5500800cd0 cfi CallFrameInfo",
                    "interrupted 0x400190 0x5500800cd0 signal trampoline SignalFrame",
                    "outer 0x40021c 0x5500800d20 cfi CallFrameInfo",
                    "main 0x4002a4 0x5500800d70 cfi CallFrameInfo",
                    "_start 0x4000f8 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Arm,
                &[
                    "stop 0x100c8 0x40800a00 registers Given",
                    "inner 0x10148 0x40800a40 cfi CallFrameInfo",
                    "handler 0x10170 0x40800a48 cfi CallFrameInfo",
                    "? 0x3ffff018 0x40800dc0 cfi CallFrameInfo",
                    "interrupted 0x10120 0x40800dc0 signal trampoline SignalFrame",
                    "outer 0x1019c 0x40800df0 cfi CallFrameInfo",
                    "main 0x10230 0x40800e20 cfi CallFrameInfo",
                    "_start 0x100c4 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64le,
                &[
                    "stop 0x10000108 0x40008002d0 registers Given",
                    "inner 0x100001dc 0x4000800340 cfi CallFrameInfo",
                    "handler 0x1000022c 0x4000800370 cfi CallFrameInfo",
                    "? 0x4000801008 0x4000800c80 cfi CallFrameInfo",
                    "interrupted 0x100001ac 0x4000800c80 signal trampoline SignalFrame",
                    "outer 0x10000278 0x4000800ce0 cfi CallFrameInfo",
                    "main 0x10000344 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x10000100 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64,
                &[
                    "stop 0x10000100 0x4000800190 registers Given",
                    "inner 0x100001cc 0x4000800250 cfi CallFrameInfo",
                    "handler 0x10000214 0x40008002d0 cfi CallFrameInfo",
                    "? 0x4000801008 0x4000800be0 cfi CallFrameInfo",
                    "interrupted 0x100001a4 0x4000800be0 signal trampoline SignalFrame",
                    "outer 0x10000258 0x4000800c90 cfi CallFrameInfo",
                    "main 0x10000320 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x100000f8 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc,
                &[
                    "stop 0x100000a8 0x408006d0 registers Given",
                    "inner 0x10000168 0x40800720 cfi CallFrameInfo",
                    "handler 0x100001a0 0x40800730 cfi CallFrameInfo",
                    "? 0x3ffff008 0x40800d80 cfi CallFrameInfo",
                    "interrupted 0x10000140 0x40800d80 signal trampoline SignalFrame",
                    "outer 0x100001d8 0x40800dc0 cfi CallFrameInfo",
                    "main 0x10000290 0x40800e00 cfi CallFrameInfo",
                    "_start 0x100000a4 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Riscv64,
                &[
                    "stop 0x10130 0x4000800970 registers Given",
                    "inner 0x101dc 0x40008009c0 cfi CallFrameInfo",
                    "handler 0x10200 0x40008009d0 cfi CallFrameInfo",
                    "? 0x4000801000 0x4000800d10 cfi CallFrameInfo",
                    "interrupted 0x101b4 0x4000800d10 signal trampoline SignalFrame",
                    "outer 0x1022e 0x4000800d50 cfi CallFrameInfo",
                    "main 0x10292 0x4000800da0 cfi CallFrameInfo",
                    "_start 0x1012e - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::S390x,
                &[
                    "stop 0x1000104 0x40008005f8 registers Given",
                    "inner 0x100017c 0x40008006d0 cfi CallFrameInfo",
                    "handler 0x10001ae 0x4000800770 cfi CallFrameInfo",
                    "? 0x4000801002 0x4000800bf8 cfi CallFrameInfo",
                    "interrupted 0x1000154 0x4000800c98 signal trampoline SignalFrame",
                    "outer 0x10001da 0x4000800d60 cfi CallFrameInfo",
                    "main 0x1000260 0x4000800e40 cfi CallFrameInfo",
                    "_start 0x1000100 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
        ],
    );
}

#[test]
fn a_handler_on_a_stack_of_its_own() {
    check(
        "altstack",
        "",
        Steppers::Standard,
        &[
            (
                Arch::X86_64,
                &[
                    "stop 0x4000fc 0x4086e8 registers Given",
                    "inner 0x40018d 0x408738 cfi CallFrameInfo",
                    "handler 0x4001a5 0x408748 cfi CallFrameInfo",
                    "__restore_rt 0x400110 0x4000800cd8 cfi CallFrameInfo",
                    "interrupted 0x400172 0x4000800ce0 signal trampoline SignalFrame",
                    "outer 0x4001be 0x4000800d20 cfi CallFrameInfo",
                    "main 0x400244 0x4000800d80 cfi CallFrameInfo",
                    "_start 0x4000fa - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::I386,
                &[
                    "stop 0x80480a8 0x80506d4 registers Given",
                    "inner 0x804810f 0x8050724 cfi CallFrameInfo",
                    "handler 0x804812c 0x8050744 cfi CallFrameInfo",
                    "__restore_rt 0x80480e9 0x40800d4c cfi CallFrameInfo",
                    "interrupted 0x80480e2 0x40800d50 signal trampoline SignalFrame",
                    "outer 0x8048148 0x40800d90 cfi CallFrameInfo",
                    "main 0x80481de 0x40800e00 cfi CallFrameInfo",
                    "_start 0x80480a4 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Aarch64,
                &[
                    "stop 0x4000fc 0x408160 registers Given",
                    "inner 0x4001b8 0x4081c0 cfi CallFrameInfo",
                    "handler 0x4001e8 0x4081e0 cfi CallFrameInfo",
                    "? 0x5500801000 0x5500800cd0 cfi CallFrameInfo",
                    "interrupted 0x400190 0x5500800cd0 signal trampoline SignalFrame",
                    "outer 0x40021c 0x5500800d20 cfi CallFrameInfo",
                    "main 0x4002a8 0x5500800d70 cfi CallFrameInfo",
                    "_start 0x4000f8 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Arm,
                &[
                    "stop 0x100c8 0x18f40 registers Given",
                    "inner 0x10148 0x18f80 cfi CallFrameInfo",
                    "handler 0x10170 0x18f88 cfi CallFrameInfo",
                    "? 0x3ffff018 0x40800dc0 cfi CallFrameInfo",
                    "interrupted 0x10120 0x40800dc0 signal trampoline SignalFrame",
                    "outer 0x1019c 0x40800df0 cfi CallFrameInfo",
                    "main 0x10234 0x40800e20 cfi CallFrameInfo",
                    "_start 0x100c4 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64le,
                &[
                    "stop 0x10000108 0x10008b50 registers Given",
                    "inner 0x100001dc 0x10008bc0 cfi CallFrameInfo",
                    "handler 0x1000022c 0x10008bf0 cfi CallFrameInfo",
                    "? 0x4000801008 0x4000800c80 cfi CallFrameInfo",
                    "interrupted 0x100001ac 0x4000800c80 signal trampoline SignalFrame",
                    "outer 0x10000278 0x4000800ce0 cfi CallFrameInfo",
                    "main 0x10000348 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x10000100 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc64,
                &[
                    "stop 0x10000100 0x10008b30 registers Given",
                    "inner 0x100001cc 0x10008bf0 cfi CallFrameInfo",
                    "handler 0x10000214 0x10008c70 cfi CallFrameInfo",
                    "? 0x4000801008 0x4000800be0 cfi CallFrameInfo",
                    "interrupted 0x100001a4 0x4000800be0 signal trampoline SignalFrame",
                    "outer 0x10000258 0x4000800c90 cfi CallFrameInfo",
                    "main 0x10000324 0x4000800d40 cfi CallFrameInfo",
                    "_start 0x100000f8 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc,
                &[
                    "stop 0x100000a8 0x10008d50 registers Given",
                    "inner 0x10000168 0x10008da0 cfi CallFrameInfo",
                    "handler 0x100001a0 0x10008db0 cfi CallFrameInfo",
                    "? 0x3ffff008 0x40800d80 cfi CallFrameInfo",
                    "interrupted 0x10000140 0x40800d80 signal trampoline SignalFrame",
                    "outer 0x100001d8 0x40800dc0 cfi CallFrameInfo",
                    "main 0x10000294 0x40800e00 cfi CallFrameInfo",
                    "_start 0x100000a4 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Riscv64,
                &[
                    "stop 0x10130 0x19020 registers Given",
                    "inner 0x101dc 0x19070 cfi CallFrameInfo",
                    "handler 0x10200 0x19080 cfi CallFrameInfo",
                    "? 0x4000801000 0x4000800d10 cfi CallFrameInfo",
                    "interrupted 0x101b4 0x4000800d10 signal trampoline SignalFrame",
                    "outer 0x1022e 0x4000800d50 cfi CallFrameInfo",
                    "main 0x10296 0x4000800da0 cfi CallFrameInfo",
                    "_start 0x1012e - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::S390x,
                &[
                    "stop 0x1000104 0x1008e00 registers Given",
                    "inner 0x100017c 0x1008ed8 cfi CallFrameInfo",
                    "handler 0x10001ae 0x1008f78 cfi CallFrameInfo",
                    "? 0x4000801002 0x4000800bf8 cfi CallFrameInfo",
                    "interrupted 0x1000154 0x4000800c98 signal trampoline SignalFrame",
                    "outer 0x10001da 0x4000800d60 cfi CallFrameInfo",
                    "main 0x1000266 0x4000800e40 cfi CallFrameInfo",
                    "_start 0x1000100 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
        ],
    );
}

#[test]
fn a_handler_that_wants_no_siginfo() {
    check(
        "plain",
        "",
        Steppers::Standard,
        &[
            (
                Arch::I386,
                &[
                    "stop 0x80480a8 0x407fff04 registers Given",
                    "inner 0x804810f 0x407fff54 cfi CallFrameInfo",
                    "handler 0x804812c 0x407fff74 cfi CallFrameInfo",
                    "__restore 0x80480f1 0x40800d4c cfi CallFrameInfo",
                    "interrupted 0x80480e2 0x40800d50 signal trampoline SignalFrame",
                    "outer 0x8048148 0x40800d90 cfi CallFrameInfo",
                    "main 0x80481de 0x40800e00 cfi CallFrameInfo",
                    "_start 0x80480a4 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Arm,
                &[
                    "stop 0x100c8 0x40800a80 registers Given",
                    "inner 0x10148 0x40800ac0 cfi CallFrameInfo",
                    "handler 0x10170 0x40800ac8 cfi CallFrameInfo",
                    "? 0x3ffff000 0x40800dc0 cfi CallFrameInfo",
                    "interrupted 0x10120 0x40800dc0 signal trampoline SignalFrame",
                    "outer 0x1019c 0x40800df0 cfi CallFrameInfo",
                    "main 0x1022c 0x40800e20 cfi CallFrameInfo",
                    "_start 0x100c4 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::Ppc,
                &[
                    "stop 0x100000a8 0x40800800 registers Given",
                    "inner 0x10000168 0x40800850 cfi CallFrameInfo",
                    "handler 0x100001a0 0x40800860 cfi CallFrameInfo",
                    "? 0x3ffff000 0x40800d80 cfi CallFrameInfo",
                    "interrupted 0x10000140 0x40800d80 signal trampoline SignalFrame",
                    "outer 0x100001d8 0x40800dc0 cfi CallFrameInfo",
                    "main 0x1000028c 0x40800e00 cfi CallFrameInfo",
                    "_start 0x100000a4 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
            (
                Arch::S390x,
                &[
                    "stop 0x1000104 0x4000800710 registers Given",
                    "inner 0x100017c 0x40008007e8 cfi CallFrameInfo",
                    "handler 0x10001ae 0x4000800888 cfi CallFrameInfo",
                    "? 0x4000801000 0x4000800bf8 cfi CallFrameInfo",
                    "interrupted 0x1000154 0x4000800c98 signal trampoline SignalFrame",
                    "outer 0x10001da 0x4000800d60 cfi CallFrameInfo",
                    "main 0x100025a 0x4000800e40 cfi CallFrameInfo",
                    "_start 0x1000100 - cfi CallFrameInfo",
                    "outermost",
                ],
            ),
        ],
    );
}

#[test]
fn a_handler_in_thumb_code() {
    check(
        "thumb_signal",
        "",
        Steppers::Standard,
        &[(
            Arch::Arm,
            &[
                "stop 0x100c8 0x408009f8 registers Given",
                "inner 0x1012e 0x40800a38 cfi CallFrameInfo",
                "handler 0x1014a 0x40800a40 cfi CallFrameInfo",
                "? 0x3ffff024 0x40800db8 cfi CallFrameInfo",
                "interrupted 0x10110 0x40800db8 signal trampoline SignalFrame",
                "outer 0x1016c 0x40800de8 cfi CallFrameInfo",
                "main 0x101cc 0x40800e20 cfi CallFrameInfo",
                "_start 0x100c4 - cfi CallFrameInfo",
                "outermost",
            ],
        )],
    );
}

#[test]
fn a_handler_in_thumb_code_that_wants_no_siginfo() {
    check(
        "thumb_plain",
        "",
        Steppers::Standard,
        &[(
            Arch::Arm,
            &[
                "stop 0x100c8 0x40800a80 registers Given",
                "inner 0x1012e 0x40800ac0 cfi CallFrameInfo",
                "handler 0x1014a 0x40800ac8 cfi CallFrameInfo",
                "? 0x3ffff00c 0x40800dc0 cfi CallFrameInfo",
                "interrupted 0x10110 0x40800dc0 signal trampoline SignalFrame",
                "outer 0x1016c 0x40800df0 cfi CallFrameInfo",
                "main 0x101c6 0x40800e20 cfi CallFrameInfo",
                "_start 0x100c4 - cfi CallFrameInfo",
                "outermost",
            ],
        )],
    );
}

/// The registers that `interrupted` gives values to: 0x100 and their numbers there.
fn noted(arch: Arch) -> Vec<(String, u64)> {
    let numbered = |letter: &str, numbers: std::ops::RangeInclusive<u64>, first: u64| -> Vec<(String, u64)> {
        numbers.clone().map(|n| (format!("{letter}{n}"), first + n - numbers.start())).collect()
    };
    let named = |names: &[&str]| -> Vec<(String, u64)> {
        (0x100..).zip(names).map(|(value, name)| ((*name).to_owned(), value)).collect()
    };
    match arch {
        Arch::X86_64 => {
            [named(&["rax", "rdx", "rcx", "rbx", "rsi", "rdi"]), numbered("r", 8..=15, 0x108)].concat()
        }
        Arch::I386 => {
            let mut noted = named(&["eax", "ecx", "edx", "ebx", "", "", "esi", "edi"]);
            noted.retain(|(name, _)| !name.is_empty());
            noted
        }
        Arch::Aarch64 => [numbered("x", 0..=0, 0), numbered("x", 1..=28, 0x101)].concat(),
        Arch::Arm => {
            [numbered("r", 0..=0, 0), numbered("r", 1..=10, 0x101), numbered("r", 12..=12, 0x10c)].concat()
        }
        Arch::Ppc64le | Arch::Ppc64 | Arch::Ppc => [
            vec![("ctr".to_owned(), 0x1ff), ("r0".to_owned(), 0x1fe)],
            numbered("r", 3..=12, 0x103),
            numbered("r", 14..=30, 0x10e),
        ]
        .concat(),
        Arch::Riscv64 => [
            vec![("gp".to_owned(), 0x103), ("tp".to_owned(), 0x104), ("s1".to_owned(), 0x109)],
            numbered("t", 0..=2, 0x105),
            numbered("a", 0..=7, 0x10a),
            numbered("s", 2..=11, 0x112),
            numbered("t", 3..=6, 0x11c),
        ]
        .concat(),
        Arch::S390x => [numbered("r", 0..=10, 0x100), numbered("r", 12..=13, 0x10c)].concat(),
        _ => panic!("{arch:?}"),
    }
}

/// Every architecture's programs with a signal handler.
fn with_handlers() -> impl Iterator<Item = (&'static str, Arch)> {
    let everywhere = Arch::ALL.into_iter().flat_map(|arch| [("signal", arch), ("altstack", arch)]);
    let plain = [Arch::I386, Arch::Arm, Arch::Ppc, Arch::S390x].map(|arch| ("plain", arch));
    everywhere.chain(plain).chain([("thumb_signal", Arch::Arm), ("thumb_plain", Arch::Arm)])
}

#[test]
fn all_registers_of_the_interrupted_function_are_recovered() {
    for (case, arch) in with_handlers() {
        let (stopped, info) = (Stopped::load(case, "", arch), arch.info());
        let stack = walk(&stopped, Steppers::Standard);
        let (interrupted, outer) = (&stack.frames[4], &stack.frames[5]);
        for (name, value) in noted(arch) {
            let found = interrupted.registers.get(info.by_name(&name).unwrap());
            assert_eq!(found, Some(value), "{case} {arch:?} {name}");
        }
        // The leaf's return address is where it was called.
        if let Some(link) = info.link {
            let to = interrupted.registers.get(link).map(|word| info.code_address(word));
            assert_eq!(to, Some(outer.code.addr().0), "{case} {arch:?}");
        }
    }
}

#[test]
fn without_knowing_signal_frames_there_is_no_way_out_of_a_handler() {
    for (case, arch) in with_handlers() {
        let stopped = Stopped::load(case, "", arch);
        let stack = walk(&stopped, Steppers::Cfi);
        // `stop`, `inner`, `handler` and where that returns to.
        assert_eq!(stack.frames.len(), 4, "{case} {arch:?}");
        assert!(matches!(stack.end, StackEnd::NoStepper(_)), "{case} {arch:?} {:?}", stack.end);
    }
}

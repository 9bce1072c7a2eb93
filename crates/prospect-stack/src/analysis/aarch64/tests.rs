use prospect_process::{Arch, CapturedMemory};

use super::*;

/// What the instructions do, as the assembler of binutils encodes them.
fn ops(words: &[u32]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let memory = CapturedMemory::default();
    let function = FunctionCode {
        arch: Arch::Aarch64,
        start: Addr(0x1000),
        bytes: &bytes,
        is_whole: true,
        memory: &memory,
    };
    let (mut reader, mut listing) = (Reader::new(&function), Listing::default());
    reader.begin(0);
    let decoded = words.iter().map(|_| reader.decode(&mut listing)).last().unwrap();
    format!("{:?} {:?}", decoded.map(|one| one.next), listing.ops)
}

#[test]
fn each_class_of_instructions_does_what_the_manual_says() {
    let cases: &[(&str, &[u32], &str)] = &[
        ("sub sp, sp, #32", &[0xd100_83ff], "Add { to: 31, from: 31, bytes: -32 }"),
        ("sub sp, sp, #1, lsl #12", &[0xd140_07ff], "Add { to: 31, from: 31, bytes: -4096 }"),
        ("mov x29, sp", &[0x9100_03fd], "Add { to: 29, from: 31, bytes: 0 }"),
        ("mov x19, x0", &[0xaa00_03f3], "Add { to: 19, from: 0, bytes: 0 }"),
        ("mov x19, xzr", &[0xaa1f_03f3], "Number { to: 19, value: 0 }"),
        ("mov x16, #0x1010", &[0xd282_0210], "Number { to: 16, value: 4112 }"),
        (
            "mov x16, #0x10; movk x16, #1, lsl #16",
            &[0xd280_0210, 0xf2a0_0030],
            "Number { to: 16, value: 16 }, Add { to: 16, from: 16, bytes: 65536 }",
        ),
        ("movk x16, #1, lsl #16", &[0xf2a0_0030], "Forget { changed: 65536 }"),
        ("mov x1, #-2", &[0x9280_0021], "Number { to: 1, value: -2 }"),
        ("orr x1, xzr, #0xff00", &[0xb278_1fe1], "Number { to: 1, value: 65280 }"),
        ("sub sp, sp, x16", &[0xcb30_63ff], "Sum { to: 31, from: 31, other: 16, is_minus: true }"),
        ("and sp, x1, #-16", &[0x927c_ec3f], "Align { to: 31, from: 1 }"),
        ("and x1, x1, #0xff", &[0x9240_1c21], "Forget { changed: 2 }"),
        (
            "stp x29, x30, [sp, #-32]!",
            &[0xa9be_7bfd],
            "Add { to: 31, from: 31, bytes: -32 }, Store { to: Place { register: 31, offset: 0 }, bytes: 8, \
             from: Some(29) }, Store { to: Place { register: 31, offset: 8 }, bytes: 8, from: Some(30) }",
        ),
        (
            "ldp x29, x30, [sp], #32",
            &[0xa8c2_7bfd],
            "Load { to: 29, from: Place { register: 31, offset: 0 } }, Load { to: 30, from: Place { \
             register: 31, offset: 8 } }, Add { to: 31, from: 31, bytes: 32 }",
        ),
        (
            "stp d8, d9, [sp, #16]",
            &[0x6d01_27e8],
            "Store { to: Place { register: 31, offset: 16 }, bytes: 16, from: None }",
        ),
        (
            "str x19, [sp, #16]",
            &[0xf900_0bf3],
            "Store { to: Place { register: 31, offset: 16 }, bytes: 8, from: Some(19) }",
        ),
        (
            "str x30, [sp, #-16]!",
            &[0xf81f_0ffe],
            "Add { to: 31, from: 31, bytes: -16 }, Store { to: Place { register: 31, offset: 0 }, bytes: 8, \
             from: Some(30) }",
        ),
        (
            "ldr x30, [sp], #16",
            &[0xf841_07fe],
            "Load { to: 30, from: Place { register: 31, offset: 0 } }, Add { to: 31, from: 31, bytes: 16 }",
        ),
        (
            "stur x0, [x29, #-8]",
            &[0xf81f_83a0],
            "Store { to: Place { register: 29, offset: -8 }, bytes: 8, from: Some(0) }",
        ),
        ("ldr w1, [x0]", &[0xb940_0001], "Forget { changed: 2 }"),
        (
            "strb wzr, [x0, x1]",
            &[0x3821_681f],
            "Store { to: Place { register: 255, offset: 0 }, bytes: 1, from: None }",
        ),
        ("ldr q0, [x1]", &[0x3dc0_0020], ""),
        ("cmp x0, x1", &[0xeb01_001f], ""),
        ("cmp sp, x1", &[0xeb21_63ff], ""),
        ("csel x3, x0, x1, eq", &[0x9a81_0003], "Forget { changed: 8 }"),
        ("ccmp x0, x1, #0, eq", &[0xfa41_0000], ""),
        ("paciasp", &[0xd503_233f], ""),
        ("pacia x30, sp", &[0xdac1_03fe], ""),
        ("mrs x0, tpidr_el0", &[0xd53b_d040], "Forget { changed: 1 }"),
        ("fmov x2, d0", &[0x9e66_0002], "Forget { changed: 4 }"),
        ("fadd d0, d1, d2", &[0x1e62_2820], ""),
        ("umov w3, v0.b[0]", &[0x0e01_3c03], "Forget { changed: 8 }"),
        ("addvl sp, sp, #-1", &[0x043f_57ff], "Sum { to: 31, from: 31, other: 255, is_minus: false }"),
    ];
    for (text, words, expected) in cases {
        assert_eq!(ops(words), format!("Some(Behind) [{expected}]"), "{text}");
    }
}

#[test]
fn code_goes_on_where_branches_lead() {
    let volatile = !(0x3ff << 19 | 1 << 29 | 1u32 << 31);
    let call = format!("Some(Call) [Call {{ changed: {volatile} }}]");
    for (text, word, expected) in [
        ("b .+8", 0x1400_0002, "Some(Jump(4104)) []"),
        ("b.ne .-4", 0x54ff_ffe1, "Some(Branch(4092)) []"),
        ("cbz x0, .+16", 0xb400_0080, "Some(Branch(4112)) []"),
        ("tbnz w0, #3, .+8", 0x3718_0040, "Some(Branch(4104)) []"),
        ("bl .+8", 0x9400_0002, &call),
        ("blr x1", 0xd63f_0020, &call),
        ("br x1", 0xd61f_0020, "Some(Unknown) []"),
        ("ret", 0xd65f_03c0, "Some(Return) []"),
        ("retaa", 0xd65f_0bff, "Some(Return) []"),
        ("brk #1", 0xd420_0020, "Some(Nowhere) []"),
        ("svc #0", 0xd400_0001, "Some(Behind) [Forget { changed: 1 }]"),
        ("udf #0", 0, "None []"),
    ] {
        assert_eq!(ops(&[word]), expected, "{text}");
    }
}
#[test]
fn room_that_is_taken_page_by_page_is_known_when_it_is_taken() {
    // cmp sp, x12; b.ne .-8
    let bytes: Vec<u8> = [0xeb2c_63ffu32, 0x54ff_ffc1].iter().flat_map(|word| word.to_le_bytes()).collect();
    let (arch, memory) = (Arch::Aarch64, CapturedMemory::default());
    let function = FunctionCode { arch, start: Addr(0x1000), bytes: &bytes, is_whole: true, memory: &memory };
    let (mut reader, mut listing) = (Reader::new(&function), Listing::default());
    reader.begin(0);
    let behind: Vec<_> =
        (0..2).filter_map(|_| reader.decode(&mut listing)).map(|one| one.sp_behind).collect();
    assert_eq!(behind, [None, Some(12)]);
}

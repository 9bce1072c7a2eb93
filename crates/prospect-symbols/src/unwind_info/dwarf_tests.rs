//! Every instruction and every operation of DWARF 5 (sections 6.4.2 and 2.5) that call frame information may have,
//! as the assembler puts them into a file (`.cfi_escape`).

use std::fmt::Write;

use prospect_process::{Addr, CapturedMemory, LinkAddr, Registers};

use super::{
    tests::{cfa_text, rule_text},
    *,
};
use crate::{
    Binary,
    testing::{TempDir, nm},
};

/// Instructions behind those of every function (cfa = rsp + 8, return address at cfa - 8; data alignment -8, code
/// alignment 1), and what the row is then: its CFA, and the rules of registers other than the return address.
const INSTRUCTIONS: &[(&str, &[u8], &str)] = &[
    ("nop", &[0x00], "rsp+8"),
    ("offset", &[0x80 | 3, 2], "rsp+8 rbx=c-16"),
    ("restore", &[0x80 | 3, 2, 0xc0 | 3], "rsp+8"),
    ("offset_extended", &[0x05, 12, 0x81, 0x01], "rsp+8 r12=c-1032"),
    ("restore_extended", &[0x05, 12, 3, 0x06, 12], "rsp+8"),
    ("undefined", &[0x07, 3], "rsp+8 rbx=u"),
    ("same_value", &[0x08, 3], "rsp+8 rbx=s"),
    ("register", &[0x09, 3, 12], "rsp+8 rbx=r12"),
    ("remember_restore", &[0x0a, 0x0e, 64, 0x83, 4, 0x0b], "rsp+8"),
    ("remember_twice", &[0x0a, 0x0e, 64, 0x0a, 0x83, 4, 0x0b], "rsp+64"),
    ("def_cfa", &[0x0c, 6, 16], "rbp+16"),
    ("def_cfa_register", &[0x0d, 6], "rbp+8"),
    ("def_cfa_offset", &[0x0e, 0x80, 0x02], "rsp+256"),
    ("def_cfa_expression", &[0x0f, 2, 0x77, 0x10], "exp"),
    ("expression", &[0x10, 3, 2, 0x77, 0x10], "rsp+8 rbx=exp"),
    ("offset_extended_sf", &[0x11, 3, 0x7e], "rsp+8 rbx=c+16"),
    ("def_cfa_sf", &[0x12, 6, 0x7e], "rbp+16"),
    ("def_cfa_offset_sf", &[0x13, 0x7d], "rsp+24"),
    ("val_offset", &[0x14, 3, 2], "rsp+8 rbx=v-16"),
    ("val_offset_sf", &[0x15, 3, 0x7e], "rsp+8 rbx=v+16"),
    ("val_expression", &[0x16, 3, 2, 0x77, 0x10], "rsp+8 rbx=vexp"),
    ("gnu_args_size", &[0x2e, 0x90, 0x01, 0x0e, 16], "rsp+16"),
    // A row begins where each of these says; the one that is looked at is at 4.
    ("advance_loc", &[0x40 | 4, 0x0e, 16], "rsp+16"),
    ("advance_loc_beyond", &[0x40 | 5, 0x0e, 16], "rsp+8"),
    ("advance_loc1", &[0x02, 4, 0x0e, 16], "rsp+16"),
    ("advance_loc2", &[0x03, 4, 0, 0x0e, 16], "rsp+16"),
    ("advance_loc2_beyond", &[0x03, 5, 0, 0x0e, 16], "rsp+8"),
    ("advance_loc4", &[0x04, 4, 0, 0, 0, 0x0e, 16], "rsp+16"),
    ("vector", &[0x80 | 17, 4], "rsp+8"),
    // The vendors', and what is none.
    ("unknown_1c", &[0x1c], "broken"),
    ("unknown_3f", &[0x3f], "broken"),
    ("sparc_window_save", &[0x2d], "broken"),
    ("cut_off", &[0x0e, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80], "broken"),
    ("restore_too_often", &[0x0b], "broken"),
    ("no_such_register", &[0x0d, 40], "broken"),
];

/// Operations, and the value that they leave, with the CFA (0x7010) on the stack at first, rsp = 0x7000, r12 = -2, and
/// the bytes 1, 2, 3 … from 0x7000 on.
const OPERATIONS: &[(&str, &[u8], Option<u64>)] = &[
    ("lit", &[0x30 + 31], Some(31)),
    ("const1u", &[0x08, 0xff], Some(0xff)),
    ("const1s", &[0x09, 0xff], Some(u64::MAX)),
    ("const2u", &[0x0a, 0xfe, 0xff], Some(0xfffe)),
    ("const2s", &[0x0b, 0xfe, 0xff], Some(u64::MAX - 1)),
    ("const4u", &[0x0c, 1, 0, 0, 0x80], Some(0x8000_0001)),
    ("const4s", &[0x0d, 1, 0, 0, 0x80], Some(0xffff_ffff_8000_0001)),
    ("const8u", &[0x0e, 1, 0, 0, 0, 0, 0, 0, 0x80], Some(0x8000_0000_0000_0001)),
    ("const8s", &[0x0f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], Some(i64::MAX as u64)),
    ("constu", &[0x10, 0x80, 0x01], Some(0x80)),
    ("consts", &[0x11, 0x80, 0x7f], Some(0xffff_ffff_ffff_ff80)),
    ("breg", &[0x77, 0x78], Some(0x6ff8)),
    ("bregx", &[0x92, 12, 0x05], Some(3)),
    ("dup", &[0x12, 0x22], Some(0xe020)),
    ("drop", &[0x31, 0x13], Some(0x7010)),
    ("over", &[0x31, 0x14], Some(0x7010)),
    ("pick", &[0x31, 0x32, 0x15, 2], Some(0x7010)),
    ("swap", &[0x31, 0x16, 0x1c], Some(1u64.wrapping_sub(0x7010))),
    ("rot", &[0x31, 0x32, 0x17, 0x1c], Some(0x700f)),
    ("deref", &[0x77, 8, 0x06], Some(0x100f_0e0d_0c0b_0a09)),
    ("deref_size_1", &[0x77, 8, 0x94, 1], Some(9)),
    ("deref_size_4", &[0x77, 8, 0x94, 4], Some(0x0c0b_0a09)),
    ("abs", &[0x7c, 0, 0x19], Some(2)),
    ("and", &[0x08, 0x30, 0x1a], Some(0x10)),
    ("div", &[0x7c, 0x7a, 0x33, 0x1b], Some((-2i64) as u64)),
    ("minus", &[0x31, 0x1c], Some(0x700f)),
    ("mod", &[0x37, 0x1d], Some(2)),
    ("mul", &[0x32, 0x1e], Some(0xe020)),
    ("neg", &[0x1f], Some(0x7010u64.wrapping_neg())),
    ("not", &[0x20], Some(!0x7010)),
    ("or", &[0x31, 0x21], Some(0x7011)),
    ("plus", &[0x38, 0x22], Some(0x7018)),
    ("plus_uconst", &[0x23, 0x80, 0x01], Some(0x7090)),
    ("shl", &[0x34, 0x24], Some(0x7_0100)),
    ("shr", &[0x7c, 0, 0x08, 63, 0x25], Some(1)),
    ("shra", &[0x7c, 0, 0x31, 0x26], Some(u64::MAX)),
    ("xor", &[0x40, 0x27], Some(0x7000)),
    ("bra_taken", &[0x31, 0x28, 1, 0, 0x1f, 0x31, 0x22], Some(0x7011)),
    ("bra_not_taken", &[0x30, 0x28, 1, 0, 0x1f], Some(0x7010u64.wrapping_neg())),
    ("skip", &[0x2f, 1, 0, 0x1f, 0x31, 0x22], Some(0x7011)),
    ("eq", &[0x31, 0x31, 0x29], Some(1)),
    ("ge_is_signed", &[0x7c, 0, 0x31, 0x2a], Some(0)),
    ("gt_is_signed", &[0x31, 0x7c, 0, 0x2b], Some(1)),
    ("le_is_signed", &[0x7c, 0, 0x31, 0x2c], Some(1)),
    ("lt_is_signed", &[0x31, 0x7c, 0, 0x2d], Some(0)),
    ("ne", &[0x31, 0x31, 0x2e], Some(0)),
    ("nop", &[0x96], Some(0x7010)),
    // Section 6.4.2 forbids them, or they have no value.
    ("addr", &[0x03, 0, 0, 0, 0, 0, 0, 0, 0], None),
    ("addrx", &[0xa1, 0], None),
    ("constx", &[0xa2, 0], None),
    ("call2", &[0x98, 0, 0], None),
    ("call4", &[0x99, 0, 0, 0, 0], None),
    ("call_ref", &[0x9a, 0, 0, 0, 0], None),
    ("call_frame_cfa", &[0x9c], None),
    ("fbreg", &[0x91, 0], None),
    ("push_object_address", &[0x97], None),
    ("entry_value", &[0xa3, 1, 0x57], None),
    ("const_type", &[0xa4, 4, 1, 1], None),
    ("regval_type", &[0xa5, 7, 4], None),
    ("deref_type", &[0xa6, 8, 4], None),
    ("convert", &[0xa8, 4], None),
    ("reinterpret", &[0xa9, 4], None),
    ("xderef", &[0x31, 0x18], None),
    ("form_tls_address", &[0x9b], None),
    ("piece", &[0x93, 8], None),
    ("reg", &[0x57], None),
    ("regx", &[0x90, 7], None),
    ("implicit_value", &[0x9e, 1, 1], None),
    ("implicit_pointer", &[0xa0, 0, 0, 0, 0, 0], None),
    ("unknown_register", &[0x73, 0], None),
    ("div_by_0", &[0x30, 0x1b], None),
    ("mod_by_0", &[0x30, 0x1d], None),
    ("empty_stack", &[0x13, 0x13], None),
    ("pick_too_far", &[0x15, 1], None),
    ("endless", &[0x2f, 0xfd, 0xff], None),
    ("out_of_bounds", &[0x2f, 0x00, 0x10], None),
    ("no_such_operation", &[0xff], None),
];

fn escape(source: &mut String, name: &str, bytes: &[u8]) {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:#x}")).collect();
    let _ = writeln!(
        source,
        "asm(\".text\\n.type {name},@function\\n{name}: .cfi_startproc\\n.cfi_escape {}\\n.skip 8, 0x90\\n.cfi_endproc\\n\
         .size {name}, 8\\n\");\n",
        bytes.join(",")
    );
}

#[test]
fn every_instruction_and_operation_of_dwarf_5_is_known() {
    let mut source = String::from("int main(void) { return 0; }\n");
    for (name, bytes, _) in INSTRUCTIONS {
        escape(&mut source, &format!("instruction_{name}"), bytes);
    }
    for (name, bytes, _) in OPERATIONS {
        let head = [0x16, 3, bytes.len() as u8];
        escape(&mut source, &format!("operation_{name}"), &[&head, *bytes].concat());
    }
    let directory = TempDir::new();
    for flags in [&["-O1"][..], &["-O1", "-Wl,--no-eh-frame-hdr"]] {
        let path = directory.compile("program", &source, flags);
        let binary = Binary::open(&path).unwrap();
        let functions = nm(&path, &[]);
        let row = |kind: &str, name: &str| {
            let name = format!("{kind}_{name}");
            let start = functions.iter().find(|one| one.2 == name).unwrap().0;
            binary.unwind_row(LinkAddr(start + 4))
        };
        for (name, _, expected) in INSTRUCTIONS {
            let found = row("instruction", name).map(|row| in_words(&row.unwrap()));
            assert_eq!(found.unwrap_or_else(|_| "broken".into()), *expected, "{name}");
        }
        let arch = Arch::X86_64.info();
        let mut registers = Registers::unknown(Arch::X86_64);
        registers.set(arch.sp, 0x7000);
        registers.set(arch.by_name("r12").unwrap(), -2i64 as u64);
        let memory = CapturedMemory::new((1..=16).collect(), [(Addr(0x7000), 16, 0)]);
        for (name, _, expected) in OPERATIONS {
            let row = row("operation", name).unwrap().unwrap();
            let rule = row.rules.iter().find(|one| one.0 == arch.by_name("rbx").unwrap());
            let Some((_, RegisterRule::IsExpression(is))) = rule else { panic!("{name}: {row:?}") };
            assert_eq!(is.evaluate(Some(0x7010), &registers, &memory).ok(), *expected, "{name}");
        }
    }
}

/// A row without the rule of the return address, which is the same in all.
fn in_words(row: &UnwindRow) -> String {
    let arch = Arch::X86_64.info();
    let mut text = cfa_text(arch, &row.cfa);
    for (id, rule) in row.rules.iter().filter(|one| one.0 != arch.pc) {
        let _ = write!(text, " {}={}", arch.register(*id).name, rule_text(arch, Some(rule)));
    }
    text
}

/// Instructions on AArch64's `RA_SIGN_STATE` (register 34), and whether the return address is signed then.
const SIGN_STATES: &[(&str, &[u8], bool)] = &[
    ("nothing", &[0x00], false),
    ("negated", &[0x2d], true),
    ("negated_twice", &[0x2d, 0x2d], false),
    ("restored", &[0x0a, 0x2d, 0x0b], false),
    ("kept", &[0x2d, 0x0a, 0x2d, 0x0b], true),
    ("with_pc", &[0x2c], true),
    ("with_pc_twice", &[0x2c, 0x0e, 16, 0x2c], false),
    ("with_pc_among_operands", &[0x0e, 0x2c, 0x16, 19, 1, 0x3c, 0x2c, 0x80 | 19, 0x2c], true),
    ("later", &[0x42, 0x2c], false),
    ("set_to_1", &[0x16, 34, 1, 0x31], true),
    ("set_to_0", &[0x16, 34, 1, 0x30], false),
    ("set_to_3", &[0x16, 34, 1, 0x33], true),
    ("set_to_what_memory_says", &[0x16, 34, 3, 0x8f, 0, 0x06], true),
    ("same_value", &[0x08, 34], false),
    ("undefined", &[0x07, 34], false),
];

#[test]
fn rows_of_aarch64_say_whether_the_return_address_is_signed() {
    let compiler = "aarch64-linux-gnu-gcc";
    prospect_testing::require!(prospect_testing::tool(compiler));
    prospect_testing::require!(prospect_testing::tool("aarch64-linux-gnu-nm"));
    let mut source = String::new();
    for (key, directive) in [("a", ""), ("b", ".cfi_b_key_frame\\n")] {
        for (name, bytes, _) in SIGN_STATES {
            let mut function = String::new();
            escape(&mut function, &format!("{key}_{name}"), bytes);
            // Code alignment is 4: so is that of the code.
            let begin = format!(".balign 4\\n{key}_{name}: .cfi_startproc\\n{directive}");
            source += &function.replace(&format!("{key}_{name}: .cfi_startproc\\n"), &begin);
        }
    }
    let directory = TempDir::new();
    for table in ["--eh-frame-hdr", "--no-eh-frame-hdr"] {
        let flags = ["-shared", "-nostdlib", &format!("-Wl,{table}")];
        let path = directory.compile_with(compiler, "program", &source, &flags);
        let binary = Binary::open(&path).unwrap();
        let functions = nm(&path, &[]);
        for key in ["a", "b"] {
            for (name, _, expected) in SIGN_STATES {
                let name = format!("{key}_{name}");
                let start = functions.iter().find(|one| one.2 == name).unwrap().0;
                let row = binary.unwind_row(LinkAddr(start + 4)).unwrap().unwrap();
                assert_eq!(row.signed_return_address, *expected, "{name} {table}");
                assert!(!row.signal_frame, "{name}");
            }
        }
    }
}

/// `DW_CFA_set_loc` has a pointer in the encoding of its entry: here relative to itself, and absolute.
#[test]
fn a_row_may_begin_at_an_encoded_address() {
    let source = r#"
int main(void) { return 0; }
asm(".text\n.type f,@function\nf: .skip 8, 0x90\n.size f, 8\n"
    ".section .eh_frame,\"a\",@progbits\n"
    "c: .long d - e\n e: .long 0\n .byte 1\n .asciz \"zR\"\n .uleb128 1\n .sleb128 -8\n .uleb128 16\n"
    ".uleb128 1\n .byte 0x1b\n .byte 0x0c, 7, 8, 0x90, 1\n .balign 8, 0\n d:\n"
    ".long g - h\n h: .long h - c\n .long f - .\n .long 8\n .uleb128 0\n"
    ".byte 0x01\n .long f + 4 - .\n .byte 0x0e, 32\n .balign 8, 0\n g:\n.text\n");
"#;
    let directory = TempDir::new();
    let path = directory.compile("program", source, &["-O1"]);
    let binary = Binary::open(&path).unwrap();
    let start = nm(&path, &[]).into_iter().find(|one| one.2 == "f").unwrap().0;
    let at = |offset: u64| in_words(&binary.unwind_row(LinkAddr(start + offset)).unwrap().unwrap());
    assert_eq!([at(0), at(3), at(4), at(7)], ["rsp+8", "rsp+8", "rsp+32", "rsp+32"]);
}

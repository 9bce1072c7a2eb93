//! Rows of real files: of every instruction of a program that gcc has described in both tables, and of what clang wrote, by
//! hand.

use std::fmt::Write as _;

use prospect_process::{Arch, LinkAddr, RegisterId};

use super::{CfaRule, RegisterRule, UnwindRow};
use crate::{
    Binary,
    testing::{image, instructions},
    unwind_info::{CallFrameInfo, Layout, Lookup},
};

/// A row in a line: the canonical frame address, and where registers are below it; those that keep their values are left out.
fn text(row: &UnwindRow, arch: Arch) -> String {
    let info = arch.info();
    let name = |id: RegisterId| info.register(id).name;
    let CfaRule::Register(base, offset) = row.cfa else { return "an expression".into() };
    let mut text = format!("{}{offset:+}", name(base));
    let mut saved: Vec<(i64, RegisterId)> = Vec::new();
    for (id, rule) in &row.rules {
        match rule {
            RegisterRule::AtCfa(offset) => saved.push((*offset, *id)),
            RegisterRule::SameValue => {}
            other => panic!("{other:?}"),
        }
    }
    saved.sort_by_key(|(offset, _)| -offset);
    for (offset, id) in saved {
        let _ = write!(text, " {}{offset:+}", name(id));
    }
    text
}

#[test]
fn gcc_says_the_same_in_both_tables() {
    let binary = Binary::open(&image("gcc.x86_64.dll")).unwrap();
    let headers = binary.headers();
    let frames = CallFrameInfo::default();
    let layout = Layout::find(headers);
    let (mut seen, mut same) = (0, 0);
    for at in instructions("gcc.x86_64.txt") {
        let lookup = Lookup { headers, layout: &layout, arch: Arch::X86_64.info(), pc: at };
        let dwarf = frames.row_in_debug_frame(&lookup).unwrap();
        let own = frames.row_in_pdata(&lookup).unwrap().or_else(|| frames.row_of_leaf(&lookup).unwrap());
        let Some(dwarf) = dwarf else { continue };
        let own = own.unwrap();
        let (own_text, dwarf_text) = (text(&own, Arch::X86_64), text(&dwarf, Arch::X86_64));
        let (own_cfa, own_saved) = own_text.split_once(' ').unwrap();
        let (dwarf_cfa, dwarf_saved) = dwarf_text.split_once(' ').unwrap();
        assert_eq!(own_saved, dwarf_saved, "at {at:x}");
        // Where the frame pointer has its value, and is not yet, or no longer, needed, either may be said.
        if own_cfa[..3] == dwarf_cfa[..3] {
            assert_eq!(own_cfa, dwarf_cfa, "at {at:x}");
            same += 1;
        }
        assert!(own.range.contains(&LinkAddr(at)));
        seen += 1;
    }
    assert!(seen > 300 && same * 20 > seen * 19, "{same} of {seen}");
}

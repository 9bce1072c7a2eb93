//! Rows of real files: where they say what call frame information says.

use prospect_process::{Arch, LinkAddr, RegisterId};

use super::*;
use crate::{
    Binary,
    testing::{image, instructions},
    unwind_info::{CallFrameInfo, Layout, Lookup},
};

fn rules(row: &UnwindRow) -> (String, Vec<(RegisterId, i64)>) {
    let mut saved: Vec<_> = row
        .rules
        .iter()
        .map(|(id, rule)| match rule {
            RegisterRule::AtCfa(offset) => (*id, *offset),
            other => panic!("{other:?}"),
        })
        .collect();
    saved.sort();
    (format!("{:?}", row.cfa), saved)
}

#[test]
fn functions_have_the_same_rows_in_both_tables_at_their_calls() {
    let binary = Binary::open(&image("macos.x86_64.dylib")).unwrap();
    let headers = binary.headers();
    let (frames, layout) = (CallFrameInfo::default(), Layout::find(headers));
    let at = |pc: u64| Lookup { headers, layout: &layout, arch: Arch::X86_64.info(), pc };
    // The linker that made it (lld 14) leaves the addresses in `__eh_frame` off, all by as much.
    let start = binary.code_sections().next().unwrap().start.0;
    let off = (0..0x4000).find(|off| frames.row_in_eh_frame(&at(start + off)).unwrap().is_some()).unwrap();
    let mut seen = 0;
    // Addresses behind calls: these are looked up by what is before them.
    for to in instructions("macos.x86_64.txt") {
        let dwarf = frames.row_in_eh_frame(&at(to - 1 + off)).unwrap().unwrap();
        let compact = frames.row_in_compact(&at(to - 1)).unwrap().unwrap();
        assert_eq!(rules(&compact), rules(&dwarf), "at {to:x}");
        assert!(compact.only_at_calls && compact.range.contains(&LinkAddr(to - 1)));
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}

/// Every order of registers, as the comment in Apple's header has it: a number in mixed base.
#[test]
fn every_permutation_is_another_one() {
    for count in 1..=6_u32 {
        let orders: u32 = (7 - count..=6).product();
        let all: std::collections::HashSet<Vec<u32>> = (0..orders)
            .map(|index| x86_64::permutation(count as usize, index).unwrap())
            .inspect(|one| assert_eq!(one.len(), count as usize))
            .collect();
        assert_eq!(all.len(), orders as usize);
        assert_eq!(x86_64::permutation(count as usize, orders), None);
    }
    assert_eq!(x86_64::permutation(3, 0), Some(vec![1, 2, 3]));
    // rbx, r12, r14 is 0 * 20 + 0 * 4 + 1.
    assert_eq!(x86_64::permutation(3, 1), Some(vec![1, 2, 4]));
    assert_eq!(x86_64::permutation(7, 0), None);
}

/// A section that is cut off anywhere is broken, or has no row.
#[test]
fn what_is_cut_off_is_no_panic() {
    for file in ["macos.x86_64.dylib", "macos.arm64.dylib"] {
        let binary = Binary::open(&image(file)).unwrap();
        let (headers, base) = (binary.headers(), binary.image_base().unwrap());
        let section = binary.section(".unwind_info").unwrap().all();
        for end in 0..section.len() {
            for at in (0..0x1000).step_by(0x60) {
                let _ = row(&section[..end], headers, base, LinkAddr(base.0 + at));
            }
        }
    }
}

//! Debug information that is written by hand.

use std::sync::Arc;

use prospect_process::{Addr, Arch, LinkAddr};

use super::*;
use crate::{
    Binaries,
    type_info::{EntryFile, EntryId, MemberPlace, TypeKind, TypeRef},
    variable::scopes,
};

/// The program, and where `callee` begins.
fn program(dir: &TempDir) -> (Arc<ModuleBinary>, u64) {
    let source = dir.write("by_hand.s", include_bytes!("by_hand.s"));
    let path = dir.path("by_hand");
    run("gcc", &["-nostdlib", "-static", text(&source), "-o", text(&path)]);
    let start = nm(&path, &[]).into_iter().find(|(.., name)| name == "callee").unwrap().0;
    (Binaries::new(crate::SearchOptions::default()).open(&path).unwrap(), start)
}

#[test]
fn numbers_may_be_wider_than_a_word() {
    let dir = TempDir::new();
    let (module, _) = program(&dir);
    let (debug, little, big) =
        (module.debug_info().unwrap(), Made::new(Arch::X86_64), Made::new(Arch::S390x));
    let (i128, u128, f128, f64, u64) = (32, 35, 38, 41, 44);
    let number = |bytes: &[u8]| {
        let all = [bytes, &[0x9f]].concat();
        read(debug, &little, &all, 16).map(|bytes| u128::from_le_bytes(bytes.try_into().unwrap()))
    };
    let constant = |ty: u8, value: i128| [&[0xa4, ty, 16][..], &value.to_le_bytes()].concat();
    let both = |one: &[u8], other: &[u8], rest: &[u8]| number(&[one, other, rest].concat());
    let (large, minus) = (constant(i128, 1 << 100), constant(i128, -3));
    assert_eq!(number(&large), Ok(1 << 100), "DW_OP_const_type");
    assert_eq!(both(&large, &minus, &[0x22]), Ok((1 << 100) - 3), "plus");
    assert_eq!(both(&large, &minus, &[0x1e]), Ok((-3_i128 << 100).cast_unsigned()), "mul");
    assert_eq!(both(&minus, &large, &[0x1b]), Ok(0), "div");
    assert_eq!(both(&minus, &[0x39], &[0x24]), Ok((-3_i128 << 9).cast_unsigned()), "shl by an address");
    assert_eq!(both(&minus, &[0x31], &[0x26]), Ok((-2_i128).cast_unsigned()), "shra");
    assert_eq!(both(&minus, &[], &[0x1f, 0x23, 4]), Ok(7), "neg plus_uconst");
    // Compared as numbers with a sign; the answer is an address, made wide again.
    assert_eq!(both(&minus, &large, &[0x2d, 0xa8, u128]), Ok(1), "lt");
    assert_eq!(
        both(&constant(u128, -3), &constant(u128, 1), &[0x2d, 0xa8, u128]),
        Ok(0),
        "lt without a sign"
    );
    // Converted: from a register, to a double and back.
    assert_eq!(number(&[0xa5, 0, u64, 0xa8, u128]), Ok(0x1122_3344_5566_7788), "regval_type convert");
    assert_eq!(number(&[&minus[..], &[0xa8, f64, 0xa8, i128]].concat()), Ok((-3_i128).cast_unsigned()));
    // From memory, and from a vector register as what cannot be computed with.
    let memory = (1..=16).rev().fold(0_u128, |all, byte| all << 8 | byte);
    assert_eq!(number(&[0x77, 0, 0xa6, 16, u128]), Ok(memory), "DW_OP_deref_type");
    assert_eq!(number(&[0xa5, 17, f128, 0xa9, u128]), Ok(2.5_f64.to_bits().into()), "reinterpret");
    // The most significant byte first.
    let deref = [0x77, 0, 0xa6, 16, u128, 0x23, 1, 0x9f];
    let bytes = read(debug, &big, &deref, 16).unwrap();
    assert_eq!((bytes[0], bytes[14], bytes[15]), (1, 15, 17));
    for wrong in [
        // Two types, no integer, another size, no number to compute with.
        [&large[..], &constant(u128, 1), &[0x22]].concat(),
        [&large[..], &[0x06]].concat(),
        [&large[..], &[0xa9, u64]].concat(),
        [&large[..], &constant(i128, 0), &[0x1b]].concat(),
        vec![0xa5, 17, f128, 0x1f],
        vec![0x77, 0, 0xa6, 8, u128],
    ] {
        assert!(matches!(number(&wrong), Err(Unavailable::NotUnderstood(_))), "{wrong:x?}");
    }
}

#[test]
fn values_at_a_call_are_computed_of_what_the_call_says() {
    let dir = TempDir::new();
    let (module, callee) = program(&dir);
    let mut caller = Made::new(Arch::X86_64);
    (caller.at, caller.returns, caller.binary) =
        (callee + 32 + 4, Some(callee + 32 + 5), Some(module.clone()));
    let mut frame = Made::new(Arch::X86_64);
    (frame.at, frame.caller) = (callee + 10, Some(Box::new(caller)));
    let scopes = scopes::at(module.debug_info().unwrap(), LinkAddr(frame.at));
    let value = |name: &str| {
        let variable = scopes[0].variables.iter().find(|one| &*one.name == name).unwrap();
        let found = variable.locate(&frame)?;
        found.location.read(&frame, found.ty.size().unwrap())
    };
    assert_eq!(value("sum"), Ok(vec![13, 0, 0, 0]));
    assert_eq!(value("product"), Ok(vec![30, 0, 0, 0]));
    assert_eq!(value("pointed"), Ok(vec![0x45, 0x23, 0, 0]));
    assert_eq!(value("forgotten"), Err(Unavailable::EntryValueUnknown));
    assert_eq!(value("in_vector"), Ok(2.5_f64.to_le_bytes().to_vec()));
    let wide: u128 = 2 << 64 | 1;
    assert_eq!(value("wide"), Ok(wide.to_le_bytes().to_vec()));
    assert_eq!(value("in_pieces"), Ok(vec![5, 0, 0, 0, 6, 0, 0, 0]));
}

#[test]
fn what_begins_later_is_not_in_scope_before() {
    let dir = TempDir::new();
    let (module, callee) = program(&dir);
    let in_scope = |offset: u64| {
        let scopes = scopes::at(module.debug_info().unwrap(), LinkAddr(callee + offset));
        let is_in = |name: &str| scopes[0].variables.iter().find(|one| &*one.name == name).unwrap().in_scope;
        (is_in("from_8"), is_in("listed"))
    };
    let found: Vec<_> = [0, 4, 6, 8, 19, 20, 23, 24].map(in_scope).into();
    let both = [
        (false, false),
        (false, true),
        (false, false),
        (true, false),
        (true, false),
        (true, true),
        (true, true),
        (true, false),
    ];
    assert_eq!(found, both);
}

#[test]
fn members_are_found_by_any_expression() {
    let dir = TempDir::new();
    let (module, _) = program(&dir);
    let debug = module.debug_info().unwrap();
    let ty = TypeRef::at_entry(debug, EntryId { file: EntryFile::Main, offset: 47 }).get().unwrap();
    let TypeKind::Composite(composite) = &ty.kind else { panic!("{ty:?}") };
    let MemberPlace::Computed(place) = &composite.members[0].place else { panic!("{composite:?}") };
    // Three times the byte that is there: 2.
    let frame = Made::new(Arch::X86_64);
    assert_eq!(place.address(Addr(0x7001), &frame), Ok(Addr(0x7007)));
    assert_eq!(place.address(Addr(0x9000), &frame), Err(Unavailable::CannotRead(Addr(0x9000))));
}

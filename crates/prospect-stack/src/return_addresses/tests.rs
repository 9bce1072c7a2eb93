//! Rules against the rows that they are made from, and walks of anything.

use std::{collections::HashMap, ops::ControlFlow, path::Path};

use prospect_process::{
    Addr, Arch, ArchInfo, CapturedMemory, LinkAddr, Memory, MemoryError, RegisterId, Registers, Unreadable,
};
use prospect_symbols::{Binary, CfaRule, Expression, RegisterRule, UnwindRow};
use prospect_testing::{Random, fixture, require};

use super::{
    ReturnEnd, ReturnRule, RuleSource, RuleTable, StackPosition,
    rule::{Base, Kind, Slot},
    walk,
};
use crate::{CodeAddress, Implausible};

/// Memory that has a number of its own at every address, and none in its first page.
struct Numbers;

impl Memory for Numbers {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        if at.0 < 0x1000 {
            return Err(MemoryError { at, why: Unreadable::Unmapped });
        }
        for (index, byte) in buffer.iter_mut().enumerate() {
            *byte = (at.0.wrapping_add(index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
        }
        Ok(buffer.len())
    }
}

/// One rule for all code, once.
struct Once(Option<ReturnRule>);

impl RuleSource for Once {
    fn rule(&mut self, _: CodeAddress) -> ReturnRule {
        self.0.take().unwrap_or(ReturnRule::NOT_COVERED)
    }
}

/// The caller's pc by a row, computed as the standard says (DWARF 5, section 6.4.3) and not as a rule does; and
/// its sp and its frame pointer, where that can be told.
fn by_the_book(row: &UnwindRow, registers: &Registers) -> Option<(u64, u64, Option<u64>)> {
    let arch = registers.arch();
    let info = arch.info();
    let evaluate = |expression: &Expression, initial| expression.evaluate(initial, registers, &Numbers).ok();
    let cfa = match &row.cfa {
        CfaRule::Register(id, offset) => registers.get(*id)?.wrapping_add_signed(*offset),
        CfaRule::Expression(expression) => evaluate(expression, None)?,
        CfaRule::ReturnAddress(..) => return None,
    } & info.word_mask();
    let value = |id: RegisterId, unchanged: Option<u64>| {
        let word = |at: u64| Numbers.read_word(arch, Addr(at & info.word_mask())).ok();
        match row.rules.iter().find(|(other, _)| *other == id).map(|(_, rule)| rule) {
            None | Some(RegisterRule::SameValue) => unchanged,
            Some(RegisterRule::AtCfa(offset)) => word(cfa.wrapping_add_signed(*offset)),
            Some(RegisterRule::CfaPlus(offset)) => Some(cfa.wrapping_add_signed(*offset)),
            Some(RegisterRule::Register(other)) => registers.get(*other),
            Some(RegisterRule::AtExpression(at)) => word(evaluate(at, Some(cfa))?),
            Some(RegisterRule::IsExpression(is)) => evaluate(is, Some(cfa)),
            Some(_) => None,
        }
    };
    let to = value(row.return_address, registers.get(row.return_address))?;
    let to = if row.return_address == info.pc { to } else { info.code_address(to) };
    let sp = value(info.sp, Some(cfa.wrapping_sub(info.cfa_above_sp.into())))?;
    Some((to, sp, value(info.fp, registers.get(info.fp))))
}

/// Walks one step by a rule, from these registers.
fn by_rule(rule: ReturnRule, registers: &Registers) -> (Option<u64>, ReturnEnd) {
    let from = StackPosition::of(registers).unwrap();
    let mut into = [CodeAddress::Exact(Addr(0)); 2];
    let walked = walk(&from, Once(Some(rule)), &Numbers, &mut [], &mut into);
    ((walked.count > 1).then(|| into[1].addr().0), walked.end)
}

/// Registers of a frame somewhere.
fn some_registers(arch: Arch, pc: u64, random: &mut Random) -> Registers {
    let info = arch.info();
    let mut registers = Registers::unknown(arch);
    for index in 0..info.registers.len() {
        registers.set(RegisterId(index as u8), 0x1000_0000 + (random.number() & 0xff_fff8));
    }
    registers.set(info.pc, pc);
    registers
}

/// How many rows were looked at, and how many of them need other registers.
#[derive(Default, Debug)]
struct Counts {
    rows: usize,
    inexpressible: usize,
}

/// Holds each row of a binary against its rule.
fn check_rows(binary: &Binary, arch: Arch, random: &mut Random) -> Counts {
    let info = arch.info();
    let mut counts = Counts::default();
    binary.every_unwind_row(|range, row| {
        let row = row.unwrap();
        counts.rows += 1;
        let rule = ReturnRule::from_row(row, arch);
        let at = range.start.0 + random.number() % (range.end.0 - range.start.0);
        if counts.rows % 61 == 0 {
            let found = binary.unwind_row(LinkAddr(at)).unwrap().expect("every row can be looked up");
            assert_eq!(ReturnRule::from_row(&found, arch), rule, "{at:#x} {row:?} {found:?}");
        }
        let registers = some_registers(arch, at, random);
        let is_outermost = matches!(return_rule(row), Some(RegisterRule::Undefined));
        match rule.kind {
            Kind::Outermost => assert!(is_outermost, "{row:?}"),
            Kind::Inexpressible => {
                assert!(!is_simple(row, info), "{row:?}");
                counts.inexpressible += 1;
            }
            Kind::Call | Kind::Signal => {
                assert!(!is_outermost);
                check_step(row, rule, &registers);
            }
            _ => panic!("{rule:?} of {row:?}"),
        }
        ControlFlow::Continue(())
    });
    counts
}

/// Holds one step by a rule against one by its row.
fn check_step(row: &UnwindRow, rule: ReturnRule, registers: &Registers) {
    let (to, sp, fp) = by_the_book(row, registers).expect("a rule says no more than its row");
    let old_sp = registers.sp().unwrap().0;
    match by_rule(rule, registers) {
        (Some(found), ReturnEnd::Limit | ReturnEnd::NotCovered(_)) => {
            assert_eq!(found, to, "{row:?} {rule:?}")
        }
        (None, ReturnEnd::Implausible(Implausible::NotAbove { caller, .. })) => {
            assert!(caller == Addr(sp) && sp <= old_sp, "{row:?} {rule:?} {sp:#x}");
        }
        // Some word is 0.
        (None, ReturnEnd::Outermost) => assert_eq!(to, 0),
        other => panic!("{other:?} of {row:?} {rule:?}"),
    }
    // A second step, that returns what the frame pointer has, shows it.
    let info = registers.arch().info();
    if rule.fp == Slot::Lost || (sp <= old_sp && rule.kind == Kind::Call) || to == 0 {
        return;
    }
    let frame_pointer = ReturnRule {
        base: Base::Fp,
        cfa_offset: 0,
        pc: Slot::Cfa,
        pc_offset: 0,
        fp: Slot::Kept,
        kind: Kind::Signal,
        ..ReturnRule::NOT_COVERED
    };
    let mut into = [CodeAddress::Exact(Addr(0)); 3];
    let mut steps = vec![frame_pointer, rule];
    let rules = Steps(&mut steps);
    let walked = walk(&StackPosition::of(registers).unwrap(), rules, &Numbers, &mut [], &mut into);
    let wanted = fp.and_then(|fp| Numbers.read_word(registers.arch(), Addr(fp)).ok());
    let found = (walked.count == 3).then(|| into[2].addr().0);
    assert_eq!(found, wanted.map(|word| info.code_address(word)), "{row:?} {rule:?} {walked:?}");
}

/// Rules one after the other, the last one first.
struct Steps<'a>(&'a mut Vec<ReturnRule>);

impl RuleSource for Steps<'_> {
    fn rule(&mut self, _: CodeAddress) -> ReturnRule {
        self.0.pop().unwrap_or(ReturnRule::NOT_COVERED)
    }
}

fn return_rule(row: &UnwindRow) -> Option<&RegisterRule> {
    row.rules.iter().find(|(id, _)| *id == row.return_address).map(|(_, rule)| rule)
}

/// Whether nothing but sp and the frame pointer is needed, as nearly all rows are.
fn is_simple(row: &UnwindRow, info: &ArchInfo) -> bool {
    matches!(row.cfa, CfaRule::Register(id, _) if id == info.sp || id == info.fp)
        && matches!(return_rule(row), Some(RegisterRule::AtCfa(_)))
        && !row.rules.iter().any(|(id, _)| *id == info.sp)
}

/// Binaries of this machine: the C library, this program, and programs of both x86 architectures.
fn binaries() -> Vec<(Binary, Arch)> {
    let mut paths: Vec<std::path::PathBuf> = vec![std::env::current_exe().unwrap()];
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let libraries = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    paths.extend(libraries.filter(|path| path.contains(".so")).map(Into::into));
    for name in ["deep-32-static", "deep-debug-frame", "deep-no-header", "realign", "sigalt-32"] {
        paths.extend(fixture(name).ok().map(|fixture| fixture.path()));
    }
    paths.sort();
    paths.dedup();
    let open = |path: &Path| {
        let binary = Binary::open(path).unwrap();
        let arch = binary.arch().unwrap();
        (binary, arch)
    };
    paths.iter().map(|path| open(path)).collect()
}

#[test]
fn every_rule_leads_where_its_row_does() {
    let mut random = Random::new(1);
    let mut total = Counts::default();
    for (binary, arch) in binaries() {
        let counts = check_rows(&binary, arch, &mut random);
        assert!(counts.rows > 5, "{} has {} rows", binary.path().display(), counts.rows);
        total.rows += counts.rows;
        total.inexpressible += counts.inexpressible;
    }
    println!("{total:?}");
    assert!(total.rows > 20_000 && total.inexpressible * 100 < total.rows, "{total:?}");
}

#[test]
fn a_table_says_the_same_as_a_lookup() {
    let mut random = Random::new(2);
    for (binary, arch) in binaries() {
        let table = RuleTable::of(&binary);
        let (mut low, mut high) = (u64::MAX, 0);
        let mut addresses = Vec::new();
        binary.every_unwind_row(|range, _| {
            (low, high) = (low.min(range.start.0), high.max(range.end.0));
            if random.below(20) == 0 {
                addresses.extend([
                    range.start.0.wrapping_sub(1),
                    range.start.0,
                    range.end.0 - 1,
                    range.end.0,
                ]);
            }
            ControlFlow::Continue(())
        });
        addresses.extend((0..500).map(|_| low + random.number() % (high - low)));
        addresses.extend([0, u64::MAX, low - 1, low, high - 1, high, high + 0x1_0000_0000]);
        for at in addresses.iter().map(|at| LinkAddr(*at)) {
            let looked_up = match binary.unwind_row(at) {
                Ok(Some(row)) => ReturnRule::from_row(&row, arch),
                Ok(None) => ReturnRule::NOT_COVERED,
                Err(_) => ReturnRule::BROKEN,
            };
            assert_eq!(table.rule(at), looked_up, "{at:?} of {}", binary.path().display());
        }
        // 6 bytes a row, less than one for the index, and the different rules.
        assert!(table.bytes() <= table.rows() * 8 + 64 * 1024, "{} for {}", table.bytes(), table.rows());
    }
    assert_eq!(RuleTable::default().rule(LinkAddr(0)), ReturnRule::NOT_COVERED);
}

/// Anything.
fn random_rule(random: &mut Random) -> ReturnRule {
    let small = |random: &mut Random| (random.number() as i16) >> (random.below(12));
    let slots = [Slot::Cfa, Slot::Cfa, Slot::Sp, Slot::Fp, Slot::Kept, Slot::Lost];
    let bases =
        [Base::Sp, Base::Sp, Base::Fp, Base::SavedAtSp, Base::SavedAtFp, Base::LinkageTable, Base::None];
    let kinds = [
        Kind::Call,
        Kind::Call,
        Kind::Call,
        Kind::Signal,
        Kind::Guess,
        Kind::Outermost,
        Kind::NotCovered,
        Kind::NotExecutable,
        Kind::Broken,
        Kind::Inexpressible,
    ];
    ReturnRule {
        cfa_offset: random.number() as i32 >> random.below(30),
        cfa_plus: small(random),
        pc_offset: small(random),
        fp_offset: small(random),
        link_offset: small(random),
        base: bases[random.below(bases.len())],
        pc: slots[random.below(slots.len())],
        fp: slots[random.below(slots.len())],
        kind: kinds[random.below(kinds.len())],
    }
}

/// Makes a rule for each address, and keeps to it.
struct Anything<'a>(HashMap<CodeAddress, ReturnRule>, &'a mut Random);

impl RuleSource for Anything<'_> {
    fn rule(&mut self, code: CodeAddress) -> ReturnRule {
        *self.0.entry(code).or_insert_with(|| random_rule(self.1))
    }
}

#[test]
fn whatever_the_rules_and_the_memory_say_a_walk_ends() {
    const STACK: u64 = 0x7000;
    let mut random = Random::new(3);
    let mut longest = 0;
    for round in 0..40_000 {
        let arch = Arch::ALL[round % Arch::ALL.len()];
        // Words that are addresses of the stack and of little code, so that walks go far.
        let words = (0..512).flat_map(|_| {
            let word = match random.below(4) {
                0 => random.number(),
                1 => 0x1000 + random.number() % 4,
                _ => (STACK + random.number() % 4096) & !7,
            };
            if arch.info().big_endian { word.to_be_bytes() } else { word.to_le_bytes() }
        });
        let bytes: Vec<u8> = words.collect();
        let captured = CapturedMemory::new(bytes, [(Addr(STACK), 4096, 0)]);
        let from = StackPosition {
            arch,
            pc: Addr(random.number()),
            sp: Addr(if random.below(8) == 0 { random.number() } else { STACK + random.number() % 512 }),
            fp: (random.below(4) > 0).then(|| Addr(STACK + random.number() % 4096)),
            link: (random.below(4) > 0).then(|| random.number()),
        };
        let mut into = vec![CodeAddress::Exact(Addr(0)); random.below(100)];
        let mut rules = Anything(HashMap::new(), &mut random);
        let walked = walk(&from, &mut rules, &captured, &mut [], &mut into);
        assert!(walked.count <= into.len() && walked.trusted <= walked.count);
        assert!(walked.end != ReturnEnd::Limit || walked.count == into.len());
        longest = longest.max(walked.count);
        // The same without memory at hand, by blocks and by words.
        for room in [0, 64, 512, 8192] {
            let mut again = vec![CodeAddress::Exact(Addr(0)); into.len()];
            let other = walk(&from, &mut rules, &NotAtHand(&captured), &mut vec![0; room], &mut again);
            assert_eq!((other, &again), (walked.clone(), &into));
        }
    }
    assert!(longest >= 20, "no walk went further than {longest} frames");
}

struct NotAtHand<'a>(&'a CapturedMemory);

impl Memory for NotAtHand<'_> {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        self.0.read_up_to(at, buffer)
    }
}

/// A stack that leads back to where it was, through a signal frame, does not go on for ever.
#[test]
fn a_circle_through_signal_frames_ends() {
    let signal = ReturnRule {
        base: Base::Sp,
        cfa_offset: -16,
        pc: Slot::Sp,
        kind: Kind::Signal,
        ..ReturnRule::NOT_COVERED
    };
    struct Always(ReturnRule);
    impl RuleSource for Always {
        fn rule(&mut self, _: CodeAddress) -> ReturnRule {
            self.0
        }
    }
    let from = StackPosition { arch: Arch::X86_64, pc: Addr(1), sp: Addr(0x7000_0000), fp: None, link: None };
    let mut into = vec![CodeAddress::Exact(Addr(0)); 10_000];
    let walked = walk(&from, Always(signal), &Numbers, &mut [], &mut into);
    assert!(matches!(walked.end, ReturnEnd::Implausible(Implausible::Circle { .. })), "{walked:?}");
    assert!(walked.count < 50);
}

#[test]
fn a_rule_is_of_16_bytes() {
    assert_eq!(size_of::<ReturnRule>(), 16);
    let deep = require!(fixture("deep"));
    let binary = Binary::open(&deep.path()).unwrap();
    assert!(RuleTable::of(&binary).rows() > 10);
}

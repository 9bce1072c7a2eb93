use prospect_process::{Addr, MemoryError, Unreadable};

use super::*;
use crate::{
    Caller, Implausible, Location, Step, Trust,
    testing::{ALTERNATE, BYTES, STACK, Scene, Scripted, TEXT, get, no_binaries, pcs, registers},
};

const ARCH: Arch = Arch::X86_64;

fn at(pc: u64, sp: u64) -> Registers {
    registers(ARCH, &[("rip", pc), ("rsp", sp)])
}

fn called_from(pc: u64, sp: u64, trust: Trust) -> Result<Step, StepError> {
    let registers = at(pc, sp).into();
    Ok(Step::Caller(Caller { registers, cfa: Some(Addr(sp)), trust, entered: Entered::ByCall }))
}

fn interrupted(pc: u64, sp: u64) -> Result<Step, StepError> {
    let (registers, trust) = (at(pc, sp).into(), Trust::SignalFrame);
    Ok(Step::Caller(Caller { registers, cfa: None, trust, entered: Entered::BySignal }))
}

type Row = (u64, fn() -> Result<Step, StepError>);

/// Answers by the frame's pc, as an offset into the code.
fn table(name: &'static str, rows: &'static [Row]) -> impl crate::FrameStepper + 'static {
    Scripted(name, |frame: &Frame, _: &StepContext<'_>| {
        let row = rows.iter().find(|(pc, _)| TEXT + pc == frame.code.addr().0);
        row.map_or(Ok(Step::NotMine("not in the table")), |(_, answer)| answer())
    })
}

fn walk(steppers: StepperGroup) -> Stack {
    Scene::new(ARCH).walk(steppers, &at(TEXT, STACK))
}

#[test]
fn a_frame_has_the_cfa_that_was_found_by_stepping_from_it() {
    let stack = walk(StepperGroup::new().then(table(
        "one",
        &[
            (0, || called_from(TEXT + 0x10, STACK + 16, Trust::CallFrameInfo)),
            (0x10, || interrupted(TEXT + 0x20, STACK + 32)),
            (0x20, || Ok(Step::Outermost)),
        ],
    )));
    assert_eq!(stack.end, StackEnd::Outermost);
    let summary: Vec<_> = stack.frames.iter().map(|f| (f.code, f.cfa, f.found_by, f.trust)).collect();
    assert_eq!(
        summary,
        [
            (CodeAddress::Exact(Addr(TEXT)), Some(Addr(STACK + 16)), "registers", Trust::Given),
            // Nobody called it: it was entered by a signal's return.
            (CodeAddress::Exact(Addr(TEXT + 0x10)), None, "one", Trust::CallFrameInfo),
            (CodeAddress::Exact(Addr(TEXT + 0x20)), None, "one", Trust::SignalFrame),
        ]
    );
}

#[test]
fn steppers_are_asked_in_order_and_in_their_range() {
    let group = StepperGroup::new()
        .then_within(
            Addr(TEXT + 0x10)..Addr(TEXT + 0x20),
            Scripted("narrow", |_: &Frame, _: &StepContext<'_>| {
                called_from(TEXT + 0x20, STACK + 16, Trust::Scanned)
            }),
        )
        .then(table("first", &[(0, || called_from(TEXT + 0x11, STACK + 8, Trust::Scanned))]))
        .then(table("second", &[(0, || called_from(TEXT + 0x99, STACK + 8, Trust::Scanned))]));
    let stack = walk(group);
    // 0x11 and 0x20 are return addresses and are looked up one byte before.
    assert_eq!(pcs(&stack), [TEXT, TEXT + 0x11, TEXT + 0x20]);
    let found_by: Vec<_> = stack.frames.iter().map(|frame| frame.found_by).collect();
    assert_eq!(found_by, ["registers", "first", "narrow"]);
    // At 0x20 - 1 the narrow one is asked again, and its answer is the frame itself.
    let StackEnd::NoStepper(declined) = &stack.end else { panic!("{:?}", stack.end) };
    assert_eq!(declined.iter().map(|one| one.stepper).collect::<Vec<_>>(), ["narrow", "first", "second"]);
}

#[test]
fn an_implausible_caller_leads_to_the_next_stepper_and_its_reason_is_kept() {
    let wild = table("wild", &[(0, || called_from(STACK, STACK + 8, Trust::FramePointer))]);
    let low = table("low", &[(0, || called_from(TEXT + 1, STACK - 8, Trust::FramePointer))]);
    let good = table("good", &[(0, || called_from(TEXT + 2, STACK + 8, Trust::Scanned))]);
    let stack = walk(StepperGroup::new().then(wild).then(low).then(good));
    assert_eq!(stack.frames[1].found_by, "good");

    let wild = table("wild", &[(0, || called_from(STACK, STACK + 8, Trust::FramePointer))]);
    let low = table("low", &[(0, || called_from(TEXT + 1, STACK - 8, Trust::FramePointer))]);
    let stack = walk(StepperGroup::new().then(wild).then(low));
    assert_eq!(stack.frames.len(), 1);
    assert_eq!(stack.end.as_str(), "no-stepper");
    assert_eq!(
        stack.end.to_string(),
        "no way to the caller is known: wild: the return address 0x70000000 is not in executable memory; \
         low: the caller's stack pointer 0x6ffffff8 is not above 0x70000000, its callee's"
    );
}

#[test]
fn a_failure_of_one_that_knew_is_an_error_and_not_a_lack() {
    let memory_error = MemoryError { at: Addr(8), why: Unreadable::NotCaptured };
    let guess = table("guess", &[(0, || called_from(STACK, STACK + 8, Trust::FramePointer))]);
    let broken = Scripted("cfi", move |_: &Frame, _: &StepContext<'_>| Err(memory_error.into()));
    let stack = walk(StepperGroup::new().then(guess).then(broken));
    let StackEnd::Error { stepper, error, others } = &stack.end else { panic!("{:?}", stack.end) };
    assert_eq!((*stepper, error), ("cfi", &StepError::Memory(memory_error)));
    assert_eq!(others.len(), 1);
    assert!(stack.end.to_string().starts_with("cfi: cannot read memory at 0x8: not captured; guess: the"));

    let sure = table("cfi", &[(0, || called_from(STACK, STACK + 8, Trust::CallFrameInfo))]);
    let stack = walk(StepperGroup::new().then(sure));
    let StackEnd::Error { error, .. } = &stack.end else { panic!("{:?}", stack.end) };
    assert_eq!(*error, StepError::Implausible(Implausible::NotExecutable(Addr(STACK))));
}

#[test]
fn equal_stack_pointers_are_for_the_innermost_frame_and_certain_steppers() {
    let same = |trust| {
        walk(StepperGroup::new().then(Scripted("same", move |frame: &Frame, _: &StepContext<'_>| {
            called_from(frame.code.addr().0 + 1, STACK, trust)
        })))
    };
    assert_eq!(pcs(&same(Trust::CallFrameInfo)), [TEXT, TEXT + 1]);
    assert_eq!(pcs(&same(Trust::FramePointer)), [TEXT]);
}

#[test]
fn a_return_address_of_0_is_the_outermost_end() {
    let stack =
        walk(StepperGroup::new().then(table("one", &[(0, || called_from(0, STACK + 8, Trust::Given))])));
    assert_eq!((stack.frames.len(), stack.end), (1, StackEnd::Outermost));
    // But a signal may have interrupted a thread that had just called 0.
    let stack = walk(StepperGroup::new().then(table("one", &[(0, || interrupted(0, STACK + 8))])));
    assert_eq!(stack.frames[1].code, CodeAddress::Exact(Addr(0)));
}

#[test]
fn a_signal_may_have_interrupted_another_stack_but_nothing_comes_twice() {
    // A handler on the upper stack, the interrupted code on the lower one.
    let stack = walk(StepperGroup::new().then(table(
        "one",
        &[
            (0, || called_from(TEXT + 0x10, STACK + 16, Trust::CallFrameInfo)),
            (0x10, || interrupted(TEXT + 0x20, ALTERNATE)),
            (0x20, || called_from(TEXT + 0x30, ALTERNATE + 16, Trust::CallFrameInfo)),
            (0x30, || interrupted(TEXT + 0x10, STACK + 16)),
        ],
    )));
    assert_eq!(pcs(&stack), [TEXT, TEXT + 0x10, TEXT + 0x20, TEXT + 0x30]);
    let StackEnd::Error { error, .. } = &stack.end else { panic!("{:?}", stack.end) };
    let circle = Implausible::Circle { pc: Addr(TEXT + 0x10), sp: Addr(STACK + 16) };
    assert_eq!(*error, StepError::Implausible(circle));

    let at_once = walk(StepperGroup::new().then(table("one", &[(0, || interrupted(TEXT, STACK))])));
    assert_eq!(at_once.frames.len(), 1);
}

#[test]
fn the_frame_limit_is_kept_and_told_from_the_end() {
    let endless = || {
        Scripted("endless", |frame: &Frame, _: &StepContext<'_>| {
            let sp = get(&frame.registers, "rsp").unwrap();
            called_from(TEXT + 1, sp + 8, Trust::Given)
        })
    };
    let scene = Scene::new(ARCH);
    for limit in [0, 1, 7] {
        let mut walker = Walker::with_steppers(StepperGroup::new().then(endless())).frame_limit(limit);
        let stack = scene.with_context(|context| walker.walk(&at(TEXT, STACK), context));
        assert_eq!((stack.frames.len(), stack.end), (limit.max(1), StackEnd::FrameLimit));
    }
    let one = StepperGroup::new().then(Scripted("end", |_: &Frame, _: &StepContext<'_>| Ok(Step::Outermost)));
    let mut walker = Walker::with_steppers(one).frame_limit(1);
    let stack = scene.with_context(|context| walker.walk(&at(TEXT, STACK), context));
    assert_eq!((stack.frames.len(), stack.end), (1, StackEnd::Outermost));
}

#[test]
fn a_walk_without_a_start_says_why() {
    let scene = Scene::new(ARCH);
    let walk = |registers| scene.walk(StepperGroup::standard(ARCH), &registers);
    let none = walk(Registers::unknown(ARCH));
    assert_eq!(
        (none.frames.len(), none.end.to_string().as_str()),
        (0, "registers: needs register rip, which is not known")
    );
    let other = walk(registers(Arch::I386, &[("eip", TEXT)]));
    assert_eq!((other.frames.len(), other.end.as_str()), (0, "error"));
    // Without sp there is a frame, and no way on.
    let no_sp = walk(registers(ARCH, &[("rip", TEXT)]));
    assert_eq!((no_sp.frames.len(), no_sp.end.as_str()), (1, "error"));
    assert!(no_sp.end.to_string().contains("rsp"), "{}", no_sp.end);
}

#[test]
fn a_walker_forgets_one_process_at_the_next() {
    // The same addresses, first with a call before the return address, then without.
    let mut with_call = Scene::new(ARCH);
    with_call.call_before(TEXT + 0x100).word(STACK + 0x10, 0).word(STACK + 0x18, TEXT + 0x100);
    let mut without = Scene::new(ARCH);
    without.word(STACK + 0x10, 0).word(STACK + 0x18, TEXT + 0x100);
    let start = registers(ARCH, &[("rip", TEXT), ("rsp", STACK), ("rbp", STACK + 0x10)]);
    let mut walker = Walker::new(ARCH);
    let (one, other) = (no_binaries(), [no_binaries(), no_binaries()]);
    let stack = walker.walk(&start, &StepContext::new(&with_call.process(), &one));
    assert_eq!(stack.frames.len(), 2);
    let stack = walker.walk(&start, &StepContext::new(&without.process(), &other[1]));
    assert_eq!(stack.frames.len(), 1, "{stack:?}");
}

/// A generator of numbers that look random (Marsaglia's xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Mostly an address of the scene and often one a little above `near`, sometimes anything.
    fn address(&mut self, near: u64) -> u64 {
        let value = self.next();
        match value >> 61 {
            0 => value,
            1 => (value & 0xf).wrapping_sub(8),
            2 | 3 => TEXT + ((value % BYTES) & !3),
            4 => [ALTERNATE, STACK][value as usize & 1] + ((value % BYTES) & !7),
            _ => near.wrapping_add(value % 0x80) & !7,
        }
    }
}

#[test]
fn random_memory_neither_panics_nor_goes_round_in_circles() {
    const LIMIT: usize = 500;
    let code: [&[u8]; 8] = [
        &[0xe8, 0, 0, 0, 0],
        &[0xff, 0xd0],
        &[0x55, 0x48, 0x89, 0xe5],
        &[0xc3],
        &[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05],
        &[0xb8, 0xad, 0, 0, 0, 0xcd, 0x80],
        &[0x58, 0xb8, 0x77, 0, 0, 0, 0xcd, 0x80],
        &[0xf3, 0x0f, 0x1e, 0xfa],
    ];
    let (mut deepest, mut signals) = (0, 0);
    for seed in 1..=400 {
        let mut random = Random(seed * 0x9e37_79b9);
        let arch = Arch::ALL[seed as usize % Arch::ALL.len()];
        let info = arch.info();
        let mut scene = Scene::new(arch);
        for at in (TEXT..TEXT + BYTES - 16).step_by(4) {
            scene.bytes(at, code[random.next() as usize % code.len()]);
        }
        for start in [ALTERNATE, STACK] {
            for at in (start..start + BYTES).step_by(info.word_bytes.into()) {
                let value = random.address(at);
                scene.word(at, value);
            }
        }
        let mut start = Registers::unknown(arch);
        for index in 0..info.registers.len() as u8 {
            if random.next() & 7 > 0 {
                start.set(prospect_process::RegisterId(index), random.address(STACK));
            }
        }
        let anything = Scripted("anything", |frame: &Frame, _: &StepContext<'_>| {
            let sp = frame.registers.sp().unwrap_or_default().0;
            let mut random = Random((frame.code.addr().0 ^ sp) << 20 | 1);
            let mut registers = frame.registers.clone();
            let mostly = sp.wrapping_add(8 + ((random.next() % 0x60) & !7));
            registers.set(info.sp, if random.next() & 7 > 0 { mostly } else { random.address(sp) });
            registers.set(info.fp, random.address(sp.wrapping_add(8)));
            registers.set(info.pc, TEXT + random.next() % BYTES);
            let entered = if random.next() & 7 == 0 { Entered::BySignal } else { Entered::ByCall };
            Ok(Step::Caller(Caller { registers, cfa: None, trust: Trust::CallFrameInfo, entered }))
        });
        let mut walker =
            Walker::with_steppers(StepperGroup::standard(arch).then(anything)).frame_limit(LIMIT);
        let stack = scene.with_context(|context| walker.walk(&start, context));
        assert!(stack.frames.len() <= LIMIT);
        let mut seen = std::collections::HashSet::new();
        for (index, frame) in stack.frames.iter().enumerate() {
            assert!(seen.insert((frame.registers.pc(), frame.registers.sp())), "seed {seed} frame {index}");
        }
        for pair in stack.frames.windows(2) {
            let up = pair[1].registers.sp() > pair[0].registers.sp();
            let by_signal = matches!(pair[1].code, CodeAddress::Exact(_));
            let leaf = matches!(pair[0].code, CodeAddress::Exact(_));
            assert!(up || by_signal || leaf, "seed {seed}: {pair:?}");
            signals += usize::from(by_signal);
        }
        deepest = deepest.max(stack.frames.len());
        let _ = stack.end.to_string();
    }
    // Otherwise it would prove nothing.
    assert!(deepest > 20 && signals > 100, "{deepest} frames, {signals} signals");
}

/// A call chain of three functions with frame pointers, from `STACK` upwards.
fn chain() -> (Scene, Registers) {
    let mut scene = Scene::new(ARCH);
    for (index, at) in [0x20, 0x60, 0xa0].into_iter().enumerate() {
        let to = TEXT + 0x100 * (index as u64 + 1);
        let outer = if at == 0xa0 { 0 } else { STACK + at + 0x40 };
        scene.call_before(to).word(STACK + at, outer).word(STACK + at + 8, to);
    }
    let start = registers(ARCH, &[("rip", TEXT), ("rsp", STACK), ("rbp", STACK + 0x20), ("rbx", 7)]);
    (scene, start)
}

fn by_frame_pointers() -> Walker {
    Walker::with_steppers(StepperGroup::new().then(crate::steppers::FramePointerStepper::default()))
}

#[test]
fn a_debugger_can_write_through_a_location() {
    let (mut scene, start) = chain();
    let mut walker = by_frame_pointers();
    let stack = scene.with_context(|context| walker.walk(&start, context));
    assert_eq!(pcs(&stack), [TEXT, TEXT + 0x100, TEXT + 0x200, TEXT + 0x300]);
    let info = ARCH.info();
    let [first, second, ..] = stack.frames.as_slice() else { panic!("{stack:?}") };
    assert_eq!(first.pc_location(), Some(Location::Register(info.pc)));
    assert_eq!(first.registers.location(info.fp), Some(Location::Register(info.fp)));
    assert_eq!(second.registers.location(info.sp), Some(Location::Computed));
    assert_eq!(second.registers.location(info.fp), Some(Location::Address(Addr(STACK + 0x20))));
    // The first function shall return to somewhere else.
    let Some(Location::Address(at)) = second.pc_location() else { panic!("{second:?}") };
    scene.call_before(TEXT + 0x800).word(at.0, TEXT + 0x800);
    let stack = scene.with_context(|context| walker.walk(&start, context));
    assert_eq!(pcs(&stack), [TEXT, TEXT + 0x800, TEXT + 0x200, TEXT + 0x300]);
    // And the second one's caller is to be left out.
    let Some(Location::Address(at)) = second.registers.location(info.fp) else { panic!("{second:?}") };
    scene.word(at.0, STACK + 0xa0);
    let stack = scene.with_context(|context| walker.walk(&start, context));
    assert_eq!(pcs(&stack), [TEXT, TEXT + 0x800, TEXT + 0x300]);
}

#[test]
fn a_walk_can_be_made_step_by_step_and_from_any_frame() {
    let (scene, start) = chain();
    scene.with_context(|context| {
        let mut walker = by_frame_pointers();
        let whole = walker.walk(&start, context);
        assert_eq!((whole.frames.len(), &whole.end), (4, &StackEnd::Outermost));
        assert_eq!((whole.innermost(), whole.outermost()), (whole.frames.first(), whole.frames.last()));

        let mut frames = vec![Walker::first_frame(&start).unwrap()];
        let end = loop {
            match walker.step(frames.last_mut().unwrap(), context) {
                Ok(caller) => frames.push(caller),
                Err(end) => break end,
            }
        };
        assert_eq!((&frames, end), (&whole.frames, StackEnd::Outermost));

        for (index, frame) in whole.frames.iter().enumerate() {
            let rest = walker.walk_from(frame.clone(), context);
            assert_eq!((rest.frames.as_slice(), &rest.end), (&whole.frames[index..], &whole.end));
        }

        let parts = |code| Frame::from_parts(ARCH, code, Addr(STACK), Some(Addr(STACK + 0x20)));
        let by_hand = parts(CodeAddress::Exact(Addr(TEXT)));
        assert_eq!((by_hand.found_by, by_hand.trust), ("hand", Trust::Given));
        assert_eq!(by_hand, parts(CodeAddress::Exact(Addr(TEXT))));
        assert_ne!(by_hand, parts(CodeAddress::ReturnAddress(Addr(TEXT))));
        let stack = walker.walk_from(by_hand.clone(), context);
        assert_eq!(pcs(&stack), pcs(&whole));
        let mut elsewhere = by_hand;
        elsewhere.set_code(CodeAddress::ReturnAddress(Addr(TEXT + 0x40)));
        elsewhere.registers.set(ARCH.info().fp, STACK + 0x60);
        let stack = walker.walk_from(elsewhere, context);
        assert_eq!(pcs(&stack), [TEXT + 0x40, TEXT + 0x200, TEXT + 0x300]);

        let limited = by_frame_pointers().frame_limit(2).walk(&start, context);
        assert_eq!((limited.frames.len(), limited.outermost()), (2, None));
        let other = Frame::from_parts(Arch::I386, CodeAddress::Exact(Addr(TEXT)), Addr(STACK), None);
        assert_eq!(walker.walk_from(other.clone(), context).end.as_str(), "error");
        assert_eq!(walker.step(&mut other.clone(), context).unwrap_err().as_str(), "error");
    });
}

#[test]
fn an_explanation_says_who_declined_and_why() {
    let group = || {
        StepperGroup::new()
            .then(table("one", &[(0x10, || called_from(STACK, STACK + 32, Trust::Scanned))]))
            .then(table(
                "two",
                &[
                    (0, || called_from(TEXT + 0x10, STACK + 16, Trust::CallFrameInfo)),
                    (0x20, || Ok(Step::Outermost)),
                ],
            ))
            .then(table("three", &[(0x10, || called_from(TEXT + 0x20, STACK + 32, Trust::Scanned))]))
    };
    let scene = Scene::new(ARCH);
    let walk = |walker: Walker| scene.with_context(|context| { walker }.walk(&at(TEXT, STACK), context));
    let stack = walk(Walker::with_steppers(group()).explain(true));
    let said: Vec<String> = stack.explanations.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "by registers",
            "by two; one: not in the table",
            "by three; one: the return address 0x70000000 is not in executable memory; two: not in the table",
            // There is no caller.
            "by two; one: not in the table",
        ]
    );
    assert!(stack.frames.iter().zip(&stack.explanations).all(|(frame, why)| frame.found_by == why.stepper));
    assert!(walk(Walker::with_steppers(group())).explanations.is_empty());

    // At an end with reasons of its own there is none more than frames.
    let none = walk(Walker::with_steppers(StepperGroup::new()).explain(true));
    assert_eq!((none.explanations.len(), none.end.as_str()), (1, "no-stepper"));
    // A single step keeps the same.
    scene.with_context(|context| {
        let mut walker = Walker::with_steppers(group());
        let mut frame = Walker::first_frame(&at(TEXT, STACK)).unwrap();
        let mut caller = walker.step(&mut frame, context).unwrap();
        assert_eq!(walker.declined(), stack.explanations[1].declined);
        walker.step(&mut caller, context).unwrap();
        assert_eq!(walker.declined(), stack.explanations[2].declined);
    });
}

#[test]
fn steppers_are_listed_and_can_be_added_to_a_walker() {
    let stepper = |name| table(name, &[]);
    let range = Addr(TEXT + 0x10)..Addr(TEXT + 0x20);
    let mut walker = Walker::with_steppers(StepperGroup::new().then(stepper("second")));
    walker.steppers_mut().push(stepper("last")).push_within(range.clone(), stepper("narrow"));
    walker.steppers_mut().push_first(table("first", &[(0, || Ok(Step::Outermost))]));
    let all: Vec<_> = walker.steppers().iter().map(|(name, within)| (name, within.cloned())).collect();
    assert_eq!(all, [("first", None), ("second", None), ("last", None), ("narrow", Some(range))]);
    let asked = |at| walker.steppers().asked_at(Addr(at)).collect::<Vec<_>>();
    assert_eq!(asked(TEXT + 0x0f), ["first", "second", "last"]);
    assert_eq!(asked(TEXT + 0x10), ["first", "second", "last", "narrow"]);
    let stack = Scene::new(ARCH).with_context(|context| walker.walk(&at(TEXT, STACK), context));
    assert_eq!(stack.end, StackEnd::Outermost);
}

#[test]
fn a_stepper_is_told_of_the_group_that_it_is_added_to() {
    use std::sync::{Arc, Mutex};

    struct Told(Arc<Mutex<Vec<Vec<&'static str>>>>);
    impl crate::FrameStepper for Told {
        fn name(&self) -> &'static str {
            "told"
        }
        fn step(&mut self, _: &Frame, _: &StepContext<'_>) -> Result<Step, StepError> {
            Ok(Step::NotMine("never"))
        }
        fn added_to(&mut self, group: &StepperGroup) {
            self.0.lock().unwrap().push(group.iter().map(|(name, _)| name).collect());
        }
    }
    let told = Arc::new(Mutex::new(Vec::new()));
    let one = || Told(told.clone());
    let mut group = StepperGroup::new().then(one()).then_within(Addr(0)..Addr(8), one());
    group.push(one()).push_first(one()).push_within(Addr(0)..Addr(8), one());
    let counts: Vec<usize> = told.lock().unwrap().iter().map(Vec::len).collect();
    assert_eq!(counts, [0, 1, 2, 3, 4]);
    assert!(told.lock().unwrap().iter().flatten().all(|name| *name == "told"));
}

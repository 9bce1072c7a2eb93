use super::*;

#[test]
fn the_registers_of_signal_frames_are_those_of_the_tables() {
    let names = |arch: Arch, index: usize| -> Vec<(&str, u16)> {
        let saved = patterns(arch).unwrap().trampolines[index].saved;
        saved.iter().map(|(id, offset, _)| (arch.info().register(*id).name, *offset)).collect()
    };
    let wide = names(Arch::X86_64, 0);
    for expected in [("r8", 0), ("rdi", 64), ("rsi", 72), ("rbp", 80), ("rbx", 88), ("rdx", 96), ("rax", 104)]
    {
        assert!(wide.contains(&expected), "{expected:?}");
    }
    for expected in [("rcx", 112), ("rsp", 120), ("rip", 128), ("eflags", 136), ("cs", 144), ("ss", 150)] {
        assert!(wide.contains(&expected), "{expected:?}");
    }
    let narrow = names(Arch::I386, 0);
    for expected in [("gs", 0), ("edi", 16), ("esi", 20), ("ebp", 24), ("esp", 28), ("ebx", 32), ("edx", 36)]
    {
        assert!(narrow.contains(&expected), "{expected:?}");
    }
    for expected in [("ecx", 40), ("eax", 44), ("eip", 56), ("cs", 60), ("eflags", 64), ("ss", 72)] {
        assert!(narrow.contains(&expected), "{expected:?}");
    }
}

#[test]
fn saved_registers_and_code_fit_their_buffers() {
    for arch in Arch::ALL {
        for trampoline in patterns(arch).unwrap().trampolines {
            assert!(trampoline.code.len() <= CODE_BYTES);
            assert_eq!(trampoline.states[0].0, 0);
            let ends = trampoline.saved.iter().map(|(_, offset, width)| offset + u16::from(*width));
            assert!(ends.max().is_some_and(|end| usize::from(end) <= crate::steppers::SAVED_BYTES));
            let widths = trampoline.saved.iter().map(|(id, _, width)| (arch.info().register(*id), *width));
            assert!(widths.clone().all(|(row, width)| width <= row.bytes), "{}", arch.info().name);
        }
    }
}

#[test]
fn prologues_and_epilogues_are_known() {
    let state = |arch, before: &[u8], at: &[u8]| (patterns(arch).unwrap().progress)(before, at);
    let wide = |before: &[u8], at: &[u8]| state(Arch::X86_64, before, at);
    assert_eq!(wide(&[0xc3], &[0x55, 0x48, 0x89, 0xe5]), FrameProgress::Unset);
    assert_eq!(wide(&[], &[0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x89, 0xe5]), FrameProgress::Unset);
    assert_eq!(wide(&[0xfa, 0x55], &[0x48, 0x89, 0xe5, 0x53]), FrameProgress::HalfSet);
    assert_eq!(wide(&[0x53], &[0x48, 0x89, 0xe5, 0x53]), FrameProgress::Unknown);
    assert_eq!(wide(&[0xc9], &[0xc3]), FrameProgress::Unset);
    assert_eq!(wide(&[0x05], &[0xc2, 8, 0]), FrameProgress::Unset);
    assert_eq!(wide(&[0x5b], &[0x5d, 0xc3]), FrameProgress::HalfSet);
    assert_eq!(wide(&[0x55], &[0x53, 0x50]), FrameProgress::Unknown);
    assert_eq!(wide(&[], &[]), FrameProgress::Unknown);
    // A push that saves a register that is no frame pointer here.
    assert_eq!(wide(&[], &[0x55, 0x53]), FrameProgress::Unknown);
    assert_eq!(state(Arch::I386, &[], &[0x55, 0x89, 0xe5]), FrameProgress::Unset);
    assert_eq!(state(Arch::I386, &[0x55], &[0x8b, 0xec]), FrameProgress::HalfSet);
    assert_eq!(state(Arch::I386, &[0x55], &[0x48, 0x89, 0xe5]), FrameProgress::Unknown);
}

#[test]
fn every_form_of_a_call_is_known() {
    let ends = |before: &[u8]| (patterns(Arch::X86_64).unwrap().call)(before, &[]).is_some();
    let calls: [&[u8]; 10] = [
        &[0xe8, 1, 2, 3, 4],                      // call rel32
        &[0xff, 0xd0],                            // call *%rax
        &[0x41, 0xff, 0xd4],                      // call *%r12
        &[0xff, 0x10],                            // call *(%rax)
        &[0xff, 0x50, 8],                         // call *8(%rax)
        &[0xff, 0x14, 0xc3],                      // call *(%rbx,%rax,8)
        &[0xff, 0x54, 0x24, 8],                   // call *8(%rsp)
        &[0xff, 0x15, 1, 2, 3, 4],                // call *x(%rip)
        &[0xff, 0x14, 0xc5, 1, 2, 3, 4],          // call *x(,%rax,8)
        &[0x65, 0xff, 0x15, 0x10, 0x00, 0x00, 0], // call *%gs:0x10
    ];
    for call in calls {
        assert!(ends(call), "{call:x?}");
        assert!(ends(&[&[0xcc; 8], call].concat()), "{call:x?}");
    }
    let others: [&[u8]; 5] =
        [&[], &[0xe8], &[0xff, 0xe0], &[0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc], &[0xff, 0x15, 1, 2, 3]];
    for other in others {
        assert!(!ends(other), "{other:x?}");
    }
    // Where goroutines return to.
    assert!((patterns(Arch::X86_64).unwrap().call)(&[0x90], &[0xe8, 1, 2, 3, 4]).is_some());
}

#[test]
fn targets_of_calls_and_jumps_are_found() {
    let (wide, narrow) = (patterns(Arch::X86_64).unwrap(), patterns(Arch::I386).unwrap());
    let back = [0xf0, 0xff, 0xff, 0xff];
    assert_eq!((wide.call)(&[&[0xe8], &back[..]].concat(), &[]), Some(Call::Relative(-16)));
    assert_eq!((wide.call)(&[&[0xff, 0x15], &back[..]].concat(), &[]), Some(Call::ThroughRelative(-16)));
    assert_eq!((narrow.call)(&[&[0xff, 0x15], &back[..]].concat(), &[]), Some(Call::Through(0xffff_fff0)));
    assert_eq!((wide.call)(&[0xff, 0xd0], &[]), Some(Call::Unknown));
    assert_eq!((wide.jump)(&[&[0xe9], &back[..]].concat()), Some(Call::Relative(-11)));
    assert_eq!((wide.jump)(&[0xeb, 0xfe]), Some(Call::Relative(0)));
    // endbr64; bnd jmp *2(%rip)
    let plt = [0xf3, 0x0f, 0x1e, 0xfa, 0xf2, 0xff, 0x25, 2, 0, 0, 0];
    assert_eq!((wide.jump)(&plt), Some(Call::ThroughRelative(13)));
    assert_eq!((narrow.jump)(&[0xff, 0x25, 2, 0, 0, 0]), Some(Call::Through(2)));
    assert_eq!((wide.jump)(&[0x90]), None);
    assert_eq!((wide.jump)(&[]), None);
}

#[test]
fn code_from_its_page_is_the_code_that_a_read_gives() {
    let bytes: Vec<u8> = (0..3 * PAGE_BYTES).map(|index| (index * 7 / 3) as u8).collect();
    let memory = prospect_process::CapturedMemory::new(bytes.clone(), [(Addr(0), bytes.len(), 0)]);
    let page = bytes[PAGE_BYTES..2 * PAGE_BYTES].first_chunk().unwrap();
    for offset in 0..PAGE_BYTES {
        let at = Addr((PAGE_BYTES + offset) as u64);
        let inside = (CODE_BYTES..=PAGE_BYTES - CODE_BYTES).contains(&offset);
        let code = CodeAround::in_page(at, page);
        assert_eq!(code.is_some(), inside, "{offset}");
        let read = CodeAround::read(at, &memory);
        assert!(code.is_none_or(|code| code.before() == read.before() && code.at() == read.at()), "{offset}");
    }
}

#[test]
fn any_bytes_are_code_that_is_read_without_harm() {
    let mut random = prospect_testing::Random::new(7);
    for arch in Arch::ALL {
        let patterns = patterns(arch).unwrap();
        for _ in 0..2_000 {
            // Mostly the bytes that prologues, calls and branches are made of.
            let some =
                [0x55, 0x48, 0x89, 0xe5, 0x5d, 0xc3, 0xe8, 0xe9, 0x74, 0xff, 0x25, 0x0f, 0x05, 0x83, 0xec];
            let byte = |random: &mut prospect_testing::Random| match random.below(4) {
                0 => random.below(256) as u8,
                _ => some[random.below(some.len())],
            };
            let code: Vec<u8> = (0..64).map(|_| byte(&mut random)).collect();
            let (before, at) = code.split_at(32);
            let state = patterns.frame_in.and_then(|frame_in| frame_in(&code, 32));
            assert!(state.is_none_or(|state| state.progress != FrameProgress::Unknown));
            let _ = ((patterns.progress)(before, at), (patterns.starts_thread)(before, at));
            let _ = ((patterns.call)(before, at), (patterns.jump)(at));
            assert!((patterns.flow)(at).is_none_or(|(length, _)| (1..=at.len()).contains(&length)));
        }
        assert!(patterns.frame_in.is_none_or(|frame_in| frame_in(&[], 0).is_none()));
    }
}

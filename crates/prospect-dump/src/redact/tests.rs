//! Secrets at every place, in pieces of every size.

use std::time::Duration;

use prospect_process::{
    Advice, Arch, CapturedMemory, FrozenProcess, FrozenThread, Mapping, Mappings, Permissions, ProcessId,
    ProcessInfo, Registers, Thread, ThreadId,
};

use super::{stream::LONGEST_MATCH, *};

const AT: u64 = 0x5555_0000_0000;
const STACK: u64 = 0x7ffc_0000_0000;

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % end as u64) as usize
    }

    fn text(&mut self, alphabet: &[u8], length: usize) -> Vec<u8> {
        (0..length).map(|_| alphabet[self.below(alphabet.len())]).collect()
    }
}

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn mapping(start: u64, bytes: usize) -> Mapping {
    Mapping {
        range: Addr(start)..Addr(start + bytes as u64),
        permissions: Permissions { read: true, write: true, ..Permissions::default() },
        offset: 0,
        file: None,
        name: Vec::new(),
        deleted: false,
        advice: Advice::default(),
    }
}

fn process(arch: Arch, parts: &[(u64, &[u8])], sp: u64) -> FrozenProcess {
    let (mut bytes, mut ranges, mut mappings) = (Vec::new(), Vec::new(), Vec::new());
    for (at, part) in parts {
        ranges.push((Addr(*at), part.len(), bytes.len()));
        bytes.extend(*part);
        mappings.push(mapping(*at, part.len()));
    }
    let mut registers = Registers::unknown(arch);
    registers.set(arch.info().sp, sp);
    let thread = FrozenThread {
        thread: Thread::new(ThreadId(1)),
        registers: Some(registers),
        register_sets: Vec::new(),
    };
    let info = ProcessInfo::new(ProcessId(1), arch);
    FrozenProcess::new(info, vec![thread], CapturedMemory::new(bytes, ranges), Mappings::new(mappings))
}

#[test]
fn what_is_found_has_half_of_the_time() {
    let process = process(Arch::X86_64, &[(0x1000, b"text")], 0x1000);
    let (begin, left) = (Instant::now(), Duration::from_secs(3600));
    let redaction = Redaction::new().found("type:T", move |_, until| match until {
        Some(until) if until < begin + left * 3 / 4 => Err("no time".into()),
        _ => Ok(Vec::new()),
    });
    assert!(redaction.of(&process, None).is_ok());
    let error = redaction.of(&process, Some(begin + left)).err();
    assert_eq!(error.as_deref(), Some("type:T: no time"));
}

/// What leaves a redactor into which bytes are put in pieces of these sizes.
fn pass(
    redaction: &Redaction,
    process: &FrozenProcess,
    at: u64,
    bytes: &[u8],
    sizes: &mut dyn FnMut() -> usize,
) -> (Vec<u8>, Manifest) {
    let prepared = redaction.of(process, None).unwrap();
    let mut redactor = Redactor::new(&prepared);
    let mut out = Vec::new();
    let mut next = Addr(at);
    let mut take = |at: Addr, bytes: &[u8]| {
        assert_eq!(at, next);
        next = at.wrapping_add(bytes.len() as u64);
        out.extend(bytes);
        Ok::<(), ()>(())
    };
    let (mut from, mut rest) = (Addr(at), bytes);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(sizes().clamp(1, rest.len()));
        redactor.push(from, now, &mut take).unwrap();
        (from, rest) = (from.wrapping_add(now.len() as u64), later);
    }
    redactor.flush(&mut take).unwrap();
    (out, redactor.into_manifest())
}

#[test]
fn pieces_change_nothing() {
    let mut random = Random(7);
    let redaction = Redaction::new()
        .pattern("p", r"\bab.{0,40}cd\b|Q[^Q\n]{1,90}R|z+")
        .unwrap()
        .pattern("group", r"key=(\w+)|END")
        .unwrap();
    for round in 0..6 {
        // Matches are everywhere, overlap, and are as long as they may be here and there.
        let mut bytes = random.text(b"abcdQRz \nkey=END.....", 900 << 10);
        for _ in 0..20 {
            let (at, length) = (random.below(bytes.len() - LONGEST_MATCH), random.below(LONGEST_MATCH - 64));
            bytes[at..at + length].fill(b'z');
        }
        let process = process(Arch::X86_64, &[(AT, &bytes)], STACK);
        let mut wanted = bytes.clone();
        for rule in &redaction.rules {
            let What::Pattern(pattern) = &rule.what else { panic!() };
            stream::matches(pattern, &bytes).into_iter().for_each(|range| wanted[range].fill(0));
        }
        let most = [1 << 20, 4096, 70_000, 600_000][round % 4];
        let (out, manifest) = pass(&redaction, &process, AT, &bytes, &mut || 1 + random.below(most));
        let differs = out.iter().zip(&wanted).position(|(one, other)| one != other);
        assert_eq!(differs, None, "round {round}");
        assert_eq!(out.len(), wanted.len());
        assert_eq!(manifest.kept, [Addr(AT)..Addr(AT + bytes.len() as u64)]);
        for zeroed in &manifest.zeroed {
            let place = (zeroed.range.start.0 - AT) as usize..(zeroed.range.end.0 - AT) as usize;
            assert!(out[place].iter().all(|byte| *byte == 0));
        }
    }
}

fn secret(kind: usize, random: &mut Random) -> Vec<u8> {
    let upper = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let (word, most) = (b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 40);
    let join = |first: &[u8], rest: Vec<u8>| [first, &rest].concat();
    match kind {
        0 => join(b"AKIA", random.text(upper, 16)),
        1 => join(b"ghp_", random.text(word, 36)),
        2 => join(b"xoxb-", random.text(word, 24)),
        3 => {
            [b"eyJhbGciOiJIUzI1NiJ9.eyJ", &*random.text(word, most), b".", &random.text(word, most)].concat()
        }
        4 => {
            let lines = (0..26).flat_map(|_| join(b"\n", random.text(BASE64, 64))).collect::<Vec<u8>>();
            [b"-----BEGIN RSA PRIVATE KEY-----", &*lines, b"\n-----END RSA PRIVATE KEY-----"].concat()
        }
        5 => random.text(b"0123456789abcdef", 64),
        _ => random.text(BASE64, 48),
    }
}

#[test]
fn no_secret_is_left_wherever_a_piece_ends() {
    let mut random = Random(3);
    let redaction = Redaction::new().secrets();
    let mut kept_without = 0;
    for round in 0..24 {
        let (mut bytes, mut secrets) = (vec![b' '; 700 << 10], Vec::new());
        // At the ends of pages and of what is searched at once.
        for place in [4096, 8192, 512 << 10, 576 << 10, (512 << 10) + (64 << 10) + 4096, 640 << 10] {
            let secret = secret(random.below(7), &mut random);
            let start = place - 1 - random.below(secret.len() - 2);
            bytes[start..start + secret.len()].copy_from_slice(&secret);
            secrets.push((start, secret));
        }
        let process = process(Arch::X86_64, &[(AT, &bytes)], STACK);
        let most = [4096, 1 << 20, 70_000][round % 3];
        let (out, _) = pass(&redaction, &process, AT, &bytes, &mut || {
            if round % 2 == 0 { 4096 } else { 1 + random.below(most) }
        });
        for (start, secret) in &secrets {
            let left = &out[*start..start + secret.len()];
            assert!(
                left.iter().all(|byte| *byte == 0 || *byte == b' '),
                "{}",
                String::from_utf8_lossy(secret)
            );
            kept_without += usize::from(bytes[*start..].starts_with(secret));
        }
        let zeroed: u64 = out.iter().filter(|byte| **byte == 0).count() as u64;
        assert!(zeroed <= secrets.iter().map(|(_, secret)| secret.len() as u64).sum::<u64>());
    }
    assert!(kept_without > 120, "they are there before: {kept_without}");
}

#[test]
fn what_a_dump_has_only_the_end_of_is_found() {
    let mut bytes = vec![b'.'; 4 * 4096];
    let secret = secret(4, &mut Random(9));
    bytes[4096 - 700..][..secret.len()].copy_from_slice(&secret);
    let redaction = Redaction::new().secrets();
    let process = process(Arch::X86_64, &[(AT, &bytes)], STACK);
    // Only the second page of four is in it.
    let (out, manifest) = pass(&redaction, &process, AT + 4096, &bytes[4096..2 * 4096], &mut || 4096);
    assert_eq!(out.len(), 4096);
    let end = secret.len() - 700;
    assert!(out[..end].iter().all(|byte| *byte == 0));
    assert!(out[end..].iter().all(|byte| *byte == b'.'));
    assert_eq!(manifest.zeroed.len(), 1);
    assert_eq!(manifest.zeroed[0].range, Addr(AT + 4096)..Addr(AT + 4096 + end as u64));
    let (out, _) = pass(&redaction, &process, AT, &bytes[..4096], &mut || 4096);
    assert!(out[4096 - 700..].iter().all(|byte| *byte == 0), "nor what it has only the start of");
}

#[test]
fn addresses_stay() {
    for arch in Arch::ALL {
        let word = usize::from(arch.info().word_bytes);
        let (heap, stack) = (0x5161_0000_u64, 0x6000_0000_u64);
        let mut bytes = vec![0; 8192];
        let put = |bytes: &mut Vec<u8>, at: usize, value: u64| {
            let all = if arch.info().big_endian {
                value.to_be_bytes()[8 - word..].to_vec()
            } else {
                value.to_le_bytes()[..word].to_vec()
            };
            bytes[at..at + word].copy_from_slice(&all);
        };
        // `aaQ`: of 32 bits, text and address at the same time.
        let address = heap + 0x0061_6161 % 0x1_0000;
        (0..64).for_each(|index| put(&mut bytes, 1024 + index * word, address));
        let everything = Redaction::new().pattern("all", r"[\x00-\xff]").unwrap();
        let process = process(arch, &[(heap, &vec![0; 0x1_0000]), (stack, &bytes)], stack + 512);
        let (out, _) = pass(&everything, &process, stack, &bytes, &mut || 333);
        assert_eq!(out, bytes, "{arch:?}");
        // In 32 bits, what is text is no address but on a stack.
        let (out, _) = pass(
            &everything,
            &self::process(arch, &[(heap, &vec![0; 0x1_0000]), (stack, &bytes)], 0),
            stack,
            &bytes,
            &mut || 333,
        );
        assert_eq!(out == bytes, word == 8, "{arch:?}");
    }
}

#[test]
fn words_are_no_secrets() {
    let text =
        b"/usr/lib/x86_64-linux-gnu/libstdc++.so.6 the_quick_brown_fox_jumps_over_the_lazy_dog_and_on \
        00000000000000000000000000000000000000000000 123456789012345678901234567890123456 \
        ----------------------------------------------------------------------------------- token password";
    let process = process(Arch::X86_64, &[(AT, text)], STACK);
    let (out, manifest) = pass(&Redaction::new().secrets(), &process, AT, text, &mut || 7);
    assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(text));
    assert_eq!(manifest.zeroed, []);
}

#[test]
fn of_named_values_only_the_value_goes() {
    for (text, secret) in [
        ("password=hunter2 next", "hunter2"),
        ("{\"api_key\": \"open sesame\", \"x\": 1}", "open sesame"),
        ("Authorization: Bearer abc.def", "Bearer abc.def"),
        ("postgres://me:pa55@host/db", "pa55"),
    ] {
        let process = process(Arch::X86_64, &[(AT, text.as_bytes())], STACK);
        let (out, _) = pass(&Redaction::new().secrets(), &process, AT, text.as_bytes(), &mut || 3);
        let wanted = text.replace(secret, &"\0".repeat(secret.len()));
        assert_eq!(String::from_utf8_lossy(&out), wanted);
    }
}

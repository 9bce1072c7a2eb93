//! Every parser on bytes at random, the same in each run: none may panic or run away.

use prospect_testing::Random;

use super::*;

const ODD: [&[u8]; 20] = [
    b"(",
    b")",
    b" ",
    b"\n",
    b"\0",
    b"\t",
    b":",
    b"-",
    b"-1",
    b"0x",
    b"\\012",
    b"\\",
    b" (deleted)",
    b"\xff",
    b"18446744073709551615",
    b"18446744073709551616",
    b"ffffffffffffffffffff",
    b"4294967296",
    b"running",
    b"",
];

/// A real file with some bytes changed, parts cut out, and odd pieces put in.
fn spoilt(random: &mut Random, real: &[u8]) -> Vec<u8> {
    let mut bytes = real.to_vec();
    for _ in 0..random.below(8) {
        let at = random.below(bytes.len() + 1);
        match random.below(4) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] = random.number() as u8,
            2 => {
                let end = at + random.below(bytes.len() - at + 1).min(40);
                bytes.drain(at..end);
            }
            _ => {
                let piece = ODD[random.below(ODD.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes
}

fn noise(random: &mut Random) -> Vec<u8> {
    (0..random.below(200)).map(|_| random.number() as u8).collect()
}

fn pieces(random: &mut Random) -> Vec<u8> {
    (0..random.below(40)).flat_map(|_| ODD[random.below(ODD.len())]).copied().collect()
}

fn parse_all(bytes: &[u8]) {
    for mapping in maps::parse(bytes) {
        assert!(mapping.name.len() <= bytes.len());
    }
    if let Some(stat) = stat::parse(bytes) {
        let _ = (stat.cpu_time(), stat.started(), stat.name_text());
    }
    if let Some(status) = status::parse(bytes) {
        assert!(status.namespace_ids.len() <= 33);
    }
    if let Some(state) = syscall::parse(bytes) {
        assert_eq!(syscall::parse(state.to_string().as_bytes()), Some(state));
    }
    let arguments = command_line::parse(bytes);
    assert!(arguments.iter().map(Vec::len).sum::<usize>() <= bytes.len());
    for word_bytes in [0, 4, 8, 255] {
        let vector = auxv::Auxv::parse(bytes, word_bytes, bytes.len().is_multiple_of(2));
        assert!(vector.entries().len() * 8 <= bytes.len());
    }
    let _ = wait_channel::parse(bytes);
}

#[test]
fn no_parser_panics_on_bytes_at_random() {
    let files = ["maps", "stat", "status", "syscall", "cmdline", "auxv", "wchan"];
    let mut real: Vec<Vec<u8>> =
        files.iter().filter_map(|name| std::fs::read(format!("/proc/self/{name}")).ok()).collect();
    assert!(real.len() >= 5);
    real.push(b"202 0x7ffe0 0x189 0x0 0x0 0x0 0xffffffffffffffff 0x7ffc8 0x7f12\n".to_vec());
    // A long map takes long and shows no more than a short one.
    real.iter_mut().for_each(|bytes| bytes.truncate(2000));
    let mut random = Random::new(1);
    for round in 0..30_000 {
        let bytes = match round % 4 {
            0 => noise(&mut random),
            1 => pieces(&mut random),
            _ => {
                let which = random.below(real.len());
                spoilt(&mut random, &real[which])
            }
        };
        parse_all(&bytes);
    }
}

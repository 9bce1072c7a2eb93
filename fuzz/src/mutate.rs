//! A small deterministic mutator.

use prospect_testing::Random;

/// Values at which arithmetic goes wrong.
const ODD: &[u64] = &[
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// Changes a few places of `data`; sometimes its length.
pub fn mutate(data: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(8) {
        if data.is_empty() {
            data.push(random.number() as u8);
        }
        let at = random.below(data.len());
        match random.below(8) {
            0 => data[at] ^= 1 << random.below(8),
            1 => data[at] = random.number() as u8,
            2 | 3 => {
                let bytes = ODD[random.below(ODD.len())].to_le_bytes();
                let width = [1, 2, 4, 8][random.below(4)];
                for (place, byte) in data[at..].iter_mut().zip(&bytes[..width]) {
                    *place = *byte;
                }
            }
            4 => data.truncate(at),
            5 => data.insert(at, random.number() as u8),
            6 => {
                let end = (at + random.below(16)).min(data.len());
                let copy = data[at..end].to_vec();
                let to = random.below(data.len());
                data.splice(to..to, copy);
            }
            _ => {
                let end = (at + random.below(16)).min(data.len());
                data.drain(at..end);
            }
        }
    }
    data.truncate(1 << 16);
}

//! A small deterministic mutator.

/// Marsaglia's xorshift64: enough for choosing what to damage.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence that begins with `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// The next number, below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.number() % limit.max(1) as u64).unwrap_or(0)
    }
}

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

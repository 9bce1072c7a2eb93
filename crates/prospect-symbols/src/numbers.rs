//! Maps by numbers that a file says: places of entries, numbers of functions.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
    sync::OnceLock,
};

/// A map whose keys are made of a few numbers.
pub(crate) type NumberMap<K, V> = HashMap<K, V, NumberState>;

/// Begins a [`NumberHasher`] with a number that nobody outside of the process knows, so that no file can be made whose
/// numbers collide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NumberState(u64);

impl Default for NumberState {
    fn default() -> Self {
        static SECRET: OnceLock<u64> = OnceLock::new();
        Self(*SECRET.get_or_init(|| RandomState::new().hash_one(0)))
    }
}

impl BuildHasher for NumberState {
    type Hasher = NumberHasher;

    fn build_hasher(&self) -> NumberHasher {
        NumberHasher(self.0)
    }
}

/// Folds the product of each number and a constant: all bits of the number are in all bits of that.
pub(crate) struct NumberHasher(u64);

impl NumberHasher {
    /// An odd number without a pattern: the fractional part of the golden ratio.
    const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15;

    fn add(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number) * Self::FACTOR;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut number = [0; 8];
            number[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(number));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.add(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.add(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.add(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_spread_over_low_and_high_bits() {
        let state = NumberState::default();
        for shift in [0, 4, 12, 32] {
            let hashes: Vec<u64> = (0_u64..4096).map(|number| state.hash_one(number << shift)).collect();
            for bits in [|hash: u64| hash & 0xfff, |hash: u64| hash >> 52] {
                let mut seen = [0_u32; 4096];
                hashes.iter().for_each(|&hash| seen[bits(hash) as usize] += 1);
                assert!(seen.iter().all(|&count| count < 32), "many keys of one kind meet");
            }
        }
        assert_ne!(state.hash_one((1_u32, 2_usize)), state.hash_one((2_u32, 1_usize)));
    }
}

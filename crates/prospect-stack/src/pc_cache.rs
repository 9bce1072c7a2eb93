//! What a stepper remembers of code addresses.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
};

use prospect_process::Addr;

use crate::StepContext;

/// Answers by code address, of one process with one list of modules: at most `MOST` of them. All are
/// forgotten when there are more.
#[derive(Debug)]
pub(crate) struct PcCache<T, const MOST: usize = 16384> {
    generation: Option<u64>,
    entries: HashMap<Addr, T, PcHash>,
}

impl<T, const MOST: usize> Default for PcCache<T, MOST> {
    fn default() -> Self {
        Self { generation: None, entries: HashMap::default() }
    }
}

impl<T, const MOST: usize> PcCache<T, MOST> {
    /// The answer for `at`, which `find` finds where it is not remembered.
    #[inline]
    pub(crate) fn get(&mut self, at: Addr, context: &StepContext<'_>, find: impl FnOnce() -> T) -> &T {
        if self.generation != Some(context.generation()) || self.entries.len() >= MOST {
            self.generation = Some(context.generation());
            self.entries.clear();
        }
        self.entries.entry(at).or_insert_with(find)
    }
}

/// A hash of one number by one multiplication, several times as fast as the standard one. Its factor is
/// random, so that no process can choose addresses that fall together.
#[derive(Clone, Debug)]
struct PcHash {
    factor: u64,
}

impl Default for PcHash {
    fn default() -> Self {
        Self { factor: RandomState::new().hash_one(0u8) | 1 }
    }
}

impl BuildHasher for PcHash {
    type Hasher = PcHasher;

    fn build_hasher(&self) -> PcHasher {
        PcHasher { factor: self.factor, hash: 0 }
    }
}

struct PcHasher {
    factor: u64,
    hash: u64,
}

impl Hasher for PcHasher {
    fn write_u64(&mut self, value: u64) {
        let product = u128::from(value ^ self.hash) * u128::from(self.factor);
        self.hash = (product >> 64) as u64 ^ product as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

//! The rules of addresses that occurred, in room of a fixed size.

use super::{ReturnRule, RuleSource};
use crate::CodeAddress;

/// Remembers rules by address: each address has one place, and what is there is replaced when another address of
/// the same place occurs. So it never grows, and looking into it allocates nothing.
///
/// It takes 24 bytes of memory for each place.
#[derive(Clone, Debug)]
pub struct RuleCache {
    entries: Box<[Entry]>,
    generation: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u64,
    rule: ReturnRule,
}

/// A place that nothing was put into yet. It is right for its key too: no code is there.
const EMPTY: Entry = Entry { key: u64::MAX, rule: ReturnRule::NOT_EXECUTABLE };

impl Default for RuleCache {
    /// A cache of 4,096 places.
    fn default() -> Self {
        Self::new(4096)
    }
}

impl RuleCache {
    /// A cache with at least so many places: the next power of two, and not more than 2²⁴.
    #[must_use]
    pub fn new(places: usize) -> Self {
        let places = places.clamp(1, 1 << 24).next_power_of_two();
        Self { entries: vec![EMPTY; places].into_boxed_slice(), generation: None }
    }

    /// How many bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.entries)
    }

    /// The rules of `source`, those that are remembered without asking it. `generation` is a number that changes when
    /// rules do, as [`StepContext::generation`](crate::StepContext::generation) does and
    /// [`ProcessRules::generation`](super::ProcessRules::generation): then all are forgotten.
    pub fn over<S: RuleSource>(&mut self, generation: u64, source: S) -> Cached<'_, S> {
        if self.generation != Some(generation) {
            self.generation = Some(generation);
            self.entries.fill(EMPTY);
        }
        Cached { entries: &mut self.entries, source }
    }
}

/// Rules that are remembered.
#[derive(Debug)]
pub struct Cached<'a, S> {
    entries: &'a mut [Entry],
    source: S,
}

impl<S: RuleSource> RuleSource for Cached<'_, S> {
    #[inline]
    fn rule(&mut self, code: CodeAddress) -> ReturnRule {
        // An address where a thread is and one that it returns to differ in what they may be. No program has code
        // at both of two addresses that differ in the highest bit alone.
        let key = match code {
            CodeAddress::Exact(pc) => pc.0 ^ 1 << 63,
            CodeAddress::ReturnAddress(to) => to.0,
        };
        // Return addresses differ in their low bits; those of different libraries may not.
        let place = (key ^ key >> 14) as usize & self.entries.len().wrapping_sub(1);
        match self.entries.get(place) {
            Some(entry) if entry.key == key => entry.rule,
            _ => self.find(place, key, code),
        }
    }
}

impl<S: RuleSource> Cached<'_, S> {
    #[cold]
    #[inline(never)]
    fn find(&mut self, place: usize, key: u64, code: CodeAddress) -> ReturnRule {
        let rule = self.source.rule(code);
        if let Some(entry) = self.entries.get_mut(place) {
            *entry = Entry { key, rule };
        }
        rule
    }
}

#[cfg(test)]
mod tests {
    use prospect_process::Addr;

    use super::*;
    use crate::FrameProgress;

    /// Counts how often it is asked.
    struct Counting(usize);
    impl RuleSource for &mut Counting {
        fn rule(&mut self, code: CodeAddress) -> ReturnRule {
            self.0 += 1;
            let state = if code.addr().0 & 1 == 0 { FrameProgress::Set } else { FrameProgress::Unset };
            ReturnRule::from_frame_chain(prospect_process::Arch::X86_64, state)
        }
    }

    #[test]
    fn an_address_is_looked_up_once_for_as_long_as_it_has_its_place() {
        let (mut cache, mut source) = (RuleCache::new(5), Counting(0));
        assert_eq!(cache.bytes(), 8 * 24);
        let mut cached = cache.over(1, &mut source);
        let code = CodeAddress::ReturnAddress(Addr(0x1000));
        for _ in 0..3 {
            let rule = cached.rule(code);
            assert_eq!(
                rule,
                ReturnRule::from_frame_chain(prospect_process::Arch::X86_64, FrameProgress::Set)
            );
        }
        // It has the place of the first.
        cached.rule(CodeAddress::ReturnAddress(Addr(0x1008)));
        cached.rule(code);
        // Not the same address.
        cached.rule(CodeAddress::Exact(Addr(0x1000)));
        cached.rule(CodeAddress::Exact(Addr(0x1001)));
        assert_eq!(source.0, 5);
        cache.over(1, &mut source).rule(CodeAddress::Exact(Addr(0x1001)));
        assert_eq!(source.0, 5);
        cache.over(2, &mut source).rule(CodeAddress::Exact(Addr(0x1001)));
        assert_eq!(source.0, 6, "other modules are loaded");
    }
}

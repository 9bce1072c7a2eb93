//! The rules that a walker remembers.

use prospect_process::Addr;

use crate::StepRule;

/// Rules by return address, of one process with one list of modules: each address has one place, where the last one
/// that came stays. It grows as it fills up, to a bound.
#[derive(Debug)]
pub(crate) struct RuleCache {
    generation: Option<u64>,
    /// A power of two of them, or none.
    entries: Vec<Entry>,
    used: usize,
    most: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    to: Addr,
    /// With the stepper whose rule it is; `None` where the steppers must be asked each time.
    rule: Option<(StepRule, &'static str)>,
}

impl Entry {
    /// Nothing is remembered: no call returns to address 0.
    const FREE: Self = Self { to: Addr(0), rule: None };
}

const FIRST_ENTRIES: usize = 256;

impl RuleCache {
    /// The bytes that each rule takes.
    pub(crate) const ENTRY_BYTES: usize = size_of::<Entry>();

    /// One that remembers so many rules at most, rounded up to a power of two.
    pub(crate) fn new(most: usize) -> Self {
        let most = if most == 0 { 0 } else { most.next_power_of_two() };
        Self { generation: None, entries: Vec::new(), used: 0, most }
    }

    /// Forgets everything, unless it is of this generation of contexts.
    pub(crate) fn begin(&mut self, generation: u64) {
        if self.generation != Some(generation) {
            self.generation = Some(generation);
            self.clear();
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.entries.fill(Entry::FREE);
        self.used = 0;
    }

    /// The rule for frames that return to `to`, which `find` finds where it is not remembered.
    #[inline]
    pub(crate) fn get(
        &mut self,
        to: Addr,
        find: impl FnOnce() -> Option<(StepRule, &'static str)>,
    ) -> Option<&(StepRule, &'static str)> {
        let index = self.index(to);
        if self.entries.get(index).is_none_or(|entry| entry.to != to) {
            self.remember(Entry { to, rule: find() });
        }
        self.entries.get(self.index(to))?.rule.as_ref()
    }

    #[inline]
    fn index(&self, to: Addr) -> usize {
        // Fibonacci hashing: the upper bits of the product depend on all bits of the address.
        let hash = to.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        hash as usize & self.entries.len().wrapping_sub(1)
    }

    #[cold]
    fn remember(&mut self, entry: Entry) {
        if 2 * self.used >= self.entries.len() && self.entries.len() < self.most {
            let size = (4 * self.entries.len()).clamp(FIRST_ENTRIES.min(self.most), self.most);
            let old = std::mem::replace(&mut self.entries, vec![Entry::FREE; size]);
            self.used = 0;
            old.into_iter().filter(|entry| entry.to != Addr(0)).for_each(|entry| self.place(entry));
        }
        self.place(entry);
    }

    fn place(&mut self, entry: Entry) {
        let index = self.index(entry.to);
        if let Some(place) = self.entries.get_mut(index) {
            self.used += usize::from(place.to == Addr(0));
            *place = entry;
        }
    }
}

#[cfg(test)]
mod tests {
    use prospect_process::Arch;

    use super::*;
    use crate::Trust;

    fn rule(offset: i64) -> (StepRule, &'static str) {
        let info = Arch::X86_64.info();
        let rule = StepRule::new(Arch::X86_64, (info.sp, offset), [(info.pc, -8)], Trust::CallFrameInfo);
        (rule.expect("a rule"), "test")
    }

    #[test]
    fn what_was_found_is_found_again_until_the_modules_change() {
        let mut cache = RuleCache::new(1000);
        cache.begin(1);
        let mut asked = 0;
        for round in 0..3 {
            for to in 1..=64u64 {
                let found = cache.get(Addr(to * 0x1234), || {
                    asked += 1;
                    (to % 2 == 0).then(|| rule(to as i64))
                });
                assert_eq!(found.is_some(), to % 2 == 0, "{round}");
            }
        }
        // Two addresses may have one place.
        assert!((64..96).contains(&asked), "{asked}");
        cache.begin(1);
        assert!(cache.get(Addr(2 * 0x1234), || None).is_some());
        cache.begin(2);
        assert!(cache.get(Addr(2 * 0x1234), || None).is_none());
    }

    #[test]
    fn it_grows_to_its_bound_and_no_further() {
        for most in [0, 1, 3, 100, 4096, 5000] {
            let mut cache = RuleCache::new(most);
            cache.begin(1);
            for to in 1..20_000u64 {
                let found = cache.get(Addr(to), || Some(rule(8)));
                assert_eq!(found.is_some(), most > 0);
            }
            assert!(cache.entries.len() <= most.next_power_of_two() && cache.used <= cache.entries.len());
            assert!(most == 0 || cache.entries.len() >= most);
        }
    }
}

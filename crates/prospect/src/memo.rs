//! What is remembered of a process from one look at it to the next.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use prospect_process::Addr;
use prospect_symbols::ResolvedAddress;

use crate::{stacks::Names, walk::Walkers};

/// The most names that are remembered: all are forgotten when there are more.
const MOST_NAMES: usize = 1 << 16;

/// What makes every look at a process but the first one fast.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    pub(crate) walkers: Walkers,
    names: Mutex<KnownNames>,
}

#[derive(Debug, Default)]
struct KnownNames {
    /// Of the modules that they are names in: see `StepContext::generation`.
    generation: u64,
    names: HashMap<Addr, Arc<ResolvedAddress>>,
}

impl Memo {
    /// The names of `addresses`, of which `find` finds those that are not known, in the same order. Only where
    /// `can_stay` is a name remembered.
    pub(crate) fn names(
        &self,
        addresses: Vec<Addr>,
        generation: u64,
        can_stay: impl Fn(Addr) -> bool,
        find: impl FnOnce(&[Addr]) -> Vec<ResolvedAddress>,
    ) -> Names {
        let lock = || self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = Names::with_capacity(addresses.len());
        let mut unknown = Vec::new();
        {
            let known = lock();
            let known = (known.generation == generation).then_some(&known.names);
            for at in addresses {
                match known.and_then(|known| known.get(&at)) {
                    Some(name) => drop(names.insert(at, name.clone())),
                    None => unknown.push(at),
                }
            }
        }
        // Without the lock: it can take seconds.
        let found: Vec<_> = find(&unknown).into_iter().map(Arc::new).zip(unknown).collect();
        let mut known = lock();
        if known.generation != generation || known.names.len() + found.len() > MOST_NAMES {
            *known = KnownNames { generation, names: HashMap::new() };
        }
        for (name, at) in found {
            if can_stay(at) && known.names.len() < MOST_NAMES {
                known.names.insert(at, name.clone());
            }
            names.insert(at, name);
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use prospect_symbols::SourceFrame;

    use super::*;

    fn named(addresses: &[Addr], name: &str) -> Vec<ResolvedAddress> {
        let frame =
            |at: &Addr| SourceFrame { function: Some(format!("{name}{}", at.0)), ..SourceFrame::default() };
        addresses.iter().map(|at| ResolvedAddress { frames: vec![frame(at)] }).collect()
    }

    fn ask(memo: &Memo, addresses: &[u64], generation: u64, name: &str) -> Vec<String> {
        let all: Vec<Addr> = addresses.iter().copied().map(Addr).collect();
        let find = |unknown: &[Addr]| named(unknown, name);
        let names = memo.names(all.clone(), generation, |at| at.0 < 100, find);
        all.iter().map(|at| names[at].frames[0].function.clone().unwrap()).collect()
    }

    #[test]
    fn names_are_found_once_for_one_set_of_modules() {
        let memo = Memo::default();
        assert_eq!(ask(&memo, &[1, 2], 7, "a"), ["a1", "a2"]);
        assert_eq!(ask(&memo, &[1, 2, 3], 7, "b"), ["a1", "a2", "b3"]);
        assert_eq!(ask(&memo, &[1], 8, "c"), ["c1"]);
        assert_eq!(ask(&memo, &[1, 3], 8, "d"), ["c1", "d3"]);
        // Code that is in no module is somebody else's the next time.
        assert_eq!(ask(&memo, &[100], 8, "e"), ["e100"]);
        assert_eq!(ask(&memo, &[100], 8, "f"), ["f100"]);
    }

    #[test]
    fn no_more_names_are_kept_than_there_is_room_for() {
        let memo = Memo::default();
        for start in 0..4u64 {
            let addresses: Vec<Addr> = (start << 15..(start + 1) << 15).map(Addr).collect();
            assert_eq!(memo.names(addresses, 1, |_| true, |all| named(all, "")).len(), 1 << 15);
            assert!(memo.names.lock().unwrap().names.len() <= MOST_NAMES);
        }
        let addresses: Vec<Addr> = (0..MOST_NAMES as u64 * 2).map(Addr).collect();
        assert_eq!(memo.names(addresses, 1, |_| true, |all| named(all, "")).len(), MOST_NAMES * 2);
        assert!(memo.names.lock().unwrap().names.len() <= MOST_NAMES);
    }
}

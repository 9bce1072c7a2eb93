//! What is remembered of the variables at addresses: threads stand at the same ones, and do so again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use prospect_process::LinkAddr;

use super::FunctionScope;
use crate::symbol::dwarf::lock;

/// No more variables than this are remembered; a scope counts as one too.
const MOST: usize = 1 << 16;

/// The functions at addresses that were asked about, with their variables.
#[derive(Debug, Default)]
pub(crate) struct RememberedScopes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_address: HashMap<LinkAddr, Arc<[FunctionScope]>>,
    weight: usize,
}

impl RememberedScopes {
    /// Those at an address; `find` reads them.
    pub(super) fn get(
        &self,
        at: LinkAddr,
        find: impl FnOnce() -> Vec<FunctionScope>,
    ) -> Arc<[FunctionScope]> {
        if let Some(known) = lock(&self.0).by_address.get(&at) {
            return known.clone();
        }
        let found: Arc<[FunctionScope]> = find().into();
        let weight = 1 + found.iter().map(|scope| 1 + scope.variables.len()).sum::<usize>();
        let mut known = lock(&self.0);
        if known.weight + weight > MOST {
            *known = Known::default();
        }
        if weight <= MOST && known.by_address.insert(at, found.clone()).is_none() {
            known.weight += weight;
        }
        found
    }
}

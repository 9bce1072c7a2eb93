//! Which types are called what: to find one by its name, all debug information of a process may have to be looked through.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use prospect_process::Addr;
use prospect_symbols::type_info::TypeRef;

/// The most names that are remembered: all are forgotten when there are more.
const MOST: usize = 1 << 16;

/// The module that asks, by where it begins, and the name.
type Key = (Option<Addr>, String);

/// The types that were found by their names, and names that no type has.
#[derive(Debug, Default)]
pub(crate) struct TypeMemo(Mutex<HashMap<Key, Option<TypeRef>>>);

impl TypeMemo {
    /// The type that is called so as seen from a module; `find` looks for one that was not asked for yet.
    pub(crate) fn get(
        &self,
        module: Option<Addr>,
        name: &str,
        find: impl FnOnce() -> Option<TypeRef>,
    ) -> Option<TypeRef> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (module, name.to_owned());
        if let Some(known) = lock().get(&key) {
            return known.clone();
        }
        // Without the lock: it can take seconds.
        let found = find();
        let mut known = lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, found.clone());
        found
    }
}

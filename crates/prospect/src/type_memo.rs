//! Which types are called what: to find one by its name, all debug information of a process may have to be looked through.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use prospect_process::Addr;
use prospect_symbols::type_info::TypeRef;

/// The most names that are remembered: all are forgotten when there are more.
const MOST: usize = 1 << 16;

/// The module that asks, by where it begins, and the name.
type Key = (Option<Addr>, String);

/// What was found, once it is.
type Answer = Arc<OnceLock<Option<TypeRef>>>;

/// The types that were found by their names, and names that no type has.
#[derive(Debug, Default)]
pub(crate) struct TypeMemo(Mutex<HashMap<Key, Answer>>);

impl TypeMemo {
    /// The type that is called so as seen from a module; `find` looks for one that was not asked for yet. Two that ask for the
    /// same at the same time wait for one search.
    pub(crate) fn get(
        &self,
        module: Option<Addr>,
        name: &str,
        find: impl FnOnce() -> Option<TypeRef>,
    ) -> Option<TypeRef> {
        let key = (module, name.to_owned());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST && !known.contains_key(&key) {
            known.clear();
        }
        let answer = known.entry(key).or_default().clone();
        // Without the lock: it can take seconds.
        drop(known);
        answer.get_or_init(find).clone()
    }
}

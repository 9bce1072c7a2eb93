//! What is remembered of types that were read.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use super::{EntryId, Member, Type, TypeKind};
use crate::symbol::dwarf::{DebugInfo, lock};

/// No more than this is remembered: types with their members, each counted.
const MOST: usize = 1 << 18;

/// The types of some debug information that were read. They lead back to the debug information, which would so keep
/// itself: types are remembered only while someone holds a [`RememberedTypes`], and forgotten with the last.
#[derive(Default)]
pub(crate) struct Remembered {
    types: Mutex<Types>,
}

#[derive(Default)]
struct Types {
    holders: usize,
    by_entry: HashMap<EntryId, Arc<Type>>,
    weight: usize,
}

impl Remembered {
    pub(super) fn get(&self, at: EntryId) -> Option<Arc<Type>> {
        self.lock().by_entry.get(&at).cloned()
    }

    /// Remembers a type, if someone asked for that.
    pub(super) fn insert(&self, at: EntryId, found: &Arc<Type>) {
        let weight = weight(found);
        let mut types = self.lock();
        if types.holders == 0 || weight > MOST {
            return;
        }
        // Which ones will be asked for again nobody knows: it begins anew.
        let full = types.weight + weight > MOST;
        let old = if full { std::mem::take(&mut types.by_entry) } else { HashMap::new() };
        types.weight = if full { weight } else { types.weight + weight };
        types.by_entry.insert(at, found.clone());
        // To drop many takes a while.
        drop(types);
        drop(old);
    }

    fn lock(&self) -> MutexGuard<'_, Types> {
        lock(&self.types)
    }
}

/// How much memory a type takes, about, in members.
fn weight(of: &Type) -> usize {
    let text = |text: &Arc<str>| 1 + text.len() / 64;
    let name = |name: &Option<Arc<str>>| name.as_ref().map_or(1, text);
    let members = |all: &[Member]| all.iter().map(|one| name(&one.name)).sum::<usize>();
    let parts = match &of.kind {
        TypeKind::Composite(composite) => {
            let variants = composite.variants.iter().flat_map(|part| &part.variants);
            members(&composite.members)
                + composite.static_members.iter().map(|one| text(&one.name)).sum::<usize>()
                + composite.template_parameters.iter().map(|one| name(&one.name)).sum::<usize>()
                + variants.map(|one| 1 + members(&one.members) + one.tags.len()).sum::<usize>()
        }
        TypeKind::Enumeration(enumeration) => enumeration.enumerators.iter().map(|one| text(&one.name)).sum(),
        TypeKind::Function(function) => function.parameters.len(),
        TypeKind::Array(array) => array.dimensions.len(),
        _ => 0,
    };
    1 + name(&of.name) + of.scope.iter().map(text).sum::<usize>() + parts
}

/// While this is held, types that were read are remembered.
#[derive(Debug)]
pub(crate) struct RememberedTypes(Arc<DebugInfo>);

impl RememberedTypes {
    pub(crate) fn of(debug: &Arc<DebugInfo>) -> Self {
        debug.types.lock().holders += 1;
        Self(debug.clone())
    }

    /// The debug information that they are of.
    pub(crate) fn debug(&self) -> &Arc<DebugInfo> {
        &self.0
    }
}

impl Drop for RememberedTypes {
    fn drop(&mut self) {
        let mut types = self.0.types.lock();
        types.holders -= 1;
        if types.holders == 0 {
            types.weight = 0;
            let old = std::mem::take(&mut types.by_entry);
            // What is dropped may lead here again.
            drop(types);
            drop(old);
        }
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remembered({})", self.lock().by_entry.len())
    }
}

//! What is remembered of types that were read.

use std::{
    collections::{HashMap, hash_map::RandomState},
    fmt,
    hash::{BuildHasher, Hasher},
    sync::{
        Arc, PoisonError, RwLock, RwLockWriteGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{EntryId, Extent, Member, Type, TypeKind};
use crate::symbol::dwarf::DebugInfo;

/// No more than this is remembered: types with their members, each counted.
const MOST: usize = 1 << 18;

/// Threads that read values ask for types all the time: they seldom ask the same one of these.
const SHELVES: usize = 16;

/// The types of some debug information that were read. They lead back to the debug information, which would so keep
/// itself: types are remembered only while someone holds a [`RememberedTypes`], and forgotten with the last.
#[derive(Default)]
pub(crate) struct Remembered {
    holders: AtomicUsize,
    weight: AtomicUsize,
    seed: Seed,
    shelves: [RwLock<Shelf>; SHELVES],
}

type Shelf = HashMap<EntryId, Known, Seed>;

/// What is remembered of one type.
#[derive(Default)]
struct Known {
    whole: Option<Arc<Type>>,
    outline: Option<Arc<Type>>,
    /// What it is without typedefs and qualifiers, where that is another one.
    bare: Option<(EntryId, Arc<Type>)>,
}

impl Remembered {
    pub(super) fn get(&self, at: EntryId, extent: Extent) -> Option<Arc<Type>> {
        let shelf = self.shelf(at).read().unwrap_or_else(PoisonError::into_inner);
        let known = shelf.get(&at)?;
        match extent {
            Extent::Whole => known.whole.clone(),
            Extent::Outline => known.outline.clone(),
        }
    }

    /// The type at an entry, whole and without typedefs and qualifiers, and the entry that it is at.
    pub(super) fn bare(&self, at: EntryId) -> Option<(EntryId, Arc<Type>)> {
        let shelf = self.shelf(at).read().unwrap_or_else(PoisonError::into_inner);
        let known = shelf.get(&at)?;
        let own = || known.whole.as_ref().filter(|whole| whole.is_bare()).map(|whole| (at, whole.clone()));
        known.bare.clone().or_else(own)
    }

    /// Remembers what a type is without typedefs and qualifiers, if it is remembered itself.
    pub(super) fn note_bare(&self, at: EntryId, bare: EntryId, found: &Arc<Type>) {
        if at == bare {
            return;
        }
        if let Some(known) = write(self.shelf(at)).get_mut(&at) {
            known.bare = Some((bare, found.clone()));
        }
    }

    /// Remembers a type, if someone asked for that.
    pub(super) fn insert(&self, at: EntryId, found: &Arc<Type>, extent: Extent) {
        let weight = weight(found);
        if weight > MOST {
            return;
        }
        if self.weight.fetch_add(weight, Ordering::Relaxed) + weight > MOST {
            // Which ones will be asked for again nobody knows: it begins anew.
            self.forget();
            self.weight.store(weight, Ordering::Relaxed);
        }
        let mut shelf = write(self.shelf(at));
        // Whoever forgets them all has changed this before.
        if self.holders.load(Ordering::Relaxed) == 0 {
            return;
        }
        let known = shelf.entry(at).or_default();
        if extent == Extent::Whole || found.is_whole() {
            known.whole = Some(found.clone());
        }
        if extent == Extent::Outline || found.is_whole() {
            known.outline = Some(found.clone());
        }
    }

    fn forget(&self) {
        for shelf in &self.shelves {
            let old = std::mem::take(&mut *write(shelf));
            // What is dropped may lead here again, and to drop many takes a while.
            drop(old);
        }
    }

    fn shelf(&self, at: EntryId) -> &RwLock<Shelf> {
        // Not the bits by which a shelf finds its own.
        &self.shelves[(self.seed.hash_one(at) >> 24) as usize % SHELVES]
    }
}

fn write(shelf: &RwLock<Shelf>) -> RwLockWriteGuard<'_, Shelf> {
    shelf.write().unwrap_or_else(PoisonError::into_inner)
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
                + composite.enumerations.len()
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
        debug.types.holders.fetch_add(1, Ordering::Relaxed);
        Self(debug.clone())
    }

    /// The debug information that they are of.
    pub(crate) fn debug(&self) -> &Arc<DebugInfo> {
        &self.0
    }
}

impl Drop for RememberedTypes {
    fn drop(&mut self) {
        let types = &self.0.types;
        if types.holders.fetch_sub(1, Ordering::Relaxed) == 1 {
            types.forget();
            types.weight.store(0, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remembered({})", self.weight.load(Ordering::Relaxed))
    }
}

/// Makes hashes of places of entries, quickly. They differ between runs.
#[derive(Clone)]
struct Seed(u64);

impl Default for Seed {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0_u8))
    }
}

impl BuildHasher for Seed {
    type Hasher = PlaceHasher;

    fn build_hasher(&self) -> PlaceHasher {
        PlaceHasher(self.0)
    }
}

/// An odd number with bits all over: 2⁶⁴ divided by the golden ratio.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes in one number after another by a multiplication whose halves are put together.
struct PlaceHasher(u64);

impl Hasher for PlaceHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number) * u128::from(MULTIPLIER);
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

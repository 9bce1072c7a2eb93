//! An index of debug information, kept on disk (docs/cache.md): which units may cover an address, and for each unit
//! that was read, its functions, inlined calls and lines in a form that is searched without reading the unit.
//!
//! ```text
//! unit ─ build ─► encode ─► part ─┐                      ┌─ opened ─► frames
//! aranges, root entries ─► map ───┴─ layout ─► file ─────┘
//! ```
//!
//! Parts may be missing: those units are read as without an index. What is damaged is not believed, and removed.

mod build;
mod definitions;
mod each;
mod encode;
mod layout;
mod map;
mod opened;
mod part;
mod slot;
mod store;
#[cfg(test)]
mod tests;

pub(super) use opened::Index;
pub(crate) use slot::IndexSlot;
pub use store::{IndexError, IndexProgress, IndexReport};

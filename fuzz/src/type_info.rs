//! Every type of a damaged file.

use std::{ops::ControlFlow, path::Path, sync::Arc};

use prospect_symbols::{
    Binary,
    type_info::{TypeRef, every_type},
};

/// No more types than this are read of one file.
const MOST: usize = 500;

/// Reads the types that a file describes. Returns how many could be read.
pub(crate) fn read_types(path: &Path) -> usize {
    let Ok(binary) = Binary::open(path) else { return 0 };
    let (mut met, mut read) = (0, 0);
    every_type(&Arc::new(binary), &mut |ty| {
        met += 1;
        read += usize::from(exercise(&ty));
        if met < MOST { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    read
}

fn exercise(ty: &TypeRef) -> bool {
    let _ = (ty.name(), ty.size(), ty.bare().is_ok());
    let Ok(found) = ty.get() else { return false };
    for member in found.composite().iter().flat_map(|one| &one.members).take(50) {
        let _ = (member.ty.name(), member.ty.size());
    }
    true
}

//! Damaged files of other systems: PE and Mach-O, with their symbols and unwind tables.

use std::{fs, path::Path, sync::LazyLock};

use prospect_process::LinkAddr;
use prospect_symbols::{Binaries, Binary, SearchOptions};

use crate::subject::{Cursor, as_file, damage};

const NAMES: &[&str] =
    &["gcc.x86_64.dll", "clang.x86_64.dll", "clang.aarch64.dll", "macos.x86_64.dylib", "macos.arm64.dylib"];
/// The code of each is in its first bytes.
const CODE_BYTES: u64 = 0x2000;

static FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/images");
    NAMES.iter().filter_map(|name| fs::read(folder.join(name)).ok()).collect()
});

/// One of the files with changes: opened, its unwind rows looked up, its addresses named.
pub fn images(data: &[u8]) {
    let mut cursor = Cursor(data);
    let Some(file) = FILES.get(usize::from(cursor.byte()) % FILES.len().max(1)) else { return };
    let mut file = file.clone();
    damage(&mut file, &mut cursor);
    let path = as_file(&file);
    let Ok(binary) = Binary::open(&path) else { return };
    let base = binary.image_base().unwrap_or_default();
    for at in (0..CODE_BYTES).step_by(7) {
        let _ = binary.unwind_row(LinkAddr(base.0.wrapping_add(at)));
    }
    let binaries = Binaries::new(SearchOptions { debug_directories: Vec::new(), ..SearchOptions::default() });
    if let Ok(module) = binaries.open(&path) {
        for at in (0..CODE_BYTES).step_by(61) {
            let _ = module.function_at(LinkAddr(base.0.wrapping_add(at)));
        }
    }
}

//! Names and lines sought in damaged files: symbols, versions, hash tables, debug information, line tables.

use prospect_process::{LinkAddr, Process as _, Registers};
use prospect_symbols::{Binaries, ModuleBinary, Pattern, Query, SearchOptions, SymbolOrder};
use prospect_testing::Random;

use crate::{
    image,
    subject::{Cursor, as_file},
    targets::damaged,
};

/// More is not asked for.
const MOST_FOUND: usize = 5000;

/// Searches in one damaged file, by patterns that are sound, and by one that is made of the same bytes.
pub fn find(data: &[u8]) {
    let own = String::from_utf8_lossy(data.get(..data.len().min(64)).unwrap_or_default()).into_owned();
    let mut cursor = Cursor(data);
    let in_memory = cursor.byte() & 7 == 0;
    let (file, arch) = damaged(&mut cursor);
    if in_memory {
        let stack = vec![0; image::STACK_BYTES];
        let process = image::process(arch, "/no/such/file".as_ref(), file, stack, Registers::unknown(arch));
        let binaries = Binaries::new(SearchOptions::default());
        for module in process.modules().in_load_order(arch, process.memory()) {
            search(&binaries.get(module, process.info(), process.memory()), &own);
        }
    } else if let Ok(module) = Binaries::new(SearchOptions::default()).open(&as_file(&file)) {
        search(&module, &own);
    }
}

/// What [`find`] begins with.
pub(crate) fn seed(random: &mut Random) -> Vec<u8> {
    (0..8 + random.below(400)).map(|_| random.number() as u8).collect()
}

/// How much was found.
fn search(module: &ModuleBinary, own: &str) -> usize {
    let mut found = 0;
    for text in
        ["main", "f0", "/./", "inner*", "deep.c:20", "inlines.cc:15", "x.rs:1", "shapes::area<int>", own]
    {
        let Ok(query) = Query::parse(text) else { continue };
        let matches = module.find(&query, MOST_FOUND);
        assert!(matches.len() <= MOST_FOUND, "{text}");
        for one in matches.iter().take(4) {
            found += 1;
            if let Some(range) = &one.range {
                let _ = module.after_prologue(range.start);
            }
            let name = one.linkage_name.as_deref().unwrap_or_default();
            let _ = (module.slots_of_resolver(LinkAddr(0x1000)), module.slots_of_symbol(name));
        }
    }
    for order in [SymbolOrder::Address, SymbolOrder::Name] {
        let exports = module.exports(order);
        for symbol in exports.iter().take(64) {
            let _ = module.export(&symbol.name, symbol.version.as_ref().map(|version| version.name.as_str()));
            let _ = symbol.to_string();
        }
    }
    let _ = Pattern::parse(own)
        .map(|pattern| (pattern.wants_module(own, module.soname().as_deref()), pattern.matches(own)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without damage there is something to find: else it would fuzz nothing.
    #[test]
    fn an_intact_file_is_searched() {
        let deep = prospect_testing::require!(prospect_testing::fixture("deep"));
        let module = Binaries::new(SearchOptions::default()).open(&deep.path()).unwrap();
        let found = search(&module, "deep.c:21");
        assert!(found > 5, "{found}");
    }
}

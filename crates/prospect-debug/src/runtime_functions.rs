//! Functions of runtimes that steps and calls have to know of.

use prospect_process::{Addr, Process};
use prospect_symbols::{Binaries, Pattern};

/// What leaves frames without returning: `man 3 setjmp`. Most are one function.
pub(crate) const LONG_JUMPS: [&str; 4] = ["longjmp", "_longjmp", "siglongjmp", "__longjmp_chk"];

/// More functions of one name are in no module.
const MOST_OF_A_NAME: usize = 4;

/// Where functions of these names begin, in all modules.
pub(crate) fn functions(process: &dyn Process, binaries: &Binaries, names: &[&str]) -> Vec<Addr> {
    let patterns: Vec<Pattern> = names.iter().filter_map(|name| Pattern::name(name).ok()).collect();
    let is_code = |at: Addr| process.mappings().at(at).is_some_and(|mapping| mapping.permissions.execute);
    let mut found = Vec::new();
    for module in process.modules() {
        let binary = binaries.get(module, process.info(), process.memory());
        for symbol in patterns.iter().flat_map(|pattern| binary.symbols(pattern, MOST_OF_A_NAME)) {
            let at = symbol.range.start.to_addr(module.bias);
            if is_code(at) && !found.contains(&at) {
                found.push(at);
            }
        }
    }
    found
}

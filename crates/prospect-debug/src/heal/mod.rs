//! What tools that were killed have left in a process: breakpoints that nobody waits for any more.
//!
//! A thread that comes to such a byte dies of `SIGTRAP`. It is found by comparing the code in memory with the file of
//! the same build-id.

use std::sync::Arc;

use prospect_process::{Addr, Arch, Module, Process, ProcessId, Target, control::ControlError};
use prospect_symbols::Binaries;

/// The breakpoint instruction of x86 (`int3`; Intel's manual, volume 2, "INT n/INTO/INT3/INT1").
const BREAKPOINT: u8 = 0xcc;

/// So many bytes are compared at once.
const AT_ONCE: u64 = 64 << 10;

/// In code that differs from its file at more places than this, it is not breakpoints that make the difference.
const MOST: usize = 100_000;

/// A breakpoint in the code that is not in its file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StaleByte {
    /// Where.
    pub at: Addr,
    /// The path of the module.
    pub module: Arc<str>,
    /// What the file has there.
    pub original: u8,
}

/// What a comparison came to.
#[derive(Clone, Default, Debug)]
pub struct Comparison {
    /// The breakpoints that were found.
    pub stale: Vec<StaleByte>,
    /// How many bytes of code were compared.
    pub compared: u64,
    /// The modules whose code was not compared, and why.
    pub skipped: Vec<(Arc<str>, String)>,
}

/// Compares the code of all modules with their files. A process that somebody debugs has breakpoints that are in use.
#[must_use]
pub fn compare(process: &dyn Process, binaries: &Binaries) -> Comparison {
    let mut comparison = Comparison::default();
    for module in process.modules().iter() {
        let path: Arc<str> = module.path_lossy().into();
        if !matches!(process.info().arch, Arch::X86_64 | Arch::I386) {
            comparison.skipped.push((path, "breakpoints of this architecture are not known".into()));
        } else if let Err(why) = compare_module(process, module, &path, binaries, &mut comparison) {
            comparison.skipped.push((path, why));
        }
    }
    comparison
}

fn compare_module(
    process: &dyn Process,
    module: &Module,
    path: &Arc<str>,
    binaries: &Binaries,
    to: &mut Comparison,
) -> Result<(), String> {
    let binary = binaries.get(module, process.info(), process.memory());
    let binary = binary.binary.as_ref().ok_or("there is no file of it")?;
    let mut has_file = false;
    let mut found = Vec::new();
    for range in binary.code_sections() {
        let mut at = range.start;
        while at < range.end {
            let file = binary.constant(at);
            let length = (range.end.0 - at.0).min(AT_ONCE).min(file.len() as u64) as usize;
            if length == 0 {
                break;
            }
            has_file = true;
            let start = at.to_addr(module.bias);
            let mut memory = vec![0; length];
            let read = process.memory().read_up_to(start, &mut memory).unwrap_or(0);
            for (offset, (now, original)) in memory[..read].iter().zip(file).enumerate() {
                if *now == BREAKPOINT && now != original {
                    let at = start.wrapping_add(offset as u64);
                    found.push(StaleByte { at, module: path.clone(), original: *original });
                }
            }
            if found.len() > MOST {
                return Err("its code is another than that of its file".into());
            }
            to.compared += read as u64;
            at = prospect_process::LinkAddr(at.0 + length as u64);
        }
    }
    to.stale.append(&mut found);
    if has_file { Ok(()) } else { Err("no file of the same build is known".into()) }
}

/// Puts back what the files have, in a process that stands; says how many there were. What is no breakpoint any more is
/// left alone.
///
/// # Errors
/// When the target cannot be written to.
pub fn put_back(
    target: &mut dyn Target,
    process: ProcessId,
    stale: &[StaleByte],
) -> Result<usize, ControlError> {
    let mut count = 0;
    for one in stale {
        let mut now = [0];
        let view = target.process(process).map_err(|_| ControlError::NotControlled(process))?;
        view.memory().read(one.at, &mut now)?;
        if now != [BREAKPOINT] {
            continue;
        }
        let control = target.control().ok_or_else(|| ControlError::Unsupported("be written to".into()))?;
        control.write_memory(process, one.at, &[one.original])?;
        count += 1;
    }
    Ok(count)
}

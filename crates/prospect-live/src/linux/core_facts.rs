//! What only a core says of a process, read around its stop.

use prospect_process::{Advice, FrozenThread, Mapping, Mappings, ProcessInfo, RegisterSet};

use super::{LiveError, LiveProcess, arch, process::running_arch, procfs};

/// What was read before the stop.
#[derive(Debug)]
pub(crate) struct CoreFacts {
    info: ProcessInfo,
    advised: Mappings,
}

impl CoreFacts {
    /// Reads what takes long while the process still runs.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn read(live: &LiveProcess) -> Result<Self, LiveError> {
        let id = live.info().id;
        let facts = || {
            let kernel = procfs::kernel_facts(id)?;
            let info = ProcessInfo { kernel, ..procfs::process_info(id)? };
            // A kernel without the file: the rest can be had.
            let advised = procfs::advised_mappings(id).unwrap_or_default();
            Ok(Self { info, advised })
        };
        live.of_itself(|_| facts())
    }

    /// The whole of it, now that these threads stand, and the memory map.
    pub(crate) fn now(self, threads: &[FrozenThread]) -> (ProcessInfo, Mappings) {
        let Self { info, advised } = self;
        let plain = procfs::mappings(info.id).unwrap_or_default();
        (of_threads(info, threads), Mappings::new(with_advice(&plain, &advised).collect()))
    }
}

/// Mappings with what was asked for them when they were looked at longer before: that takes a look at each page.
pub(crate) fn with_advice(plain: &Mappings, advised: &Mappings) -> impl Iterator<Item = Mapping> {
    plain.iter().map(|one| Mapping { advice: advice_at(advised, one), ..one.clone() })
}

/// What is known of a process with what its threads, which stand, say of it.
pub(crate) fn of_threads(info: ProcessInfo, threads: &[FrozenThread]) -> ProcessInfo {
    let sets = threads.iter().flat_map(|one| &one.register_sets);
    let extended = sets.clone().find(|(set, _)| *set == RegisterSet::X86_EXTENDED);
    let mut info = ProcessInfo { arch: running_arch(threads).unwrap_or(info.arch), ..info };
    // The kernel shows it in pairs of its own words: behind the end of one in shorter words there may be more zeros.
    let entry = 2 * usize::from(info.arch.info().word_bytes);
    let vector = &mut info.kernel.auxiliary_vector;
    let end = vector.chunks_exact(entry).position(|pair| pair[..entry / 2].iter().all(|byte| *byte == 0));
    vector.truncate(end.map_or(vector.len(), |end| (end + 1) * entry));
    info.kernel.extended_layout = extended.and_then(|(_, bytes)| extended_layout(bytes)).unwrap_or_default();
    info
}

/// What was asked for the memory that a mapping begins with.
fn advice_at(advised: &Mappings, mapping: &Mapping) -> Advice {
    advised.at(mapping.range.start).map(|before| before.advice).unwrap_or_default()
}

/// Where the parts of an extended register set lie. Which it has, the kernel says in the bytes that the processor leaves to
/// software (`xstate_bv` at 464; `arch/x86/kernel/fpu/xstate.c`).
fn extended_layout(set: &[u8]) -> Option<Vec<u8>> {
    let enabled = u64::from_le_bytes(*set.get(464..)?.first_chunk()?);
    let parts = (2..63).filter(|part| enabled >> part & 1 == 1);
    let part = |part: u32| {
        let (size, offset) = arch::extended_part(part)?;
        Some([part, size, offset, 0].map(u32::to_le_bytes).concat())
    };
    Some(parts.filter_map(part).flatten().collect())
}

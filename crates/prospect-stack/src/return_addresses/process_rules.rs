//! The rules of all modules of a process, made before they are needed.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use prospect_process::{Addr, Arch, BuildId, Memory, Module, ModuleKind};

use super::{ReturnRule, RuleSource, RuleTable};
use crate::{
    CodeAddress, FrameProgress, StepContext,
    arch::{self, Trampoline},
};

/// No more code of a module is searched for signal trampolines.
const MOST_SEARCHED: u64 = 64 << 20;

/// So much of it is read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// The rules of all code that a process has loaded, made at once: looking into them opens no file, allocates
/// nothing and waits for nobody, so that a signal handler may. Code that was loaded later is not known in them
/// until they are [made again](Self::again).
#[derive(Debug)]
pub struct ProcessRules {
    arch: Arch,
    generation: u64,
    modules: Vec<ModuleRules>,
    /// Where code can run, sorted, neighbours joined.
    code: Vec<Range<u64>>,
    /// Signal trampolines that are known by their code, sorted.
    trampolines: Vec<(u64, ReturnRule)>,
}

/// What the same module has in common: where it is, its bias, its path, its build.
type Identity = (Range<Addr>, u64, Vec<u8>, Option<BuildId>);

#[derive(Debug)]
struct ModuleRules {
    identity: Identity,
    range: Range<u64>,
    bias: u64,
    table: Arc<RuleTable>,
}

impl ProcessRules {
    /// Compiles the rules of every module of the process that the context is of.
    #[must_use]
    pub fn new(context: &StepContext<'_>) -> Self {
        Self::again(context, None)
    }

    /// The same, with the tables of `before` for the modules that were loaded then.
    #[must_use]
    pub fn again(context: &StepContext<'_>, before: Option<&Self>) -> Self {
        static GENERATIONS: AtomicU64 = AtomicU64::new(1);
        let known = |module: &Module| {
            let same = before?.modules.iter().find(|one| one.is_of(module))?;
            Some(same.table.clone())
        };
        let table = |module: &Module| {
            let binary = context.binaries.get(module, context.info, context.memory);
            Arc::new(binary.unwind_binary().map(|binary| RuleTable::of(binary)).unwrap_or_default())
        };
        let modules = context.modules.iter().map(|module| ModuleRules {
            identity: identity(module),
            range: module.range.start.0..module.range.end.0,
            bias: module.bias,
            table: known(module).unwrap_or_else(|| table(module)),
        });
        let mut code: Vec<Range<u64>> = Vec::new();
        for mapping in context.mappings.iter().filter(|mapping| mapping.permissions.execute) {
            match code.last_mut().filter(|last| last.end == mapping.range.start.0) {
                Some(last) => last.end = mapping.range.end.0,
                None => code.push(mapping.range.start.0..mapping.range.end.0),
            }
        }
        Self {
            arch: context.arch,
            generation: GENERATIONS.fetch_add(1, Ordering::Relaxed),
            modules: modules.collect(),
            code,
            trampolines: trampolines(context),
        }
    }

    /// A number that no other rules have; for [`RuleCache::over`](super::RuleCache::over).
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many bytes the tables take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.modules.iter().map(|module| module.table.bytes()).sum()
    }

    fn trampoline(&self, code: CodeAddress) -> Option<ReturnRule> {
        let index = self.trampolines.binary_search_by_key(&code.addr().0, |(at, _)| *at).ok()?;
        self.trampolines.get(index).map(|(_, rule)| *rule)
    }

    fn can_return_to(&self, at: u64) -> bool {
        // It may be the end of a mapping, behind a call that never returns.
        let after = self.code.partition_point(|range| range.start <= at);
        let range = after.checked_sub(1).and_then(|index| self.code.get(index));
        range.is_some_and(|range| at <= range.end)
    }

    fn by_module(&self, at: Addr) -> Option<ReturnRule> {
        let after = self.modules.partition_point(|module| module.range.start <= at.0);
        let module = self.modules.get(after.checked_sub(1)?).filter(|module| module.range.contains(&at.0))?;
        let rule = module.table.rule(at.to_link(module.bias));
        (rule != ReturnRule::NOT_COVERED).then_some(rule)
    }
}

impl RuleSource for &ProcessRules {
    fn rule(&mut self, code: CodeAddress) -> ReturnRule {
        if !self.can_return_to(code.addr().0) {
            return ReturnRule::NOT_EXECUTABLE;
        }
        let found = self.trampoline(code).or_else(|| self.by_module(code.for_lookup()));
        found.unwrap_or_else(|| ReturnRule::from_frame_chain(self.arch, FrameProgress::Set))
    }
}

impl ModuleRules {
    fn is_of(&self, module: &Module) -> bool {
        self.identity == identity(module)
    }
}

fn identity(module: &Module) -> Identity {
    (module.range.clone(), module.bias, module.path.clone(), module.build_id.clone())
}

/// The signal trampolines in the modules that have them: the C library, the vdso, and the program where it has its
/// C library in itself.
fn trampolines(context: &StepContext<'_>) -> Vec<(u64, ReturnRule)> {
    let Some(patterns) = arch::patterns(context.arch) else { return Vec::new() };
    let c_library = context.modules.c_library().map(|module| module.range.start);
    let may_have = |module: &&Module| {
        module.kind == ModuleKind::Vdso || Some(module.range.start) == c_library || module.is_executable
    };
    let mut found = Vec::new();
    for module in context.modules.iter().filter(may_have) {
        let own = context.mappings.iter().filter(|mapping| {
            mapping.permissions.execute
                && module.range.start <= mapping.range.start
                && mapping.range.end <= module.range.end
        });
        for mapping in own {
            let bytes = mapping.bytes().min(MOST_SEARCHED);
            search(context.memory, mapping.range.start, bytes, |start, code| {
                for trampoline in patterns.trampolines {
                    for offset in places(trampoline, code) {
                        let at = start.0.wrapping_add(offset as u64);
                        found.extend(states(trampoline, at, context.arch));
                    }
                }
            });
        }
    }
    found.sort_by_key(|(at, _)| *at);
    found.dedup_by_key(|(at, _)| *at);
    found
}

/// The rules of all instructions of a trampoline that begins at `at`.
fn states(trampoline: &'static Trampoline, at: u64, arch: Arch) -> impl Iterator<Item = (u64, ReturnRule)> {
    trampoline.states.iter().map(move |(done, above_sp)| {
        let rule = ReturnRule::from_trampoline(trampoline, *above_sp, arch);
        (at.wrapping_add(u64::from(*done)), rule)
    })
}

/// Where a trampoline begins in some code.
fn places(trampoline: &Trampoline, code: &[u8]) -> impl Iterator<Item = usize> {
    // Its system call is what other code has least of. Two bytes of it tell nearly always, in a fraction of the time.
    let call = usize::from(trampoline.states.last().map_or(0, |(done, _)| *done));
    let first = trampoline.code.get(call..call + 2).unwrap_or_default();
    let calls = code.windows(2).enumerate().skip(call).filter(move |(_, pair)| *pair == first);
    let begins = calls.map(move |(offset, _)| offset - call);
    begins.filter(|offset| code[*offset..].starts_with(trampoline.code))
}

/// Has `visit` see the code from `start` on, in chunks that overlap.
fn search(memory: &dyn Memory, start: Addr, bytes: u64, mut visit: impl FnMut(Addr, &[u8])) {
    /// No trampoline is longer.
    const OVERLAP: usize = 16;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut done = 0;
    while done < bytes {
        let wanted = usize::try_from(bytes - done).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        let at = start.wrapping_add(done);
        let read = memory.read_available(at, &mut chunk[..wanted]);
        visit(at, &chunk[..read]);
        if read < CHUNK_BYTES {
            break;
        }
        done += (CHUNK_BYTES - OVERLAP) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trampolines_are_found_wherever_they_are() {
        for arch in Arch::ALL {
            for trampoline in arch::patterns(arch).into_iter().flat_map(|patterns| patterns.trampolines) {
                assert!(trampoline.code.len() <= 16 && !trampoline.states.is_empty());
                // At the start, one behind the other, and cut off.
                let mut code = [trampoline.code, trampoline.code, &[0x90; 3], trampoline.code].concat();
                code.extend_from_slice(&trampoline.code[..trampoline.code.len() - 1]);
                let length = trampoline.code.len();
                let found: Vec<usize> = places(trampoline, &code).collect();
                assert_eq!(found, [0, length, 2 * length + 3], "{arch:?}");
                assert_eq!(places(trampoline, &[]).count(), 0);
            }
        }
    }

    #[test]
    fn a_trampoline_across_two_chunks_is_found() {
        let trampoline = &arch::patterns(Arch::X86_64).unwrap().trampolines[0];
        for at in [0, CHUNK_BYTES - 20, CHUNK_BYTES - 16, CHUNK_BYTES - 5, CHUNK_BYTES - 1, CHUNK_BYTES] {
            let mut code = vec![0x90; 2 * CHUNK_BYTES];
            code[at..at + trampoline.code.len()].copy_from_slice(trampoline.code);
            let bytes = code.len();
            let memory = prospect_process::CapturedMemory::new(code, [(Addr(0x1000), bytes, 0)]);
            let mut found = Vec::new();
            search(&memory, Addr(0x1000), bytes as u64, |start, code| {
                found.extend(places(trampoline, code).map(|offset| start.0 as usize + offset - 0x1000));
            });
            found.dedup();
            assert_eq!(found, [at]);
        }
    }
}

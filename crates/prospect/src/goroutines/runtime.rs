//! The runtime of a Go program in a process: what its structures look like, and where its list of goroutines is.

use std::ops::Range;

use prospect_process::{Addr, Arch, Memory, ModuleKind, Modules, ProcessInfo};
use prospect_symbols::{Binaries, GoRelease};

use super::{
    GoroutinesError,
    layout::{KNOWN, Layout},
    read::{RawGoroutine, Status, read},
};

/// Variables of a program beyond this are not searched: tables of its own that begin as zero.
const MOST_SEARCHED: u64 = 1 << 30;
/// Bytes of it that are read at once.
const CHUNK_BYTES: usize = 1 << 20;
/// A program with more goroutines is broken: each has a stack of 2 KiB at least.
pub(super) const MOST_GOROUTINES: u64 = 4 << 20;
/// So many slices are followed. Programs have some hundreds among these variables.
const MOST_TRIES: usize = 1 << 18;
/// What the runtime lets a stack grow to, in bytes.
const LARGEST_STACK: u64 = 1 << 30;
/// No program lives long enough to make as many goroutines.
const LARGEST_NUMBER: u64 = 1 << 48;
/// Goroutines that are looked at before a list is believed to be one.
const SAMPLE: u64 = 64;

/// Where the goroutines of a process are.
#[derive(Clone, Debug)]
pub(crate) struct GoRuntime {
    pub(crate) release: GoRelease,
    pub(super) layout: Layout,
    pub(super) arch: Arch,
    /// `runtime.allgs`: the slice of them.
    pub(super) list: Addr,
}

impl GoRuntime {
    /// Finds it.
    pub(crate) fn find(
        info: &ProcessInfo,
        modules: &Modules,
        memory: &dyn Memory,
        binaries: &Binaries,
    ) -> Result<Self, GoroutinesError> {
        let executable = modules.iter().filter(|module| module.is_executable);
        let libraries =
            modules.iter().filter(|module| !module.is_executable && module.kind == ModuleKind::File);
        let program = executable.chain(libraries).find_map(|module| {
            let binary = binaries.get(module, info, memory);
            binary.go_program().cloned().map(|program| (program, binary, module.bias))
        });
        let (program, binary, bias) = program.ok_or(GoroutinesError::NotGo)?;
        let release = program.release.ok_or(GoroutinesError::NoRelease)?;
        let layout = Layout::of(&release, info.arch.info().word_bytes)
            .or_else(|| Layout::of_program(&binary))
            .filter(|_| matches!(info.arch, Arch::X86_64 | Arch::I386))
            .ok_or_else(|| GoroutinesError::Unsupported { release: release.clone(), known: KNOWN })?;
        let bss = program.bss.ok_or(GoroutinesError::NoModuleData)?;
        let bss = bss.start.to_addr(bias)..bss.end.to_addr(bias);
        let mut runtime = Self { release, layout, arch: info.arch, list: Addr(0) };
        runtime.list = runtime.find_list(bss, memory).ok_or(GoroutinesError::NoList)?;
        Ok(runtime)
    }

    /// The one slice among the variables whose pointers all lead to goroutines. Only symbols would tell it by name, and
    /// they are stripped first. The longest is taken: a list that was outgrown is a part of the one that followed.
    fn find_list(&self, variables: Range<Addr>, memory: &dyn Memory) -> Option<Addr> {
        let word = u64::from(self.arch.info().word_bytes);
        let end = variables.end.0.min(variables.start.0.saturating_add(MOST_SEARCHED));
        let mut chunk = vec![0; CHUNK_BYTES];
        let (mut best, mut tries) = (None, MOST_TRIES);
        let mut at = variables.start.0;
        while at + 3 * word <= end {
            let length = CHUNK_BYTES.min(usize::try_from(end - at).unwrap_or(CHUNK_BYTES));
            let read = memory.read_available(Addr(at), &mut chunk[..length]);
            let words: Vec<u64> = self.words(&chunk[..read]);
            for (index, slice) in words.windows(3).enumerate() {
                let longest = best.map_or(0, |(length, _)| length);
                if let [list, length, room] = *slice
                    && list != 0
                    && list % word == 0
                    && tries > 0
                    && (longest + 1..=room.min(MOST_GOROUTINES)).contains(&length)
                {
                    tries -= 1;
                    if !self.are_goroutines(Addr(list), length, memory) {
                        continue;
                    }
                    best = Some((length, Addr(at + index as u64 * word)));
                }
            }
            // A slice may lie across two chunks.
            at += (length as u64).saturating_sub(2 * word).max(word);
        }
        best.map(|(_, at)| at)
    }

    /// Whether so many pointers lead to goroutines, as far as the first ones tell.
    fn are_goroutines(&self, list: Addr, length: u64, memory: &dyn Memory) -> bool {
        let sample = length.min(SAMPLE);
        let (found, unread) = read(self, list, sample, memory);
        let mut ids: Vec<u64> = found.iter().filter(|one| one.id != 0).map(|one| one.id).collect();
        ids.sort_unstable();
        let are_distinct = ids.windows(2).all(|pair| pair[0] != pair[1]);
        unread == 0
            && !ids.is_empty()
            && are_distinct
            && found.iter().all(|one| self.is_goroutine(one))
            && found.iter().any(|one| one.status != Status::Dead)
    }

    fn is_goroutine(&self, one: &RawGoroutine) -> bool {
        let Range { start, end } = one.stack;
        let size = end.0.checked_sub(start.0).filter(|size| *size <= LARGEST_STACK);
        let lives = one.id != 0 && start != Addr(0) && (one.sp == Addr(0) || (start..=end).contains(&one.sp));
        match (one.status, size) {
            (_, None) => false,
            // Memory that is zero looks idle. The runtime lists none before it is something else.
            (Status::Unknown | Status::Idle, _) => false,
            // Its stack may be gone, and its number is that of its last life.
            (Status::Dead, Some(_)) => one.id < LARGEST_NUMBER,
            (_, Some(size)) => lives && size > 0 && one.id < LARGEST_NUMBER,
        }
    }

    /// The words in some bytes.
    pub(super) fn words(&self, bytes: &[u8]) -> Vec<u64> {
        let info = self.arch.info();
        bytes.chunks_exact(usize::from(info.word_bytes)).filter_map(|word| info.word(word)).collect()
    }
}

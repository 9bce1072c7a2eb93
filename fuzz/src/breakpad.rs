//! Symbol files of Breakpad: addresses are named by them, and stacks walked.

use std::{
    fs,
    path::{Path, PathBuf},
    process, thread,
};

use prospect_process::{
    Addr, Arch, BuildId, CapturedMemory, Module, ModuleKind, OperatingSystem, ProcessId, ProcessInfo,
    Registers,
};
use prospect_symbols::{Binaries, CfaRule, RegisterRule, SearchOptions, SourceFrame};
use prospect_testing::Random;

const BASE: u64 = 0x40_0000;
/// No address in the files to begin with is further from where the module begins.
const ADDRESSES: u64 = 0x400;

/// A symbol file that is `data` behind its first line: of AMD64, or of 32-bit Windows.
pub fn breakpad(data: &[u8]) {
    for system in [OperatingSystem::Linux, OperatingSystem::Windows] {
        let _ = read(data, system);
    }
}

/// Removed when its thread ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let shared = Path::new("/dev/shm");
        let home = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
        Self(home.join(format!("prospect-fuzz-symbols-{}-{:?}", process::id(), thread::current().id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How many functions have names, and how many addresses rows.
fn read(data: &[u8], system: OperatingSystem) -> (usize, usize) {
    thread_local! {
        static FOLDER: Folder = Folder::new();
    }
    let (arch, age) = match system {
        OperatingSystem::Windows => (Arch::I386, "1"),
        _ => (Arch::X86_64, "0"),
    };
    let build = format!("040302010605080708090A0B0C0D0E0F{age}");
    let directory = FOLDER.with(|folder| folder.0.clone());
    let place = directory.join("a").join(&build);
    let path = place.join("a.sym");
    let text = [format!("MODULE Linux any {build} a\n").as_bytes(), data].concat();
    // A new file each time: one that is still mapped must not change under its reader.
    let _ = fs::remove_file(&path);
    let _ = fs::create_dir_all(&place).and_then(|()| fs::write(&path, text));
    let mut info = ProcessInfo::new(ProcessId(1), arch);
    info.system = system;
    let mut id = vec![1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 10, 11, 12, 13, 14, 15];
    id.extend(1u32.to_le_bytes());
    let module = Module {
        range: Addr(BASE)..Addr(BASE + 0x1_0000),
        bias: BASE,
        path: b"/a".to_vec(),
        kind: ModuleKind::File,
        file: None,
        deleted: true,
        build_id: Some(BuildId(id)),
        debug_file: None,
        first_mapping: Addr(BASE)..Addr(BASE + 0x1000),
        is_executable: false,
    };
    let options = SearchOptions { symbol_directories: vec![directory], ..SearchOptions::default() };
    let memory = CapturedMemory::new((0..=255).cycle().take(4096).collect(), [(Addr(0x7000), 4096, 0)]);
    let binary = Binaries::new(options).get(&module, &info, &memory);
    let mut registers = Registers::unknown(arch);
    for id in arch.info().preserved().chain([arch.info().sp, arch.info().pc]) {
        registers.set(id, 0x7800);
    }
    let addresses: Vec<_> = (0..ADDRESSES).step_by(3).map(|at| Addr(BASE + at).to_link(BASE)).collect();
    let mut rows = 0;
    for at in &addresses {
        let Ok(Some(row)) = binary.unwind_row(*at) else { continue };
        assert!(row.range.contains(at), "{row:?}");
        rows += 1;
        if let CfaRule::Expression(cfa) = &row.cfa {
            let _ = cfa.evaluate(None, &registers, &memory);
        }
        for (_, rule) in &row.rules {
            if let RegisterRule::AtExpression(is) | RegisterRule::IsExpression(is) = rule {
                let _ = is.evaluate(Some(0x7810), &registers, &memory);
            }
        }
    }
    let named = binary.resolve(&addresses).into_iter().flat_map(|found| found.frames);
    let named = named.filter(|frame: &SourceFrame| frame.function.is_some()).count();
    let _ = (binary.problems(), binary.trail());
    (named, rows)
}

/// A sound file, some of whose lines come again, or not at all.
pub(crate) fn seed(random: &mut Random) -> Vec<u8> {
    let lines = LINES.lines().flat_map(|line| {
        let times = [1, 1, 1, 1, 1, 1, 0, 2][random.below(8)];
        std::iter::repeat_n(line, times)
    });
    lines.flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect()
}

const LINES: &str = "\
FILE 0 /src/a.c
FILE 1 b.h
INLINE_ORIGIN 0 inlined(int)
INLINE_ORIGIN 1 other
PUBLIC m 10 0 exported
FUNC m 100 40 0 function(int)
INLINE 0 12 0 1 110 8 120 4
INLINE 1 34 1 0 110 4
100 10 10 0
110 10 99 1
120 20 11 0
FUNC 200 20 0 _ZN1a1bEv
200 20 7 0
PUBLIC 300 0 last
STACK CFI INIT 100 40 .cfa: $rsp 8 + .ra: .cfa -8 + ^
STACK CFI 101 .cfa: $rsp 16 + $rbp: .cfa -16 + ^
STACK CFI 104 .cfa: $rbp 16 + $rbx: .cfa 24 - ^ $r12: $r13 3 * 16 @
STACK CFI INIT 200 20 .cfa: $rsp 8 + ^ 7 % 100 / .ra: .cfa 8 - ^
STACK WIN 4 280 40 1 0 8 4 10 0 1 $T0 $ebp = $eip $T0 4 + ^ = $ebp $T0 ^ = $esp $T0 8 + =
STACK WIN 4 340 40 1 0 0 8 10 0 1 $T0 .raSearch = $eip $T0 ^ = $esp $T0 4 + = $ebx $T0 8 - ^ =
STACK WIN 0 300 20 0 0 0 8 10 0 0 1
";

#[cfg(test)]
mod tests {
    use super::*;

    /// Without damage there are names and rows: else it would fuzz nothing.
    #[test]
    fn a_sound_file_is_read() {
        for (system, expected) in [(OperatingSystem::Linux, 30), (OperatingSystem::Windows, 45)] {
            let (named, rows) = read(LINES.as_bytes(), system);
            assert!(named > 60 && rows > expected, "{system:?}: {named}, {rows}");
        }
    }
}

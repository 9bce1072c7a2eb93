//! Variables of damaged debug information: which there are, where they are, and what is there.

use std::{sync::LazyLock, time::Instant};

use prospect_process::{Addr, Arch, ArchInfo, LinkAddr, Memory, MemoryError, Unreadable};
use prospect_symbols::{
    Binaries, ModuleBinary, SearchOptions,
    variable::{FrameContext, Variable},
};
use prospect_testing::Random;

use crate::subject::{Cursor, as_file, damage, returns};

/// Fixtures by name; those that cannot be built here are left out.
const NAMES: &[&str] = &[
    "variables-o2",
    "variables-dwarf2",
    "variables-dwarf4",
    "variables-clang",
    "variables-cxx",
    "variables-32",
    "variables-dwz",
];

/// No input has more variables looked at than this.
const MOST_LOCATED: usize = 4000;

struct Subject {
    bytes: Vec<u8>,
    arch: Arch,
    /// Where calls in it return to.
    returns: Vec<u64>,
}

static SUBJECTS: LazyLock<Vec<Subject>> = LazyLock::new(|| {
    let built = NAMES.iter().filter_map(|name| {
        let bytes = std::fs::read(prospect_testing::fixture(name).ok()?.path()).ok()?;
        let returns = returns(&bytes);
        let arch = if name.ends_with("-32") { Arch::I386 } else { Arch::X86_64 };
        Some(Subject { bytes, arch, returns })
    });
    built.collect()
});

/// Memory that has a number wherever it is read.
struct Anything(u64);

impl Memory for Anything {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        if at.0.is_multiple_of(11) {
            return Err(MemoryError { at, why: Unreadable::Unmapped });
        }
        let bytes = (at.0 ^ self.0).to_le_bytes();
        buffer.iter_mut().enumerate().for_each(|(index, byte)| *byte = bytes[index % 8]);
        Ok(buffer.len())
    }
}

/// A frame somewhere in the file, with callers.
struct Made<'a> {
    subject: &'a Subject,
    binary: &'a ModuleBinary,
    memory: &'a Anything,
    at: u64,
    caller: Option<&'a Self>,
}

impl FrameContext for Made<'_> {
    fn arch(&self) -> &ArchInfo {
        self.subject.arch.info()
    }
    fn at(&self) -> LinkAddr {
        LinkAddr(self.at)
    }
    fn bias(&self) -> u64 {
        crate::image::BASE
    }
    fn memory(&self) -> &dyn Memory {
        self.memory
    }
    fn register(&self, number: u16) -> Option<u64> {
        (number % 5 != 2).then(|| crate::image::STACK + u64::from(number).wrapping_mul(self.memory.0) % 4096)
    }
    fn register_bytes(&self, number: u16) -> Option<Vec<u8>> {
        number.is_multiple_of(2).then(|| vec![number as u8; 16])
    }
    fn binary(&self) -> Option<&ModuleBinary> {
        Some(self.binary)
    }
    fn return_address(&self) -> Option<LinkAddr> {
        Some(LinkAddr(self.at + 1))
    }
    fn cfa(&self) -> Option<Addr> {
        Some(Addr(crate::image::STACK))
    }
    fn caller(&self) -> Option<&dyn FrameContext> {
        self.caller.map(|caller| caller as &dyn FrameContext)
    }
    fn thread_local(&self, offset: u64) -> Option<Addr> {
        Some(Addr(crate::image::STACK.wrapping_add(offset)))
    }
}

/// Variables of a file whose debug information was damaged.
pub fn locations(data: &[u8]) {
    look(data);
}

/// How many variables were found, and of how many the value.
fn look(data: &[u8]) -> (usize, usize) {
    let mut cursor = Cursor(data);
    if SUBJECTS.is_empty() {
        return (0, 0);
    }
    let subject = &SUBJECTS[usize::from(cursor.byte()) % SUBJECTS.len()];
    let memory = Anything(cursor.number());
    let mut file = subject.bytes.clone();
    // The first part has no debug information.
    let mut rest = file.split_off(file.len() / 3);
    damage(&mut rest, &mut cursor);
    file.append(&mut rest);
    let binaries = Binaries::new(SearchOptions::default());
    let Ok(binary) = binaries.open(&as_file(&file)) else { return (0, 0) };
    let places: Vec<u64> =
        subject.returns.iter().copied().map(|at| at - 1).filter(|at| *at < 0x1_0000).collect();
    let (mut found, mut known) = (0, 0);
    let began = Instant::now();
    for three in places.windows(3).step_by(2).take(64) {
        let frame = |at: u64, caller| Made { subject, binary: &binary, memory: &memory, at, caller };
        let outer = frame(three[2], None);
        let middle = frame(three[1], Some(&outer));
        let inner = frame(three[0], Some(&middle));
        for frame in [&inner, &middle] {
            for scope in binary.unnamed_scopes(LinkAddr(frame.at)).iter() {
                for variable in scope.variables.iter().take(MOST_LOCATED - found.min(MOST_LOCATED)) {
                    found += 1;
                    known += usize::from(locate(variable, frame));
                }
            }
        }
        if found >= MOST_LOCATED || began.elapsed().as_secs() >= 2 {
            break;
        }
    }
    let first = frame_of(&places);
    for variable in binary.globals_of_unit(LinkAddr(first)).iter().take(MOST_LOCATED) {
        let frame = Made { subject, binary: &binary, memory: &memory, at: first, caller: None };
        found += 1;
        known += usize::from(locate(variable, &frame));
    }
    let _ = binary.global("global_long", Some(LinkAddr(first)));
    (found, known)
}

fn frame_of(places: &[u64]) -> u64 {
    places.get(places.len() / 2).copied().unwrap_or(0x1000)
}

fn locate(variable: &Variable, frame: &Made<'_>) -> bool {
    let Ok(located) = variable.locate(frame) else { return false };
    let size = located.ty.size().unwrap_or(8);
    let _ = located.location.part(3, Some(9)).read(frame, 1);
    located.location.read(frame, size.min(4096)).is_ok()
}

/// A few changes.
pub(crate) fn seed(random: &mut Random) -> Vec<u8> {
    (0..9 + random.below(120)).map(|_| random.number() as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without damage the target does reach values: else it would fuzz nothing.
    #[test]
    fn intact_files_have_variables() {
        prospect_testing::require!(prospect_testing::fixture("variables-o2"));
        for subject in 0..SUBJECTS.len() {
            let (found, known) = look(&[subject as u8]);
            assert!(found > 10 && known > 5, "{subject}: {found} {known}");
        }
    }
}

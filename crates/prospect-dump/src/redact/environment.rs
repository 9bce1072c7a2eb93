//! Where the environment and the arguments are that a process was started with: above the first thread's stack (`create_elf_tables`
//! in the kernel's `fs/binfmt_elf.c`): `argc`, the pointers to the arguments, 0, those to the environment, 0, the auxiliary
//! vector, and then, with the 16 bytes of `AT_RANDOM` between, the strings in the same order and the name of `AT_EXECFN`.

use std::ops::Range;

use prospect_process::{
    Addr, Process,
    auxv::{self, Auxv},
};

/// The kernel moves the vector away from the strings by up to 8 KiB (`arch_align_stack`).
const BELOW_RANDOM: u64 = 32 << 10;
/// The kernel takes no more (`_STK_LIM / 4 * 3`).
const MOST_BYTES: u64 = 6 << 20;
/// A list may be longer than at the start; it ends in any case.
const MOST_STRINGS: usize = 1 << 16;
/// `MAX_ARG_STRLEN`.
const LONGEST: usize = 128 << 10;

/// The strings of the environment, old and new.
pub(super) fn environment(process: &dyn Process, lists: &[Addr]) -> Vec<Range<Addr>> {
    let mut ranges = Vec::new();
    if let Some(initial) = Initial::find(process) {
        let end = initial.strings_end(process);
        let first = initial.arguments.iter().map(|range| range.end).max().or(initial.environment_start);
        ranges.extend(
            first
                .map(|first| first..end)
                .filter(|all| all.start < all.end && all.end.0 - all.start.0 <= MOST_BYTES),
        );
        ranges.extend(strings(process, initial.environment));
    }
    for list in lists {
        if let Ok(start) = process.memory().read_word(process.info().arch, *list) {
            ranges.extend(strings(process, pointers(process, Addr(start)).0));
        }
    }
    ranges
}

/// The strings of the arguments.
pub(super) fn arguments(process: &dyn Process) -> Vec<Range<Addr>> {
    Initial::find(process).map(|initial| initial.arguments).unwrap_or_default()
}

struct Initial {
    /// The strings of the arguments.
    arguments: Vec<Range<Addr>>,
    /// The pointers to those of the environment.
    environment: Vec<Addr>,
    /// The lowest of them, where there are no arguments.
    environment_start: Option<Addr>,
}

impl Initial {
    fn find(process: &dyn Process) -> Option<Self> {
        let info = process.info().arch.info();
        let (word, vector) = (u64::from(info.word_bytes), &process.info().kernel.auxiliary_vector);
        let random = Auxv::parse(vector, info.word_bytes, info.big_endian).get(auxv::RANDOM)?;
        // What it begins with cannot be elsewhere: it has addresses in it.
        let wanted = vector.get(..vector.len().min(16 * usize::from(info.word_bytes)))?;
        let bottom =
            process.mappings().at(Addr(random))?.range.start.0.max(random.saturating_sub(BELOW_RANDOM));
        let start = bottom.next_multiple_of(word);
        let mut bytes = vec![0; usize::try_from(random.checked_sub(start)?).ok()?];
        process.memory().read(Addr(start), &mut bytes).ok()?;
        let places = (0..bytes.len().checked_sub(wanted.len())?).step_by(word as usize).rev();
        let place = places.into_iter().find(|at| !wanted.is_empty() && bytes[*at..].starts_with(wanted))?;
        // Down from the vector: 0, the environment, 0, the arguments, their number.
        let read = |at: u64| process.memory().read_word(process.info().arch, Addr(at)).ok();
        let below = |mut at: u64| {
            let mut list = Vec::new();
            while list.len() < 2 * MOST_STRINGS {
                at = at.checked_sub(word)?;
                match read(at)? {
                    0 => return Some((list, at)),
                    pointer => list.push(Addr(pointer)),
                }
            }
            None
        };
        let (_, end) = below(start + place as u64).filter(|(list, _)| list.is_empty())?;
        let (environment, end) = below(end)?;
        let mut arguments = Vec::new();
        let mut at = end;
        // The number of arguments is the first word that says how many there are above it.
        while arguments.len() < MOST_STRINGS {
            at = at.checked_sub(word)?;
            let value = read(at)?;
            if value == arguments.len() as u64 {
                break;
            }
            arguments.push(Addr(value));
        }
        let environment_start = environment.iter().min().copied();
        Some(Self { arguments: strings(process, arguments), environment, environment_start })
    }

    /// Where the strings end: at the program's name, or at the end of the stack.
    fn strings_end(&self, process: &dyn Process) -> Addr {
        let info = process.info().arch.info();
        let vector = Auxv::parse(&process.info().kernel.auxiliary_vector, info.word_bytes, info.big_endian);
        let stack = vector.get(auxv::RANDOM).and_then(|at| process.mappings().at(Addr(at)));
        let name = vector.get(auxv::EXECUTABLE_PATH).map(Addr);
        match (name, stack) {
            (Some(name), Some(stack)) if stack.range.contains(&name) => name,
            (_, Some(stack)) => stack.range.end,
            _ => Addr(0),
        }
    }
}

/// The pointers of a list that ends with 0.
fn pointers(process: &dyn Process, start: Addr) -> (Vec<Addr>, Addr) {
    let word = u64::from(process.info().arch.info().word_bytes);
    let mut at = start;
    let mut list = Vec::new();
    while list.len() < MOST_STRINGS {
        match process.memory().read_word(process.info().arch, at) {
            Ok(0) | Err(_) => break,
            Ok(pointer) => list.push(Addr(pointer)),
        }
        at = at.wrapping_add(word);
    }
    (list, at)
}

/// Where strings are.
fn strings(process: &dyn Process, pointers: Vec<Addr>) -> Vec<Range<Addr>> {
    let mut left = MOST_BYTES as usize;
    let range = |at: Addr| {
        let bytes = process.memory().read_c_string(at, LONGEST.min(left)).ok()?;
        left -= bytes.len();
        Some(at..at.wrapping_add(bytes.len() as u64))
    };
    pointers.into_iter().filter_map(range).collect()
}

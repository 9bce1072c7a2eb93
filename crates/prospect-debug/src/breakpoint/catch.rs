//! What the runtimes of languages do: exceptions of C++, panics of Rust.

use std::{fmt, str::FromStr};

use prospect_process::{Addr, Arch, Memory, Process, Registers};
use prospect_symbols::demangle;

use super::{BreakpointSpec, SpecError};

/// The name of a type is no longer.
const LONGEST_NAME: usize = 4096;

/// A message is no longer.
const LONGEST_MESSAGE: u64 = 64 << 10;

/// How many bytes the word that says an exception's type is before the unwinder's header: `__cxa_exception` of the C++ ABI's
/// exception handling, as libstdc++ (`unwind-cxx.h`) and libc++abi (`cxa_exception.h`) have it on machines with 64 bits.
const TYPE_BEFORE_HEADER: u64 = 80;

/// The classes of exceptions of C++ that have that layout (`_Unwind_Exception::exception_class`), as numbers of this
/// machine's bytes.
const CLASSES: [&[u8; 8]; 2] = [b"\0++CCUNG", b"\0++CGNLC"];

/// What a language's runtime does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Catch {
    /// An exception of C++ is thrown.
    Throw,
    /// It is caught.
    Catch,
    /// It is thrown again.
    Rethrow,
    /// A panic of Rust begins to unwind or to abort, when its message was written.
    Panic,
}

impl Catch {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Throw, Self::Catch, Self::Rethrow, Self::Panic];

    /// The function of the runtime that does it.
    #[must_use]
    pub fn function(self) -> &'static str {
        match self {
            Self::Throw => "__cxa_throw",
            Self::Catch => "__cxa_begin_catch",
            // `__cxa_rethrow` has no argument that says what.
            Self::Rethrow => "_Unwind_Resume_or_Rethrow",
            // Made for breakpoints (`library/std/src/panicking.rs`).
            Self::Panic => "rust_panic",
        }
    }

    pub(super) fn spec(self) -> Result<BreakpointSpec, SpecError> {
        self.function().parse()
    }

    /// What is thrown, caught or thrown again, by a thread that stands where that is [done](Self::function). `None` for
    /// a panic, and where it is not known.
    #[must_use]
    pub fn thrown(self, process: &dyn Process, registers: &Registers) -> Option<Thrown> {
        let (arch, memory) = (process.info().arch, process.memory());
        let [first, second] = arguments(arch, registers)?;
        let word = |at: u64| memory.read_word(arch, Addr(at)).ok();
        let (object, ty) = match self {
            Self::Throw => (Some(Addr(first)), second),
            Self::Catch | Self::Rethrow => {
                let class = word(first)?;
                CLASSES.iter().find(|known| u64::from_le_bytes(***known) == class)?;
                (None, word(first.checked_sub(TYPE_BEFORE_HEADER)?)?)
            }
            Self::Panic => return None,
        };
        // `std::type_info`: the table of virtual functions, the name. A `*` before it says that it is no other type's.
        let name = memory.read_c_string(Addr(word(ty.checked_add(8)?)?), LONGEST_NAME).ok()?;
        let name = name.strip_prefix(b"*").unwrap_or(&name);
        let symbol = [b"_ZTS", name].concat();
        let shown = demangle(&symbol);
        let shown = shown.strip_prefix("typeinfo name for ").unwrap_or(&shown);
        Some(Thrown { type_name: shown.to_owned(), object })
    }

    /// What a panic says, by a thread that stands where it begins.
    #[must_use]
    pub fn panicked(self, process: &dyn Process, registers: &Registers) -> Option<Panicked> {
        let (arch, memory) = (process.info().arch, process.memory());
        let [payload, _] = arguments(arch, registers).filter(|_| self == Self::Panic)?;
        Some(Panicked { message: message(memory, arch, payload)? })
    }
}

/// The first two arguments of a function that was just entered (System V ABI, AMD64 supplement, section 3.2.3).
fn arguments(arch: Arch, registers: &Registers) -> Option<[u64; 2]> {
    let register = |name| registers.get(arch.info().by_name(name)?);
    (arch == Arch::X86_64).then_some([register("rdi")?, register("rsi")?])
}

/// The text in a panic's payload: `FormatStringPayload` has an `Option<String>` that is filled when the hook was
/// called, and a reference; `StaticStrPayload` a `&'static str`. Where their members are is the compiler's matter: what
/// looks like either is taken.
fn message(memory: &dyn Memory, arch: Arch, payload: u64) -> Option<String> {
    let mut words = [0; 4];
    for (word, offset) in words.iter_mut().zip((0..).step_by(8)) {
        *word = memory.read_word(arch, Addr(payload.wrapping_add(offset))).unwrap_or(0);
    }
    let text = |at: u64, length: u64| {
        let length =
            usize::try_from(length).ok().filter(|length| (1..=LONGEST_MESSAGE as usize).contains(length))?;
        let mut bytes = vec![0; length];
        memory.read(Addr(at), &mut bytes).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        (!text.contains('\0')).then_some(text)
    };
    // Capacity, pointer, length in some order; then pointer and length.
    let triples = words.windows(3).filter_map(|three| {
        let [capacity, at, length] = *three else { return None };
        (capacity >= length && capacity <= LONGEST_MESSAGE * 2).then(|| text(at, length))?
    });
    triples.chain(words.windows(2).filter_map(|two| text(two[0], two[1]))).next()
}

/// What is thrown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Thrown {
    /// The name of its type, demangled.
    pub type_name: String,
    /// Where it is; not known of one that is caught.
    pub object: Option<Addr>,
}

/// What a panic says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Panicked {
    /// Its message.
    pub message: String,
}

impl fmt::Display for Catch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Throw => "throw",
            Self::Catch => "catch",
            Self::Rethrow => "rethrow",
            Self::Panic => "panic",
        })
    }
}

impl FromStr for Catch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|one| one.to_string() == text);
        known.ok_or_else(|| format!("`{text}` is nothing that a language does: throw, catch, rethrow, panic"))
    }
}

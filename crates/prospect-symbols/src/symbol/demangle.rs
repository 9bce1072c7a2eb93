//! Mangled names as people write them.

mod legacy_rust;

use std::{
    cell::RefCell,
    fmt::{self, Write},
};

use prospect_demangle::{Demangler, Options};

/// A longer mangled name is left as it is.
const LONGEST_MANGLED: usize = 16 << 10;
/// Names can say a thousand times what they are made of: a longer one is cut off, or left as it is.
const LONGEST_DEMANGLED: usize = 64 << 10;

/// The name of a function as people write it, or as it is when it is not mangled. Without the return type that C++
/// gives to functions made from templates: it comes before the name and hides it.
#[must_use]
pub fn demangle(name: &[u8]) -> String {
    with_demangled(name, false, str::to_owned)
}

/// Appends the same with return types, as `addr2line -C` writes it.
pub fn demangle_with_types(name: &[u8], text: &mut Vec<u8>) {
    with_demangled(name, true, |shown| text.extend_from_slice(shown.as_bytes()));
}

/// What a name needs on its way, kept for the next one.
#[derive(Default)]
struct Buffers {
    demangler: Demangler,
    text: String,
}

/// Lends the name to `then`, which must not demangle another.
fn with_demangled<T>(name: &[u8], return_types: bool, then: impl FnOnce(&str) -> T) -> T {
    thread_local! {
        static BUFFERS: RefCell<Buffers> = RefCell::default();
    }
    BUFFERS.with_borrow_mut(|Buffers { demangler, text }| {
        text.clear();
        if write_demangled(name, return_types, demangler, text).is_none() {
            text.clear();
            text.push_str(&String::from_utf8_lossy(&name[..name.len().min(LONGEST_DEMANGLED)]));
        }
        then(text)
    })
}

/// `None` for what is not mangled, or too long.
fn write_demangled(
    name: &[u8],
    return_types: bool,
    demangler: &mut Demangler,
    text: &mut String,
) -> Option<()> {
    let name = std::str::from_utf8(name).ok().filter(|name| name.len() <= LONGEST_MANGLED)?;
    if name.starts_with("_R") || is_legacy_rust(name) {
        let is_written = legacy_rust::write(name, text);
        return is_written.or_else(|| {
            text.clear();
            write_rust(name, text)
        });
    }
    if !name.starts_with('_') {
        return None;
    }
    let options = Options { return_types, longest: LONGEST_DEMANGLED };
    demangler.demangle_into(name, options, text).ok()
}

/// Rust's first mangling looks like C++'s, with a hash as its last part: `17h`, 16 digits, `E`.
fn is_legacy_rust(name: &str) -> bool {
    let is_hash = |at: usize| {
        let hash = name.as_bytes().get(at + 3..at + 20);
        hash.is_some_and(|hash| hash[16] == b'E' && hash[..16].iter().all(u8::is_ascii_hexdigit))
    };
    name.starts_with("_ZN") && name.rfind("17h").is_some_and(is_hash)
}

fn write_rust(name: &str, text: &mut String) -> Option<()> {
    let demangled = rustc_demangle::try_demangle(name).ok()?;
    let mut text = Bounded(text);
    // Without the hash that tells two builds of a function apart.
    let complete = write!(text, "{demangled:#}").is_ok();
    (complete || text.is_full()).then_some(())
}

/// Text that stops to grow at some point.
struct Bounded<'a>(&'a mut String);

impl Bounded<'_> {
    fn is_full(&self) -> bool {
        self.0.len() >= LONGEST_DEMANGLED
    }
}

impl Write for Bounded<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0.push_str(part);
        if self.is_full() {
            let end = (0..=LONGEST_DEMANGLED).rev().find(|end| self.0.is_char_boundary(*end)).unwrap_or(0);
            self.0.truncate(end);
            self.0.push('…');
            return Err(fmt::Error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_language_are_written_as_people_do() {
        for (mangled, name) in [
            ("main", "main"),
            ("_start", "_start"),
            ("_ZN3foo3barEv", "foo::bar()"),
            ("_ZN3foo3barIiEEvT_", "foo::bar<int>(int)"),
            ("_ZN12_GLOBAL__N_13runEiPKc", "(anonymous namespace)::run(int, char const*)"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backERKi",
                "std::vector<int, std::allocator<int> >::push_back(int const&)",
            ),
            ("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"),
            ("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE.llvm.123", "core::fmt::Formatter::pad"),
            ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
            ("_RNvMs_NtCs4fqI2P2rA04_5alloc6stringNtB4_6String3new", "<alloc::string::String>::new"),
            ("_Znot a name", "_Znot a name"),
            ("_Rnot a name", "_Rnot a name"),
            ("", ""),
        ] {
            assert_eq!(demangle(mangled.as_bytes()), name);
        }
        assert_eq!(demangle(b"caf\xe9"), "caf\u{fffd}");
    }

    #[test]
    fn names_that_grow_or_nest_without_end_are_cut() {
        // Each S_ substitution doubles the name.
        let mut mangled = b"_Z1fI".to_vec();
        for _ in 0..40 {
            mangled.extend_from_slice(b"St4pairI");
        }
        mangled.extend_from_slice(b"ii");
        mangled.extend(std::iter::repeat_n(b'E', 41));
        mangled.extend_from_slice(b"vT_S0_S1_S2_");
        assert!(demangle(&mangled).len() <= LONGEST_DEMANGLED + mangled.len());
        for (part, count) in [("P", 5_000), ("I", 5_000), ("N", 5_000), ("X", 8_000), ("F", 8_000)] {
            let deep = format!("_Z1f{}i", part.repeat(count));
            assert!(demangle(deep.as_bytes()).len() <= LONGEST_MANGLED);
            let deep = format!("_RNvC1a{}", part.repeat(count));
            assert!(demangle(deep.as_bytes()).len() <= LONGEST_MANGLED);
        }
        let long = vec![b'x'; 10 << 20];
        assert_eq!(demangle(&long).len(), LONGEST_DEMANGLED);
    }

    #[test]
    fn names_that_were_changed_at_random_do_no_harm() {
        let mut random = crate::testing::Random(3);
        let names = [
            "_ZNSt6vectorIiSaIiEE9push_backERKi",
            "_ZZN5outerIJidPKcEEEvDpT_ENKUlT_E_clIiEEDaS2_",
            "_ZNSt8_Rb_treeISsSt4pairIKSsSsESt10_Select1stIS2_ESt4lessISsESaIS2_EE9_M_insertEPSt18_Rb_tree_node_baseS9_RKS2_",
            "_ZN4core3ops8function6FnOnce40call_once$u7b$$u7b$vtable.shim$u7d$$u7d$17h0123456789abcdefE",
            "_RINvNtC3std3mem8align_ofNtNtC3std3mem12DiscriminantE",
            "_RNCINvXs_C7mycrateNtB5_4TypeNtB5_5Trait3runpE0B5_",
        ];
        let pieces =
            ["S_", "S0_", "T_", "I", "E", "N", "X", "J", "B0_", "B1_", "Rp", "L_", "Dp", "K", "9", "1a"];
        for _ in 0..20_000 {
            let mut name = names[random.below(names.len())].to_owned();
            for _ in 0..1 + random.below(6) {
                let at = 2 + random.below(name.len() - 2);
                if !name.is_char_boundary(at) {
                    continue;
                }
                match random.below(3) {
                    0 => drop(name.remove(at)),
                    1 => name.insert_str(at, pieces[random.below(pieces.len())]),
                    _ => name.insert_str(at, &pieces[random.below(pieces.len())].repeat(30)),
                }
            }
            let start = std::time::Instant::now();
            let _ = demangle(name.as_bytes());
            assert!(start.elapsed().as_secs() < 5, "{name}");
        }
    }
}

//! What names say, literally; and what is said of names that nobody made.

use prospect_demangle::{Demangler, Error, Options, demangle};
use prospect_testing::{Random, cxxfilt, require};

const AS_GNU: &str = include_str!("as_gnu.txt");
const BEYOND_GNU: &str = include_str!("beyond_gnu.txt");
const NO_NAMES: &str = include_str!("no_names.txt");

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Pairs of names and what they say.
fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    lines(text).map(|line| line.split_once(' ').expect("a name and what it says"))
}

#[test]
fn names_of_every_production_are_read() {
    for (name, says) in pairs(AS_GNU).chain(pairs(BEYOND_GNU)) {
        assert_eq!(demangle(name).as_deref(), Ok(says), "{name}");
    }
}

#[test]
fn what_is_expected_is_what_gnu_writes() {
    let theirs = require!(cxxfilt(pairs(AS_GNU).map(|(name, _)| name)));
    for ((name, says), theirs) in pairs(AS_GNU).zip(theirs) {
        assert_eq!(theirs, says, "{name}");
    }
}

#[test]
fn what_is_no_name_is_not_read() {
    for text in lines(NO_NAMES).chain(["", "_", "_Z", "main", "_R", "_ZN", "_ZNE", "_ZGI", "_Z1\u{e9}v"]) {
        assert_eq!(demangle(text), Err(Error::Invalid), "{text}");
    }
    assert_eq!(demangle("_Z2\u{e9}v").as_deref(), Ok("\u{e9}()"));
}

#[test]
fn a_demangler_is_used_again_and_appends() {
    let mut demangler = Demangler::new();
    let mut text = String::new();
    let options = Options { return_types: false, ..Options::default() };
    for (name, says) in [
        ("_Z1fIiEvT_", Ok("f<int>(int)")),
        ("_Z1f!", Err(Error::Invalid)),
        ("_ZThn8_N1A1fIiEEPFvT_Ev", Ok("non-virtual thunk to A::f<int>()")),
        ("_Z1fIiEvT_.isra.0", Ok("f<int>(int) [clone .isra.0]")),
        ("_Z1fIXadL_Z1gIiEvvEEEvv", Ok("f<&(void g<int>())>()")),
    ] {
        text.replace_range(.., "> ");
        let result = demangler.demangle_into(name, options, &mut text).map(|()| &text[2..]);
        assert_eq!(result, says, "{name}");
        assert!(text.starts_with("> "));
        assert!(says.is_ok() || text == "> ");
    }
}

#[test]
fn names_that_grow_without_end_are_given_up() {
    // Each level says the one before it twice.
    let mut doubling = "_Z1fI1A".to_owned();
    for level in 0..60 {
        let before =
            if level == 0 { "S_".to_owned() } else { format!("S{}_", char::from(b'0' + (level - 1) % 10)) };
        doubling += &format!("1BIJ{before}{before}EE");
    }
    doubling += "Evv";
    let _ = demangle(&doubling);
    let mut packs = "_Z1fIJiiiiiiiiEEv".to_owned();
    packs += &"1AIJ".repeat(8);
    packs += &format!("{}T_", "Dp".repeat(8));
    packs += &"EE".repeat(8);
    let _ = demangle(&packs);
    let small = Options { longest: 10, ..Options::default() };
    let mut text = String::new();
    assert_eq!(
        Demangler::new().demangle_into("_Z8function1AS_S_S_S_S_", small, &mut text),
        Err(Error::TooLong)
    );
    assert_eq!(text, "");
    assert_eq!(demangle(&"_Z".repeat(1 << 20)), Err(Error::TooLong));
    for piece in [
        "P", "I", "N", "X", "F", "Z", "J", "1AI", "M", "Dp", "DT", "Tt", "Tp", "L_Z", "sr1A", "cl", "KDO",
        "UlT_", "gs",
    ] {
        for count in [200, 300, 100_000] {
            for tail in ["", "i", "E", "v"] {
                let _ = demangle(&format!("_Z1f{}{tail}", piece.repeat(count)));
            }
        }
    }
}

#[test]
fn names_that_were_changed_at_random_do_no_harm() {
    let mut random = Random::new(5);
    let names: Vec<&str> = pairs(AS_GNU).chain(pairs(BEYOND_GNU)).map(|(name, _)| name).collect();
    let mut demangler = Demangler::new();
    let (mut text, mut read) = (String::new(), 0);
    let options = Options { longest: 10_000, ..Options::default() };
    for _ in 0..40_000 {
        let mut name = names[random.below(names.len())].to_owned();
        for _ in 0..1 + random.below(4) {
            let other = names[random.below(names.len())];
            let (start, at) = (random.below(other.len()), random.below(name.len()));
            let piece = &other[start..start + random.below(other.len() - start) + 1];
            match random.below(3) {
                0 if name.len() > 1 => drop(name.remove(at)),
                1 => name.insert_str(at, piece),
                _ => name.insert_str(at, &piece.repeat(random.below(20))),
            }
        }
        text.clear();
        read += usize::from(demangler.demangle_into(&name, options, &mut text).is_ok());
        assert!(text.len() <= options.longest, "{name}");
    }
    assert!(read > 1_000, "{read} are still names");
}

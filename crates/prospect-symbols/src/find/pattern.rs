//! What to look for: a name, as it is written in one of several ways.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

use super::path::NamePath;
use crate::symbol::demangle;

/// A longer pattern is refused.
const LONGEST_PATTERN: usize = 4096;
/// What a compiled regular expression may take, in bytes; and what its search may.
const REGEX_BYTES: usize = 1 << 20;
const REGEX_CACHE_BYTES: usize = 4 << 20;

/// What parts a clone of a function, made by a compiler, from the function's name (GCC, LLVM), and a static variable of a function.
const CLONE_WORDS: [&str; 8] =
    ["cold", "part", "constprop", "isra", "lto_priv", "localalias", "clone", "llvm"];

/// What names to look for, and in which modules.
///
/// [`parse`](Self::parse) takes it from text:
///
/// | text | means |
/// |---|---|
/// | `name` | functions, variables and types of that name, in whatever namespace or type; `_ZN…` and `_R…` are linkage names |
/// | `ns::Type::name` | the same where these stand before it |
/// | `name<int>`, `name(int, char)` | those with these arguments, or parameters, alone |
/// | `na*e`, `name?` | glob: whole names |
/// | `/regex/` | names, as they are linked or as people write them, in which a match is found |
/// | `module!…` | any of these in modules of that path, file name, soname, or name without `.so…`; it may be a glob |
#[derive(Clone)]
pub struct Pattern {
    text: String,
    module: Option<ModulePattern>,
    test: Test,
    qualified: bool,
}

#[derive(Clone)]
enum ModulePattern {
    Name(String),
    Glob(Regex),
}

#[derive(Clone)]
enum Test {
    /// A name.
    Name(String),
    /// A regular expression, or a glob that was made one.
    Regex(Regex),
}

/// Why a pattern cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// There is nothing to look for.
    #[error("the pattern is empty")]
    Empty,
    /// It is longer than any name.
    #[error("the pattern is too long: more than {LONGEST_PATTERN} bytes")]
    TooLong,
    /// The regular expression is broken, or would take too much memory.
    #[error("the regular expression cannot be used: {0}")]
    Regex(String),
}

impl Pattern {
    /// Reads a pattern, as [above](Self).
    ///
    /// # Errors
    /// When it is empty, too long, or no regular expression.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (module, name) = split_module(text);
        let mut pattern = if let Some(regex) = name.strip_prefix('/').and_then(|name| name.strip_suffix('/'))
        {
            Self::regex(regex)?
        } else if is_glob(name) {
            Self::glob(name)?
        } else {
            Self::name(name)?
        };
        if let Some(module) = module {
            pattern = pattern.in_module(module)?;
        }
        pattern.text = text.to_owned();
        Ok(pattern)
    }

    /// A name, with or without what stands before and behind it.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub fn name(name: &str) -> Result<Self, PatternError> {
        check(name)?;
        Ok(Self::of(name, Test::Name(name.to_owned())))
    }

    /// Names that are wholly like this, in which `*` stands for any letters and `?` for one.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub fn glob(glob: &str) -> Result<Self, PatternError> {
        check(glob)?;
        // Whatever stands before it, and its parameters, as for a name.
        let regex = format!(r"^(?:.*::)?{}(?:\(.*)?$", glob_regex(glob));
        Ok(Self::of(glob, Test::Regex(compile(&regex)?)))
    }

    /// Names in which this regular expression, in the syntax of the `regex` crate, is found.
    ///
    /// # Errors
    /// When it is empty, too long, broken, or would take too much memory.
    pub fn regex(regex: &str) -> Result<Self, PatternError> {
        check(regex)?;
        Ok(Self::of(regex, Test::Regex(compile(regex)?)))
    }

    fn of(text: &str, test: Test) -> Self {
        Self { text: text.to_owned(), module: None, test, qualified: false }
    }

    /// The same, in modules of this name or glob alone.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub fn in_module(mut self, module: &str) -> Result<Self, PatternError> {
        check(module)?;
        self.module = Some(if is_glob(module) {
            ModulePattern::Glob(compile(&format!("^{}$", glob_regex(module)))?)
        } else {
            ModulePattern::Name(module.to_owned())
        });
        Ok(self)
    }

    /// Whether a name means only what is in no namespace or type but those written: `f` is not `ns::f` then.
    #[must_use]
    pub fn qualified(mut self, qualified: bool) -> Self {
        self.qualified = qualified;
        self
    }

    /// Whether a module of this path, which calls itself `soname`, is to be looked at.
    #[must_use]
    pub fn wants_module(&self, path: &str, soname: Option<&str>) -> bool {
        let Some(module) = &self.module else { return true };
        let file_name = path.rsplit('/').next().unwrap_or(path);
        let names = [Some(path), Some(file_name), soname];
        names.into_iter().flatten().any(|name| match module {
            ModulePattern::Glob(glob) => glob.is_match(name.as_bytes()),
            ModulePattern::Name(module) => {
                name == module || name.split_once(".so").is_some_and(|(stem, _)| stem == module)
            }
        })
    }

    /// Whether a symbol of this linkage name is meant.
    #[must_use]
    pub fn matches_symbol(&self, linkage_name: &[u8]) -> bool {
        match &self.test {
            Test::Regex(regex) => {
                if regex.is_match(linkage_name) {
                    return true;
                }
                let demangled = demangle(linkage_name);
                // `$` stands for the end of the name, with parameters and without.
                let plain = NamePath::parse(&demangled).before_parameters;
                let is_same = |name: &str| name.as_bytes() == linkage_name;
                let found = |name: &str| !is_same(name) && regex.is_match(name.as_bytes());
                found(&demangled) || plain.len() < demangled.len() && found(plain)
            }
            Test::Name(name) => {
                if linkage_name == name.as_bytes() {
                    return true;
                }
                let wanted = NamePath::parse(name);
                // Identifiers stand in mangled names as they are.
                if is_literal(&wanted)
                    && memchr::memmem::find(linkage_name, wanted.base().as_bytes()).is_none()
                {
                    return false;
                }
                let (plain, _) = split_clone(linkage_name);
                plain == name.as_bytes() || self.matches(&demangle(plain))
            }
        }
    }

    /// Whether something of this name, as people write it, is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match &self.test {
            Test::Regex(regex) => regex.is_match(name.as_bytes()),
            Test::Name(wanted) => {
                wanted == name || NamePath::parse(wanted).means(&NamePath::parse(name), self.qualified)
            }
        }
    }

    /// Whether a function of a Go program is meant: `Serve`, `(*Server).Serve`, `http.(*Server).Serve` and
    /// `net/http.(*Server).Serve` mean the same.
    pub(crate) fn matches_go(&self, name: &str) -> bool {
        let is_end = |wanted: &str| {
            let before = name.strip_suffix(wanted).filter(|_| !self.qualified);
            before.is_some_and(|before| before.ends_with(['.', '/']))
        };
        self.matches(name) || matches!(&self.test, Test::Name(wanted) if is_end(wanted))
    }

    /// What the names in debug information, without what stands before them, begin with; `None` where nothing can be said.
    pub(crate) fn base(&self) -> Option<&str> {
        match &self.test {
            Test::Name(name) => Some(NamePath::parse(name).base()).filter(|base| !base.is_empty()),
            Test::Regex(_) => None,
        }
    }

    /// Whether [`matches_symbol`](Self::matches_symbol) says all that [`matches`](Self::matches) says of what has a linkage name.
    pub(crate) fn is_regex(&self) -> bool {
        matches!(self.test, Test::Regex(_))
    }

    /// The linkage name that is meant; `None` where it is not one.
    pub(crate) fn linkage_name(&self) -> Option<&str> {
        match &self.test {
            Test::Name(name) if name.starts_with("_Z") || name.starts_with("_R") => Some(name),
            _ => None,
        }
    }

    /// Without the parameters that a person wrote: debug information has none in names.
    pub(crate) fn without_parameters(&self) -> Self {
        let mut pattern = self.clone();
        if let Test::Name(name) = &mut pattern.test {
            name.truncate(NamePath::parse(name).before_parameters.len());
        }
        pattern
    }
}

impl fmt::Display for Pattern {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

/// Parts the name of a clone that a compiler made of a function, and what it appended: `.part.0`, `.cold`.
pub(crate) fn split_clone(name: &[u8]) -> (&[u8], &[u8]) {
    let is_clone = |at: &usize| {
        let word = name[at + 1..].split(|byte| *byte == b'.').next().unwrap_or_default();
        let is_number = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
        is_number || CLONE_WORDS.iter().any(|one| one.as_bytes() == word)
    };
    let dots = memchr::memchr_iter(b'.', name).filter(|at| *at > 0);
    dots.into_iter().find(is_clone).map_or((name, &[]), |at| name.split_at(at))
}

fn check(text: &str) -> Result<(), PatternError> {
    match text.len() {
        0 => Err(PatternError::Empty),
        length if length > LONGEST_PATTERN => Err(PatternError::TooLong),
        _ => Ok(()),
    }
}

fn compile(regex: &str) -> Result<Regex, PatternError> {
    let mut builder = RegexBuilder::new(regex);
    builder.size_limit(REGEX_BYTES).dfa_size_limit(REGEX_CACHE_BYTES);
    builder.build().map_err(|error| PatternError::Regex(error.to_string()))
}

/// `module!name`. The `!` of an operator is none, nor is one of a regular expression.
fn split_module(text: &str) -> (Option<&str>, &str) {
    if text.starts_with('/') && text.ends_with('/') && text.len() > 1 && !text.contains("!/") {
        return (None, text);
    }
    match text.split_once('!') {
        Some((module, name)) if !module.is_empty() && !module.ends_with("operator") => (Some(module), name),
        _ => (None, text),
    }
}

/// Stars in parameters and arguments are pointers, and those of operators products.
fn is_glob(name: &str) -> bool {
    let plain = name.split(['(', '<']).next().unwrap_or(name);
    plain.contains(['*', '?']) && !plain.contains("operator")
}

fn glob_regex(glob: &str) -> String {
    let mut regex = String::new();
    for letter in glob.chars() {
        match letter {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            letter => regex.push_str(&regex::escape(letter.encode_utf8(&mut [0; 4]))),
        }
    }
    regex
}

/// Whether every mangled name that is meant has the last part's letters in it.
fn is_literal(path: &NamePath<'_>) -> bool {
    let base = path.base();
    let parts = path.parts.len();
    let is_constructor = parts > 1 && path.parts[parts - 2].name == base;
    !is_constructor
        && !base.is_empty()
        && base.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read() {
        let of = |text: &str| Pattern::parse(text).unwrap();
        assert!(of("f").matches_symbol(b"f") && of("f").matches_symbol(b"_ZN2ns1fEi"));
        assert!(!of("f").qualified(true).matches_symbol(b"_ZN2ns1fEi"));
        assert!(
            of("ns::f(int)").matches_symbol(b"_ZN2ns1fEi")
                && !of("ns::f(char)").matches_symbol(b"_ZN2ns1fEi")
        );
        assert!(of("_ZN2ns1fEi").matches_symbol(b"_ZN2ns1fEi"));
        assert!(
            of("f").matches_symbol(b"f.part.0") && of("f").matches_symbol(b"_ZN2ns1fEi.constprop.0.cold")
        );
        assert!(!of("f").matches_symbol(b"f.x") && !of("f").matches_symbol(b"ff"));
        assert!(of("mem*").matches_symbol(b"memcpy") && !of("mem*").matches_symbol(b"wmemcpy"));
        assert!(of("f?").matches_symbol(b"_ZN2ns2foEi"));
        assert!(of("/^mem.*y$/").matches_symbol(b"memcpy") && of("/ns::f\\(/").matches_symbol(b"_ZN2ns1fEi"));
        assert!(
            of("operator!=").matches("a::operator!=(a const&)") && of("operator*").matches("a::operator*()")
        );
        assert!(of("X::X").matches_symbol(b"_ZN1XC1Ev") && of("~X").matches_symbol(b"_ZN1XD2Ev"));
        let module = of("libc!/^mem/");
        assert!(module.wants_module("/lib/libc.so.6", None) && module.matches("memcpy"));
        assert!(
            module.wants_module("/x/other", Some("libc.so.6"))
                && !module.wants_module("/lib/libcrypt.so", None)
        );
        assert!(of("/lib/libc.so.6!x").wants_module("/lib/libc.so.6", None));
        assert!(
            of("lib*!x").wants_module("/lib/libm.so.6", None) && !of("lib*!x").wants_module("/bin/sh", None)
        );
        assert_eq!(of("f(int)").without_parameters().base(), Some("f"));
        assert!(of("f(int)").without_parameters().matches("ns::f"));
    }

    #[test]
    fn hostile_patterns_are_refused_or_harmless() {
        assert!(matches!(Pattern::parse(""), Err(PatternError::Empty)));
        assert!(matches!(Pattern::parse(&"x".repeat(5000)), Err(PatternError::TooLong)));
        assert!(matches!(Pattern::parse("/(/"), Err(PatternError::Regex(_))));
        assert!(matches!(Pattern::parse(r"/((\w{100}){100}){100}/"), Err(PatternError::Regex(_))));
        let nested = Pattern::parse("/(a*)*(a*)*(a*)*b/").unwrap();
        assert!(!nested.matches(&"a".repeat(20_000)));
        assert!(!Pattern::parse(&"*a".repeat(30)).unwrap().matches(&"b".repeat(20_000)));
    }
}

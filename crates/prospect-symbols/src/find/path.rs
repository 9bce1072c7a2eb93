//! Names as people write them, taken apart: `ns::Type<int>::method(char) const` is three parts, the second with
//! arguments, and parameters.

/// Longer paths than anyone writes. What a broken name has beyond this does not count.
const MOST_PARTS: usize = 256;

/// Operators of C++ that begin or end what they are not: the longest first.
const OPERATORS: [&str; 44] = [
    "<=>", "<<=", ">>=", "->*", "()", "[]", "<<", ">>", "<=", ">=", "->", "==", "!=", "+=", "-=", "*=", "/=",
    "%=", "^=", "&=", "|=", "&&", "||", "++", "--", "\"\"", "<", ">", "=", "+", "-", "*", "/", "%", "^", "&",
    "|", "~", "!", ",", "?", ".", "@", "#",
];

/// Types within types within types: deeper, they are not taken apart.
const DEEPEST: usize = 16;

/// A name in its parts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct NamePath<'a> {
    pub(super) parts: Vec<Part<'a>>,
    /// Between the last parentheses, where there are any.
    pub(super) parameters: Option<&'a str>,
    /// All that stands before those parentheses.
    pub(super) before_parameters: &'a str,
}

/// What stands between two `::`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Part<'a> {
    pub(super) name: &'a str,
    /// Between `<` and `>`.
    pub(super) arguments: Option<&'a str>,
}

impl<'a> NamePath<'a> {
    /// Takes a name apart. Of one that makes no sense, something.
    pub(super) fn parse(name: &'a str) -> Self {
        let mut path = Self { before_parameters: name, ..Self::default() };
        path.add(name, 0);
        path
    }

    fn add(&mut self, name: &'a str, depth: usize) {
        let bytes = name.as_bytes();
        let (mut at, mut start, mut end, mut arguments) = (0, 0, None, None);
        while at < bytes.len() && self.parts.len() < MOST_PARTS {
            let rest = &name[at..];
            if at == start && is_operator(rest) {
                at += operator_length(rest);
                continue;
            }
            match bytes[at] {
                b':' if rest.starts_with("::") => {
                    self.end_part(&name[start..end.unwrap_or(at)], arguments);
                    at += 2;
                    (start, end, arguments) = (at, None, None);
                    continue;
                }
                // `(anonymous namespace)` is a name, and `{closure#0}` too.
                b'(' | b'{' if at == start => at += balanced(rest),
                b'(' => {
                    let length = balanced(rest);
                    let behind = &rest[length..];
                    let behind = behind.strip_prefix(" const").unwrap_or(behind);
                    end = end.or(Some(at));
                    // A function that something is in.
                    if behind.starts_with("::") {
                        at = name.len() - behind.len();
                        continue;
                    }
                    if depth == 0 {
                        self.parameters = Some(inside(&rest[..length]));
                        self.before_parameters = &name[..at];
                    }
                    break;
                }
                b'<' => {
                    let length = balanced(rest);
                    let within = inside(&rest[..length]);
                    if at > start {
                        arguments = Some(within);
                        end = end.or(Some(at));
                    } else if let Some(last) = self.parts.last_mut() {
                        // Rust's `function::<T>`.
                        last.arguments = last.arguments.or(Some(within));
                    } else if depth < DEEPEST {
                        // Rust's `<Type as Trait>::function`.
                        self.add(within.split_once(" as ").map_or(within, |(of, _)| of), depth + 1);
                    }
                    at += length;
                    if at - length == start {
                        start = at;
                    }
                }
                // `[abi:cxx11]` says nothing to people, nor does ` [clone .cold]`.
                b'[' => {
                    end = end.or(Some(at));
                    at += balanced(rest);
                }
                _ => at += rest.chars().next().map_or(1, char::len_utf8),
            }
        }
        self.end_part(&name[start..end.unwrap_or(at).max(start)], arguments);
    }

    fn end_part(&mut self, name: &'a str, arguments: Option<&'a str>) {
        let name = name.trim();
        // What Rust's debug information calls `{impl#0}` has no name in the source.
        if !name.is_empty() && !name.starts_with("{impl#") {
            self.parts.push(Part { name, arguments });
        }
    }

    /// The last part's name.
    pub(super) fn base(&self) -> &'a str {
        self.parts.last().map_or("", |part| part.name)
    }

    /// Whether this, which a person wrote, means `other`: its last parts are the same, as far as they are written. A
    /// whole path where `qualified`.
    pub(super) fn means(&self, other: &NamePath<'_>, qualified: bool) -> bool {
        let Some(skip) = other.parts.len().checked_sub(self.parts.len()) else { return false };
        if self.parts.is_empty() || qualified && skip > 0 {
            return false;
        }
        let same = |wanted: Option<&str>, found: Option<&str>| {
            wanted.is_none_or(|wanted| found.is_some_and(|found| is_same_text(wanted, found)))
        };
        // Debug information does not say the parameters in a function's name.
        (self.parameters.is_none() || same(self.parameters, other.parameters))
            && self
                .parts
                .iter()
                .zip(&other.parts[skip..])
                .all(|(wanted, found)| wanted.name == found.name && same(wanted.arguments, found.arguments))
    }
}

/// A name of debug information, which has no parameters, without the namespaces and types before it: `twice<int>` of `zoo::twice<int>`.
/// It is what stands in `DW_AT_name`.
#[must_use]
pub fn unqualified_name(name: &str) -> &str {
    if memchr::memmem::find(name.as_bytes(), b"::").is_none() {
        return name;
    }
    let (mut at, mut start) = (0, 0);
    while at < name.len() {
        let rest = &name[at..];
        at += match rest.as_bytes()[0] {
            _ if at == start && is_operator(rest) => operator_length(rest),
            b'(' | b'{' | b'<' | b'[' => balanced(rest),
            b':' if rest.starts_with("::") => {
                start = at + 2;
                2
            }
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
    }
    &name[start.min(name.len())..]
}

/// Where the last part of a name in debug information, which has no parameters, ends: at its arguments.
pub(crate) fn is_end_of_base(next: u8) -> bool {
    matches!(next, 0 | b'<' | b'(' | b'[')
}

/// Blanks do not count.
fn is_same_text(a: &str, b: &str) -> bool {
    let letters = |text: &'_ str| text.bytes().filter(|byte| *byte != b' ').collect::<Vec<u8>>();
    letters(a) == letters(b)
}

fn is_operator(text: &str) -> bool {
    let behind = text.strip_prefix("operator").and_then(|rest| rest.bytes().next());
    behind.is_some_and(|next| !next.is_ascii_alphanumeric() && next != b'_')
}

/// The length of `operator<<` and the like; of a conversion (`operator bool`) up to the parameters.
fn operator_length(text: &str) -> usize {
    let word = "operator".len();
    let symbol = text[word..].trim_start();
    let blanks = text.len() - word - symbol.len();
    let length = OPERATORS
        .iter()
        .find(|one| symbol.starts_with(**one))
        .map_or_else(|| symbol.find('(').unwrap_or(symbol.len()), |one| one.len());
    word + blanks + length
}

/// The length of what begins with a bracket, to the one that closes it, or to the end.
fn balanced(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut before = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'<' | b'[' | b'{' => depth += 1,
            // The arrow of a function type closes nothing.
            b'>' if before == b'-' => {}
            b')' | b'>' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        before = byte;
    }
    text.len()
}

/// Without the brackets around it.
fn inside(text: &str) -> &str {
    let text = text.get(1..).unwrap_or_default();
    text.strip_suffix([')', '>', ']', '}']).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unqualified_name_is_the_last_part_with_its_arguments() {
        for (name, last) in [
            ("f", "f"),
            ("zoo::twice<std::pair<int, a::b> >", "twice<std::pair<int, a::b> >"),
            ("(anonymous namespace)::unit<0>", "unit<0>"),
            ("a::b::{impl#3}::fmt<core::option::Option<a::B>>", "fmt<core::option::Option<a::B>>"),
            ("a::{closure#0}::{closure_env#1}<b::c>", "{closure_env#1}<b::c>"),
            ("ns::X::operator<", "operator<"),
            ("ns::X::operator-><ns::Y>", "operator-><ns::Y>"),
            ("ns::X::operator ns::Y<int>", "operator ns::Y<int>"),
            ("f(int)::<lambda(a::b)>::operator()", "operator()"),
            ("é::ü", "ü"),
            ("a::", ""),
            ("<<<::", "<<<::"),
        ] {
            assert_eq!(unqualified_name(name), last);
        }
    }

    fn means(wanted: &str, name: &str) -> bool {
        NamePath::parse(wanted).means(&NamePath::parse(name), false)
    }

    #[test]
    fn names_are_taken_apart() {
        let parts = |name: &str| {
            NamePath::parse(name).parts.iter().map(|part| part.name.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(parts("a::b<c::d>::e(f::g) const"), ["a", "b", "e"]);
        assert_eq!(parts("(anonymous namespace)::f(int)"), ["(anonymous namespace)", "f"]);
        assert_eq!(parts("<a::T<u8> as b::Trait>::f::<X>"), ["a", "T", "f"]);
        assert_eq!(
            parts("f(int)::{lambda(char)#1}::operator()(char) const"),
            ["f", "{lambda(char)#1}", "operator()"]
        );
        assert_eq!(parts("a::operator<< <int>(b::c&)"), ["a", "operator<<"]);
        assert_eq!(parts("s::operator bool() const"), ["s", "operator bool"]);
        assert_eq!(parts("a::f[abi:cxx11](int)"), ["a", "f"]);
        assert_eq!(parts("foo() [clone .cold]"), ["foo"]);
        assert_eq!(NamePath::parse("a::f(int, g<h>)").parameters, Some("int, g<h>"));
        assert_eq!(NamePath::parse("a::operator()(int)").parameters, Some("int"));
        assert_eq!(NamePath::parse("a::b<int>::f").parts[1].arguments, Some("int"));
        for broken in ["", "(", "<", "a<b", "operator", "operator<", "::::", "a(b::c", "<<>>", "ü<é"] {
            let _ = NamePath::parse(broken);
        }
    }

    #[test]
    fn what_is_not_written_is_not_asked_for() {
        let name = "ns::Type<int, char>::method(int, char*) const";
        for wanted in [
            "method",
            "Type::method",
            "ns::Type::method",
            "Type<int,char>::method",
            "method(int,char *)",
            "ns::Type<int, char>::method(int, char*)",
        ] {
            assert!(means(wanted, name), "{wanted}");
        }
        for wanted in [
            "Method",
            "ns::method",
            "Type",
            "x::ns::Type::method",
            "method(int)",
            "Type<int>::method",
            "",
            "::",
        ] {
            assert!(!means(wanted, name), "{wanted}");
        }
        assert!(!NamePath::parse("Type::method").means(&NamePath::parse(name), true));
        assert!(means("Session::new", "<prospect::session::Session>::new"));
    }
}

//! Shapes of secrets.

use regex::bytes::{Regex, RegexBuilder};

/// What is a secret by its own form.
const WHOLE: [&str; 11] = [
    // RFC 7468 and its forerunners; in JSON its line ends are `\n`. Then the same without its end.
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=\s\\:,.-]*?-----END [A-Z0-9 ]{0,40}-----",
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=\s\\:,.-]*",
    // AWS: "IAM identifiers", unique prefixes.
    r"(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA|ANVA|AIPA)[A-Z0-9]{16,}",
    r"gh[pousr]_[A-Za-z0-9]{30,}",
    r"github_pat_[A-Za-z0-9_]{22,}",
    r"glpat-[A-Za-z0-9_-]{20,}",
    r"npm_[A-Za-z0-9]{36,}",
    r"xox[a-z]-[A-Za-z0-9-]{10,}",
    r"AIza[A-Za-z0-9_-]{35,}",
    r"sk[-_][A-Za-z0-9_-]{20,}",
    // RFC 7519: `{"` in base64, twice.
    r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)?",
];

/// What is a secret by what stands before it; the group is what is zeroed.
const AFTER: &str = r#"(?i:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|authorization)["']?[\t ]*[=:][\t ]*(?:"([^"\x00-\x1f]+)|'([^'\x00-\x1f]+)|((?i:bearer |basic )?[^\x00-\x20"']+))|[a-z]://[^\x00-\x20/:@"']*:([^\x00-\x20/@"']+)@"#;

/// All of them in one.
pub(super) fn pattern() -> Regex {
    let pattern = format!("{}|{AFTER}", WHOLE.join("|"));
    #[expect(clippy::expect_used, reason = "a constant, which a test builds")]
    RegexBuilder::new(&pattern).unicode(false).build().expect("shapes of secrets")
}

//! Rust's first mangling, in the form that nearly all names of a program have: `_ZN`, the parts of a path, a hash, `E`
//! (rustc's `symbol_mangling/legacy.rs`). `rustc_demangle` knows all forms, and takes six times as long.

/// The hash with its length in front.
const HASH: usize = 3 + 16;

/// Appends the path without its hash; `None` where anything is unusual, and then some of it may have been appended.
pub(super) fn write(name: &str, text: &mut String) -> Option<()> {
    let path = name.strip_prefix("_ZN")?.strip_suffix('E')?;
    let (mut rest, hash) = path.split_at_checked(path.len().checked_sub(HASH)?)?;
    let digits = hash.strip_prefix("17h")?;
    if rest.is_empty() || !path.is_ascii() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let start = text.len();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let length = rest[..digits].parse().ok()?;
        // The length of an empty one would run into what follows.
        let (part, behind) = rest[digits..].split_at_checked(length).filter(|(part, _)| !part.is_empty())?;
        if text.len() > start {
            text.push_str("::");
        }
        unescape(part, text)?;
        rest = behind;
    }
    Some(())
}

/// `$` begins and ends what an assembler would not take, and `..` stands for `::`.
fn unescape(part: &str, text: &mut String) -> Option<()> {
    // A name cannot begin with `$` everywhere.
    let mut rest = if part.starts_with("_$") { &part[1..] } else { part };
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'$' | b'.')) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(behind) = rest.strip_prefix("..") {
            text.push_str("::");
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix('.') {
            text.push('.');
            rest = behind;
        } else {
            let (escape, behind) = rest[1..].split_once('$')?;
            text.push(match escape {
                "SP" => '@',
                "BP" => '*',
                "RF" => '&',
                "LT" => '<',
                "GT" => '>',
                "LP" => '(',
                "RP" => ')',
                "C" => ',',
                _ => code_point(escape)?,
            });
            rest = behind;
        }
    }
    text.push_str(rest);
    Some(())
}

/// `u7b` is `{`.
fn code_point(escape: &str) -> Option<char> {
    let digits = escape.strip_prefix('u')?;
    let is_plain = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let code = u32::from_str_radix(digits, 16).ok().filter(|_| is_plain)?;
    char::from_u32(code).filter(|letter| !letter.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_the_reference_writes() {
        let mut random = crate::testing::Random(5);
        let pieces = [
            "a", "core", "_$", "$LT$", "$GT$", "$u20$", "$u7b$", "$u7d$", "$C$", "$RF$", "$BP$", "$LP$",
            "$RP$", "$SP$", "$", ".", "..", "...", "$u7$", "$uD$", "$u1f600$", "$U7b$", "$x$", "_", "9", "E",
            "é",
        ];
        let mut written = 0;
        for _ in 0..50_000 {
            let mut name = "_ZN".to_owned();
            for _ in 0..random.below(4) {
                let part: String = (0..random.below(6)).map(|_| pieces[random.below(pieces.len())]).collect();
                let length = part.len() + usize::from(random.below(20) == 0);
                name.push_str(&format!("{length}{part}"));
            }
            let last = [
                "17h0123456789abcdefE",
                "17h0123456789ABCDEFE",
                "17h0123456789abcdegE",
                "16h0123456789abcdeE",
            ];
            name.push_str(last[random.below(8).min(3) * usize::from(random.below(4) == 0)]);
            let mut text = String::new();
            if write(&name, &mut text).is_some() {
                let reference = rustc_demangle::try_demangle(&name).map(|name| format!("{name:#}"));
                assert_eq!(Ok(text), reference.map_err(drop), "{name}");
                written += 1;
            }
        }
        assert!(written > 5_000, "{written}");
    }
}

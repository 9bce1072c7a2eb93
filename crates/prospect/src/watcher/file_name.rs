//! Names of dumps, made as `core_pattern` makes those of cores (`man 5 core`).

use std::time::{SystemTime, UNIX_EPOCH};

use super::CrashRequest;

/// The longest name of a file, without what makes it another one.
const MOST_BYTES: usize = 200;

/// Fills in a template: `%p` the process, `%i` the thread, `%e` the process's short name, `%s` the signal's number,
/// `%t` the time in seconds since 1970, `%u` the user, `%%` a percent sign. Nothing in it leads to another directory.
pub(super) fn fill_in(template: &str, request: &CrashRequest, name: &str) -> String {
    let mut text = String::new();
    let mut rest = template.chars();
    while let Some(letter) = rest.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        match rest.next() {
            Some('p') => text.push_str(&request.process.to_string()),
            Some('i') => text.push_str(&request.thread.to_string()),
            Some('e') => text.push_str(name),
            Some('s') => text.push_str(&request.signal().to_string()),
            Some('u') => text.push_str(&request.user.to_string()),
            Some('t') => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                text.push_str(&now.as_secs().to_string());
            }
            Some('%') => text.push('%'),
            _ => {}
        }
    }
    plain(&text)
}

/// The same as the name of a file: no directory, nothing that is hidden, no letters that terminals obey.
fn plain(text: &str) -> String {
    let plain = |letter: char| if letter == '/' || letter.is_control() { '_' } else { letter };
    let mut name: String = text.chars().map(plain).collect();
    if name.is_empty() || name.starts_with('.') {
        name.insert(0, '_');
    }
    while name.len() > MOST_BYTES {
        name.pop();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn names_stay_in_their_directory() {
        assert_eq!(plain("a.dmp"), "a.dmp");
        assert_eq!(plain("../a/b"), "_.._a_b");
        assert_eq!(plain(""), "_");
        assert_eq!(plain("a\u{1b}[1m\0"), "a_[1m_");
        assert_eq!(plain(&"ä".repeat(200)).len(), 200);
    }
}

//! Strings that look as if they were made by chance: keys and tokens in base64 or hexadecimal digits.

use std::ops::Range;

/// Shorter ones are too often words.
pub(super) const LEAST_BYTES: usize = 32;

/// The alphabets of base64 (RFC 4648), also that for URLs, and of its padding.
pub(super) fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
}

/// Where strings are that look random.
pub(super) fn runs(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        let run = next(bytes, from)?;
        from = run.end;
        Some(run)
    })
    .filter(|run| is_random(&bytes[run.clone()]))
}

/// The same as bytes.
pub(super) fn strings(bytes: &[u8]) -> impl Iterator<Item = &[u8]> + '_ {
    runs(bytes).map(|run| &bytes[run])
}

/// The next string of these characters that is long enough. Where there are none, it looks at one byte of each 32.
pub(super) fn next(bytes: &[u8], from: usize) -> Option<Range<usize>> {
    let mut at = from;
    loop {
        let last = at + LEAST_BYTES - 1;
        if last >= bytes.len() {
            return None;
        }
        match bytes[at..=last].iter().rposition(|byte| !is_part(*byte)) {
            Some(other) => at += other + 1,
            None => {
                let more = bytes[last..].iter().take_while(|byte| is_part(**byte)).count();
                return Some(at..last + more);
            }
        }
    }
}

/// Whether its characters are as mixed as chance makes them. Of 32 random characters nearly all have, in bits for each (Shannon),
/// more than 4.25 in base64, 4.1 with one case only, and 3 in hexadecimal digits.
pub(super) fn is_random(run: &[u8]) -> bool {
    let (mut counts, mut bits) = ([0_u32; 256], 0.0);
    run.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let any = |kind: fn(&u8) -> bool| run.iter().any(kind);
    let (upper, lower) = (any(u8::is_ascii_uppercase), any(u8::is_ascii_lowercase));
    if !any(u8::is_ascii_digit) || !(upper || lower) {
        return false;
    }
    for count in counts.into_iter().filter(|count| *count > 0) {
        let share = f64::from(count) / run.len() as f64;
        bits -= share * share.log2();
    }
    let is_plain = run.iter().all(u8::is_ascii_alphanumeric);
    let is_hexadecimal = is_plain && run.iter().all(u8::is_ascii_hexdigit) && upper != lower;
    bits > match (upper && lower, is_hexadecimal, is_plain) {
        (_, true, _) => 3.0,
        (true, ..) => 4.25,
        (false, _, true) => 4.1,
        (false, ..) => 4.5,
    }
}

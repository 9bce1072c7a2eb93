//! Which release of Go built a program (`debug/buildinfo`).

use std::fmt;

use prospect_process::LinkAddr;

use super::fields::Fields;
use crate::binary::Headers;

const SECTION: &[u8] = b".go.buildinfo";
/// It lies at a multiple of so many bytes.
const ALIGNMENT: usize = 16;
const MAGIC: &[u8] = b"\xff Go buildinf:";
/// Flags: the words are in big-endian order; the strings follow, instead of pointers to them.
const BIG_ENDIAN: u8 = 1;
const INLINE: u8 = 2;
/// Where the strings begin.
const STRINGS: usize = 32;
/// `devel go1.24-abcdef Mon Jan …` with the experiments that were on.
const LONGEST_VERSION: usize = 1024;

/// A release of Go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GoRelease {
    /// The first number: 1.
    pub major: u16,
    /// The second number: 22 of `go1.22.10`. What the runtime looks like in memory goes by this one.
    pub minor: u16,
    /// All that the program says (`go1.22.10`, `go1.27rc1 X:boringcrypto`, `devel go1.24-abcdef`).
    pub text: String,
}

impl GoRelease {
    /// Reads it as programs say it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (_, numbers) = text.split_once("go")?;
        let mut numbers = numbers.split(|letter: char| !letter.is_ascii_digit());
        let mut number = || numbers.next()?.parse().ok();
        Some(Self { major: number()?, minor: number()?, text: text.into() })
    }
}

impl fmt::Display for GoRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The release that a file says it was built with.
pub(super) fn release(headers: &Headers) -> Option<GoRelease> {
    let by_name = headers.sections.iter().find(|one| *one.name == *SECTION);
    let bytes = match by_name {
        Some(section) => section.section.all(),
        // It is at the start of what can be written, or not far from there.
        None => headers.segments.iter().rev().filter(|segment| !segment.executable).find_map(|segment| {
            let bytes = headers.loaded(segment.range.start);
            let start = segment.range.start.0.next_multiple_of(ALIGNMENT as u64) - segment.range.start.0;
            let places = (usize::try_from(start).ok()?..bytes.len()).step_by(ALIGNMENT);
            places.map(|at| &bytes[at..]).find(|bytes| bytes.starts_with(MAGIC))
        })?,
    };
    let text = version(headers, bytes.strip_prefix(MAGIC).map(|_| bytes)?)?;
    GoRelease::parse(std::str::from_utf8(text).ok()?)
}

fn version<'a>(headers: &'a Headers, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (word_bytes, flags) = (usize::from(*bytes.get(14)?), *bytes.get(15)?);
    if flags & INLINE != 0 {
        // Its length is a number of one or two bytes.
        let (first, rest) = bytes.get(STRINGS..)?.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            _ => {
                let (second, rest) = rest.split_first()?;
                (usize::from(first & 0x7f) | usize::from(*second) << 7, rest)
            }
        };
        return rest.get(..length).filter(|text| text.len() <= LONGEST_VERSION);
    }
    // A pointer to a string, which is a pointer and a length.
    if !matches!(word_bytes, 4 | 8) {
        return None;
    }
    let big_endian = flags & BIG_ENDIAN != 0;
    let fields = |bytes| Fields { bytes, word_bytes, big_endian };
    let string = fields(headers.loaded(LinkAddr(fields(bytes).word(16)?)));
    let length =
        usize::try_from(string.word(word_bytes)?).ok().filter(|length| *length <= LONGEST_VERSION)?;
    headers.loaded(LinkAddr(string.word(0)?)).get(..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_as_programs_say_them() {
        let numbers = |text| GoRelease::parse(text).map(|release| (release.major, release.minor));
        assert_eq!(numbers("go1.22.10"), Some((1, 22)));
        assert_eq!(numbers("go1.27rc1 X:boringcrypto"), Some((1, 27)));
        assert_eq!(numbers("devel go1.24-abcdef Mon"), Some((1, 24)));
        assert_eq!(numbers("go1.9"), Some((1, 9)));
        assert_eq!(numbers("devel +abcdef"), None);
        assert_eq!(numbers("go1"), None);
    }
}

//! Lines of a symbol file, and the fields of a line.

/// The longest line that is read: a function of C++ may have a name of many kilobytes.
const LONGEST_LINE: usize = 1 << 20;

/// The lines of a file from a place on, each with where it begins, without what ends it.
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn from(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let start = self.at;
        let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        self.at = start + length + 1;
        let line = &rest[..length.min(LONGEST_LINE)];
        Some((start, line.strip_suffix(b"\r").unwrap_or(line)))
    }
}

/// Whether a line is a record of a source line: those begin with a number, all others with a word in capitals.
pub(super) fn is_line_record(line: &[u8]) -> bool {
    matches!(line.first(), Some(b'0'..=b'9' | b'a'..=b'f'))
}

/// The fields of a line that are not read yet.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// The fields of the record in a line, if it is of a kind.
    pub(super) fn of(line: &'a [u8], kind: &str) -> Option<Self> {
        let rest = line.strip_prefix(kind.as_bytes())?;
        Some(Self(rest.strip_prefix(b" ")?))
    }

    /// The next field.
    pub(super) fn word(&mut self) -> Option<&'a [u8]> {
        let rest = self.0.trim_ascii_start();
        let length = memchr::memchr(b' ', rest).unwrap_or(rest.len());
        self.0 = rest.get(length + 1..).unwrap_or_default();
        Some(&rest[..length]).filter(|word| !word.is_empty())
    }

    /// The next field as a hexadecimal number.
    pub(super) fn hex(&mut self) -> Option<u64> {
        number(self.word()?, 16)
    }

    /// The next field as a decimal number.
    pub(super) fn decimal(&mut self) -> Option<u32> {
        u32::try_from(number(self.word()?, 10)?).ok()
    }

    /// Passes over the `m` of functions that have several names.
    pub(super) fn skip_multiple(&mut self) {
        self.0 = self.0.strip_prefix(b"m ").unwrap_or(self.0);
    }

    /// All that is left, which may have blanks in it.
    pub(super) fn rest(self) -> Option<&'a [u8]> {
        Some(self.0.trim_ascii()).filter(|rest| !rest.is_empty())
    }
}

fn number(word: &[u8], radix: u32) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(word).ok()?, radix).ok()
}

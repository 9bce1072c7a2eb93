//! A cursor over the fields of one line.

/// What is left of a line. Every method takes what it names from the front, or takes nothing and gives
/// `None`.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    /// A decimal number that fits.
    pub(super) fn decimal(&mut self) -> Option<u64> {
        self.number(10)
    }

    /// A hexadecimal number that fits, without `0x`.
    pub(super) fn hex(&mut self) -> Option<u64> {
        self.number(16)
    }

    /// A hexadecimal number with `0x` before it.
    pub(super) fn prefixed_hex(&mut self) -> Option<u64> {
        let mut rest = Self(self.0.strip_prefix(b"0x")?);
        let value = rest.hex()?;
        *self = rest;
        Some(value)
    }

    /// A decimal number, maybe with a minus.
    pub(super) fn signed(&mut self) -> Option<i64> {
        if let Some(rest) = self.0.strip_prefix(b"-") {
            let mut rest = Self(rest);
            let value = 0i64.checked_sub_unsigned(rest.decimal()?)?;
            *self = rest;
            return Some(value);
        }
        let mut rest = *self;
        let value = i64::try_from(rest.decimal()?).ok()?;
        *self = rest;
        Some(value)
    }

    /// One byte that is expected.
    pub(super) fn literal(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    /// Any one byte.
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Skips blanks and tabs, if there are any.
    pub(super) fn blanks(&mut self) {
        let blanks = self.0.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        self.0 = &self.0[blanks..];
    }

    /// Bytes up to the next blank or the end, and the blanks after them.
    pub(super) fn word(&mut self) -> Option<&'a [u8]> {
        let length = self.0.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(length);
        if word.is_empty() {
            return None;
        }
        self.0 = rest;
        self.blanks();
        Some(word)
    }

    fn number(&mut self, radix: u32) -> Option<u64> {
        let mut value = 0u64;
        let mut digits = 0;
        for byte in self.0 {
            let Some(digit) = char::from(*byte).to_digit(radix) else { break };
            value = value.checked_mul(u64::from(radix))?.checked_add(u64::from(digit))?;
            digits += 1;
        }
        if digits == 0 {
            return None;
        }
        self.0 = &self.0[digits..];
        Some(value)
    }
}

/// The whole of `bytes` as a decimal number: for the names in a directory and files of one number.
pub(super) fn whole_number(bytes: &[u8]) -> Option<u64> {
    let mut cursor = Cursor(bytes);
    cursor.decimal().filter(|_| cursor.0.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_do_not_fit_are_refused_and_nothing_is_taken() {
        let mut cursor = Cursor(b"18446744073709551616 7");
        assert_eq!(cursor.decimal(), None);
        assert_eq!(cursor.word(), Some(&b"18446744073709551616"[..]));
        assert_eq!(cursor.decimal(), Some(7));
        assert_eq!(cursor.decimal(), None);
        assert_eq!(Cursor(b"ffffffffffffffff").hex(), Some(u64::MAX));
        assert_eq!(Cursor(b"-9223372036854775808").signed(), Some(i64::MIN));
        assert_eq!(Cursor(b"-9223372036854775809").signed(), None);
        assert_eq!(Cursor(b"9223372036854775808").signed(), None);
        assert_eq!(whole_number(b"12x"), None);
        assert_eq!(whole_number(b""), None);
    }
}

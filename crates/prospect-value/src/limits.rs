//! How much of a value is read.

/// How much of a value is read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How many levels of structures, elements and pointers. At most [`Limits::DEEPEST`].
    pub depth: u32,
    /// How many levels of plain pointers are followed. What references, smart pointers and pointers to text lead to is
    /// read without this.
    pub pointers: u32,
    /// How many elements or entries of each container or array; equal ones in a row count as one.
    pub elements: u64,
    /// How many characters of each text.
    pub text: u64,
    /// How many values altogether.
    pub values: u64,
    /// How many characters are shown: what only stands behind them in [one line of text](crate::text::Text::one_line) is not read.
    pub letters: u64,
    /// How many bytes of memory altogether.
    pub bytes: u64,
    /// How many raw bytes are kept of each value.
    pub raw_bytes: usize,
}

impl Limits {
    /// No value is read deeper than this, whatever is asked for.
    pub const DEEPEST: u32 = 100;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 10,
            pointers: 0,
            elements: 200,
            text: 1024,
            values: 10_000,
            letters: u64::MAX,
            bytes: 16 << 20,
            raw_bytes: 64,
        }
    }
}

/// What kept a value, or the rest of it, from being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// It lies deeper than [`Limits::depth`].
    Depth,
    /// There are more elements than [`Limits::elements`].
    Elements,
    /// The text is longer than [`Limits::text`].
    Text,
    /// There are more values than [`Limits::values`].
    Values,
    /// More memory would be needed than [`Limits::bytes`].
    Bytes,
    /// It leads back into itself.
    Cycle,
    /// What would follow does not look like what it should be.
    Implausible,
    /// What would follow cannot be read.
    CannotRead,
}

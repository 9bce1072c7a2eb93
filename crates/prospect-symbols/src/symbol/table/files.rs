//! The source files of local functions, which symbol tables tell: each local symbol follows that of its file (ELF gABI,
//! "Symbol Table", `STT_FILE`).

use super::raw::{RawSymbol, RawSymbols, STB_LOCAL};

/// `st_info`'s type of a symbol that is the name of a source file.
const STT_FILE: u8 = 4;

/// The local functions that follow a file, sorted by where they begin.
#[derive(Debug)]
pub(super) struct LocalFiles(Vec<LocalFunction>);

/// A function and its file, by their numbers.
#[derive(Debug)]
struct LocalFunction {
    start: u64,
    number: u32,
    file: u32,
}

impl LocalFiles {
    pub(super) fn new(symbols: RawSymbols<'_>) -> Self {
        let function = |(function, number, file): (RawSymbol, u32, u32)| LocalFunction {
            start: function.start,
            number,
            file,
        };
        let mut found: Vec<LocalFunction> = functions(symbols).map(function).collect();
        found.sort_by_key(|function| function.start);
        Self(found)
    }

    pub(super) fn find<'a>(&self, symbols: RawSymbols<'a>, start: u64, name: &[u8]) -> Option<&'a [u8]> {
        let first = self.0.partition_point(|function| function.start < start);
        let mut same = self.0[first..].iter().take_while(|function| function.start == start);
        let is_it = |function: &&LocalFunction| {
            symbols.get(function.number).is_some_and(|symbol| symbols.function_name(&symbol) == name)
        };
        symbols.name_of(same.find(is_it)?.file)
    }
}

/// The file of the local function of this name that begins at `start`, found by reading the table.
pub(super) fn scan<'a>(symbols: RawSymbols<'a>, start: u64, name: &[u8]) -> Option<&'a [u8]> {
    let mut same = functions(symbols).filter(|(function, ..)| function.start == start);
    symbols.name_of(same.find(|(function, ..)| symbols.function_name(function) == name)?.2)
}

/// The local functions that follow a file, with their numbers and that of the file.
fn functions(symbols: RawSymbols<'_>) -> impl Iterator<Item = (RawSymbol, u32, u32)> {
    let mut file = None;
    // Local symbols come first.
    (0..u32::try_from(symbols.len()).unwrap_or(u32::MAX)).filter_map(move |number| {
        let entry = symbols.entry(number)?;
        if entry.info & 0xf == STT_FILE {
            file = Some(number);
            return None;
        }
        Some((symbols.get(number).filter(|_| entry.info >> 4 == STB_LOCAL)?, number, file?))
    })
}

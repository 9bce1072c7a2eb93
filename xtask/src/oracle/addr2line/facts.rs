//! What the classes of disagreement are decided by: the sections and symbols of a file, as readelf lists them.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};

/// A function or label.
#[derive(Clone, Debug)]
pub(super) struct Symbol {
    pub(super) start: u64,
    pub(super) size: u64,
    pub(super) name: String,
}

/// What readelf says of a file.
#[derive(Debug)]
pub(super) struct Facts {
    /// Code, with the names of its sections.
    pub(super) code: Vec<(String, Range<u64>)>,
    /// By start.
    symbols: Vec<Symbol>,
}

impl Facts {
    pub(super) fn of(file: &Path) -> Result<Self> {
        let mut code = Vec::new();
        for line in readelf(&["-SW"], file)?.lines() {
            let Some((_, fields)) = line.split_once(']') else { continue };
            let fields: Vec<&str> = fields.split_whitespace().collect();
            let hex = |index: usize| fields.get(index).and_then(|text| u64::from_str_radix(text, 16).ok());
            let is_code = fields.get(6).is_some_and(|flags| flags.contains('X'));
            if let (true, Some(start), Some(size)) = (is_code, hex(2), hex(4)) {
                code.push((fields[0].to_owned(), start..start + size));
            }
        }
        let mut symbols = Vec::new();
        let mut listed = readelf(&["-sW"], file)?;
        if let Some(debug) = debug_file(file)? {
            listed += &readelf(&["-sW"], &debug)?;
        }
        for line in listed.lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, value, size, kind, _, _, section, name, ..] = fields[..] else { continue };
            let Ok(start) = u64::from_str_radix(value, 16) else { continue };
            if !matches!(kind, "FUNC" | "NOTYPE" | "IFUNC") || section == "UND" || section == "ABS" {
                continue;
            }
            let number =
                size.strip_prefix("0x").map_or_else(|| size.parse(), |hex| u64::from_str_radix(hex, 16));
            symbols.push(Symbol { start, size: number.unwrap_or(0), name: name.to_owned() });
        }
        symbols.sort_by_key(|symbol| symbol.start);
        ensure!(!code.is_empty(), "{}: no code", file.display());
        Ok(Self { code, symbols })
    }

    /// Whether an address lies in a part of this function that was split off it.
    pub(super) fn is_split_off(&self, name: &str, at: u64) -> bool {
        self.covers(&format!("{name}.cold"), at)
    }

    /// The section that an address lies in.
    pub(super) fn section(&self, at: u64) -> &str {
        self.code.iter().find(|(_, range)| range.contains(&at)).map_or("", |(name, _)| name)
    }

    /// Whether an address lies behind the end of one function and before the start of the next.
    pub(super) fn is_padding(&self, at: u64) -> bool {
        let before = &self.symbols[..self.symbols.partition_point(|symbol| symbol.start <= at)];
        let Some(nearest) = before.iter().rev().find(|symbol| symbol.size > 0) else { return true };
        // Some symbols lie in others.
        let near = before.iter().rev().take(64);
        nearest.start + nearest.size <= at && near.clone().all(|symbol| symbol.start + symbol.size <= at)
    }

    /// Whether two names are those of one place.
    pub(super) fn are_aliases(&self, one: &str, other: &str, at: u64) -> bool {
        let covers =
            |symbol: &&Symbol| symbol.start <= at && (symbol.size == 0 || at < symbol.start + symbol.size);
        let before = &self.symbols[..self.symbols.partition_point(|symbol| symbol.start <= at)];
        let start = |name: &str| {
            let plain = |symbol: &&Symbol| symbol.name.split('@').next() == Some(name);
            before.iter().rev().take(256).filter(covers).find(plain).map(|symbol| symbol.start)
        };
        start(one).is_some() && start(one) == start(other)
    }

    /// Whether a name is that of a symbol which covers an address.
    pub(super) fn covers(&self, name: &str, at: u64) -> bool {
        let before = &self.symbols[..self.symbols.partition_point(|symbol| symbol.start <= at)];
        let covers = |symbol: &Symbol| symbol.start <= at && at < symbol.start + symbol.size.max(1);
        before
            .iter()
            .rev()
            .take(256)
            .any(|symbol| symbol.name.split('@').next() == Some(name) && covers(symbol))
    }
}

/// The file with the debug information of one that was stripped, by its build-id.
fn debug_file(file: &Path) -> Result<Option<PathBuf>> {
    let notes = readelf(&["-n"], file)?;
    let id = notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: "));
    let Some((first, rest)) = id.and_then(|id| id.split_at_checked(2)) else { return Ok(None) };
    let path = PathBuf::from(format!("/usr/lib/debug/.build-id/{first}/{rest}.debug"));
    Ok(Some(path).filter(|path| path.exists()))
}

fn readelf(options: &[&str], file: &Path) -> Result<String> {
    let output = Command::new("readelf").args(options).arg(file).output()?;
    ensure!(output.status.success(), "readelf {}", file.display());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

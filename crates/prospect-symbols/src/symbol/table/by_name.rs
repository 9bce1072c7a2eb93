//! Functions by name.

use std::hash::{DefaultHasher, Hasher as _};

use prospect_process::LinkAddr;

use super::{TableKind, raw::RawSymbols};
use crate::{binary::Headers, find::split_clone};

/// Where the functions of a file begin, by the hashes of their names without what names clones.
#[derive(Debug)]
pub(crate) struct FunctionNames(Vec<(u64, LinkAddr)>);

impl FunctionNames {
    /// Of all functions that the file's full table has; of those that it exports, where there is no full one.
    pub(crate) fn new(headers: &Headers) -> Self {
        let of = |kind: TableKind| {
            let (symbols, strings) = kind.section_names();
            RawSymbols::of(headers, symbols, strings)
        };
        let symbols = of(TableKind::Full).or_else(|| of(TableKind::Dynamic));
        let mut rows: Vec<(u64, LinkAddr)> = Vec::new();
        if let Some(symbols) = symbols {
            rows.extend(symbols.functions().map(|(_, symbol)| {
                (hash(split_clone(symbols.function_name(&symbol)).0), LinkAddr(symbol.start))
            }));
        }
        rows.sort_unstable();
        rows.dedup();
        Self(rows)
    }

    /// Those of that name.
    pub(crate) fn find(&self, name: &[u8]) -> Vec<LinkAddr> {
        let wanted = hash(split_clone(name).0);
        let first = self.0.partition_point(|(hash, _)| *hash < wanted);
        self.0[first..].iter().take_while(|(hash, _)| *hash == wanted).map(|(_, at)| *at).collect()
    }
}

fn hash(name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(name);
    hasher.finish()
}

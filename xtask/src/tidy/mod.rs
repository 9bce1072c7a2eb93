//! `cargo xtask tidy`: the rules of ARCHITECTURE.md, held against the sources.

mod documents;
mod layering;
mod sources;

use anyhow::{Result, ensure};

/// One broken rule: where, and what is wrong.
pub(crate) type Fault = String;

pub(crate) fn run() -> Result<()> {
    let mut faults = layering::check()?;
    faults.extend(sources::check()?);
    faults.extend(documents::check()?);
    for fault in &faults {
        println!("{fault}");
    }
    ensure!(faults.is_empty(), "{} faults", faults.len());
    println!("tidy");
    Ok(())
}

//! `prospect symbols --index`: builds whole indexes of debug information, so that later runs find names at once.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
};

use indicatif::{ProgressBar, ProgressStyle};
use prospect::symbols::{Binaries, IndexError, ModuleBinary, SearchOptions};

use super::{Args, Subjects, open_file};
use crate::{
    exit::{Failure, Outcome, Result},
    report::{self, IndexReport, ModuleIndex, Subject},
};

pub(super) fn of_file(args: &Args, search: &SearchOptions, path: &Path) -> Result {
    let binaries = Binaries::new(search.clone());
    let module = open_file(&binaries, path)?;
    let built = build(&binaries, &module, path.as_os_str().as_encoded_bytes())?;
    print(args, Subject::File(path.to_owned()), vec![built])
}

/// Those of all modules; one without debug information is none that could have an index.
pub(super) fn of_process(args: &Args, search: &SearchOptions, subjects: &Subjects<'_>) -> Result {
    let Subjects { info, memory, modules, .. } = subjects;
    let mut built = Vec::new();
    for module in modules.iter() {
        // Each with files of its own: what was unpacked is not kept for the next one.
        let binaries = Binaries::new(search.clone());
        let file = binaries.get(module, info, *memory);
        let one = build(&binaries, &file, &module.path)?;
        if !matches!(one.result, Err(IndexError::NoDebugInfo)) {
            built.push(one);
        }
    }
    print(args, Subject::Process(Box::new((*info).clone())), built)
}

fn build(binaries: &Binaries, module: &ModuleBinary, path: &[u8]) -> Result<ModuleIndex> {
    let bar = bar(&String::from_utf8_lossy(path));
    let result = binaries.build_index(module, &|progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    });
    bar.finish_and_clear();
    match result {
        // It is the same for all others.
        Err(error @ (IndexError::NoCache | IndexError::Write(_))) => Err(Failure::failed(error)),
        result => Ok(ModuleIndex { path: path.to_owned(), result }),
    }
}

/// A line on stderr, if somebody sees it.
fn bar(name: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{prefix} {bar:20} {bytes}/{total_bytes} {percent}% {eta} left");
    let name = name.rsplit('/').next().unwrap_or(name);
    // What is in a name must not reach the terminal as it is.
    let name: String = name.chars().map(|char| if char.is_control() { '?' } else { char }).collect();
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_prefix(name)
}

fn print(args: &Args, subject: Subject, modules: Vec<ModuleIndex>) -> Result {
    let is_whole = modules.iter().all(|module| module.result.is_ok());
    let report = IndexReport { subject, modules };
    if args.json { report::index_json(&report) } else { report::index_text(&report) }?;
    Ok(if is_whole { Outcome::Complete } else { Outcome::Partial })
}

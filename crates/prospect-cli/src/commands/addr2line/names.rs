//! Names as people write them, each made once: where it comes again, it is copied from the output.

use std::{collections::HashMap, ops::Range};

use prospect::symbols::{FrameRef, demangle_with_types, unqualified_name};

use super::{Args, source::Answer};

/// How many paths are kept.
const MOST_PATHS: usize = 64 << 10;

/// How many names are remembered.
const MOST_NAMES: usize = 64 << 10;

/// The names that were shown before: the same functions come again and again.
#[derive(Default)]
pub(super) struct Names {
    /// Linkage names, and where in the output they were first written.
    known: HashMap<Box<str>, Range<usize>>,
    /// Files as they are shown, where that is not as they are.
    paths: HashMap<Box<str>, Option<Box<str>>>,
}

impl Names {
    /// A file's path, as it is to be shown. Where a program was compiled in a directory whose path is relative, line tables of DWARF 5
    /// have that as their own first directory (section 6.2.4). The originals all take it for one below itself, and put it before
    /// the path once more.
    pub(super) fn path<'a>(&'a mut self, args: &Args, answer: &Answer<'_, '_>, file: &'a str) -> &'a str {
        if file.starts_with('/') || args.basenames {
            return args.shown(file);
        }
        if !self.paths.contains_key(file) {
            if self.paths.len() > MOST_PATHS {
                self.paths.clear();
            }
            self.paths.insert(file.into(), doubled(answer, file).map(String::into_boxed_str));
        }
        self.paths.get(file).and_then(|path| path.as_deref()).unwrap_or(file)
    }

    /// Writes a linkage name as it is to be shown behind `out`: always the same one, whose text stays as it is.
    pub(super) fn write_linked(&mut self, out: &mut Vec<u8>, args: &Args, raw: &str) {
        if !args.demangles() {
            return out.extend_from_slice(raw.as_bytes());
        }
        if let Some(written) = self.known.get(raw) {
            return out.extend_from_within(written.clone());
        }
        let start = out.len();
        demangle_with_types(raw.as_bytes(), out);
        if self.known.len() >= MOST_NAMES {
            self.known.clear();
        }
        self.known.insert(raw.into(), start..out.len());
    }
}

fn doubled(answer: &Answer<'_, '_>, file: &str) -> Option<String> {
    let (directory, version) = answer.compilation_directory()?;
    let own = file.strip_prefix(&*directory)?.trim_start_matches('/');
    let is_doubled =
        version >= 5 && !directory.is_empty() && !directory.starts_with('/') && !own.contains('/');
    is_doubled.then(|| format!("{}/{file}", directory.trim_end_matches('/')))
}

/// The name of a function that has no linkage name: as the originals show it, without the namespaces and types that debug
/// information has around it.
pub(super) fn source_name<'a>(frame: &FrameRef<'a>) -> Option<&'a str> {
    // What has no file is named by something else.
    let is_described = frame.file.is_some();
    frame.function.map(|name| if is_described { unqualified_name(name) } else { name })
}

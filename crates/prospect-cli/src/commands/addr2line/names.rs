//! Names as people write them, each made once.

use std::collections::HashMap;

use prospect::symbols::{FrameRef, demangle_with_types, unqualified_name};

use super::{Args, source::Answer};

/// How many paths are kept.
const MOST_PATHS: usize = 64 << 10;

/// How many bytes of names are kept.
const MOST_BYTES: usize = 16 << 20;

/// The names that were shown before: the same functions come again and again.
#[derive(Default)]
pub(super) struct Names {
    known: HashMap<Box<str>, Box<str>>,
    bytes: usize,
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

    /// A linkage name, as it is to be shown.
    pub(super) fn linked<'a>(&'a mut self, args: &Args, raw: &'a str) -> &'a str {
        if args.demangles() { self.shown(raw) } else { raw }
    }

    /// A linkage name as people write it.
    fn shown(&mut self, raw: &str) -> &str {
        if self.bytes > MOST_BYTES {
            self.known.clear();
            self.bytes = 0;
        }
        if !self.known.contains_key(raw) {
            let shown = demangle_with_types(raw.as_bytes());
            self.bytes += raw.len() + shown.len();
            self.known.insert(raw.into(), shown.into());
        }
        self.known.get(raw).map_or("", |shown| shown)
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

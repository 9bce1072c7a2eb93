//! `CrashpadInfo`: annotations of the process and of its modules (Crashpad, `minidump/minidump_extensions.h`).

use super::{
    directory::Directory,
    reader::{Reader, View},
};
use crate::minidump::kinds;

/// More than anybody makes.
const MOST_ANNOTATIONS: usize = 1 << 16;
const MOST_LIST_BYTES: u64 = 4 << 20;

/// The annotations: the module's place in the list of modules where it is one of a module, the name, and the value.
pub(super) fn annotations(reader: &Reader<'_>, directory: &Directory) -> Vec<(Option<u32>, String, String)> {
    let mut all = Vec::new();
    let Some(bytes) = directory.bytes(reader, kinds::CRASHPAD) else { return all };
    let view = reader.view(&bytes);
    dictionary(reader, view, 36, None, &mut all);
    let Some(list) = reader.located(view, 44, MOST_LIST_BYTES) else { return all };
    for link in lists(reader.view(&list), 12) {
        let (Some(index), Some(module)) = (link.u32(0), reader.located(link, 4, 64)) else { continue };
        of_module(reader, reader.view(&module), index, &mut all);
    }
    all
}

fn of_module(
    reader: &Reader<'_>,
    module: View<'_>,
    index: u32,
    all: &mut Vec<(Option<u32>, String, String)>,
) {
    if let Some(list) = reader.located(module, 4, MOST_LIST_BYTES) {
        for entry in lists(reader.view(&list), 4) {
            let Some(value) = entry.u32(0).and_then(|at| text(reader, at)) else { continue };
            push(all, (Some(index), String::new(), value));
        }
    }
    dictionary(reader, module, 12, Some(index), all);
    if let Some(objects) = reader.located(module, 20, MOST_LIST_BYTES) {
        const STRING: u16 = 1;
        for object in lists(reader.view(&objects), 12) {
            let name = object.u32(0).and_then(|at| text(reader, at)).unwrap_or_default();
            let Some(value) = object.u32(8).and_then(|at| reader.counted(at)) else { continue };
            let value = match object.u16(4) {
                Some(STRING) => String::from_utf8_lossy(&value).into_owned(),
                _ => value.iter().map(|byte| format!("{byte:02x}")).collect(),
            };
            push(all, (Some(index), name, value));
        }
    }
}

/// A list of names and values, each a reference.
fn dictionary(
    reader: &Reader<'_>,
    view: View<'_>,
    at: usize,
    module: Option<u32>,
    all: &mut Vec<(Option<u32>, String, String)>,
) {
    let Some(list) = reader.located(view, at, MOST_LIST_BYTES) else { return };
    for entry in lists(reader.view(&list), 8) {
        let pair = |at: usize| entry.u32(at).and_then(|at| text(reader, at));
        if let (Some(name), Some(value)) = (pair(0), pair(4)) {
            push(all, (module, name, value));
        }
    }
}

fn push(all: &mut Vec<(Option<u32>, String, String)>, one: (Option<u32>, String, String)) {
    if all.len() < MOST_ANNOTATIONS {
        all.push(one);
    }
}

fn lists(view: View<'_>, entry: usize) -> impl Iterator<Item = View<'_>> {
    view.entries(4, entry, view.u32(0).unwrap_or(0).into(), MOST_ANNOTATIONS)
}

fn text(reader: &Reader<'_>, at: u32) -> Option<String> {
    reader.counted(at).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

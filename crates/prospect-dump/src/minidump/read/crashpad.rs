//! `CrashpadInfo`: annotations of the process and of its modules (Crashpad, `minidump/minidump_extensions.h`).

use super::{
    directory::Directory,
    reader::{Reader, View},
};
use crate::minidump::{AnnotationObject, Uuid, kinds};

/// More than anybody makes.
const MOST_ANNOTATIONS: usize = 1 << 16;
const MOST_LIST_BYTES: u64 = 4 << 20;

/// What the stream says.
#[derive(Default)]
pub(super) struct Crashpad {
    pub(super) report_id: Option<Uuid>,
    pub(super) client_id: Option<Uuid>,
    /// The module's place in the list of modules where it is an annotation of a module, the name, and the value.
    pub(super) annotations: Vec<(Option<u32>, String, String)>,
}

impl Crashpad {
    pub(super) fn read(reader: &Reader<'_>, directory: &Directory) -> Self {
        let Some(bytes) = directory.bytes(reader, kinds::CRASHPAD) else { return Self::default() };
        let view = reader.view(&bytes);
        let mut annotations = Vec::new();
        dictionary(reader, view, 36, None, &mut annotations);
        let list = reader.located(view, 44, MOST_LIST_BYTES).unwrap_or_default();
        for link in lists(reader.view(&list), 12) {
            let (Some(index), Some(module)) = (link.u32(0), reader.located(link, 4, 64)) else { continue };
            of_module(reader, reader.view(&module), index, &mut annotations);
        }
        Self { report_id: uuid(reader, view, 4), client_id: uuid(reader, view, 20), annotations }
    }
}

/// A number; `None` where it is zero, which says that there is none.
fn uuid(reader: &Reader<'_>, view: View<'_>, at: usize) -> Option<Uuid> {
    let id = Uuid(*view.from(at)?.first_chunk()?);
    let id = if reader.big_endian { id } else { id.swapped() };
    (id != Uuid::default()).then_some(id)
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
        for object in lists(reader.view(&objects), 12) {
            let name = object.u32(0).and_then(|at| text(reader, at)).unwrap_or_default();
            let Some(value) = object.u32(8).and_then(|at| reader.counted(at)) else { continue };
            let value = match object.u16(4) {
                Some(AnnotationObject::STRING) => String::from_utf8_lossy(&value).into_owned(),
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

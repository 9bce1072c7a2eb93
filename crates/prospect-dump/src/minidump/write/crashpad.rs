//! `CrashpadInfo`: annotations of the process and of its modules.

use std::ops::Range;

use prospect_process::Addr;

use super::{head::Head, kinds};
use crate::minidump::{AnnotationObject, CrashpadInfo, CrashpadModule, Uuid};

/// The version of `MinidumpCrashpadInfo` and of `MinidumpModuleCrashpadInfo`.
const VERSION: u32 = 1;

/// Adds `MinidumpCrashpadInfo`. `modules` are those of the list, in its order.
pub(super) fn add(head: &mut Head, info: &CrashpadInfo, modules: &[Range<Addr>]) {
    let annotations = dictionary(head, &info.annotations);
    let mut links = Vec::new();
    for module in &info.modules {
        let Some(index) = modules.iter().position(|range| range.contains(&module.at)) else { continue };
        let location = add_module(head, module);
        links.push([&[index as u32][..], &location].concat());
    }
    let links = list(head, &links);
    head.stream(kinds::CRASHPAD, |head| {
        head.u32(VERSION);
        for Uuid(id) in [info.report_id, info.client_id] {
            let id = if head.is_big_endian() { Uuid(id) } else { Uuid(id).swapped() };
            head.bytes(&id.0);
        }
        head.location(annotations);
        head.location(links);
    });
}

/// A `MinidumpModuleCrashpadInfo`.
fn add_module(head: &mut Head, module: &CrashpadModule) -> [u32; 2] {
    let messages: Vec<Vec<u32>> = module.messages.iter().map(|text| vec![head.utf8(text)]).collect();
    let messages = list(head, &messages);
    let annotations = dictionary(head, &module.annotations);
    let mut objects = Vec::with_capacity(module.objects.len());
    for AnnotationObject { name, kind, value } in &module.objects {
        let (name, value) = (head.utf8(name), head.byte_array(value));
        // The kind is a half word, and one that is reserved follows it.
        let kind = if head.is_big_endian() { u32::from(*kind) << 16 } else { u32::from(*kind) };
        objects.push(vec![name, kind, value]);
    }
    let objects = list(head, &objects);
    let words = [&[VERSION][..], &messages, &annotations, &objects].concat();
    words_apart(head, &words)
}

/// A `MinidumpSimpleStringDictionary`.
fn dictionary(head: &mut Head, entries: &[(String, String)]) -> [u32; 2] {
    let entries: Vec<Vec<u32>> =
        entries.iter().map(|(name, value)| vec![head.utf8(name), head.utf8(value)]).collect();
    list(head, &entries)
}

/// A number of entries, and they; nothing where there are none.
fn list(head: &mut Head, entries: &[Vec<u32>]) -> [u32; 2] {
    if entries.is_empty() {
        return [0, 0];
    }
    words_apart(head, &[&[entries.len() as u32][..], &entries.concat()].concat())
}

fn words_apart(head: &mut Head, words: &[u32]) -> [u32; 2] {
    let [_, at] = head.apart(4, &[]);
    words.iter().for_each(|word| head.u32(*word));
    [4 * words.len() as u32, at]
}

//! `runtime.moduledata`: where the parts of a program are.

use std::ops::Range;

use prospect_process::LinkAddr;

use super::{
    GoRelease,
    fields::Fields,
    header::{Format, Header},
    relocations,
};
use crate::binary::Headers;

/// So many pointers to the header are followed. There are two or three.
const MOST_POINTERS: usize = 64;

/// How many words of it are looked at.
const WORDS: usize = 48;

/// Which words are what, up to where releases differ: `text` and `bss`.
const TEXT: usize = 22;
const BSS: usize = 28;

/// As much of a program's own data as is needed here.
#[derive(Debug)]
pub(super) struct ModuleData {
    /// Where Go's code begins.
    pub(super) text: u64,
    pub(super) bss: Range<LinkAddr>,
    /// Where the data of functions are.
    pub(super) function_data: Option<u64>,
}

impl ModuleData {
    /// Finds it by what it begins with: a pointer to the header, and one to the names.
    pub(super) fn find(headers: &Headers, header: &Header, release: Option<&GoRelease>) -> Option<Self> {
        if header.format == Format::Go12 {
            return None;
        }
        let written = || {
            let points = relocations::relative(headers).filter(|(_, to)| *to == header.address.0);
            points.map(|(at, _)| at).take(MOST_POINTERS).collect()
        };
        let find = |places: Vec<LinkAddr>| places.into_iter().find_map(|at| words(headers, header, at));
        let words = find(in_place(headers, header)).or_else(|| find(written()))?;
        let function_data = words.get(function_data_word(header.format, release)?).copied();
        Some(Self {
            text: words[TEXT],
            bss: LinkAddr(words[BSS])..LinkAddr(words[BSS + 1]),
            function_data: function_data.filter(|at| !headers.loaded(LinkAddr(*at)).is_empty()),
        })
    }
}

/// Where the word is that has the address of `go:func.*`.
fn function_data_word(format: Format, release: Option<&GoRelease>) -> Option<usize> {
    match format {
        Format::Go12 | Format::Go116 => None,
        // Behind `rodata`, as all that follow.
        Format::Go118 => Some(38),
        // Counters of coverage came.
        Format::Go120 => match release {
            // The types and the tables of interfaces are told in another way.
            Some(release) if (release.major, release.minor) >= (1, 27) => Some(43),
            _ => Some(40),
        },
    }
}

/// Where pointers to the header are, in what can be written: the last segments first.
fn in_place(headers: &Headers, header: &Header) -> Vec<LinkAddr> {
    let word = header.word_bytes;
    let pointer = header.address.0.to_le_bytes();
    let pointer: Vec<u8> = if header.big_endian {
        pointer[..word].iter().rev().copied().collect()
    } else {
        pointer[..word].to_vec()
    };
    let segments = headers.segments.iter().rev().filter(|segment| !segment.executable);
    let points = segments.flat_map(|segment| {
        let words = headers.loaded(segment.range.start).chunks_exact(word).enumerate();
        let here = words.filter(|(_, bytes)| *bytes == pointer.as_slice());
        here.map(|(index, _)| LinkAddr(segment.range.start.0 + (index * word) as u64))
    });
    points.take(MOST_POINTERS).collect()
}

/// The words of module data at an address, with what the dynamic linker writes into them, if they are there.
fn words(headers: &Headers, header: &Header, at: LinkAddr) -> Option<Vec<u64>> {
    let Header { word_bytes, big_endian, .. } = *header;
    let fields = Fields { bytes: headers.loaded(at), word_bytes, big_endian };
    let mut words: Vec<u64> = (0..WORDS).map_while(|index| fields.word(index * word_bytes)).collect();
    if words.get(1) == Some(&0) {
        for (place, to) in relocations::relative(headers) {
            let skip = place.0.checked_sub(at.0).and_then(|skip| usize::try_from(skip).ok());
            let index = skip.filter(|skip| skip % word_bytes == 0).map(|skip| skip / word_bytes);
            if let Some(word) = index.and_then(|index| words.get_mut(index)) {
                *word = to;
            }
        }
    }
    is_module_data(header, &words).then_some(words)
}

/// Whether they begin with the header, and the slice of the names.
fn is_module_data(header: &Header, words: &[u64]) -> bool {
    let names = header.address.0.wrapping_add(header.names as u64);
    words.len() == WORDS
        && words[0] == header.address.0
        && words[1] == names
        && words[2] == words[3]
        && words[2] > 0
}

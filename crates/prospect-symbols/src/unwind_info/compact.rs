//! `__unwind_info`: the compact unwind tables of macOS (`mach-o/compact_unwind_encoding.h`).
//!
//! A function has one description, which is true in its body. What has none that is so small has DWARF's.

mod aarch64;
#[cfg(test)]
mod tests;
mod x86_64;

use prospect_process::{Arch, LinkAddr};

use super::{CfaRule, RegisterRule, UnwindInfoError, UnwindRow};
use crate::binary::Headers;

/// The kind of a function: what the rest of its encoding means.
const MODE: u32 = 0x0f00_0000;
/// The kinds of a page of the second level.
const REGULAR: u32 = 2;
const COMPRESSED: u32 = 3;
/// The size of an entry of the first level.
const INDEX_ENTRY: usize = 12;

/// A function, or several of the same encoding one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// Where it begins, from the start of the image.
    start: u32,
    /// Where the next one begins, at most.
    end: u32,
    encoding: u32,
}

/// The row for an address of an image that begins at `base`; `None` where no entry says anything.
pub(super) fn row(
    section: &[u8],
    headers: &Headers,
    base: LinkAddr,
    at: LinkAddr,
) -> Result<Option<UnwindRow>, UnwindInfoError> {
    let Some(relative) = at.0.checked_sub(base.0).and_then(|at| u32::try_from(at).ok()) else {
        return Ok(None);
    };
    let Some(entry) = find(section, relative)?.filter(|entry| entry.encoding & MODE != 0) else {
        return Ok(None);
    };
    let start = LinkAddr(base.0.wrapping_add(entry.start.into()));
    let range = start..LinkAddr(base.0.wrapping_add(entry.end.into()));
    let row = match headers.arch {
        Some(Arch::X86_64) => x86_64::row(entry.encoding, || stack_size(headers, start, entry.encoding))?,
        Some(Arch::Aarch64) => aarch64::row(entry.encoding)?,
        _ => None,
    };
    let Some(mut row) = row else { return Ok(None) };
    // Before its first instruction a function has done nothing.
    row.only_at_calls = at != start;
    if at == start
        && let Some(arch) = headers.arch
    {
        row = entered(arch);
    }
    row.range = if at == start { start..LinkAddr(start.0.wrapping_add(1)) } else { range };
    Ok(Some(row))
}

/// The row at the start of a function.
fn entered(arch: Arch) -> UnwindRow {
    let info = arch.info();
    let mut row = UnwindRow::new();
    row.return_address = info.link.unwrap_or(info.pc);
    row.cfa = CfaRule::Register(info.sp, if info.link.is_none() { info.word_bytes.into() } else { 0 });
    if info.link.is_none() {
        row.rules.push((info.pc, RegisterRule::AtCfa(-i64::from(info.word_bytes))));
    }
    row
}

/// The number in the instruction that takes room for a large frame; the encoding says how far from the function's start it is.
fn stack_size(headers: &Headers, start: LinkAddr, encoding: u32) -> Option<u32> {
    let offset = usize::try_from(encoding >> 16 & 0xff).ok()?;
    Some(u32::from_le_bytes(*headers.loaded(start).get(offset..)?.first_chunk()?))
}

/// The entry for a relative address.
fn find(section: &[u8], at: u32) -> Result<Option<Entry>, UnwindInfoError> {
    let header = |index: usize| word(section, 4 * index).ok_or_else(|| broken("it ends in its header"));
    if header(0)? != 1 {
        return Err(broken("a version is not known"));
    }
    let (common, common_count) = (header(1)? as usize, header(2)?);
    let (index, count) = (header(5)? as usize, header(6)? as usize);
    let first_level = section.get(index..).ok_or_else(|| broken("it ends before its index"))?;
    let first_level = &first_level[..first_level.len().min(count.saturating_mul(INDEX_ENTRY))];
    let Some(place) = last_before(first_level, INDEX_ENTRY, |word| word <= at) else { return Ok(None) };
    let field = |place: usize, index: usize| word(first_level, INDEX_ENTRY * place + 4 * index);
    // The last one says where the code ends.
    let (Some(start), Some(page), Some(end)) = (field(place, 0), field(place, 1), field(place + 1, 0)) else {
        return Ok(None);
    };
    if page == 0 {
        return Ok(None);
    }
    let page = section.get(page as usize..).ok_or_else(|| broken("it ends before a page"))?;
    let kind = word(page, 0).ok_or_else(|| broken("it ends in a page"))?;
    let half = |at: usize| Some(usize::from(u16::from_le_bytes(*page.get(at..)?.first_chunk()?)));
    let (Some(entries), Some(count)) = (half(4), half(6)) else {
        return Err(broken("it ends in a page"));
    };
    let all = page.get(entries..).unwrap_or_default();
    match kind {
        REGULAR => {
            let all = &all[..all.len().min(count * 8)];
            let Some(place) = last_before(all, 8, |word| word <= at) else { return Ok(None) };
            let (Some(start), Some(encoding)) = (word(all, 8 * place), word(all, 8 * place + 4)) else {
                return Ok(None);
            };
            Ok(Some(Entry { start, end: word(all, 8 * place + 8).unwrap_or(end), encoding }))
        }
        COMPRESSED => {
            let all = &all[..all.len().min(count * 4)];
            let offset = |entry: u32| entry & 0xff_ffff;
            let Some(place) = last_before(all, 4, |word| offset(word) <= at - start) else { return Ok(None) };
            let Some(entry) = word(all, 4 * place) else { return Ok(None) };
            let number = entry >> 24;
            let encoding = match number.checked_sub(common_count) {
                None => word(section, common.saturating_add(4 * number as usize)),
                Some(own) => half(8).zip(half(10)).and_then(|(encodings, count)| {
                    let place = encodings + 4 * own as usize;
                    ((own as usize) < count).then(|| word(page, place)).flatten()
                }),
            };
            let encoding = encoding.ok_or_else(|| broken("an encoding is missing"))?;
            let absolute = |entry: u32| start.saturating_add(offset(entry));
            let end = word(all, 4 * place + 4).map_or(end, absolute);
            Ok(Some(Entry { start: absolute(entry), end, encoding }))
        }
        _ => Err(broken("a kind of page is not known")),
    }
}

/// The place of the last entry of so many bytes whose first word is at, or before, what is looked for.
fn last_before(entries: &[u8], bytes: usize, is_before: impl Fn(u32) -> bool) -> Option<usize> {
    let (mut low, mut high) = (0, entries.len() / bytes);
    while low < high {
        let middle = low + (high - low) / 2;
        if word(entries, middle * bytes).is_some_and(&is_before) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low.checked_sub(1)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn broken(what: &str) -> UnwindInfoError {
    UnwindInfoError::Malformed(format!("compact unwind tables: {what}"))
}

//! What is left of a core that may not be as large as it would be.

use std::{ops::Range, time::Instant};

use prospect_process::{Addr, Content, Mapping, Memory, Process};

use super::selection::{Piece, is_zero_until_touched};
use crate::{
    pages::PageSet,
    reachable::{ReachPlan, reach},
    writing::{Limits, WriteError, windows},
};

/// Pointers are followed so far where nothing else is said; then it is the order of addresses that counts.
const DEPTH: u32 = 8;
/// So much is looked through for addresses where it is said how far they are followed.
const SCAN_BYTES: u64 = 1 << 30;

/// How much of the memory that belongs into a core is to be there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    /// At most so many bytes.
    pub(crate) limit: Option<u64>,
    /// Only what is reached in so many steps.
    pub(crate) depth: Option<u32>,
}

/// What a limit has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Cut {
    /// How many bytes of memory were wanted, at most.
    pub limit: Option<u64>,
    /// How far pointers were followed, where that was to be all.
    pub depth: Option<u32>,
    /// How many bytes that belong into the core are not in it.
    pub left_out: u64,
}

/// Leaves so much out of `pieces` that no more than the limit's bytes of memory are written; the most telling memory stays. Without a
/// depth the room is filled, and with one nothing else stays. `None` where all of it may be there. Zeros in holes do not count.
///
/// Where there is a deadline, half of the time that is left may go into it: the other half is for the memory itself.
pub(crate) fn cut(
    process: &dyn Process,
    memory: &dyn Memory,
    pieces: &mut Vec<(&Mapping, Piece)>,
    Bounds { limit, depth }: Bounds,
    holes: bool,
    limits: &Limits<'_>,
) -> Result<Option<Cut>, WriteError> {
    let now = Instant::now();
    let half = limits.deadline.map(|deadline| now + deadline.saturating_duration_since(now) / 2);
    let most = limit.unwrap_or(u64::MAX);
    let wanted: Vec<Range<Addr>> = pieces
        .iter()
        .filter(|(_, piece)| piece.length > 0)
        .map(|(_, Piece { range, length })| range.start..range.start.wrapping_add(*length))
        .collect();
    let parts = |range: Range<Addr>| {
        let zero = process.mappings().at(range.start).is_some_and(is_zero_until_touched);
        let contents = windows(range).flat_map(|window| memory.contents(window));
        contents.map(move |(part, content)| (part, zero && content == Content::Untouched))
    };
    let bytes = |range: &Range<Addr>| range.end.0 - range.start.0;
    let written = |(part, is_zero): (Range<Addr>, bool)| if is_zero && holes { 0 } else { bytes(&part) };
    let mut total = 0_u64;
    for range in &wanted {
        limits.check()?;
        total = parts(range.clone()).map(written).fold(total, u64::saturating_add);
    }
    if total <= most && depth.is_none() {
        return Ok(None);
    }
    let plan = match depth {
        Some(depth) => ReachPlan::new(depth).scan_bytes(SCAN_BYTES),
        None => ReachPlan::new(DEPTH),
    };
    let reached = reach(process, &wanted, &plan.bytes(most).deadline(half));
    let (mut kept, mut left) = (reached.pages, most.saturating_sub(reached.bytes));
    for range in wanted.into_iter().filter(|_| depth.is_none()) {
        limits.check()?;
        for (mut part, is_zero) in kept.gaps(range).into_iter().flat_map(parts) {
            if !is_zero {
                // In whole pages, of any size.
                part.end = part.end.min(Addr(part.start.0.saturating_add(left & !0xffff)));
            } else if !holes {
                continue;
            }
            let length = part.end.0.saturating_sub(part.start.0);
            if kept.insert(part) && !is_zero {
                left -= length;
            }
        }
    }
    let before = std::mem::take(pieces);
    let mut left_out = 0;
    for (mapping, piece) in before {
        for part in split(piece, &kept, &mut left_out) {
            pieces.push((mapping, part));
        }
    }
    Ok(Some(Cut { limit, depth, left_out }))
}

/// The parts of a piece that are kept, and between them those that are not.
fn split(Piece { range, length }: Piece, kept: &PageSet, left_out: &mut u64) -> Vec<Piece> {
    let end = range.start.wrapping_add(length);
    let (mut pieces, mut next) = (Vec::new(), range.start);
    for part in kept.within(range.start..end) {
        if next < part.start {
            *left_out += part.start.0 - next.0;
            pieces.push(Piece { range: next..part.start, length: 0 });
        }
        next = part.end;
        pieces.push(Piece { length: part.end.0 - part.start.0, range: part });
    }
    *left_out += end.0.saturating_sub(next.0);
    if next < range.end {
        pieces.push(Piece { range: next..range.end, length: 0 });
    }
    pieces
}

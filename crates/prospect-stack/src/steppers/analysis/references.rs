//! Where code is called and jumped to: what is called is where a function begins.

use std::ops::Range;

use prospect_process::Addr;

use crate::{
    StepContext,
    analysis::{LARGEST_FUNCTION, Reference, isa},
};

/// Of larger mappings, blocks of so many bytes are looked through, with the one before and the one behind it.
const BLOCK: u64 = 4 << 20;
/// Of one piece of code, no more of each kind are kept.
const MOST_KEPT: usize = 64 << 10;
/// So many pieces are remembered.
const MOST_PIECES: usize = 8;

/// The calls and jumps of the code that was asked about.
#[derive(Debug, Default)]
pub(super) struct References {
    pieces: Vec<Piece>,
}

/// What is called and jumped to within a piece of code.
#[derive(Debug)]
struct Piece {
    range: Range<u64>,
    /// As offsets, sorted.
    called: Vec<u32>,
    /// Where each jump leads, sorted, and where it ends.
    jumps: Vec<(u32, u32)>,
}

impl References {
    pub(super) fn forget(&mut self) {
        self.pieces.clear();
    }

    /// Places that calls lead to, the nearest before `at` first.
    pub(super) fn called_before(
        &mut self,
        at: Addr,
        context: &StepContext<'_>,
    ) -> impl Iterator<Item = Addr> {
        let piece = self.piece(at, context);
        let start = piece.range.start;
        let offset = at.0.saturating_sub(start);
        let index = piece.called.partition_point(|called| u64::from(*called) <= offset);
        let before = piece.called.iter().take(index).rev().map(|called| u64::from(*called));
        let near = before.take_while(move |called| offset - called < LARGEST_FUNCTION);
        near.map(move |called| Addr(start + called))
    }

    /// Whether a call leads to a place.
    pub(super) fn is_called(&mut self, at: Addr, context: &StepContext<'_>) -> bool {
        self.called_before(at, context).next() == Some(at)
    }

    /// The nearest place behind `at` that a call leads to.
    pub(super) fn called_behind(&mut self, at: Addr, context: &StepContext<'_>) -> Option<Addr> {
        let piece = self.piece(at, context);
        let offset = at.0.saturating_sub(piece.range.start);
        let index = piece.called.partition_point(|called| u64::from(*called) <= offset);
        piece.called.get(index).map(|called| Addr(piece.range.start + u64::from(*called)))
    }

    /// The ends of jumps, with where they lead, the nearest before `at` first.
    pub(super) fn jumps_before(
        &mut self,
        at: Addr,
        context: &StepContext<'_>,
    ) -> impl Iterator<Item = (Addr, Addr)> {
        let piece = self.piece(at, context);
        let start = piece.range.start;
        let offset = at.0.saturating_sub(start);
        let index = piece.jumps.partition_point(|(to, _)| u64::from(*to) <= offset);
        let addr = move |offset: u32| Addr(start + u64::from(offset));
        piece.jumps.iter().take(index).rev().map(move |(to, end)| (addr(*end), addr(*to)))
    }

    fn piece(&mut self, at: Addr, context: &StepContext<'_>) -> &Piece {
        let known = self.pieces.iter().position(|piece| piece.range.contains(&at.0));
        let index = known.unwrap_or_else(|| {
            if self.pieces.len() >= MOST_PIECES {
                self.pieces.clear();
            }
            self.pieces.push(Piece::read(at, context));
            self.pieces.len() - 1
        });
        &self.pieces[index]
    }
}

impl Piece {
    fn read(at: Addr, context: &StepContext<'_>) -> Self {
        let whole =
            context.mappings.at(at).map_or(at.0..at.0, |mapping| mapping.range.start.0..mapping.range.end.0);
        // The piece that is looked through, and the part of it that it can be asked about.
        let block = at.0 / BLOCK * BLOCK;
        let clip = |range: Range<u64>| range.start.max(whole.start)..range.end.min(whole.end);
        let range = clip(block..block.saturating_add(BLOCK));
        let around = clip(block.saturating_sub(BLOCK)..block.saturating_add(2 * BLOCK));
        let mut code = vec![0; around.end.saturating_sub(around.start) as usize];
        let read = context.memory.read_available(Addr(around.start), &mut code);
        code.truncate(read);
        let found = isa(context.arch).map_or(Vec::new(), |isa| (isa.references)(&code, Addr(around.start)));
        let inside = |to: Addr| {
            let offset = to.0.checked_sub(range.start).filter(|_| to.0 < range.end)?;
            u32::try_from(offset).ok()
        };
        let (mut called, mut jumps) = (Vec::new(), Vec::new());
        for Reference { end, to, is_call } in found {
            match (inside(to), inside(end)) {
                (Some(to), _) if is_call && called.len() < 8 * MOST_KEPT => called.push(to),
                (Some(to), Some(end)) if !is_call && jumps.len() < MOST_KEPT => jumps.push((to, end)),
                _ => {}
            }
        }
        called.sort_unstable();
        called.dedup();
        called.truncate(MOST_KEPT);
        called.shrink_to_fit();
        jumps.sort_unstable();
        Self { range, called, jumps }
    }
}

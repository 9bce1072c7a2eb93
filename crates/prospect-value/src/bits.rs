//! The bits of a value, wherever they are: parts of locations, and reading them.

use prospect_symbols::variable::{Location, Piece, PieceSource, Unavailable};

use crate::ValueContext;

/// No value has more bytes than this, where it must be read in one piece.
pub(crate) const MOST_BYTES: u64 = 1 << 20;

/// The address of a value that is all in memory, and begins at a byte.
pub(crate) fn address(location: &Location) -> Option<prospect_process::Addr> {
    match location.pieces.as_slice() {
        [Piece { bits: None, skip, source: PieceSource::Memory(at) }] if skip % 8 == 0 => {
            Some(at.wrapping_add(skip / 8))
        }
        _ => None,
    }
}

/// Where a part of a value of `whole` bits is: `count` bits from bit `start` on.
///
/// A value that is smaller than its register is in the low bits of that, and [`Piece::skip`] counts from there. Those are its
/// last ones on machines that have the most significant byte first.
pub(crate) fn part(
    location: &Location,
    whole: u64,
    start: u64,
    count: u64,
    cx: &dyn ValueContext,
) -> Location {
    let arch = cx.arch();
    let is_general = |piece: &Piece| matches!(piece.source, PieceSource::Register(number) if arch.by_dwarf(number).is_some());
    if !arch.big_endian || !location.pieces.iter().any(is_general) {
        return location.part(start, Some(count));
    }
    let (mut pieces, mut at, last) = (Vec::new(), 0_u64, start.saturating_add(count));
    for piece in &location.pieces {
        let end = at.saturating_add(piece.bits.unwrap_or(whole.saturating_sub(at)));
        let (from, to) = (start.max(at), last.min(end));
        if from < to {
            let only = Location { pieces: vec![piece.clone()] };
            let mut found = only.part(from - at, Some(to - from)).pieces;
            if is_general(piece) {
                found.iter_mut().for_each(|found| found.skip = piece.skip.saturating_add(end - to));
            }
            pieces.append(&mut found);
        }
        at = end;
    }
    Location { pieces }
}

/// Where a bit-field of a value is. It keeps its count of bits, also where they are whole bytes.
pub(crate) fn field(
    location: &Location,
    whole: u64,
    start: u64,
    count: u64,
    cx: &dyn ValueContext,
) -> Location {
    let mut part = part(location, whole, start, count, cx);
    if let [only] = part.pieces.as_mut_slice() {
        only.bits.get_or_insert(count);
    }
    part
}

/// How many bits a location has; `None` where it has as many as the value.
pub(crate) fn count(location: &Location) -> Option<u64> {
    location.pieces.iter().try_fold(0u64, |sum, piece| sum.checked_add(piece.bits?))
}

/// The first `wanted` bits of what is at a location, as bytes in the machine's order. Where they are no whole bytes, they
/// are a number in as many bytes as it needs.
pub(crate) fn read(location: &Location, wanted: u64, cx: &dyn ValueContext) -> Result<Vec<u8>, Unavailable> {
    let bytes = wanted.div_ceil(8);
    if bytes > MOST_BYTES {
        return Err(Unavailable::DoesNotFit { bytes, room: MOST_BYTES });
    }
    let mut all = vec![0; bytes as usize];
    if wanted.is_multiple_of(8)
        && let Some(at) = address(location)
    {
        cx.memory().read(at, &mut all).map_err(|error| Unavailable::CannotRead(error.at))?;
        return Ok(all);
    }
    let big_endian = cx.arch().big_endian;
    let mut done = 0;
    for piece in &location.pieces {
        let bits = piece.bits.unwrap_or(wanted).min(wanted - done);
        copy(piece, bits, &mut all, done, cx)?;
        done += bits;
        if done == wanted {
            break;
        }
    }
    if done < wanted {
        return Err(Unavailable::DoesNotFit { bytes, room: done / 8 });
    }
    if big_endian && !wanted.is_multiple_of(8) {
        all = shifted_right(&all, 8 - (wanted % 8) as u32);
    }
    Ok(all)
}

/// Copies `bits` bits of a piece to bit `to` of `all`.
fn copy(piece: &Piece, bits: u64, all: &mut [u8], to: u64, cx: &dyn ValueContext) -> Result<(), Unavailable> {
    let big_endian = cx.arch().big_endian;
    let mut skip = piece.skip;
    let source = match &piece.source {
        PieceSource::Memory(at) => {
            let at = at.wrapping_add(skip / 8);
            skip %= 8;
            let mut bytes = vec![0; (skip + bits).div_ceil(8) as usize];
            cx.memory().read(at, &mut bytes).map_err(|error| Unavailable::CannotRead(error.at))?;
            bytes
        }
        PieceSource::Register(number) => {
            let bytes = cx.register_bytes(*number);
            let bytes = bytes.ok_or_else(|| Unavailable::RegisterUnknown(register_name(*number, cx)))?;
            // A value that is smaller than a general register is in its lower bits.
            if big_endian && cx.arch().by_dwarf(*number).is_some() {
                skip = (bytes.len() as u64 * 8).saturating_sub(bits).saturating_sub(skip);
            }
            bytes
        }
        PieceSource::Bytes(bytes) => bytes.clone(),
        PieceSource::ImplicitPointer(_) => return Err(Unavailable::NoAddress),
        _ => return Err(Unavailable::OptimisedOut),
    };
    let room = source.len() as u64 * 8;
    if skip.checked_add(bits).is_none_or(|end| end > room) {
        return Err(Unavailable::DoesNotFit {
            bytes: (skip.saturating_add(bits)).div_ceil(8),
            room: room / 8,
        });
    }
    if skip.is_multiple_of(8) && bits.is_multiple_of(8) && to.is_multiple_of(8) {
        let (from, to, length) = ((skip / 8) as usize, (to / 8) as usize, (bits / 8) as usize);
        all[to..to + length].copy_from_slice(&source[from..from + length]);
        return Ok(());
    }
    let place = |bit: u64| {
        let in_byte = (bit % 8) as u32;
        ((bit / 8) as usize, if big_endian { 7 - in_byte } else { in_byte })
    };
    for bit in 0..bits {
        let (from, shift) = place(skip + bit);
        let (into, into_shift) = place(to + bit);
        all[into] |= (source[from] >> shift & 1) << into_shift;
    }
    Ok(())
}

fn shifted_right(bytes: &[u8], by: u32) -> Vec<u8> {
    let mut above = 0u16;
    bytes
        .iter()
        .map(|byte| {
            let both = above << 8 | u16::from(*byte);
            above = u16::from(*byte);
            (both >> by) as u8
        })
        .collect()
}

fn register_name(number: u16, cx: &dyn ValueContext) -> String {
    let arch = cx.arch();
    arch.by_dwarf(number).map_or_else(|| format!("r{number}"), |id| arch.register(id).name.to_owned())
}

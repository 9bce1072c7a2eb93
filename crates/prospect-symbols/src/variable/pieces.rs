//! Reading values that are somewhere, in one piece or in several.

use super::{FrameContext, Location, Piece, PieceSource, Unavailable, machine::unknown_register};

/// More bytes than this are not read at once.
pub(super) const MOST_BYTES: u64 = 64 << 20;

impl Location {
    /// Reads a value of so many bytes.
    ///
    /// # Errors
    /// When one of its pieces cannot be had, or there are too few bytes where it is.
    pub fn read(&self, frame: &dyn FrameContext, bytes: u64) -> Result<Vec<u8>, Unavailable> {
        let too_long = Unavailable::DoesNotFit { bytes, room: MOST_BYTES };
        let length = usize::try_from(bytes).ok().filter(|_| bytes <= MOST_BYTES).ok_or(too_long)?;
        // The usual case needs no copy.
        if let [Piece { bits: None, skip: 0, source: PieceSource::Memory(at) }] = self.pieces.as_slice() {
            let mut value = vec![0; length];
            frame.memory().read(*at, &mut value).map_err(|error| Unavailable::CannotRead(error.at))?;
            return Ok(value);
        }
        let wanted = bytes * 8;
        let mut value = vec![0; length];
        let mut done = 0;
        for piece in &self.pieces {
            let count = piece.bits.unwrap_or(wanted).min(wanted - done);
            if count == 0 {
                continue;
            }
            let whole = piece.bits.unwrap_or(wanted);
            let (source, first) = piece.read(frame, count, whole)?;
            copy_bits(&mut value, done, &source, first, count, frame.arch().big_endian);
            done += count;
        }
        if done < wanted {
            return Err(Unavailable::DoesNotFit { bytes, room: done / 8 });
        }
        Ok(value)
    }

    /// With what its pieces lack of a value of so many bytes: compilers leave out the ones at its end that they did not keep.
    pub(super) fn completed(mut self, bytes: u64) -> Self {
        let covered = self.pieces.iter().try_fold(0_u64, |sum, piece| sum.checked_add(piece.bits?));
        if let Some(left @ 1..) = covered.and_then(|covered| bytes.checked_mul(8)?.checked_sub(covered)) {
            self.pieces.push(Piece::missing(left));
        }
        self
    }

    /// Where a part of the value is: `count` bits from bit `start` on, or all that are left. Bits are counted from the least
    /// significant one of the first byte, and from the most significant one on machines that have that first. What no piece
    /// covers is missing.
    #[must_use]
    pub fn part(&self, start: u64, count: Option<u64>) -> Self {
        let (mut pieces, mut passed, mut left) = (Vec::new(), start, count);
        for piece in &self.pieces {
            if left == Some(0) {
                break;
            }
            if let Some(bits) = piece.bits.filter(|bits| *bits <= passed) {
                passed -= bits;
                continue;
            }
            let rest = piece.bits.map(|bits| bits - passed);
            let bits = match (rest, left) {
                (Some(rest), Some(left)) => Some(rest.min(left)),
                (rest, left) => rest.or(left),
            };
            let mut source = piece.source.clone();
            let mut skip = piece.skip.saturating_add(passed);
            if let PieceSource::Memory(at) = &mut source {
                *at = at.wrapping_add(skip / 8);
                skip %= 8;
            }
            left = left.map(|left| left.saturating_sub(bits.unwrap_or(left)));
            passed = 0;
            pieces.push(Piece { bits, skip, source });
        }
        if let Some(left @ 1..) = left {
            pieces.push(Piece::missing(left));
        }
        // All of something in memory is just that, as it is where nothing was taken of it.
        if let [only] = pieces.as_mut_slice()
            && count.is_some_and(|count| count.is_multiple_of(8) && only.bits == Some(count))
            && matches!(only.source, PieceSource::Memory(_))
            && only.skip == 0
        {
            only.bits = None;
        }
        Self { pieces }
    }
}

impl Piece {
    fn missing(bits: u64) -> Self {
        Self { bits: Some(bits), skip: 0, source: PieceSource::Missing }
    }

    /// The bytes that hold `count` bits of it, which has `whole`, and where in them the first bit is.
    fn read(&self, frame: &dyn FrameContext, count: u64, whole: u64) -> Result<(Vec<u8>, u64), Unavailable> {
        let last = self.skip.checked_add(count).filter(|last| last / 8 <= MOST_BYTES + 1);
        let last = last.ok_or(Unavailable::DoesNotFit { bytes: count / 8, room: MOST_BYTES })?;
        match &self.source {
            PieceSource::Memory(at) => {
                let (first, skip) = (at.wrapping_add(self.skip / 8), self.skip % 8);
                let length = (skip + count).div_ceil(8);
                let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
                frame.memory().read(first, &mut bytes).map_err(|error| Unavailable::CannotRead(error.at))?;
                Ok((bytes, skip))
            }
            PieceSource::Register(number) => {
                let (bytes, counts_from_low) = register(frame, *number)?;
                let room = bytes.len() as u64 * 8;
                if last > room {
                    return Err(Unavailable::DoesNotFit { bytes: last.div_ceil(8), room: room / 8 });
                }
                // The value is in the low bits of the register, which come last where the high ones come first.
                let first = if frame.arch().big_endian && counts_from_low {
                    room.saturating_sub(self.skip.saturating_add(whole.min(room - self.skip)))
                } else {
                    self.skip
                };
                Ok((bytes, first))
            }
            PieceSource::Bytes(bytes) => {
                let room = bytes.len() as u64 * 8;
                if last > room {
                    return Err(Unavailable::DoesNotFit { bytes: last.div_ceil(8), room: room / 8 });
                }
                Ok((bytes.clone(), self.skip))
            }
            PieceSource::ImplicitPointer(_) => Err(Unavailable::NoAddress),
            PieceSource::Missing => Err(Unavailable::OptimisedOut),
        }
    }
}

/// The bytes of a register, in the machine's order, and whether values lie in its low ones.
fn register(frame: &dyn FrameContext, number: u16) -> Result<(Vec<u8>, bool), Unavailable> {
    let arch = frame.arch();
    if arch.by_dwarf(number).is_some() {
        let value = frame.register(number).ok_or_else(|| unknown_register(frame, number))?;
        let word = usize::from(arch.word_bytes);
        let bytes = if arch.big_endian {
            value.to_be_bytes()[8 - word..].to_vec()
        } else {
            value.to_le_bytes()[..word].to_vec()
        };
        return Ok((bytes, true));
    }
    let bytes = frame.register_bytes(number).ok_or_else(|| unknown_register(frame, number))?;
    Ok((bytes, false))
}

/// Copies bits that lie within both, counted as the machine counts them.
fn copy_bits(into: &mut [u8], at: u64, from: &[u8], first: u64, count: u64, big_endian: bool) {
    if (at | first | count).is_multiple_of(8) {
        let place = |bit: u64| usize::try_from(bit / 8).unwrap_or(usize::MAX);
        let length = place(count);
        let source = from.get(place(first)..).and_then(|rest| rest.get(..length));
        let target = into.get_mut(place(at)..).and_then(|rest| rest.get_mut(..length));
        if let (Some(source), Some(target)) = (source, target) {
            target.copy_from_slice(source);
        }
        return;
    }
    let mask = |bit: u64| if big_endian { 0x80 >> (bit % 8) } else { 1_u8 << (bit % 8) };
    for index in 0..count {
        let (source, target) = (first + index, at + index);
        let byte = from.get((source / 8) as usize).copied().unwrap_or(0);
        if byte & mask(source) != 0
            && let Some(byte) = into.get_mut((target / 8) as usize)
        {
            *byte |= mask(target);
        }
    }
}

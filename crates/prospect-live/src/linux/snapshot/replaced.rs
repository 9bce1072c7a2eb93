//! What a thread had before it was made to do a system call, so that whoever comes later can give it back.
//!
//! The guardian sends it to the program before it changes anything. When the guardian is killed, the program starts another
//! one, and sends it there. Nothing here allocates memory.

use prospect_process::ThreadId;

use super::{
    parking::{MOST_CODE, Parking},
    way,
};
use crate::linux::{arch::CallRegisters, ptrace};

/// Memory of a thread that gets back what was in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept<const MOST: usize> {
    at: u64,
    length: usize,
    bytes: [u8; MOST],
}

impl<const MOST: usize> Kept<MOST> {
    const WORDS: usize = 2 + MOST / 8;
    pub(super) const NOTHING: Self = Self { at: 0, length: 0, bytes: [0; MOST] };

    /// `None` when it cannot be read.
    pub(super) fn of(thread: ThreadId, at: u64, length: usize) -> Option<Self> {
        let mut bytes = [0; MOST];
        let read = ptrace::read_memory_at(thread, at, bytes.get_mut(..length)?).ok()?;
        (read == length).then_some(Self { at, length, bytes })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Writes it into the memory of a thread, or of a copy of its process.
    fn put(&self, thread: ThreadId) {
        if self.length > 0 {
            // An error: it was killed.
            let _ = ptrace::write_memory_at(thread, self.at, self.bytes());
        }
    }

    fn words(&self) -> impl Iterator<Item = u64> {
        let (bytes, _) = self.bytes.as_chunks::<8>();
        [self.at, self.length as u64].into_iter().chain(bytes.iter().map(|bytes| u64::from_ne_bytes(*bytes)))
    }

    fn from_words(words: &mut impl Iterator<Item = u64>) -> Option<Self> {
        let (at, length) = (words.next()?, usize::try_from(words.next()?).ok()?);
        let mut bytes = [0; MOST];
        for chunk in bytes.chunks_exact_mut(8) {
            chunk.copy_from_slice(&words.next()?.to_ne_bytes());
        }
        (length <= MOST).then_some(Self { at, length, bytes })
    }
}

/// All that is changed in a thread for a call, as it was.
#[derive(Clone, Copy, Debug)]
pub(in crate::linux) struct Replaced {
    pub(super) thread: ThreadId,
    /// Its registers.
    pub(super) home: CallRegisters,
    /// The signals that it blocks.
    pub(super) mask: u64,
    /// What it has told the kernel of the sequence of instructions that it is in (`rseq_cs` of `struct rseq`, in its own
    /// memory). The kernel takes that away when it sees the thread elsewhere; so it is written again, and the kernel finds
    /// it there when the thread goes on, and aborts the sequence as it would have.
    pub(super) sequence: Kept<8>,
    /// Below its stack, where the way from a call is written.
    pub(super) way: Kept<{ way::MOST }>,
    /// Whether it comes back to all of this on that way by itself. Else it goes to the parking place.
    pub(super) finds_back: bool,
    /// Where it is sent to; nowhere when `way` is empty.
    pub(super) parking: Parking,
}

/// How many bytes [`Replaced::write`] writes.
pub(super) const BYTES: usize = 8 * WORDS;
const WORDS: usize = 7 + CallRegisters::WORDS + Kept::<8>::WORDS + Kept::<{ way::MOST }>::WORDS;

impl Replaced {
    /// Where `rseq_cs` is in `struct rseq` (`include/uapi/linux/rseq.h`).
    const SEQUENCE_OFFSET: u64 = 8;

    /// Of a thread that stands and has these registers.
    pub(in crate::linux) fn of(thread: ThreadId, home: CallRegisters) -> std::io::Result<Self> {
        let sequence = ptrace::restartable_sequence(thread)
            .and_then(|area| Kept::of(thread, area.checked_add(Self::SEQUENCE_OFFSET)?, 8))
            .filter(|sequence| sequence.bytes() != [0; 8]);
        Ok(Self {
            thread,
            home,
            mask: ptrace::blocked_signals(thread)?,
            sequence: sequence.unwrap_or(Kept::NOTHING),
            way: Kept::NOTHING,
            finds_back: false,
            parking: Parking::default(),
        })
    }

    /// Where the stack pointer is to be for a call: 0 without a way.
    pub(super) fn stack_pointer(&self) -> u64 {
        self.way.at
    }

    /// Whether these registers are those of a call that was begun with this, or of the way from it to the parking place.
    pub(super) fn has_sent_to(&self, now: &CallRegisters) -> bool {
        let Parking { call, stay, sigreturn, .. } = self.parking;
        let stack = self.way.at..=self.way.at.wrapping_add(self.way.length as u64);
        let is_in = |code: u64| (code..code.wrapping_add(MOST_CODE as u64)).contains(&now.pc());
        let is_there = now.pc() == stay || is_in(call) || sigreturn != 0 && is_in(sigreturn);
        self.way.length > 0 && is_there && stack.contains(&now.stack_pointer())
    }

    /// Gives the memory back, to the thread or to a copy of its process.
    pub(super) fn put_memory(&self, thread: ThreadId) {
        self.way.put(thread);
        self.sequence.put(thread);
    }

    /// The same for a thread of a copy of its process.
    pub(in crate::linux) fn of_copy(self, thread: ThreadId) -> Self {
        Self { thread, ..self }
    }

    /// Gives all of it back. The registers come last but for the way, which whoever has others is on.
    pub(in crate::linux) fn put(&self) -> std::io::Result<()> {
        self.sequence.put(self.thread);
        ptrace::set_signal_mask(self.thread, self.mask)?;
        self.home.put(self.thread)?;
        self.way.put(self.thread);
        Ok(())
    }

    /// Where it would go on, whoever it is that lets it: a restartable sequence that was interrupted is aborted
    /// (`struct rseq_cs` of `include/uapi/linux/rseq.h`: version and flags, begin, length, and where to).
    pub(super) fn going_on(&self) -> CallRegisters {
        let sequence = self.sequence.bytes().try_into().ok().map(u64::from_le_bytes);
        let mut words = [0; 32];
        let read = sequence.and_then(|at| ptrace::read_memory_at(self.thread, at, &mut words).ok());
        let (words, _) = words.as_chunks::<8>();
        match *words {
            [_, begin, length, abort] if read == Some(32) => {
                let [begin, length, abort] = [begin, length, abort].map(u64::from_le_bytes);
                let is_inside = self.home.pc().wrapping_sub(begin) < length;
                if is_inside { self.home.moved_to(abort) } else { self.home }
            }
            _ => self.home,
        }
    }

    pub(super) fn write(&self) -> [u8; BYTES] {
        let Parking { call, pops, stay, sigreturn } = self.parking;
        let first =
            [u64::from(self.thread.0), self.mask, u64::from(self.finds_back), call, pops, stay, sigreturn];
        let words = first.into_iter().chain(self.home.words());
        let words = words.chain(self.sequence.words()).chain(self.way.words());
        let mut bytes = [0; BYTES];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// What [`write`](Self::write) has written.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (chunks, _) = bytes.as_chunks::<8>();
        let mut words = chunks.iter().map(|chunk| u64::from_ne_bytes(*chunk));
        let thread = ThreadId(u32::try_from(words.next()?).ok()?);
        let (mask, finds_back) = (words.next()?, words.next()? != 0);
        let (call, pops, stay, sigreturn) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let parking = Parking { call, pops, stay, sigreturn };
        let home = CallRegisters::from_words(&mut words)?;
        let (sequence, way) = (Kept::from_words(&mut words)?, Kept::from_words(&mut words)?);
        Some(Self { thread, home, mask, sequence, way, finds_back, parking })
    }
}

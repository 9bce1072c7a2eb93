//! Memory that several threads copy their stacks into, each into a part of its own.
#![expect(unsafe_code, reason = "memory is mapped, and shared out by an atomic number")]

use std::{
    io,
    ptr::NonNull,
    slice,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// The number of the next arena. None is 0.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A mapping whose pages the kernel gives when they are first written to: what is not used costs nothing.
#[derive(Debug)]
pub(super) struct Arena {
    number: u64,
    start: NonNull<u8>,
    bytes: usize,
    /// How many bytes from the start on are claimed.
    claimed: AtomicUsize,
}

/// A part of an arena that was claimed and filled: nobody writes there any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Part {
    arena: u64,
    offset: usize,
    length: usize,
}

impl Part {
    /// Of no arena.
    pub(super) const NONE: Self = Self { arena: 0, offset: 0, length: 0 };
}

// SAFETY: the memory is reached through `claim`, which gives every part to one caller, and through `bytes`.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    pub(super) fn new(bytes: usize) -> io::Result<Self> {
        let bytes = bytes.max(1);
        // SAFETY: fresh memory at an address that the kernel chooses.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        match NonNull::new(start.cast()) {
            Some(start) if start.as_ptr() != libc::MAP_FAILED.cast() => {
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                Ok(Self { number, start, bytes, claimed: AtomicUsize::new(0) })
            }
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Gives so many bytes of what is left to `fill`, as `choose` says when told how many that is, and says which
    /// those are. Safe in a signal handler.
    pub(super) fn claim(
        &self,
        choose: impl Fn(usize) -> usize,
        fill: impl FnOnce(&mut [u8]) -> usize,
    ) -> Part {
        let mut offset = self.claimed.load(Ordering::Relaxed);
        let length = loop {
            let left = self.bytes - offset;
            let length = choose(left).min(left);
            let (relaxed, next) = (Ordering::Relaxed, offset + length);
            match self.claimed.compare_exchange_weak(offset, next, relaxed, relaxed) {
                Ok(_) => break length,
                Err(now) => offset = now,
            }
        };
        // SAFETY: `claimed` never goes down, so that this part lies within the mapping and was given to nobody else.
        let buffer = unsafe { slice::from_raw_parts_mut(self.start.add(offset).as_ptr(), length) };
        Part { arena: self.number, offset, length: fill(buffer).min(length) }
    }

    /// The bytes of a part; none of a part of another arena.
    pub(super) fn bytes(&self, part: Part) -> &[u8] {
        if part.arena != self.number {
            return &[];
        }
        // SAFETY: a part is made by `claim` alone, of what lies within the mapping and after it was written for the
        // last time; however it came here from another thread, that is behind it.
        unsafe { slice::from_raw_parts(self.start.add(part.offset).as_ptr(), part.length) }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and nothing borrows from it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    #[test]
    fn parts_are_of_one_thread_each_and_end_with_the_arena() {
        let arena = Arc::new(Arena::new(10_000).unwrap());
        let other = Arena::new(100).unwrap();
        let fill = |mark: u8| {
            let arena = arena.clone();
            let claim = move || {
                arena.claim(
                    |_| 300,
                    |buffer| {
                        buffer.fill(mark);
                        buffer.len().saturating_sub(1)
                    },
                )
            };
            thread::spawn(move || (0..20).map(|_| claim()).collect::<Vec<_>>())
        };
        let threads: Vec<_> = (1..=4).map(|mark| (mark, fill(mark))).collect();
        let mut sum = 0;
        for (mark, thread) in threads {
            for part in thread.join().unwrap() {
                let bytes = arena.bytes(part);
                sum += bytes.len();
                assert!(bytes.iter().all(|byte| *byte == mark));
                assert!(other.bytes(part).is_empty());
            }
        }
        // 33 whole parts, a last one of 100 bytes, and nothing more.
        assert_eq!(sum, 33 * 299 + 99);
        assert_eq!(arena.bytes(arena.claim(|left| left, |buffer| buffer.len())), b"");
        assert_eq!(arena.bytes(Part::NONE), b"");
    }
}

//! A limit on the work that one file may cause.

use std::sync::atomic::{AtomicU64, Ordering};

/// How much one worker takes at a time.
const PORTION: u64 = 1 << 20;

/// The work that is left for one file in one request, shared by all workers.
///
/// Every loop ends by itself; but a hostile file may let many entries point to one long list, which
/// multiplies. A true file needs a small part of what is granted.
#[derive(Debug)]
pub(crate) struct Tank(AtomicU64);

impl Tank {
    /// For a file with so many bytes of debug information.
    pub(super) fn for_size(bytes: usize) -> Self {
        Self(AtomicU64::new((bytes as u64).saturating_mul(16).saturating_add(4 * PORTION)))
    }

    pub(crate) fn fuel(&self) -> Fuel<'_> {
        Fuel { tank: self, left: 0 }
    }

    fn take(&self) -> u64 {
        let rest = |level: u64| Some(level.saturating_sub(PORTION));
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).unwrap_or(0);
        before.min(PORTION)
    }
}

/// One worker's part of it.
pub(crate) struct Fuel<'a> {
    tank: &'a Tank,
    left: u64,
}

impl Fuel<'_> {
    /// Takes what so many steps need; `None` once the tank is empty.
    #[inline]
    pub(crate) fn burn(&mut self, steps: usize) -> Option<()> {
        let steps = steps as u64;
        while self.left < steps {
            let more = self.tank.take();
            if more == 0 {
                return None;
            }
            self.left += more;
        }
        self.left -= steps;
        Some(())
    }

    /// Whether there was less than was asked for.
    pub(crate) fn is_out(&self) -> bool {
        self.left == 0 && self.tank.0.load(Ordering::Relaxed) == 0
    }
}

impl Drop for Fuel<'_> {
    fn drop(&mut self) {
        self.tank.0.fetch_add(self.left, Ordering::Relaxed);
    }
}

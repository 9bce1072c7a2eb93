//! How many dumps there may be.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// At most so many dumps in a time, for each user.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    pub(super) most: usize,
    pub(super) time: Duration,
    recent: VecDeque<(Instant, u32)>,
}

/// No more are remembered: then there are none for anybody.
const MOST_REMEMBERED: usize = 10_000;

impl Rate {
    pub(super) fn new(most: usize, time: Duration) -> Self {
        Self { most, time, recent: VecDeque::new() }
    }

    /// Counts one more of `user`, if it may be.
    pub(super) fn admit(&mut self, user: u32, now: Instant) -> bool {
        while self.recent.front().is_some_and(|(then, _)| now.saturating_duration_since(*then) >= self.time) {
            self.recent.pop_front();
        }
        let theirs = self.recent.iter().filter(|(_, one)| *one == user).count();
        let may = theirs < self.most && self.recent.len() < MOST_REMEMBERED;
        if may {
            self.recent.push_back((now, user));
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Rate;

    #[test]
    fn each_user_has_its_own() {
        let (mut rate, start) = (Rate::new(2, Duration::from_secs(60)), Instant::now());
        assert!(rate.admit(1, start) && rate.admit(1, start) && !rate.admit(1, start));
        assert!(rate.admit(2, start));
        let later = start + Duration::from_secs(60);
        assert!(rate.admit(1, later) && rate.admit(1, later) && !rate.admit(1, later));
    }
}

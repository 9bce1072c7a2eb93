//! A target that computes as long as it lives, and says so.

use std::{process::Command, time::Duration};

use crate::Running;

/// A program that checks what it computes again and again (`fixtures/checksum.h`): it prints a number from time to time, and
/// ends when something was wrong. Killed and reaped when dropped.
#[derive(Debug)]
pub struct Computing(Running);

impl Computing {
    const DEADLINE: Duration = Duration::from_secs(60);

    /// Starts a command, and waits until it computes.
    ///
    /// # Panics
    /// When it ends, or takes too long.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let mut computing = Self(Running::spawn(command));
        computing.assert_goes_on();
        computing
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Panics unless it goes on from here: what it has said before does not count.
    ///
    /// # Panics
    /// That is its purpose.
    pub fn assert_goes_on(&mut self) {
        self.0.forget_lines();
        // The first one may have been on its way.
        for _ in 0..2 {
            let line = self.0.next_line(Self::DEADLINE);
            let is_number = line.as_ref().is_some_and(|line| line.parse::<u64>().is_ok());
            assert!(is_number, "{line:?}, ended: {:?}", self.0.ending());
        }
    }
}

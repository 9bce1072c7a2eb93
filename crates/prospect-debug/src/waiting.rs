//! Waiting for what a target does that was let run.

use std::time::{Duration, Instant};

use prospect_process::{
    ThreadId,
    control::{Control, ControlError, Event, EventKind},
};

/// So long is waited for a target to stand that was told to.
const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// The next event of a target that runs, for the sake of this thread. `None` when the time is over, and all stand then.
///
/// # Errors
/// When the target fails, or does not stand when it is told to.
pub(crate) fn next_event(
    control: &mut dyn Control,
    thread: ThreadId,
    deadline: Instant,
) -> Result<Option<Event>, ControlError> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Records end a wait too.
        if let Some(event) = control.wait(Some(left))? {
            return Ok(Some(event));
        }
        if left.is_zero() {
            break;
        }
    }
    control.interrupter().interrupt();
    let give_up = Instant::now() + STOPS_WITHIN;
    while Instant::now() < give_up {
        if let Some(event) = control.wait(Some(STOPS_WITHIN))? {
            return Ok(Some(event).filter(|event| event.kind != EventKind::Interrupted));
        }
    }
    Err(ControlError::NotStopped(thread))
}

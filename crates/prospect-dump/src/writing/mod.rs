//! What writing a dump takes, whatever its format: where it goes, how far it is, and memory on its way.

mod copy;
mod limits;
mod output;
mod progress;
mod surveyed;
mod windows;

pub use copy::UnreadMemory;
pub(crate) use copy::{Copied, Part, copy};
pub(crate) use limits::Limits;
pub use limits::WriteError;
pub use output::{Output, SparseFile, Stream};
pub use progress::{Progress, ProgressState};
pub(crate) use surveyed::SurveyedMemory;
pub(crate) use windows::{WINDOW_BYTES, window_bytes, windows};

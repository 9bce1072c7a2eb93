//! What writing a dump takes, whatever its format: where it goes, how far it is, and memory on its way.

mod copy;
mod direct;
mod limits;
mod output;
mod progress;
mod sparse_file;
mod surveyed;
mod windows;

pub use copy::UnreadMemory;
pub(crate) use copy::{Copied, Part, copy};
pub(crate) use limits::Limits;
pub use limits::WriteError;
pub use output::{Output, Stream};
pub use progress::{Progress, ProgressState};
pub use sparse_file::{GatheredFile, SparseFile};
pub(crate) use surveyed::SurveyedMemory;
pub(crate) use windows::{WINDOW_BYTES, window_bytes, windows};

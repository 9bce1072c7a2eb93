//! The steppers, one in each file.

mod callers;
mod cfi;
mod frame_pointer;
mod scan;
mod signal;
mod wild_call;

pub use cfi::CfiStepper;
pub use frame_pointer::FramePointerStepper;
pub use scan::ScanStepper;
pub use signal::SignalStepper;
pub use wild_call::WildCallStepper;

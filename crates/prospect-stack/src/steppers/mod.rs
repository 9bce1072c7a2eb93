//! The steppers, one in each file.

mod callers;
mod cfi;
mod frame_pointer;
mod new_thread;
mod scan;
mod signal;
mod wild_call;

pub use cfi::CfiStepper;
pub use frame_pointer::FramePointerStepper;
pub use new_thread::NewThreadStepper;
pub use scan::ScanStepper;
pub use signal::SignalStepper;
pub use wild_call::WildCallStepper;

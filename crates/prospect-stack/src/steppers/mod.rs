//! The steppers, one in each file.

mod analysis;
mod bottom;
mod callers;
mod cfi;
mod frame_pointer;
mod link_register;
mod new_thread;
mod scan;
mod signal;
mod wild_call;

pub use analysis::AnalysisStepper;
pub use bottom::BottomStepper;
pub use cfi::CfiStepper;
pub use frame_pointer::FramePointerStepper;
pub use link_register::LinkRegisterStepper;
pub use new_thread::NewThreadStepper;
pub use scan::ScanStepper;
#[cfg(test)]
pub(crate) use signal::SAVED_BYTES;
pub use signal::SignalStepper;
pub use wild_call::WildCallStepper;

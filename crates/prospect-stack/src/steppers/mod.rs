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

use prospect_process::Registers;

/// What a caller's registers are, as far as its callee must have kept them.
fn preserved(registers: &Registers) -> Registers {
    let mut kept = Registers::unknown(registers.arch());
    for id in registers.arch().info().preserved() {
        if let Some(value) = registers.get(id) {
            kept.set(id, value);
        }
    }
    kept
}

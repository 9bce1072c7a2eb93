//! What depends on the processor that this is compiled for: one's own registers.
//!
//! To add one: a file beside this one with `current` and `interrupted`, and its lines here.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86")]
mod i386;
#[cfg(not(any(target_arch = "aarch64", target_arch = "x86", target_arch = "x86_64")))]
mod unknown;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::{ARCH, current, interrupted};
#[cfg(target_arch = "x86")]
pub(crate) use i386::{ARCH, current, interrupted};
#[cfg(not(any(target_arch = "aarch64", target_arch = "x86", target_arch = "x86_64")))]
pub(crate) use unknown::{ARCH, current, interrupted};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{ARCH, current, interrupted};

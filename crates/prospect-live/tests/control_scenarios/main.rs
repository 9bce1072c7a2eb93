//! Scenarios of control: what may happen to a program while somebody holds it. Each program checks or counts by itself.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../launched/mod.rs"]
mod launched;

mod calls;
mod jobs;
mod killed;
mod refused;
mod watches;

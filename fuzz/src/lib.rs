//! Fuzz targets: functions that take any bytes, and must neither panic, nor hang, nor use much memory.
//!
//! `cargo xtask fuzz` runs them with a mutator of our own on stable Rust; `cargo +nightly fuzz run NAME
//! --features libfuzzer` runs the same functions under libFuzzer.

mod analysis;
mod breakpad;
mod demangle;
mod elf_core;
mod find;
mod go;
mod image;
mod images;
mod index;
mod locations;
mod minidump;
mod minidump_write;
mod mutate;
mod subject;
mod tables;
mod targets;
mod type_info;
mod unwind;
mod values;

pub use analysis::analysis;
pub use breakpad::breakpad;
pub use demangle::demangle;
pub use elf_core::elf_core;
pub use find::find;
pub use go::go;
pub use images::images;
pub use index::index;
pub use locations::locations;
pub use minidump::minidump;
pub use minidump_write::minidump_write;
pub use mutate::mutate;
pub use prospect_testing::Random;
pub use tables::tables;
pub use targets::{TARGETS, Target, binary, image, procfs, type_info, unwind};
pub use values::values;

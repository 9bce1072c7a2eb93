//! libFuzzer's way into `prospect_fuzz::elf_core`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| prospect_fuzz::elf_core(data));

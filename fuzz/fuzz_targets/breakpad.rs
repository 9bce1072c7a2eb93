//! libFuzzer's way into `prospect_fuzz::breakpad`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| prospect_fuzz::breakpad(data));

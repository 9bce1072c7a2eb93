//! libFuzzer's way into `prospect_fuzz::go`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| prospect_fuzz::go(data));

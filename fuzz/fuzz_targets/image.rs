//! libFuzzer's way into `prospect_fuzz::image`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| prospect_fuzz::image(data));

//! libFuzzer's way into `prospect_fuzz::type_info`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| prospect_fuzz::type_info(data));

//! libFuzzer's way into `prospect_fuzz::minidump_write`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| prospect_fuzz::minidump_write(data));

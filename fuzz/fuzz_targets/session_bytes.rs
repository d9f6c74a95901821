#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chautari_fuzz::session_bytes(bytes));

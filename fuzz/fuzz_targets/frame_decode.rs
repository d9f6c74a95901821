#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chautari_fuzz::frame_decode(bytes));

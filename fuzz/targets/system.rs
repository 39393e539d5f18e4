#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| quietus_fuzz::system(bytes));

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rootstock::fuzzing::script(bytes));

//! See `scan` in `src/fuzzing.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spanspool::fuzzing::scan(data));

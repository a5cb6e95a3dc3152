//! See `sanitize` in `src/fuzzing.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spanspool::fuzzing::sanitize(data));

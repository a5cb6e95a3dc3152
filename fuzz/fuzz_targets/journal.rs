//! See `journal` in `src/fuzzing.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spanspool::fuzzing::journal(data));

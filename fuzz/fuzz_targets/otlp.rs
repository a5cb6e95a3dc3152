//! See `otlp` in `src/fuzzing.rs`.

#![no_main]

#[path = "../../src/otlp/judge.rs"]
mod judge;

use spanspool::Signal;

libfuzzer_sys::fuzz_target!(|data: &[u8]| spanspool::fuzzing::otlp(data, judge::records));

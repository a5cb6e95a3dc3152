//! Random: numbers that differ from process to process. They keep no secret.

use std::hash::{BuildHasher, Hasher, RandomState};

/// xorshift64* (Marsaglia 2003, Vigna 2016): enough to keep many processes from knocking all at once.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    /// Seeded by the standard library's per-process random keys.
    pub(super) fn seeded() -> Self {
        Self(RandomState::new().build_hasher().finish() | 1)
    }

    /// Evenly distributed from 0 up to 1, without 1.
    pub(super) fn fraction(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        bits as f64 / (1_u64 << 53) as f64
    }
}

//! Random: numbers that depend on a seed only, in the place of the library's, which differ from process to process.

use std::cell::Cell;

thread_local! {
    static NEXT_SEED: Cell<u64> = const { Cell::new(1) };
}

/// splitmix64 (Steele et al. 2014).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of this seed. Those made by `seeded` in this thread from now on follow from it, too.
    pub fn root(seed: u64) -> Self {
        NEXT_SEED.set(seed);
        Self::seeded()
    }

    /// The next sequence of this thread.
    pub fn seeded() -> Self {
        let seed = NEXT_SEED.get();
        NEXT_SEED.set(seed.wrapping_add(0x5851_f42d_4c95_7f2d));
        Self(mixed(seed))
    }

    /// Evenly distributed from 0 up to 1, without 1.
    pub fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (mixed(self.0) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn mixed(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

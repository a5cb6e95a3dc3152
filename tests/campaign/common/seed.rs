//! Seed: what a campaign's random choices come from, so that a run can be begun the same way again.

#![allow(dead_code, clippy::unwrap_used, clippy::print_stdout)]

use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// The number in the environment variable `name`, if it is set.
pub fn from_env<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// `SPANSPOOL_SEED`, or else one that the clock gives. It is printed.
pub fn seed() -> u64 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
    let seed = from_env("SPANSPOOL_SEED").unwrap_or_else(now);
    println!("SPANSPOOL_SEED={seed} begins the same way again");
    seed
}

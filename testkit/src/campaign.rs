//! What the campaigns share: how long they are, and the seed that repeats one.

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// The number of trials: that of `SPANSPOOL_TRIALS`, or `smoke` without it.
pub fn trials(smoke: u64) -> u64 {
    number("SPANSPOOL_TRIALS").unwrap_or(smoke)
}

/// The seed of `SPANSPOOL_SEED`, or one of now; it is printed.
pub fn seed(campaign: &str) -> u64 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
    let seed = number("SPANSPOOL_SEED").unwrap_or_else(now);
    // Written past the test harness, which would keep it until the end: a campaign that is killed tells it as well.
    let line = format!("{campaign}: SPANSPOOL_SEED={seed} begins the same way again\n");
    io::stderr().write_all(line.as_bytes()).unwrap();
    seed
}

/// The number in the environment variable `variable`, if it is set.
pub fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

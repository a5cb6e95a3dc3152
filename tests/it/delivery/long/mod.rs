//! What waits for seconds that no condition can shorten.

mod budget;

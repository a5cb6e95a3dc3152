//! A fleet of clients that come back after an outage, in virtual time.
//!
//! ```text
//!   scenario ─▶ run ─┬─▶ client ─▶ policy ─▶ delivery: the library's own gate, pace, backoff, turns, budget
//!                    ├─▶ ingest: capacity, refusals, time-outs, handshakes
//!                    └─▶ measure ─▶ report, plot
//! ```
//! All that is random follows from a scenario's seed.

pub mod check;
pub mod client;
pub mod events;
pub mod ingest;
pub mod measure;
pub mod picture;
pub mod policy;
pub mod real;
pub mod report;
pub mod run;
pub mod scenario;

/// The library's own files decide when a client sends, as they are.
#[path = "../../src/delivery"]
pub mod delivery {
    #[allow(dead_code, reason = "the simulation needs only some of it")]
    mod budget;
    #[allow(dead_code, reason = "the simulation needs only some of it")]
    mod gate;
    mod pace;
    #[allow(dead_code, reason = "the simulation needs only some of it")]
    mod turns;

    #[path = "../../fleet/src/ours.rs"]
    mod ours;

    pub use ours::{Epoch, Ours, Permit, Settings, Streams};
}

/// And the backoff, on numbers that follow from a seed.
#[path = "../../src/export"]
mod export {
    #[allow(dead_code, reason = "the simulation needs only some of it")]
    mod backoff;

    #[path = "../../fleet/src/random.rs"]
    pub mod random;

    pub(crate) use backoff::Backoff;
}

/// The result of any part of this program.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

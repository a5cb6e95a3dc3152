//! The spool: everything on disk, and nothing of the network.
//!
//! ```text
//!   enqueue ──▶ journal ──▶ queue ──▶ (drain loop) ──▶ settle
//!                  │          ▲            │
//!                  └─ spill ─▶ segments    └─ rejected
//! ```
//! An item is written to the journal, and read from there while the ingest keeps up. What does not fit there
//! any more is moved into segments by the committer. Both ways give the same batches.

mod check;
mod checkpoint;
mod committer;
mod dir;
mod encoded;
mod form;
mod fragment;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod journal;
mod lane;
mod lanes;
mod ledger;
mod lock;
mod outlet;
mod policy;
mod quarantine;
mod queue;
mod readahead;
mod rejected;
mod salvage;
mod segment;
mod segments;
mod signal;
mod spill;
mod stored;
mod view;
mod wreck;

pub use check::{Finding, LaneCheck};
pub(crate) use journal::{Live, now_unix_ms};
pub(crate) use lane::{Lane, shut_down};
pub use ledger::Stats;
pub(crate) use outlet::Take;
pub(crate) use policy::Policy;
pub use rejected::RejectedItem;
pub(crate) use rejected::Rejection;
pub(crate) use signal::Signal;
pub(crate) use stored::StoredBatch;
pub(crate) use view::choose;
pub use view::{LaneStatus, SpoolView, UnreadableLane};
pub(crate) use wreck::Wreck;

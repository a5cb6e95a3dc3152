//! The spool: everything on disk, and nothing of the network.
//!
//! ```text
//!   enqueue ──▶ journal ──▶ queue ──▶ (delivery) ──▶ settle
//!                  │          ▲           │
//!                  └─ spill ─▶ segments   └─ rejected
//! ```
//! An item is written to the journal. While the ingest keeps up, it is read from there. When the journal fills up, the
//! committer spills its oldest items into segments. Both ways give the same batches.

mod checkpoint;
mod committer;
mod format;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod held_path;
mod inspect;
mod journal;
mod lane;
mod pending;
mod queue;
mod recovery;
mod segments;
mod set_aside;
mod stats;
mod wakeup;

pub(crate) use committer::Committer;
pub(crate) use format::stored_batch::StoredBatch;
pub(crate) use held_path::HeldPath;
pub use inspect::check::{Finding, LaneCheck};
pub use inspect::owner::ForeignLane;
pub use inspect::reader::{Found, LaneReader};
pub use inspect::view::{LaneStatus, SpoolView, UnreadableLane};
pub(crate) use journal::{HeaderCounter, now_unix_ms};
pub(crate) use lane::handout::{Forced, Take};
pub(crate) use lane::kin::Kin;
pub(crate) use lane::settings::LaneSettings;
pub(crate) use lane::{Lane, shut_down};
pub(crate) use recovery::DamagedLane;
pub use set_aside::rejection::RejectedItem;
pub(crate) use set_aside::rejection::{KEY_REFUSED, NO_KEY, Rejection};
pub use stats::{ExportState, Stats};
pub(crate) use wakeup::Wakeup;

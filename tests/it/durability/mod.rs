//! What is on disk, and what limits it.

mod adoption;
mod clock;
mod formats;
mod full_store;
mod ground;
mod journal_size;
mod limits;
mod long;
mod order;
mod overflow;
mod permissions;
mod restart;
mod room;
mod stale_ring;

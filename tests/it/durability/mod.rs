//! What is on disk, and what limits it.

mod adoption;
mod formats;
mod ground;
mod limits;
mod long;
mod memory;
mod order;
mod permissions;
mod rejected_store;
mod restart;
mod room;
mod stale_ring;

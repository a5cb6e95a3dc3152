//! What is on disk, and what limits it.

mod adoption;
mod clock;
mod formats;
mod full_store;
mod ground;
mod journal_size;
mod limits;
mod long;
mod memory;
mod order;
mod other_users;
mod overflow;
mod permissions;
mod rejected_store;
mod restart;
mod room;
mod stale_ring;

//! What is on disk, and what limits it.

mod adoption;
mod formats;
mod ground;
mod limits;
mod long;
mod order;
mod other_users;
mod permissions;
mod restart;
mod room;
mod stale_ring;

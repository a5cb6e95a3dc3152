//! What is on disk, and what limits it.

mod adoption;
mod backlog;
mod formats;
mod full_disk;
mod ledger;
mod limits;
mod permissions;
mod restart;

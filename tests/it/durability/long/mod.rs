//! What takes gigabytes, a disk of its own or many seconds.

mod backlog;
mod full_disk;
mod ledger;
mod newest_first;
mod small_spool;

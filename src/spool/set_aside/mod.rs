//! What is set aside: items that the ingest refused, and damaged files.

mod index;
pub(super) mod quarantine;
pub(super) mod rejected;
pub(super) mod rejected_files;
pub(super) mod rejection;

//! What is set aside: items that the ingest refused, and damaged files.

pub(super) mod quarantine;
pub(super) mod rejected;

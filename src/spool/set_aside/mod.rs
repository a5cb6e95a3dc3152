//! What is set aside: items that the ingest refused, and damaged files.

pub(in crate::spool) mod quarantine;
pub(in crate::spool) mod rejected;

//! The form of batches on disk.

pub(in crate::spool) mod codec;
pub(in crate::spool) mod fragment;
pub(in crate::spool) mod stored_batch;

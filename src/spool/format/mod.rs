//! The format of batches on disk.

pub(super) mod codec;
pub(super) mod fragment;
pub(super) mod seq_name;
pub(super) mod stored_batch;

//! What a guest library takes from the operating system, and what it owes the process it lives in.

pub(crate) mod descriptors;
pub(crate) mod fork;
pub(crate) mod inode;
pub(crate) mod kept;
pub(crate) mod lock;
pub(crate) mod memory;
pub(crate) mod per_process;
pub(crate) mod process;
pub(crate) mod signal;
pub(crate) mod socket;
pub(crate) mod thread;

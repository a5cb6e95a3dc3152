//! What a guest library owes its host process and takes from the operating system.

pub(crate) mod fork;
pub(crate) mod lock;
pub(crate) mod thread;

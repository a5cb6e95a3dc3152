//! The subcommands, one a file.

pub mod cat;
pub mod check;
pub mod drain;
pub mod enqueue;
pub mod rejected;
pub mod status;

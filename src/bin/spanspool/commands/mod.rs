//! The subcommands, one a file.

pub mod cat;
pub mod check;
pub mod completions;
pub mod drain;
pub mod enqueue;
pub mod man;
pub mod rejected;
pub mod settings;
pub mod status;
pub mod view;

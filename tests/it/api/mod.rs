//! The Rust interface.

mod client;
mod model;

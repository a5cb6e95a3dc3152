//! The tests of the library, the program and the C interface, from outside; what they share is the crate `testkit`.
//!
//! Tests that take more than a few seconds are in the `long` module of their subject:
//! `cargo test --test it -- --skip long::` runs the others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may stop at what it did not expect, and says what it measured"
)]

mod abi;
mod api;
mod cli;
mod delivery;
mod docs;
mod durability;
mod otlp;
mod process;

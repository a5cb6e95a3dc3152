//! The tests of the library, the program and the C interface, from outside; what they share is the crate `testkit`.
//!
//! A test that takes more than a moment, or a tool that is not everywhere, is in a module `long`: `--skip long::` leaves
//! those out.

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
mod process;

//! What the test programs share: the scripted ingest and its TLS end, clients and hosts, waiting, scratch folders,
//! compilers.
//!
//! A helper that meets what it did not expect ends the test by a panic.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "names and tests say what the helpers are for, and a test may stop at what it did not expect"
)]

pub mod campaign;
pub mod cli;
pub mod client;
pub mod clock;
pub mod compile;
pub mod faults;
pub mod footprint;
pub mod forever;
pub mod form;
pub mod host;
// The program's demo has it, too, and can't depend on a crate that is not published.
#[path = "../../src/bin/spanspool/demo/ingest/mod.rs"]
pub mod ingest;
pub mod mount;
pub mod otlp;
pub mod run;
pub mod scratch;
pub mod script;
pub mod tls;
pub mod tools;
pub mod wait;

pub use compile::{
    CBuild, compile_c, compile_c_unlinked, compile_cpp, compile_cpp_with, compile_shim, is_instrumented,
    lib_dir,
};
pub use scratch::{TempDir, program, root, target_tmp};
pub use tools::{caller, have, is_root, skip, succeed, tool};

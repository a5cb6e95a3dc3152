//! The C interface, its header and library, and the languages on top of it.

mod c_abi;
mod callers;
mod cpp_wrapper;
mod examples;
mod exports;
mod go;
mod header;
mod packaging;
mod python;

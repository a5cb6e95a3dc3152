//! What compiles for a while: the bindings, the installed library, the examples, C++.

mod callers;
pub mod cpp_opentelemetry;
mod cpp_wrapper;
mod examples;
pub mod go;
mod packaging;
pub mod python;
mod shop;

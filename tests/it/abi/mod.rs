//! The C interface, its header and library, and the languages on top of it.

mod c_abi;
mod exports;
mod header;
pub mod long;

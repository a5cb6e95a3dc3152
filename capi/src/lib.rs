//! The C library: `libspanspool.so` and `libspanspool.a`, made of the C ABI that stands in the module `capi` of the
//! crate `spanspool`. Its functions are exported because that crate is linked; nothing of it has to be named.

extern crate rust_crate as _;

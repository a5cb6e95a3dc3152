//! What runs for many seconds, or many times slower than by itself.

mod idle;
mod prefork;
mod valgrind;

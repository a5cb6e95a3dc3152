//! What takes seconds that no condition can shorten, and what keeps all cores busy.

mod budget;
mod busy;
mod ports;

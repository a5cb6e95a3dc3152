//! OTLP: the protobuf form of an export request, as far as it must be known to pass it on: the check of a request, the
//! places where it may be cut, and what an answer says.
//!
//! A request is never decoded, and never encoded again: what is sent are the bytes that came in.

mod check;
mod messages;
mod partial_success;
mod records;
mod wire;

pub(crate) use check::check;
pub(crate) use partial_success::PartialSuccess;
pub(crate) use records::{middle, pieces};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

#[cfg(test)]
pub(crate) mod judge;
#[cfg(test)]
use crate::config::Signal;

//! Encode: one record as one export request of OTLP.
//!
//! The SDK's own encoder makes messages first, each with its own allocations, and bytes of them. Here the bytes are
//! written as the record is read, which takes a tenth of the time. The tests compare both, decoded.

mod envelope;
mod log;
mod span;
mod time;
mod value;
mod writer;

pub(crate) use envelope::Envelope;
pub(crate) use log::log_request;
pub(crate) use span::span_request;

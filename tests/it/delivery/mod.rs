//! The way to the ingest.

mod destinations;
mod exporter;
mod fair;
mod late_key;
mod outage;
mod pace;
mod quoted_key;
mod refusals;
mod sample;
mod scripted_ingest;
mod secrets;
mod tls;

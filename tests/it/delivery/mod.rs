//! The way to the ingest.

mod destinations;
mod every_answer;
mod exporter;
mod fair;
mod flush;
mod keys_elsewhere;
mod late_key;
mod long;
mod newest_first;
mod once;
mod outage;
mod pace;
mod pause;
mod proxy;
mod quoted_key;
mod refusals;
mod sample;
mod scripted_ingest;
mod secrets;
mod shortened;
mod tls;

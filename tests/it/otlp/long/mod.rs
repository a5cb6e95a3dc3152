//! The plugs, the library and the program with a real OpenTelemetry Collector (tests/collector).
//!
//! On request only, because its modules take 1.7 GB: `just collector`.

mod arrivals;
mod collector;
mod fields;
mod fleet;
mod kills;
mod program;
mod telemetrygen;
mod troubles;

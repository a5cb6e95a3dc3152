//! Peers: what others do with an item, each as fast as its own documentation says it can be used.

mod append;
mod http;
mod in_place;
mod otel;
mod ring;

pub use append::Append;
pub use http::post_all;
pub use in_place::InPlace;
pub use otel::Otel;
pub use ring::Ring;

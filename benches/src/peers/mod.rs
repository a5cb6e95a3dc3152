//! Peers: what others do with an item, each used as its own documentation says is fastest.

mod append;
mod http;
mod in_place;
mod otel;
mod ring;

pub use append::Append;
pub use http::{post_all, post_all_with};
pub use in_place::InPlace;
pub use otel::Otel;
pub use ring::Ring;

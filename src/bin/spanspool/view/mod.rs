//! View: a page that shows a spool, to a browser on this machine or as one file. It only reads.
//!
//! ```text
//!   spool ──▶ watch (lanes, each second) ──▶ api ──▶ server ──▶ the page in a browser
//!         └─▶ loader ──▶ index (traces) ──▶   └────▶ picture ─▶ one file
//! ```
//! The index keeps of a trace what the list shows, and where its items are. They are read from the spool again when the
//! trace is opened.

mod api;
mod index;
mod items;
mod loader;
mod page;
mod picture;
mod record;
mod rejected;
mod server;
mod shorten;
mod spool;
mod watch;

pub use picture::Picture;
pub use server::Server;
pub use spool::Spool;

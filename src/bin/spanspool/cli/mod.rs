//! What the subcommands share: their common options, how they end, and how figures are shown.

pub mod clock;
pub mod human;
pub mod input;
pub mod item;
pub mod json;
pub mod key_file;
pub mod ledger;
pub mod lock;
pub mod named_keys;
pub mod outcome;
pub mod progress;
pub mod report;
pub mod spool;

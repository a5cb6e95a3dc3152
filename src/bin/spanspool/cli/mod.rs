//! What the subcommands share: arguments, outcomes, figures for people.

pub mod args;
pub mod command;
pub mod human;
pub mod ledger;
pub mod progress;

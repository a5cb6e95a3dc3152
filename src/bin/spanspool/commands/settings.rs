//! Settings: the table of all settings.

use std::io::Write;

use clap::Args;
use spanspool::config::SETTINGS;

use crate::cli::outcome::{Done, Failure};

/// List every setting with its default and what it allows
#[derive(Args)]
#[command(after_long_help = table())]
pub struct Settings;

impl Settings {
    pub fn run(&self, out: &mut dyn Write) -> Result<Done, Failure> {
        writeln!(out, "{}", table())?;
        Ok(Done::All)
    }
}

fn table() -> String {
    let mut text = "Settings for --set KEY=VALUE. Bytes may end in KiB, MiB or GiB.".to_owned();
    for setting in SETTINGS {
        let default = if setting.default.is_empty() { "none" } else { setting.default };
        text += &entry(setting.name, setting.meaning, setting.allowed, default);
    }
    text + &entry("header.NAME", "an extra request header", "visible ASCII", "none")
}

fn entry(name: &str, meaning: &str, allowed: &str, default: &str) -> String {
    format!("\n\n{name}\n    {meaning}\n    allowed: {allowed}; default: {default}")
}

//! Named keys: the options that name keys, for items that are to be sent with a key of their own, and the items that wait
//! for one.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::{Args, ValueHint};
use spanspool::{Config, SpoolView};

use crate::cli::human::{counted, one_line};
use crate::cli::key_file;
use crate::cli::outcome::Failure;

const FROM_ENV: &str = "--named-key-env";
const FROM_FILE: &str = "--named-key-file";

#[derive(Args)]
pub struct NamedKeys {
    /// The environment variable with the key for items enqueued under NAME; for several names, several times
    #[arg(long, value_name = "NAME=VARIABLE")]
    named_key_env: Vec<OsString>,
    /// The same for a file that holds the key and nothing else
    #[arg(long, value_name = "NAME=FILE", value_hint = ValueHint::FilePath)]
    named_key_file: Vec<OsString>,
}

impl NamedKeys {
    /// The keys by name. No error repeats a key.
    pub fn read(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut keys = BTreeMap::new();
        for given in &self.named_key_env {
            let (name, variable) = pair(FROM_ENV, given, "VARIABLE")?;
            add(&mut keys, FROM_ENV, name, key_in(variable)?)?;
        }
        for given in &self.named_key_file {
            let (name, file) = pair(FROM_FILE, given, "FILE")?;
            add(&mut keys, FROM_FILE, name, key_file::read(FROM_FILE, Path::new(file))?)?;
        }
        Ok(keys)
    }
}

/// The halves of `NAME=VALUE`.
fn pair<'a>(option: &str, given: &'a OsStr, value: &str) -> Result<(&'a str, &'a OsStr), Failure> {
    let mut halves = given.as_bytes().splitn(2, |byte| *byte == b'=');
    match (halves.next().map(str::from_utf8), halves.next()) {
        (Some(Ok(name)), Some(rest)) if (1..=255).contains(&name.len()) && !rest.is_empty() => {
            Ok((name, OsStr::from_bytes(rest)))
        }
        _ => {
            let why = format!("'{}' is not NAME={value} with a name of 1 to 255 bytes", given.display());
            Err(usage(option, &why))
        }
    }
}

fn key_in(variable: &OsStr) -> Result<String, Failure> {
    let refuse = |why| usage(FROM_ENV, &format!("environment variable '{}' {why}", variable.display()));
    let text = std::env::var_os(variable).ok_or_else(|| refuse("is not set"))?;
    match text.to_str().map(str::trim) {
        None => Err(refuse("is not UTF-8")),
        Some("") => Err(refuse("is empty")),
        Some(key) => Ok(key.to_owned()),
    }
}

fn add(keys: &mut BTreeMap<String, String>, option: &str, name: &str, key: String) -> Result<(), Failure> {
    // What is no default key is no named one.
    if Config::new().set("api_key", &key).is_err() {
        return Err(usage(
            option,
            &format!("the key for '{name}' can't be sent: only visible ASCII is allowed"),
        ));
    }
    match keys.insert(name.to_owned(), key) {
        None => Ok(()),
        Some(_) => Err(usage(option, &format!("there is more than one key for '{name}'"))),
    }
}

fn usage(option: &str, why: &str) -> Failure {
    Failure::Usage(format!("option '{option}': {why}"))
}

/// How many rejected items wait for a key.
pub struct Held {
    /// By its name, and whether the ingest has refused the one before.
    by_key: BTreeMap<(String, bool), u64>,
    /// Why they can't be read now, if they can't.
    pub unread: Option<String>,
}

impl Held {
    /// Those in lanes of which `is_wanted` says so by id.
    pub fn of(view: &SpoolView, is_wanted: impl Fn(&str) -> bool) -> Self {
        let (items, unread) = match view.rejected() {
            Ok(items) => (items, None),
            Err(error) => (Vec::new(), Some(error.message().to_owned())),
        };
        let mut by_key = BTreeMap::new();
        for item in items {
            let lane = item.id.split('-').next().unwrap_or_default();
            let was_refused = item.reason.starts_with("key_refused:");
            if (was_refused || item.reason.starts_with("no_key:")) && is_wanted(lane) {
                *by_key.entry((item.key_name, was_refused)).or_default() += 1;
            }
        }
        Self { by_key, unread }
    }

    pub fn items(&self) -> u64 {
        self.by_key.values().sum()
    }

    /// Whether items are there that lacked one of the keys with these names.
    pub fn lacks(&self, keys: &BTreeMap<String, String>) -> bool {
        self.by_key.keys().any(|(name, was_refused)| !was_refused && keys.contains_key(name))
    }

    pub fn write(&self, out: &mut dyn Write) -> Result<(), Failure> {
        for ((name, was_refused), items) in &self.by_key {
            let items = counted(*items, "item");
            let name = one_line(name.as_bytes(), 255);
            match was_refused {
                true => writeln!(out, "{items} set aside: the ingest refused the key '{name}'")?,
                false => writeln!(
                    out,
                    "{items} set aside: the key '{name}' is not known; {FROM_ENV} {name}=VARIABLE gives it"
                )?,
            }
        }
        Ok(())
    }
}

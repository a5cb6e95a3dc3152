//! Spool: the options of every command that works on a spool, and what they open.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use spanspool::{Config, SpoolView};

use crate::cli::outcome::Failure;

#[derive(Args)]
pub struct Spool {
    /// The folder of the spool; required
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    spool_dir: Option<PathBuf>,
    /// A setting; 'spanspool help settings' lists them
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<OsString>,
}

impl Spool {
    /// These options followed by `later` ones, which count more.
    pub fn and(&self, later: &Self) -> Self {
        Self {
            spool_dir: later.spool_dir.as_ref().or(self.spool_dir.as_ref()).cloned(),
            set: [&self.set[..], &later.set[..]].concat(),
        }
    }

    pub fn dir(&self) -> Result<&Path, Failure> {
        match (&self.spool_dir, self.setting("spool_dir")?) {
            (Some(dir), _) => Ok(dir),
            (None, Some(dir)) => Ok(Path::new(dir)),
            (None, None) => {
                let why = "option '--spool-dir' is missing; it names the folder that keeps the items";
                Err(Failure::Usage(why.into()))
            }
        }
    }

    /// The value that `--set` gives `key`; of several, the last.
    pub fn setting(&self, key: &str) -> Result<Option<&OsStr>, Failure> {
        Ok(self.settings()?.into_iter().rev().find(|(name, _)| *name == key).map(|(_, value)| value))
    }

    /// The settings: those of the command line over `defaults`. `--spool-dir` counts more than `--set spool_dir=DIR`.
    pub fn config(&self, defaults: &[(&str, &str)]) -> Result<Config, Failure> {
        let dir = self.dir()?;
        let mut config = Config::new();
        for (key, value) in defaults {
            config.set(key, value)?;
        }
        for (key, value) in self.settings()? {
            config.set_os(key, value)?;
        }
        config.set_os("spool_dir", dir.as_os_str())?;
        Ok(config)
    }

    /// The spool as seen from outside. Wrong settings are errors here too, though a view needs none but the folder.
    pub fn view(&self) -> Result<SpoolView, Failure> {
        self.config(&[])?;
        Ok(SpoolView::open(self.dir()?)?)
    }

    /// The settings, as `config` gives them, for a command that makes something in the spool. Its owner must be able to use
    /// that.
    pub fn config_to_change(&self, defaults: &[(&str, &str)]) -> Result<Config, Failure> {
        let config = self.config(defaults)?;
        SpoolView::check_user(self.dir()?)?;
        Ok(config)
    }

    fn settings(&self) -> Result<Vec<(&str, &OsStr)>, Failure> {
        self.set.iter().map(|setting| pair(setting)).collect()
    }
}

/// The halves of `KEY=VALUE`. No error shows the value of an API key.
fn pair(setting: &OsStr) -> Result<(&str, &OsStr), Failure> {
    let mut halves = setting.as_bytes().splitn(2, |byte| *byte == b'=');
    match (halves.next().map(str::from_utf8), halves.next()) {
        (Some(Ok("api_key")), _) => Err(Failure::Usage(
            "'--set api_key=…' is refused: every user of this machine can read a command line (ps, /proc/PID/cmdline); \
             put the key into the environment as OPENAI_API_KEY, or into a file named with --api-key-file"
                .into(),
        )),
        (Some(Ok(key)), Some(value)) => Ok((key, OsStr::from_bytes(value))),
        _ => Err(Failure::Usage(format!("option '--set': '{}' is not KEY=VALUE", setting.display()))),
    }
}

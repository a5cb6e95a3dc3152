//! Args: the words behind a subcommand, and the settings that they make.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;

use spanspool::{Config, SpoolView};

use crate::cli::command::{Command, Failure};

/// The options and operands of one call.
#[derive(Debug, Default)]
pub struct Args {
    options: Vec<(&'static str, String)>,
    operands: Vec<String>,
}

/// A key is shorter; a file that is longer is not a key file.
const MAX_KEY_FILE_BYTES: u64 = 4096;

impl Args {
    /// Reads `words` as far as `command` allows them. With `--help` it stops there.
    pub fn parse(words: impl Iterator<Item = OsString>, command: &Command) -> Result<Self, Failure> {
        let mut args = Self::default();
        let mut words = words.map(|word| {
            word.into_string().map_err(|word| Failure::Usage(format!("argument {word:?} is not valid UTF-8")))
        });
        let mut options_ended = false;
        while let Some(word) = words.next() {
            let word = word?;
            if options_ended || word == "-" || !word.starts_with('-') {
                args.push_operand(word, command)?;
            } else if word == "--" {
                options_ended = true;
            } else if word == "--help" || word == "-h" {
                args.options.push(("--help", String::new()));
                return Ok(args);
            } else {
                args.push_option(&word, &mut words, command)?;
            }
        }
        Ok(args)
    }

    fn push_operand(&mut self, word: String, command: &Command) -> Result<(), Failure> {
        if self.operands.len() == command.max_operands {
            return Err(Failure::Usage(format!(
                "unexpected argument '{word}'; at most {} allowed besides options: {}",
                command.max_operands,
                usage_line(command)
            )));
        }
        self.operands.push(word);
        Ok(())
    }

    fn push_option(
        &mut self,
        word: &str,
        rest: &mut impl Iterator<Item = Result<String, Failure>>,
        command: &Command,
    ) -> Result<(), Failure> {
        let (name, inline) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        let Some(option) = command.options.iter().find(|option| option.trim_end_matches('=') == name) else {
            return Err(Failure::Usage(format!("unknown option '{name}'; allowed: {}", allowed(command))));
        };
        let value = match (option.strip_suffix('='), inline) {
            (Some(name), inline) => match inline.map_or_else(|| rest.next(), |value| Some(Ok(value))) {
                Some(value) => (name, value?),
                None => return Err(Failure::Usage(format!("option '{name}' needs a value behind it"))),
            },
            (None, None) => (*option, String::new()),
            (None, Some(_)) => return Err(Failure::Usage(format!("option '{name}' takes no value"))),
        };
        self.options.push(value);
        Ok(())
    }

    pub fn operands(&self) -> &[String] {
        &self.operands
    }

    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|(name, _)| *name == option)
    }

    /// The value of `option`; of several, the last.
    pub fn value(&self, option: &str) -> Option<&str> {
        self.options.iter().rev().find(|(name, _)| *name == option).map(|(_, value)| value.as_str())
    }

    /// The value of `option` as a number.
    pub fn number(&self, option: &str) -> Result<Option<u64>, Failure> {
        let Some(value) = self.value(option) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| {
            Failure::Usage(format!("option '{option}': '{value}' is not allowed; a whole number from 0 is"))
        })
    }

    /// What `--set` and `--spool-dir` say, in order.
    fn settings(&self) -> Result<Vec<(&str, &str)>, Failure> {
        let mut settings = Vec::new();
        for (option, value) in &self.options {
            match *option {
                "--spool-dir" => settings.push(("spool_dir", value.as_str())),
                "--set" => settings.push(pair(value)?),
                _ => {}
            }
        }
        Ok(settings)
    }

    /// The value that the command line gives `key`; of several, the last.
    pub fn setting(&self, key: &str) -> Result<Option<&str>, Failure> {
        Ok(self.settings()?.into_iter().rev().find(|(name, _)| *name == key).map(|(_, value)| value))
    }

    pub fn spool_dir(&self) -> Result<&str, Failure> {
        self.setting("spool_dir")?.ok_or_else(|| {
            Failure::Usage("option '--spool-dir' is missing; it names the folder that keeps the items".into())
        })
    }

    /// The settings: those of the command line over `defaults`.
    pub fn config(&self, defaults: &[(&str, &str)]) -> Result<Config, Failure> {
        self.spool_dir()?;
        let mut config = Config::new();
        for (key, value) in defaults.iter().copied().chain(self.settings()?) {
            config.set(key, value)?;
        }
        if let Some(path) = self.value("--api-key-file") {
            config.set("api_key", &read_key(path)?)?;
        }
        Ok(config)
    }

    /// The spool as seen from outside. Wrong settings are errors here too, though a view needs none but the folder.
    pub fn view(&self) -> Result<SpoolView, Failure> {
        self.config(&[])?;
        Ok(SpoolView::open(self.spool_dir()?)?)
    }
}

fn pair(setting: &str) -> Result<(&str, &str), Failure> {
    match setting.split_once('=') {
        Some(("api_key", _)) => Err(Failure::Usage(
            "'--set api_key=…' is refused: every user of this machine can read a command line (ps, /proc/PID/cmdline); \
             put the key into the environment as OPENAI_API_KEY, or into a file named with --api-key-file"
                .into(),
        )),
        Some(pair) => Ok(pair),
        None => Err(Failure::Usage(format!("option '--set': '{setting}' is not KEY=VALUE"))),
    }
}

fn read_key(path: &str) -> Result<String, Failure> {
    let refuse = |why: String| Failure::Usage(format!("option '--api-key-file': {path}: {why}"));
    let mut text = String::new();
    let file = File::open(path).map_err(|e| refuse(e.to_string()))?;
    file.take(MAX_KEY_FILE_BYTES + 1).read_to_string(&mut text).map_err(|e| refuse(e.to_string()))?;
    if text.len() as u64 > MAX_KEY_FILE_BYTES {
        return Err(refuse(format!(
            "longer than {MAX_KEY_FILE_BYTES} bytes; it must hold one key and nothing else"
        )));
    }
    match text.trim() {
        "" => Err(refuse("it is empty; it must hold one key".into())),
        key => Ok(key.to_owned()),
    }
}

fn allowed(command: &Command) -> String {
    let shown = |option: &&str| match option.strip_suffix('=') {
        Some(name) => format!("{name} VALUE"),
        None => (*option).to_owned(),
    };
    command.options.iter().map(shown).chain(["--help".into()]).collect::<Vec<_>>().join(", ")
}

/// The first line of the help text.
fn usage_line(command: &Command) -> &'static str {
    command.help.lines().next().unwrap_or_default()
}

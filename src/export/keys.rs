//! Keys: which API key a batch is sent with. They live in memory only.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::RwLock;

use super::Outcome;
use crate::config::{Config, Secret, header_text};
use crate::os::fork;
use crate::os::lock::Unpoison;

/// Reads a variable of the environment.
pub(super) type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The default key and the named ones. Text that may not stand in a header never becomes a key.
pub(super) struct Keys {
    /// The error says why the one that is there can't be sent.
    default: RwLock<std::result::Result<Option<Secret>, String>>,
    named: RwLock<HashMap<String, Secret>>,
    /// Without a default key nothing is sent: the ingest is known to want one.
    required: bool,
    /// Whether a key may travel to the endpoint.
    safe: bool,
}

impl Keys {
    /// The default key is the setting's, or else `OPENAI_API_KEY`'s, which no OpenTelemetry receiver is shown.
    pub(super) fn new(config: &Config, env: Env) -> Self {
        let default = match &config.api_key {
            Some(key) => Ok(Some(key.clone())),
            None if config.otlp_signal().is_some() => Ok(None),
            None => env_text("OPENAI_API_KEY", env).map(|key| key.map(Secret::new)),
        };
        let endpoint = config.url();
        Self {
            default: RwLock::new(default),
            named: RwLock::default(),
            required: endpoint.is_openai(),
            safe: endpoint.is_safe_for_keys() || config.allow_insecure,
        }
    }

    /// The key of a batch; none where the endpoint may do without. The error says why the batch can't be sent.
    pub(super) fn choose(&self, name: &str) -> std::result::Result<Option<Secret>, Outcome> {
        let key = if name.is_empty() {
            self.default.read().unpoisoned().clone().map_err(|why| hold(&why))?
        } else {
            let named = self.named.read().unpoisoned();
            Some(named.get(name).ok_or(Outcome::NoKey)?.clone())
        };
        match key {
            None if self.required => Err(hold("no API key: set api_key or OPENAI_API_KEY")),
            Some(_) if !self.safe => Err(hold(
                "a key would travel over plain http: use an https endpoint or set allow_insecure=true",
            )),
            key => Ok(key),
        }
    }

    pub(super) fn has_named(&self, name: &str) -> bool {
        self.named.read().unpoisoned().contains_key(name)
    }

    /// The same keys under locks of their own.
    pub(super) fn copy(&self) -> Self {
        Self {
            default: RwLock::new(self.default.read().unpoisoned().clone()),
            named: RwLock::new(self.named.read().unpoisoned().clone()),
            ..*self
        }
    }

    // A child of `fork` copies the keys: it must not find a lock that a writer held.

    pub(super) fn set_default(&self, key: &str) {
        if header_text(key).is_ok() {
            fork::exclude(|| {
                *self.default.write().unpoisoned() = Ok(Some(Secret::new(key)));
            });
        }
    }

    pub(super) fn set_named(&self, name: &str, key: &str) {
        if header_text(key).is_ok() {
            fork::exclude(|| {
                let mut named = self.named.write().unpoisoned();
                named.insert(name.to_owned(), Secret::new(key));
            });
        }
    }
}

fn hold(reason: &str) -> Outcome {
    Outcome::Hold { status: 0, reason: reason.to_owned() }
}

/// The variable's text without space around it, as from a file with a line feed at its end; an empty variable is as good
/// as none. The error names the variable, never its text.
pub(super) fn env_text(name: &str, env: Env) -> std::result::Result<Option<String>, String> {
    let Some(text) = env(name) else { return Ok(None) };
    match text.to_str().map(str::trim) {
        Some("") => Ok(None),
        Some(text) if header_text(text).is_ok() => Ok(Some(text.to_owned())),
        _ => Err(format!("environment variable {name}: only visible ASCII may stand in a header")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(settings: &[(&str, &str)]) -> Config {
        let mut config = Config::new();
        for (key, value) in settings {
            config.set(key, value).unwrap();
        }
        config
    }

    fn key_of(keys: &Keys, name: &str) -> std::result::Result<Option<String>, Outcome> {
        keys.choose(name).map(|key| key.map(|k| k.reveal().to_owned()))
    }

    #[test]
    fn the_environment_steps_in_for_the_setting_only() {
        let env = |_: &str| Some(OsString::from("from-env"));
        let set = Keys::new(&config(&[("api_key", "from-setting")]), &env);
        assert_eq!(key_of(&set, ""), Ok(Some("from-setting".into())));
        let unset = Keys::new(&Config::new(), &env);
        assert_eq!(key_of(&unset, ""), Ok(Some("from-env".into())));
        let empty = Keys::new(&Config::new(), &|_| Some(OsString::new()));
        assert!(matches!(key_of(&empty, ""), Err(Outcome::Hold { status: 0, .. })));
    }

    #[test]
    fn a_variable_that_can_not_be_a_header_is_waited_for_and_not_shown() {
        let keys = Keys::new(&Config::new(), &|_| Some(OsString::from("sk-1\nx")));
        let Err(Outcome::Hold { status: 0, reason }) = keys.choose("") else { unreachable!() };
        assert!(reason.contains("OPENAI_API_KEY") && !reason.contains("sk-1"), "{reason}");
        keys.set_default("sk-2");
        assert_eq!(key_of(&keys, ""), Ok(Some("sk-2".into())));
        let with_line_feed = Keys::new(&Config::new(), &|_| Some(OsString::from(" sk-3\n")));
        assert_eq!(key_of(&with_line_feed, ""), Ok(Some("sk-3".into())));
    }

    #[test]
    fn a_custom_endpoint_may_do_without_a_key_but_not_without_a_named_one() {
        let keys = Keys::new(&config(&[("endpoint", "https://ingest.example/")]), &|_| None);
        assert_eq!(key_of(&keys, ""), Ok(None));
        assert_eq!(key_of(&keys, "team"), Err(Outcome::NoKey));
        keys.set_named("team", "sk-team");
        assert_eq!(key_of(&keys, "team"), Ok(Some("sk-team".into())));
        assert_eq!(key_of(&keys, ""), Ok(None));
    }

    #[test]
    fn a_key_stays_off_plain_http_to_other_machines() {
        let plain = [("endpoint", "http://ingest.example/"), ("api_key", "sk-1")];
        let keys = Keys::new(&config(&plain), &|_| None);
        let Err(Outcome::Hold { status: 0, reason }) = keys.choose("") else { unreachable!() };
        assert!(reason.contains("allow_insecure") && !reason.contains("sk-1"), "{reason}");
        keys.set_named("team", "sk-2");
        assert!(matches!(keys.choose("team"), Err(Outcome::Hold { .. })));

        let allowed = Keys::new(&config(&[plain[0], plain[1], ("allow_insecure", "true")]), &|_| None);
        assert_eq!(key_of(&allowed, ""), Ok(Some("sk-1".into())));
        let loopback = [("endpoint", "http://127.0.0.1:8080/"), plain[1]];
        assert!(Keys::new(&config(&loopback), &|_| None).choose("").is_ok());
    }

    #[test]
    fn text_that_can_not_be_a_header_never_becomes_a_key() {
        let keys = Keys::new(&config(&[("api_key", "sk-1")]), &|_| None);
        for bad in ["", "a\r\nHost: evil", " a", "é"] {
            keys.set_default(bad);
            keys.set_named("team", bad);
        }
        assert_eq!(key_of(&keys, ""), Ok(Some("sk-1".into())));
        assert_eq!(key_of(&keys, "team"), Err(Outcome::NoKey));
    }
}

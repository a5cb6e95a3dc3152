//! Fuzzing: what must hold of any bytes that reach the library from a caller, the disk or the network.
//!
//! Each function here is one target of `cargo fuzz` (see `fuzz/`), which also has a corpus for it. A plain `cargo test`
//! runs every input of the corpora through the same functions.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::config::{Config, Endpoint, SETTINGS, Signal, Validation};
use crate::error::ErrorKind;
use crate::export::fuzzing as export;
use crate::item::Item;
use crate::item::grammar::{self, reference};
use crate::otlp::{self, PartialSuccess};

pub use crate::export::fuzzing::{answer, sanitize};
pub use crate::spool::fuzzing::{batch, journal, scan};

/// The check in `enqueue` agrees with serde_json and with the exporter's parser.
pub fn enqueue(data: &[u8]) {
    let check = |max_bytes, validation| {
        Item::check(data, "", max_bytes, validation).map(|item| assert_eq!(item.bytes(), data))
    };
    let is_object = reference::is_object(data);
    assert_eq!(grammar::is_object(data), is_object);
    assert_eq!(check(data.len(), Validation::Full).is_ok(), is_object);
    assert_eq!(std::str::from_utf8(data).is_ok_and(export::is_json), reference::is_json(data));
    assert_eq!(check(data.len(), Validation::None).is_ok(), !data.is_empty());
    if !data.is_empty() {
        let too_large = check(data.len() - 1, Validation::Full).unwrap_err();
        assert_eq!(too_large.kind(), ErrorKind::ItemTooLarge);
    }
}

/// The check of OTLP's requests agrees with a decoder: `records` counts those in a request of the signal, `None` if it is
/// none. Whatever is cut is whole again when it is joined.
pub fn otlp(data: &[u8], records: impl Fn(&[u8], Signal) -> Option<usize>) {
    for signal in Signal::ALL {
        let is_good = records(data, signal).is_some_and(|records| records > 0);
        match otlp::check(data, signal) {
            Ok(()) => {
                assert!(is_good, "{signal:?}");
                assert_eq!(otlp::check(&data.repeat(2), signal), Ok(()));
            }
            // A decoder passes what it does not know, also at the top.
            Err(flaw) => {
                let why = flaw.to_string();
                let is_at_top = why.contains("field 1 only") || why.contains("begins like JSON");
                assert!(!is_good || is_at_top, "{signal:?}: {why}");
            }
        }
    }
    for most in [1, 16, 256] {
        let pieces = otlp::pieces(data, most);
        let joined = pieces.iter().flat_map(|piece| &data[piece.clone()]);
        assert!(pieces.is_empty() || joined.eq(data));
    }
    assert!(otlp::middle(data).is_none_or(|middle| (1..data.len()).contains(&middle)));
    let PartialSuccess { message, .. } = PartialSuccess::of(data);
    assert!(message.len() <= 3 * data.len());
}

/// Lines of `key=value`. After `url:` a line is an endpoint; after `pem:` all the rest is a PEM file.
pub fn config(data: &[u8]) {
    let mut config = Config::new();
    let mut rest = data;
    while !rest.is_empty() {
        if let Some(pem) = rest.strip_prefix(b"pem:") {
            assert_ne!(export::certificates(pem), Some(0));
            return;
        }
        let (line, after) = rest.split_at(rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()));
        rest = after.get(1..).unwrap_or_default();
        let Ok(line) = std::str::from_utf8(line) else { continue };
        match (line.strip_prefix("url:"), line.split_once('=')) {
            (Some(url), _) => endpoint(url),
            (_, Some((key, value))) => set(&mut config, key, value),
            _ => {}
        }
    }
}

/// A setting is applied whole or not at all. An error names the setting and never shows a secret.
fn set(config: &mut Config, key: &str, value: &str) {
    let before = format!("{config:?}");
    let outcome = config.set(key, value).map(drop);
    let after = format!("{config:?}");
    let is_known = SETTINGS.iter().any(|setting| setting.name == key) || key.starts_with("header.");
    match outcome {
        Ok(()) => {
            assert!(is_known);
            config.set(key, value).unwrap();
            assert_eq!(format!("{config:?}"), after, "setting it again changes nothing");
        }
        Err(error) => {
            let expected = if is_known { ErrorKind::InvalidArgument } else { ErrorKind::UnknownSetting };
            assert_eq!((error.kind(), &before), (expected, &after));
            assert!(error.message().contains(key));
            let secret = key == "api_key" || key.starts_with("header.");
            // A short value may stand in the rest of the sentence by chance.
            assert!(!secret || value.len() < 100 || !error.message().contains(value));
        }
    }
}

/// What is checked, the host that a key may travel to, is where the request goes.
fn endpoint(url: &str) {
    let Ok(endpoint) = Endpoint::parse(url) else { return };
    assert_eq!(endpoint.url(), url);
    if let Some(host) = export::host(url) {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        assert_eq!(host, endpoint.host(), "{url}");
    }
    let secure = url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"));
    assert_eq!(endpoint.is_safe_for_keys(), secure || endpoint.is_loopback());
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::path::Path;

    type Target = fn(&[u8]);

    #[test]
    fn every_input_of_the_corpora_holds() {
        let otlp = |data: &[u8]| super::otlp(data, crate::otlp::judge::records);
        let targets: [(&str, Target); 8] = [
            ("answer", super::answer),
            ("batch", super::batch),
            ("config", super::config),
            ("enqueue", super::enqueue),
            ("journal", super::journal),
            ("otlp", otlp),
            ("scan", super::scan),
            ("sanitize", super::sanitize),
        ];
        for (name, target) in targets {
            let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
            let mut inputs = 0;
            for entry in corpus.read_dir().unwrap() {
                let path = entry.unwrap().path();
                let bytes = std::fs::read(&path).unwrap();
                assert!(catch_unwind(|| target(&bytes)).is_ok(), "{}", path.display());
                inputs += 1;
            }
            assert!(inputs > 0, "{} is empty", corpus.display());
        }
    }
}

//! Setting: one row of the table of all settings, the single source of names, defaults and limits.

use std::path::PathBuf;
use std::time::Duration;

use super::{
    Config, Durability, Endpoint, ExporterKind, Overflow, RequestCompression, Sanitize, Secret, Validation,
};
use crate::error::{Error, ErrorKind, Result};

/// A row of the table of settings.
pub struct Setting {
    /// The name, the same in Rust, C, Go, Python and on the command line.
    pub name: &'static str,
    /// The default, as it would be set.
    pub default: &'static str,
    /// What values are allowed.
    pub allowed: &'static str,
    /// What it does.
    pub meaning: &'static str,
    set: fn(&mut Config, &str) -> std::result::Result<(), String>,
}

macro_rules! settings {
    ($($name:literal, $default:literal, $allowed:literal, $meaning:literal, $set:expr;)*) => {
        /// Every setting but the open family `header.NAME`, in the order of the documentation.
        pub static SETTINGS: &[Setting] = &[$(Setting {
            name: $name, default: $default, allowed: $allowed, meaning: $meaning, set: $set,
        }),*];
    };
}

settings! {
    "spool_dir", "", "a folder; it is made when absent",
        "the folder that keeps the items; required", |c, v| not_empty(v).map(|v| c.spool_dir = PathBuf::from(v));
    "exporter", "backend", "backend, console, none",
        "where items go: the HTTP ingest, standard output, or nowhere (they stay in the spool)", |c, v| {
        c.exporter = one_of(v, &[("backend", ExporterKind::Backend), ("console", ExporterKind::Console), ("none", ExporterKind::None)])?;
        Ok(())
    };
    "endpoint", "https://api.openai.com/v1/traces/ingest", "an http:// or https:// URL",
        "the ingest that batches are posted to", |c, v| Endpoint::parse(v).map(|e| c.endpoint = e);
    "api_key", "env OPENAI_API_KEY", "visible ASCII",
        "sent as `Authorization: Bearer`; never written to disk or to a log", |c, v| header_text(v).map(|v| c.api_key = Some(Secret::new(v)));
    "organization", "env OPENAI_ORG_ID", "visible ASCII",
        "sent as `OpenAI-Organization`", |c, v| header_text(v).map(|v| c.organization = Some(v.into()));
    "project", "env OPENAI_PROJECT_ID", "visible ASCII",
        "sent as `OpenAI-Project`", |c, v| header_text(v).map(|v| c.project = Some(v.into()));
    "max_batch_size", "128", "1 to 65536",
        "items in a batch at most", |c, v| number(v, 1, 1 << 16).map(|n| c.max_batch_size = n as usize);
    "max_batch_bytes", "1 MiB", "1 KiB to 64 MiB",
        "bytes of a request's body at most; a longer single item travels alone", |c, v| bytes(v, 1 << 10, 64 << 20).map(|n| c.max_batch_bytes = n as usize);
    "max_queue_size", "0", "0 or more",
        "pending items at most; 0: bounded by bytes only", |c, v| number(v, 0, u64::MAX).map(|n| c.max_queue_size = n);
    "max_spool_bytes", "1 GiB", "256 KiB or more",
        "bytes on disk at most, of this process's lane, journal and rejected store included", |c, v| bytes(v, 256 << 10, u64::MAX).map(|n| c.max_spool_bytes = n);
    "overflow", "reject", "reject, drop_oldest",
        "at a limit: refuse the newest item, or drop the oldest and count them", |c, v| {
        c.overflow = one_of(v, &[("reject", Overflow::Reject), ("drop_oldest", Overflow::DropOldest)])?;
        Ok(())
    };
    "max_age_s", "0", "0 to 3153600000",
        "older pending items are dropped and counted as expired; 0: kept for ever", |c, v| {
        number(v, 0, MAX_SECONDS).map(|n| c.max_age = (n > 0).then(|| Duration::from_secs(n)))
    };
    "schedule_delay_ms", "5000", "0 to 86400000",
        "longest wait before a batch that is not full is sent", |c, v| millis(v, 0).map(|d| c.schedule_delay = d);
    "export_trigger_ratio", "0.7", "over 0, at most 1",
        "with max_queue_size: send at once when the queue is this full", |c, v| ratio(v, false).map(|r| c.export_trigger_ratio = r);
    "max_retries", "0", "0 to 4294967295",
        "attempts at a batch before it goes to the rejected store; 0: never given up", |c, v| number(v, 0, u32::MAX.into()).map(|n| c.max_retries = n as u32);
    "base_delay_ms", "1000", "1 to 86400000",
        "first backoff after a failed attempt, at most max_delay_ms; it doubles from there", |c, v| millis(v, 1).map(|d| c.base_delay = d);
    "max_delay_ms", "30000", "1 to 86400000",
        "longest backoff, and the time between probes while on hold", |c, v| millis(v, 1).map(|d| c.max_delay = d);
    "jitter", "0.1", "0 to 1",
        "share of a backoff that is added at random", |c, v| ratio(v, true).map(|r| c.jitter = r);
    "connect_timeout_ms", "5000", "1 to 86400000",
        "longest wait for a connection", |c, v| millis(v, 1).map(|d| c.connect_timeout = d);
    "request_timeout_ms", "60000", "1 to 86400000",
        "longest wait for a whole request", |c, v| millis(v, 1).map(|d| c.request_timeout = d);
    "max_in_flight", "1", "1 to 64",
        "requests under way at once; 1 keeps the order", |c, v| number(v, 1, 64).map(|n| c.max_in_flight = n as usize);
    "request_compression", "none", "none, gzip",
        "compression of a request's body", |c, v| {
        c.request_compression = one_of(v, &[("none", RequestCompression::None), ("gzip", RequestCompression::Gzip)])?;
        Ok(())
    };
    "durability", "process", "process, power",
        "what OK survives: the death of the process, or a power cut", |c, v| {
        c.durability = one_of(v, &[("process", Durability::Process), ("power", Durability::Power)])?;
        Ok(())
    };
    "sync_interval_ms", "1000", "1 to 86400000",
        "with durability=process: longest time that accepted items wait for stable storage", |c, v| millis(v, 1).map(|d| c.sync_interval = d);
    "enqueue_timeout_ms", "100", "0 to 86400000",
        "longest wait of an enqueue for room in the journal", |c, v| millis(v, 0).map(|d| c.enqueue_timeout = d);
    "journal_bytes", "16 MiB", "64 KiB to 1 GiB",
        "size of the journal, at most half of max_spool_bytes", |c, v| bytes(v, 64 << 10, 1 << 30).map(|n| c.journal_bytes = n);
    "max_item_bytes", "16 MiB", "1 KiB to 1 GiB",
        "longest item", |c, v| bytes(v, 1 << 10, 1 << 30).map(|n| c.max_item_bytes = n as usize);
    "validation", "full", "full, none",
        "full: an item must be one JSON object in UTF-8; none: the caller vouches for it", |c, v| {
        c.validation = one_of(v, &[("full", Validation::Full), ("none", Validation::None)])?;
        Ok(())
    };
    "sanitize", "auto", "auto, always, never",
        "the OpenAI ingest's field limits; auto: applied for the OpenAI endpoint only", |c, v| {
        c.sanitize = one_of(v, &[("auto", Sanitize::Auto), ("always", Sanitize::Always), ("never", Sanitize::Never)])?;
        Ok(())
    };
    "adopt_interval_ms", "30000", "1 to 86400000",
        "how often the lanes of dead processes are looked for", |c, v| millis(v, 1).map(|d| c.adopt_interval = d);
    "max_rejected_bytes", "64 MiB", "0 or more",
        "size of the rejected store; the oldest rejected items make room and count as dropped", |c, v| bytes(v, 0, u64::MAX).map(|n| c.max_rejected_bytes = n);
    "ca_file", "", "a file of PEM certificates",
        "roots to trust besides the built-in ones", |c, v| not_empty(v).map(|v| c.ca_file = Some(PathBuf::from(v)));
    "allow_insecure", "false", "true, false",
        "let keys travel over plain http to other machines", |c, v| {
        c.allow_insecure = one_of(v, &[("true", true), ("false", false)])?;
        Ok(())
    };
}

const MAX_MILLIS: u64 = 86_400_000;
const MAX_SECONDS: u64 = 100 * 365 * 86_400;

/// Sets `key` to `value` or says what is allowed.
pub(super) fn apply(config: &mut Config, key: &str, value: &str) -> Result<()> {
    if let Some(name) = key.strip_prefix("header.") {
        return set_header(config, name, value).map_err(|why| refused(key, "…", &why));
    }
    let Some(setting) = SETTINGS.iter().find(|s| s.name == key) else {
        return Err(Error::new(
            ErrorKind::UnknownSetting,
            format!("unknown setting '{key}'{}", nearest(key)),
        ));
    };
    let shown = if key == "api_key" { "…" } else { value };
    (setting.set)(config, value)
        .map_err(|why| refused(key, shown, &format!("{why}; allowed: {}", setting.allowed)))
}

fn refused(key: &str, value: &str, why: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("setting {key}='{value}': {why}"))
}

/// A hint at the setting that was probably meant.
fn nearest(key: &str) -> String {
    let common = |name: &str| name.bytes().zip(key.bytes()).take_while(|(a, b)| a == b).count();
    match SETTINGS.iter().rev().max_by_key(|s| common(s.name)) {
        Some(s) if common(s.name) >= 4 => format!("; did you mean '{}'?", s.name),
        _ => format!(
            "; known: {}, header.NAME",
            SETTINGS.iter().map(|s| s.name).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Headers that carry the request itself; a user's value would break it.
const OWN_HEADERS: &[&str] = &[
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn set_header(config: &mut Config, name: &str, value: &str) -> std::result::Result<(), String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return Err("it is not a header name (RFC 9110 token)".into());
    }
    if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
        return Err("spanspool sets this header itself".into());
    }
    let value = Secret::new(header_text(value)?);
    config.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    config.headers.push((name.to_owned(), value));
    Ok(())
}

fn not_empty(value: &str) -> std::result::Result<&str, String> {
    if value.is_empty() { Err("it is empty".into()) } else { Ok(value) }
}

/// Text that may stand in an HTTP header: no control character can smuggle in another header.
pub(crate) fn header_text(value: &str) -> std::result::Result<&str, String> {
    not_empty(value)?;
    if value.bytes().all(|b| (0x20..0x7f).contains(&b)) && value.trim() == value {
        Ok(value)
    } else {
        Err("only visible ASCII, with no space at either end, may stand in a header".into())
    }
}

fn number(value: &str, min: u64, max: u64) -> std::result::Result<u64, String> {
    match value.parse::<u64>() {
        Ok(n) if (min..=max).contains(&n) => Ok(n),
        Ok(_) => Err("it is out of range".into()),
        Err(_) => Err("it is not a whole number".into()),
    }
}

fn millis(value: &str, min: u64) -> std::result::Result<Duration, String> {
    number(value, min, MAX_MILLIS).map(Duration::from_millis)
}

/// A number of bytes, with `KiB`, `MiB` or `GiB` behind it if wished.
fn bytes(value: &str, min: u64, max: u64) -> std::result::Result<u64, String> {
    let (digits, unit) = match value.find(|c: char| !c.is_ascii_digit()) {
        Some(i) => (&value[..i], value[i..].trim_start()),
        None => (value, ""),
    };
    let shift = match unit {
        "" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err("it is not a number of bytes (a whole number, then KiB, MiB, GiB or nothing)".into()),
    };
    let n = number(digits, 0, u64::MAX)?.checked_mul(1 << shift).ok_or("it is out of range")?;
    if (min..=max).contains(&n) { Ok(n) } else { Err("it is out of range".into()) }
}

fn ratio(value: &str, zero: bool) -> std::result::Result<f64, String> {
    match value.parse::<f64>() {
        Ok(r) if (r > 0.0 || (zero && r == 0.0)) && r <= 1.0 => Ok(r),
        Ok(_) => Err("it is out of range".into()),
        Err(_) => Err("it is not a number".into()),
    }
}

fn one_of<T: Copy>(value: &str, choices: &[(&str, T)]) -> std::result::Result<T, String> {
    choices
        .iter()
        .find(|(name, _)| *name == value)
        .map(|(_, v)| *v)
        .ok_or_else(|| "it is not one of the choices".into())
}

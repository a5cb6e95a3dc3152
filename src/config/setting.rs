//! Setting: one row of the table of all settings, the single source of names, defaults and limits.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{
    Adopt, Config, Durability, Endpoint, ExporterKind, Order, Overflow, RequestCompression, Sanitize, Secret,
    Signal, TlsRoots, Validation,
};
use crate::error::{Error, ErrorKind, Result};

/// A row of the table of settings, which stands in `table.rs`.
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

include!("table.rs");

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
            format!("unknown setting '{}'{}", quoted(key), nearest(key)),
        ));
    };
    let may_be_secret = key == "api_key" || key == "endpoint" && value.contains(['@', '?']);
    let shown = if may_be_secret { "…" } else { value };
    (setting.set)(config, value)
        .map_err(|why| refused(key, shown, &format!("{why}; allowed: {}", setting.allowed)))?;
    if setting.name == "endpoint" {
        config.is_whole_url = false;
    }
    config.told.insert(setting.name);
    Ok(())
}

/// The path `value` of the setting `key`, which need not be UTF-8.
pub(super) fn path_of(key: &str, value: &OsStr) -> Result<PathBuf> {
    absolute(value).map_err(|why| refused(key, &value.to_string_lossy(), &why))
}

fn refused(key: &str, value: &str, why: &str) -> Error {
    let what = format!("setting {}='{}': {why}", quoted(key), quoted(value));
    Error::new(ErrorKind::InvalidArgument, what)
}

/// As much of a text as an error quotes, so that a caller's buffer has room for what is wrong with it.
fn quoted(text: &str) -> Cow<'_, str> {
    const MOST: usize = 200;
    match text.floor_char_boundary(MOST) {
        end if end < text.len() => format!("{}…", &text[..end]).into(),
        _ => text.into(),
    }
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
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "proxy-authorization",
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
    // Collectors take Basic and other schemes as well as Bearer.
    let is_authorization = name.eq_ignore_ascii_case("authorization");
    if is_authorization && config.exporter != ExporterKind::Otlp {
        let why = "spanspool sets this header itself, of api_key; for a receiver of OTLP set exporter=otlp before it";
        return Err(why.into());
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

/// The path that `value` names now: where the process goes later changes nothing.
fn absolute(value: impl AsRef<Path>) -> std::result::Result<PathBuf, String> {
    let path = value.as_ref();
    if path.is_absolute() {
        return Ok(path.to_path_buf());
    }
    std::path::absolute(path).map_err(|e| {
        format!("{} is a relative path, and the current folder is not known: {e}", path.display())
    })
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

/// A number of bytes, with `KiB`, `MiB` or `GiB` after it if wished.
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

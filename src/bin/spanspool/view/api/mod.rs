//! API: what the page asks for, as JSON.

mod query;
mod trace;

use serde_json::{Value, json};

use super::index::{Filter, Key};
use super::items::{self, Ref, State};
use super::rejected;
use super::shorten::shorten;
use super::spool::Spool;
use query::Query;
pub use trace::trace;

/// What is answered.
pub enum Answer {
    Json(String),
    /// JSON to be saved under this name.
    Download(String, String),
}

/// Why nothing is: an HTTP status, and a text for people.
#[derive(Debug)]
pub struct Refusal {
    pub status: u16,
    pub text: String,
}

type Outcome = Result<Answer, Refusal>;

fn refuse(status: u16, text: impl Into<String>) -> Refusal {
    Refusal { status, text: text.into() }
}

fn gone() -> Refusal {
    refuse(404, "it was delivered or dropped, and is no longer in the spool")
}

/// The most rows of a page.
const MOST_ROWS: usize = 1000;
/// The most spans of a page.
pub const MOST_SPANS: usize = 5000;

/// Answers what is asked below `api/`.
pub fn answer(spool: &Spool, path: &str, query: &str) -> Outcome {
    let query = Query::parse(query);
    match path {
        "now" => Ok(Answer::Json(now(spool, true).to_string())),
        "traces" => traces(spool, &query),
        "trace" => {
            let (offset, limit) = query.page(MOST_SPANS)?;
            let key = query.text("key").and_then(Key::of_text);
            let trace = key.and_then(|key| trace(spool, key, offset, limit).transpose()).transpose()?;
            trace
                .map(|trace| Answer::Json(trace.to_string()))
                .ok_or_else(|| refuse(404, "there is no such trace"))
        }
        "span" => {
            let at = wanted(&query)?;
            span(spool, &at).map(Answer::Json)
        }
        "raw" => raw(spool, &wanted(&query)?),
        "rejected" => {
            let (offset, limit) = query.page(MOST_ROWS)?;
            Ok(Answer::Json(rejected_rows(spool, offset, limit).to_string()))
        }
        _ => Err(refuse(404, "there is no such thing")),
    }
}

fn wanted(query: &Query) -> Result<Ref, Refusal> {
    let text = query.text("ref").unwrap_or_default();
    Ref::of_text(text).ok_or_else(|| refuse(400, "'ref' names no span: LANE-SEQ-NUMBER"))
}

/// The lanes as they are, and how far the list of traces is. `is_live`: the page may ask again.
pub fn now(spool: &Spool, is_live: bool) -> Value {
    let (progress, version) = (spool.progress().clone(), spool.index().version());
    let watch = spool.watch();
    let mut now = watch.to_json();
    now["version"] = version.into();
    now["live"] = is_live.into();
    now["spool_dir"] = spool.dir().display().to_string().into();
    now["loading"] = json!({
        "done": progress.is_done,
        "items": progress.items,
        "of_items": progress.of_items,
        "note": progress.note(watch.trouble()),
    });
    now
}

fn traces(spool: &Spool, query: &Query) -> Outcome {
    let (offset, limit) = query.page(MOST_ROWS)?;
    // Beyond its range the nearest number is taken.
    let micros = |ms: f64| (ms * 1000.0) as i64;
    let filter = Filter {
        text: query.text("q").unwrap_or_default().to_lowercase(),
        errors: query.is_set("errors"),
        rejected: query.is_set("rejected"),
        min_us: query.number("min_ms")?.map(micros),
        max_us: query.number("max_ms")?.map(micros),
    };
    let known: Option<u64> = query.number("version")?;
    let mut index = spool.index();
    let version = index.version();
    let is_same = known == Some(version);
    let (total, rows) = index.list(&filter, offset, if is_same { 0 } else { limit });
    drop(index);
    Ok(Answer::Json(match is_same {
        true => json!({ "version": version, "total": total, "same": true }).to_string(),
        false => json!({ "version": version, "total": total, "traces": rows }).to_string(),
    }))
}

/// The first traces of the list and how many there are.
pub fn first_traces(spool: &Spool, limit: usize) -> (usize, Vec<super::index::Row>) {
    spool.index().list(&Filter::default(), 0, limit)
}

pub fn rejected_rows(spool: &Spool, offset: usize, limit: usize) -> Value {
    rejected::page(spool.rejected().values(), spool.dir(), offset, limit)
}

/// What is read of the item of a span.
struct Read {
    state: State,
    is_otlp: bool,
    /// Bytes of the whole item.
    bytes: usize,
    json: Option<String>,
}

/// A span with its long strings cut, as JSON.
pub fn span(spool: &Spool, at: &Ref) -> Result<String, Refusal> {
    let read = read(spool, at, |item, destination| items::span(item, destination, at.span))?;
    let json = read.json.ok_or_else(|| refuse(404, "the item has no such span"))?;
    let (item, clipped) = shorten(&json);
    let form = if read.is_otlp { "otlp" } else { "agents" };
    let rest = json!({
        "ref": at.to_string(),
        "state": read.state.name(),
        "lane": at.lane,
        "form": form,
        "clipped": clipped,
        "bytes": read.bytes,
    });
    // Not by way of a value: that would change numbers.
    let rest = rest.to_string();
    Ok(format!(r#"{{"item":{item},{}"#, &rest[1..]))
}

fn raw(spool: &Spool, at: &Ref) -> Outcome {
    let read = read(spool, at, |item, destination| Some(items::whole(item, destination)))?;
    Ok(Answer::Download(read.json.unwrap_or_default(), format!("{}-{}.json", at.lane, at.seq)))
}

fn read(
    spool: &Spool,
    at: &Ref,
    mut to_json: impl FnMut(&[u8], &spanspool::Destination) -> Option<String>,
) -> Result<Read, Refusal> {
    let view = spool.view().map_err(|error| refuse(500, error.message()))?;
    let destination = spool.destination(&at.lane);
    let mut found = None;
    let outcome = spool.items().read(&view, &at.lane, &[at.seq], &mut |_, state, item| {
        let is_otlp = destination.signal().is_some();
        found = Some(Read { state, is_otlp, bytes: item.len(), json: to_json(item, &destination) });
    });
    match (found, outcome) {
        (Some(read), _) => Ok(read),
        (None, Ok(())) => Err(gone()),
        // The lane went with its last item.
        (None, Err(_)) if !spool.has_lane(&at.lane) => Err(gone()),
        (None, Err(error)) => Err(refuse(503, error.message())),
    }
}

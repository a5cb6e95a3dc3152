//! Picture: the page with what it shows in one file, which can be mailed.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::api;
use super::index::Key;
use super::items::Ref;
use super::page::OneFile;
use super::spool::Spool;
use crate::cli::human::counted;
use crate::otlp::base64;

/// The most traces that are listed.
const MOST_TRACES: usize = 10_000;
/// The most spans of a trace.
const MOST_SPANS: usize = api::MOST_SPANS;
const MOST_REJECTED: usize = 1000;
/// When so many bytes of traces are in it, no further one is opened.
const ENOUGH_BYTES: usize = 24 << 20;

/// What is shown, as the page takes it.
pub struct Picture {
    now: Value,
    traces: Value,
    details: BTreeMap<String, Value>,
    /// Texts of JSON: what is shown of them is parsed when it is.
    spans: BTreeMap<String, String>,
    rejected: Value,
}

impl Picture {
    /// The whole spool, as far as it fits, newest traces first. An error: it can't be read now.
    pub fn of_spool(spool: &Spool) -> Result<Self, String> {
        let (total, rows) = api::first_traces(spool, MOST_TRACES);
        let rejected = api::rejected_rows(spool, 0, MOST_REJECTED);
        let listed = rows.len();
        let mut picture = Self::new(spool, json!({ "total": listed, "traces": rows }), rejected);
        let mut bytes = 0;
        let mut opened = 0;
        for row in &rows {
            if bytes >= ENOUGH_BYTES {
                break;
            }
            bytes += picture.open(spool, &row.key)?;
            opened += 1;
        }
        picture.leave_out(total - listed, "older trace", "left out");
        picture.leave_out(listed - opened, "older trace", "shown without spans");
        let shown = picture.rejected["rows"].as_array().map_or(0, Vec::len);
        let rejected = picture.rejected["total"].as_u64().unwrap_or(0) as usize;
        picture.leave_out(rejected - shown, "older rejected item", "left out");
        picture.rejected["total"] = shown.into();
        Ok(picture)
    }

    /// The trace with this id alone. `None`: there is no such trace.
    pub fn of_trace(spool: &Spool, id: &str) -> Result<Option<Self>, String> {
        let row = {
            let mut index = spool.index();
            index.key(id).and_then(|key| index.row(key))
        };
        let Some(row) = row else { return Ok(None) };
        let key = row.key.clone();
        let mut picture =
            Self::new(spool, json!({ "total": 1, "traces": [row] }), json!({ "total": 0, "rows": [] }));
        picture.open(spool, &key)?;
        Ok(Some(picture))
    }

    fn new(spool: &Spool, traces: Value, rejected: Value) -> Self {
        let now = api::now(spool, false);
        Self { now, traces, details: BTreeMap::new(), spans: BTreeMap::new(), rejected }
    }

    /// Adds the spans of a trace. Returns how many bytes that took.
    fn open(&mut self, spool: &Spool, key: &str) -> Result<usize, String> {
        let trace = match Key::of_text(key) {
            Some(key) => api::trace(spool, key, 0, MOST_SPANS).map_err(|refusal| refusal.text)?,
            None => None,
        };
        let Some(trace) = trace else { return Ok(0) };
        let rows = trace["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
        let refs = std::iter::once(&trace["ref"]).chain(rows.iter().map(|row| &row["ref"]));
        let mut bytes = trace.to_string().len();
        let mut left_out = trace["total"].as_u64().unwrap_or(0) as usize - rows.len();
        for at in refs.filter_map(|at| at.as_str().and_then(Ref::of_text)) {
            // One that was delivered meanwhile has no item any more.
            let Ok(span) = api::span(spool, &at) else { continue };
            if bytes + span.len() > 2 * ENOUGH_BYTES {
                left_out += 1;
                continue;
            }
            bytes += span.len();
            self.spans.insert(at.to_string(), span);
        }
        self.leave_out(left_out, "span", "of a long trace left out or shown without its attributes");
        self.details.insert(key.to_owned(), trace);
        Ok(bytes)
    }

    fn leave_out(&mut self, count: usize, noun: &str, what: &str) {
        if count > 0 {
            let note = &mut self.now["loading"]["note"];
            let before = note.as_str().map(|before| format!("{before}; ")).unwrap_or_default();
            *note = format!("{before}{} {what}", counted(count as u64, noun)).into();
        }
    }

    /// Writes it to `path`, for its owner's eyes only, in place of the file that is there or that a link leads to. A pipe or
    /// a device stays what it is, and is written to.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        if fs::metadata(path).is_ok_and(|it| !it.is_file() && !it.is_dir()) {
            return OpenOptions::new().write(true).open(path)?.write_all(&self.to_html()?);
        }
        let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let name = path.file_name().ok_or_else(|| io::Error::other("this names no file"))?;
        let unfinished = path.with_file_name(format!(".{}.{}", name.display(), std::process::id()));
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
            file.write_all(&self.to_html()?)?;
            file.sync_all()?;
            fs::rename(&unfinished, path)
        })();
        if written.is_err() {
            drop(fs::remove_file(&unfinished));
        }
        written
    }

    fn to_html(&self) -> io::Result<Vec<u8>> {
        let OneFile { before_head_ends, before_body_ends, rest, style, script } = OneFile::new();
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'",
            hash(&script),
            hash(&style)
        );
        let data = self.to_json()?;
        let parts = [
            &before_head_ends,
            "<meta http-equiv=\"Content-Security-Policy\" content=\"",
            &policy,
            "\">\n<style>",
            &style,
            "</style>\n",
            &before_body_ends,
            "<script type=\"application/json\" id=\"spool\">",
            &data,
            "</script>\n<script type=\"module\">",
            &script,
            "</script>\n",
            &rest,
        ];
        Ok(parts.concat().into_bytes())
    }

    /// No `<` is in it, so nothing in it ends the script that it is in.
    fn to_json(&self) -> io::Result<String> {
        let parts = [
            ("now", self.now.to_string()),
            ("traces", self.traces.to_string()),
            ("details", serde_json::to_string(&self.details)?),
            ("spans", serde_json::to_string(&self.spans)?),
            ("rejected", self.rejected.to_string()),
        ];
        let fields: Vec<String> = parts.iter().map(|(name, json)| format!("\"{name}\":{json}")).collect();
        Ok(format!("{{{}}}", fields.join(",")).replace('<', "\\u003c"))
    }
}

/// As a policy names what it allows.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", base64(digest(&SHA256, text.as_bytes()).as_ref()))
}

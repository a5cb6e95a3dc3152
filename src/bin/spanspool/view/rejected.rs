//! Rejected: the rows of the rejected items.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use spanspool::RejectedItem;

use super::index::Key;
use super::items::Ref;
use super::record::Record;

/// The most rows of a lane that are shown: the newest.
const MOST_ROWS: usize = 10_000;
/// The most bytes of an answer that are shown.
const MOST_ANSWER_BYTES: usize = 16 << 10;

/// The rejected items of a lane, oldest first.
#[derive(Default)]
pub struct RejectedRows {
    rows: VecDeque<Row>,
    /// How many there are besides.
    pub left_out: u64,
    /// Of each item that is shown, by its seq.
    pub records: BTreeMap<u64, Vec<Record>>,
}

struct Row {
    at: Ref,
    trace: Option<Key>,
    name: String,
    time_ms: u64,
    reason: String,
    status: u16,
    answer: Arc<str>,
    spans: usize,
}

impl RejectedRows {
    /// Adds an item of which the records are `records`. `key_of` gives the key of a trace by its id.
    pub fn add(&mut self, item: &RejectedItem, records: Vec<Record>) {
        let Some(at) = Ref::of_rejected(&item.id) else { return };
        let answer = String::from_utf8_lossy(&item.answer);
        let answer = &answer[..answer.floor_char_boundary(MOST_ANSWER_BYTES)];
        // Items that were refused together have one answer.
        let answer = match self.rows.back() {
            Some(last) if *last.answer == *answer => last.answer.clone(),
            _ => answer.into(),
        };
        self.rows.push_back(Row {
            trace: None,
            name: records.first().map(|record| record.name.clone()).unwrap_or_default(),
            time_ms: item.rejected_unix_ms,
            reason: item.reason.clone(),
            status: item.status,
            answer,
            spans: records.len(),
            at: at.clone(),
        });
        self.records.insert(at.seq, records);
        if self.rows.len() > MOST_ROWS
            && let Some(oldest) = self.rows.pop_front()
        {
            self.records.remove(&oldest.at.seq);
            self.left_out += 1;
        }
    }

    /// Gives each row the key of its trace, once these are known. The records are of no use any more.
    pub fn note_traces(&mut self, key_of: impl Fn(&str) -> Option<Key>) {
        let records = std::mem::take(&mut self.records);
        for row in &mut self.rows {
            let first = records.get(&row.at.seq).and_then(|records| records.first());
            row.trace = first.and_then(|record| key_of(&record.trace_id));
        }
    }
}

/// The rows of all `lanes` from `offset` on, `limit` at most, newest first; `dir` is the spool.
pub fn page<'a>(
    lanes: impl Iterator<Item = &'a RejectedRows>,
    dir: &Path,
    offset: usize,
    limit: usize,
) -> Value {
    let mut rows: Vec<&Row> = lanes.flat_map(|lane| &lane.rows).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.time_ms));
    let shown = rows.iter().skip(offset).take(limit).map(|row| row.to_json(dir));
    json!({ "total": rows.len(), "rows": shown.collect::<Vec<_>>() })
}

impl Row {
    fn to_json(&self, dir: &Path) -> Value {
        let id = format!("{}-{}", self.at.lane, self.at.seq);
        json!({
            "ref": self.at.to_string(),
            "lane": self.at.lane,
            "id": id,
            "name": self.name,
            "trace_key": self.trace.map(|key| key.to_string()),
            "time_ms": Some(self.time_ms).filter(|ms| *ms > 0),
            "reason": self.reason,
            "status": Some(self.status).filter(|status| *status > 0),
            "answer": &*self.answer,
            "items": self.spans,
            "command": format!("spanspool rejected requeue --spool-dir {} {id}", quoted(dir)),
        })
    }
}

/// `dir` as a word of a shell.
fn quoted(dir: &Path) -> String {
    let text = dir.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_word_of_a_shell() {
        for (dir, word) in
            [("/var/spool-1", "/var/spool-1"), ("/a b", "'/a b'"), ("it's $HOME", r"'it'\''s $HOME'")]
        {
            assert_eq!(quoted(Path::new(dir)), word);
        }
    }
}

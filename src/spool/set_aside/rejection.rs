//! Rejection: items that were set aside together with the answer to them, and the bytes of the file that keeps them.

use bincode::{Decode, Encode};

use crate::config::Destination;
use crate::error::{Error, ErrorKind, Result};
use crate::spool::format::codec;
use crate::spool::format::fragment::{self, Fragment};

/// The reason of items that were set aside for want of a key; the key's name follows.
pub(crate) const NO_KEY: &str = "no_key:";

/// The reason of items that were set aside because the ingest refuses their key; the key's name follows.
pub(crate) const KEY_REFUSED: &str = "key_refused:";

/// The key that items wait for which were set aside for this reason, if they wait for one.
pub(crate) fn awaited_key(reason: &str) -> Option<&str> {
    reason.strip_prefix(NO_KEY).or_else(|| reason.strip_prefix(KEY_REFUSED))
}

/// Seqs from here on are those of adopted items: a lane's own stay below for centuries.
pub(super) const ADOPTED_FROM: u64 = 1 << 48;

/// An item that the ingest refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedItem {
    /// `<lane>-<seq>`: names the item to `requeue` and `purge`.
    pub id: String,
    /// The id of the batch it was refused in.
    pub batch_id: String,
    /// The HTTP status, or 0 where there was none.
    pub status: u16,
    /// Why it is here: `refused`, `too_large`, `max_retries`, `no_key:<name>`,
    /// `key_refused:<name>`.
    pub reason: String,
    /// The first bytes of the ingest's answer.
    pub answer: Vec<u8>,
    /// Unix time in milliseconds when it was set aside.
    pub rejected_unix_ms: u64,
    /// The name of the key it was to be sent with; empty for the default key.
    pub key_name: String,
    /// Where the items of its lane go.
    pub destination: Destination,
    /// The item.
    pub json: Vec<u8>,
}

/// Items that were set aside together, and why.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Rejection {
    pub(crate) batch_id: String,
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) answer: Vec<u8>,
    pub(crate) key_name: String,
    pub(crate) rejected_unix_ms: u64,
    /// Seq and bytes of each item, in order.
    pub(crate) items: Vec<(u64, Vec<u8>)>,
}

/// What a file says before its items. It is in the first fragment: the answer was cut to a few KiB.
pub(super) struct Summary {
    pub(super) batch_id: String,
    pub(super) reason: String,
    pub(super) items: u64,
}

impl Rejection {
    /// Whether nothing can send these items once more by itself, in a lane whose cursor is `cursor`.
    pub(crate) fn is_settled(&self, cursor: u64) -> bool {
        self.first().is_none_or(|first| !(cursor..ADOPTED_FROM).contains(&first))
    }

    pub(super) fn first(&self) -> Option<u64> {
        self.items.first().map(|(first, _)| *first)
    }

    /// How many seqs it takes up.
    pub(super) fn seqs(&self) -> u64 {
        match (self.items.first(), self.items.last()) {
            (Some((first, _)), Some((last, _))) => last + 1 - first,
            _ => 1,
        }
    }

    /// Renumbers the items, so that the first has the seq `first` and the others are as far from it as before.
    pub(super) fn renumber(&mut self, first: u64) {
        let written = self.first().unwrap_or(first);
        for (seq, _) in &mut self.items {
            *seq = first + seq.saturating_sub(written);
        }
    }

    /// Whether this is what was left of `whole` after some of its items were taken out.
    pub(super) fn is_rest_of(&self, whole: &Self) -> bool {
        self.batch_id == whole.batch_id && self.items.iter().all(|item| whole.items.contains(item))
    }

    /// The items as they are listed; `lane` is the one in whose store they are, and its items go to `destination`.
    pub(crate) fn into_items(self, lane: &str, destination: &Destination) -> Vec<RejectedItem> {
        let item = |(seq, json)| RejectedItem {
            id: format!("{lane}-{seq}"),
            batch_id: self.batch_id.clone(),
            status: self.status,
            reason: self.reason.clone(),
            answer: self.answer.clone(),
            rejected_unix_ms: self.rejected_unix_ms,
            key_name: self.key_name.clone(),
            destination: destination.clone(),
            json,
        };
        self.items.into_iter().map(item).collect()
    }
}

/// A file's bytes: the group's bincode as fragments, one after the other, as in a segment.
pub(crate) fn encode(first: u64, group: &Rejection) -> Result<Vec<u8>> {
    let failed =
        |what: String| Error::new(ErrorKind::Internal, format!("cannot encode item {first}: {what}"));
    let value = bincode::encode_to_vec(group, codec::ENCODING).map_err(|e| failed(e.to_string()))?;
    fragment::split(first, &value)
        .map(|pieces| pieces.flatten().collect())
        .ok_or_else(|| failed("it is too long".into()))
}

/// The group in a file's bytes, whatever lane it was written in.
pub(crate) fn decode(bytes: &[u8]) -> Option<Rejection> {
    let id = Fragment::decode(bytes).ok()?.id;
    let value = fragment::join(id, fragment::cut(bytes)).ok()?;
    codec::decode(&value).ok()
}

/// What the beginning of a file's bytes says of the group in it.
pub(super) fn summary(begin: &[u8]) -> Option<Summary> {
    let piece = Fragment::decode(begin).ok()?;
    let (batch_id, _status, reason, _answer, _key_name, _time, items): (
        String,
        u16,
        String,
        Vec<u8>,
        String,
        u64,
        u64,
    ) = codec::decode(piece.payload).ok()?;
    Some(Summary { batch_id, reason, items })
}

//! Items: four traces of an agent's run, renumbered as often as they are needed.

use spanspool::Signal;

use super::ingest::{self, Request};
use crate::otlp;

/// Items of one form.
#[derive(Clone, Copy)]
pub struct Items {
    /// One item a line, as JSON.
    sample: &'static str,
    /// Every id in an item begins with one of these; eight hexadecimal digits follow.
    prefixes: &'static [&'static str],
    /// Where an item's own id is.
    id: &'static str,
    /// Whether they are requests of OTLP.
    pub is_otlp: bool,
}

/// As the OpenAI Agents SDK exported them.
pub const AGENTS_SDK: Items = Items {
    sample: include_str!("items.ndjson"),
    prefixes: &["\"trace_", "\"span_"],
    id: "/id",
    is_otlp: false,
};

/// The spans of the same run, each in a request of its own.
pub const OTLP: Items = Items {
    sample: include_str!("items.otlp.ndjson"),
    prefixes: &["\"traceId\":\"", "\"spanId\":\"", "\"parentSpanId\":\""],
    id: "/resourceSpans/0/scopeSpans/0/spans/0/spanId",
    is_otlp: true,
};

const DIGITS: usize = 8;

impl Items {
    pub fn per_round(self) -> usize {
        self.sample.lines().count()
    }

    /// The sample with the number of the round in all its ids: no two rounds share an id, and parents stay parents.
    pub fn of_round(self, round: u32) -> impl Iterator<Item = Vec<u8>> {
        self.sample.lines().filter_map(move |item| self.encode(&self.renumber(item, round)))
    }

    fn renumber(self, item: &str, round: u32) -> String {
        let number = format!("{round:08x}");
        let mut text = item.to_owned();
        for prefix in self.prefixes {
            for (at, _) in item.match_indices(prefix) {
                let digits = at + prefix.len()..at + prefix.len() + DIGITS;
                if item.get(digits.clone()).is_some_and(|d| d.bytes().all(|b| b.is_ascii_hexdigit())) {
                    text.replace_range(digits, &number);
                }
            }
        }
        text
    }

    fn encode(self, json: &str) -> Option<Vec<u8>> {
        match self.is_otlp {
            true => otlp::from_json(json.as_bytes(), Signal::Traces).ok().map(|item| item.request),
            false => Some(json.into()),
        }
    }

    /// The item's own id; empty when it can't be decoded.
    pub fn id_of(self, item: &[u8]) -> String {
        let decoded = self.is_otlp.then(|| otlp::to_json(item, Signal::Traces).ok());
        let json = match &decoded {
            Some(decoded) => decoded.as_ref().map_or(&[][..], |json| json.request.as_bytes()),
            None => item,
        };
        let value: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
        value.pointer(self.id).and_then(|id| id.as_str()).unwrap_or_default().to_owned()
    }

    /// The round that an id belongs to.
    pub fn round_of(self, id: &str) -> Option<u32> {
        let digits = id.rsplit('_').next()?;
        u32::from_str_radix(digits.get(..DIGITS)?, 16).ok()
    }

    /// The items in the body of `request`.
    pub fn in_request(self, request: &Request) -> Vec<Vec<u8>> {
        match self.is_otlp {
            true => otlp::records(&request.body).into_iter().map(<[u8]>::to_vec).collect(),
            false => ingest::items_of(request).into_iter().map(String::into_bytes).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const BOTH: [Items; 2] = [AGENTS_SDK, OTLP];

    #[test]
    fn every_item_of_every_round_has_an_id_of_its_own_that_names_the_round() {
        let rounds = [1, 2, u32::MAX];
        for items in BOTH {
            let mut ids = HashSet::new();
            for round in rounds {
                for item in items.of_round(round) {
                    let id = items.id_of(&item);
                    assert_eq!(items.round_of(&id), Some(round), "{id}");
                    assert!(ids.insert(id), "{item:?}");
                }
            }
            assert_eq!(ids.len(), items.per_round() * rounds.len());
        }
    }

    #[test]
    fn nothing_but_the_numbers_of_ids_is_changed() {
        for items in BOTH {
            for old in items.sample.lines() {
                let new = items.renumber(old, 7);
                assert_eq!(old.len(), new.len());
                let mut rest = old.to_owned();
                for prefix in items.prefixes {
                    for (at, _) in new.match_indices(&format!("{prefix}00000007")) {
                        let digits = at + prefix.len()..at + prefix.len() + DIGITS;
                        rest.replace_range(digits, "00000007");
                    }
                }
                assert_eq!(rest, new);
            }
        }
    }

    #[test]
    fn a_body_of_otlp_is_taken_apart_into_what_it_was_made_of() {
        let items: Vec<Vec<u8>> = OTLP.of_round(1).collect();
        assert_eq!(otlp::records(&items.concat()), items);
        assert!(otlp::records(b"{}").is_empty());
    }
}

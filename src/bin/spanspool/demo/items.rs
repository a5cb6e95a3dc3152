//! Items: four traces as the OpenAI Agents SDK exported them, renumbered as often as they are needed.

/// One item a line, each trace complete.
const SAMPLE: &str = include_str!("items.ndjson");

/// Every id in an item begins with one of these; eight hexadecimal digits follow.
const PREFIXES: [&str; 2] = ["\"trace_", "\"span_"];
const DIGITS: usize = 8;

pub fn per_round() -> usize {
    SAMPLE.lines().count()
}

/// The sample with the number of the round in all its ids: no two rounds share an id, and parents stay parents.
pub fn of_round(round: u32) -> impl Iterator<Item = String> {
    SAMPLE.lines().map(move |item| renumber(item, round))
}

fn renumber(item: &str, round: u32) -> String {
    let number = format!("{round:08x}");
    let mut text = item.to_owned();
    for prefix in PREFIXES {
        for (at, _) in item.match_indices(prefix) {
            let digits = at + prefix.len()..at + prefix.len() + DIGITS;
            if item.get(digits.clone()).is_some_and(|d| d.bytes().all(|b| b.is_ascii_hexdigit())) {
                text.replace_range(digits, &number);
            }
        }
    }
    text
}

/// The item's own id.
pub fn id_of(item: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Identified {
        id: String,
    }
    serde_json::from_str::<Identified>(item).ok().map(|item| item.id)
}

/// The round that an id belongs to.
pub fn round_of(id: &str) -> Option<u32> {
    let (_, digits) = id.split_once('_')?;
    u32::from_str_radix(digits.get(..DIGITS)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_item_of_every_round_has_an_id_of_its_own_that_names_the_round() {
        let rounds = [1, 2, u32::MAX];
        let mut ids = HashSet::new();
        for round in rounds {
            for item in of_round(round) {
                let id = id_of(&item).unwrap_or_default();
                assert_eq!(round_of(&id), Some(round), "{item}");
                assert!(ids.insert(id), "{item}");
            }
        }
        assert_eq!(ids.len(), per_round() * rounds.len());
    }

    #[test]
    fn nothing_but_the_numbers_of_ids_is_changed() {
        for (old, new) in SAMPLE.lines().zip(of_round(7)) {
            assert_eq!(old.len(), new.len());
            let kept = |old: &str, new: &str| {
                old.split("_")
                    .zip(new.split("_"))
                    .all(|(a, b)| a == b || (b.starts_with("00000007") && a[8..] == b[8..]))
            };
            assert!(kept(old, &new), "{old}\n{new}");
        }
    }
}

//! Seq name: the names of files and folders that begin with an item; they sort as the items do.

/// The name of an entry whose first item is `seq`.
pub(crate) fn seq_name(seq: u64) -> String {
    format!("{seq:020}")
}

/// The seq that an entry was named after.
pub(crate) fn seq_of(name: &str) -> Option<u64> {
    (name.len() == 20).then(|| name.parse().ok()).flatten()
}

//! Items: what the worker (tests/c/kill_worker.c) enqueues: item `n` of a thread has one text and one kind.

use std::fs;
use std::path::{Path, PathBuf};

/// The threads of a worker at most.
pub const THREADS: usize = 8;
/// Threads from here on are of the lanes that were there before.
pub const PREPARED: usize = 60;
/// Bytes of a thread's counters in the file.
const COUNTER_BYTES: usize = 64;
const MAX_PAD: u64 = 900;
/// Longer than half a small ring: such an item goes around it.
const LONG_FILL: u64 = 40_000;

/// A thread and the number of its item.
pub type Name = (usize, u64);

/// What is to become of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Plain,
    Long,
    /// Goes with a key of its own.
    Team,
    /// Goes with a key of its own, which the ingest may refuse or put off for a while.
    Crew,
    /// The ingest answers 400.
    Bad,
    /// Nobody has the key for it.
    Stranger,
}

impl Kind {
    pub fn of((thread, n): Name) -> Self {
        match n {
            _ if n % 40 == 21 => Self::Long,
            _ if (n + 7 * thread as u64) % 24 == 5 => Self::Bad,
            _ if n % 24 == 14 => Self::Stranger,
            _ if n % 8 == 3 => Self::Team,
            _ if n % 8 == 6 => Self::Crew,
            _ => Self::Plain,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Long => "long",
            Self::Team => "team",
            Self::Crew => "crew",
            Self::Bad => "bad",
            Self::Stranger => "stranger",
        }
    }

    /// The name of the key that it goes with.
    pub fn key_name(self) -> &'static str {
        if matches!(self, Self::Team | Self::Crew | Self::Stranger) { self.text() } else { "" }
    }

    /// What it is sent with.
    pub fn authorization(self) -> String {
        let name = self.key_name();
        format!("Bearer key-{}", if name.is_empty() { "default" } else { name })
    }
}

/// The item's bytes.
pub fn text((thread, n): Name) -> String {
    let kind = Kind::of((thread, n));
    let bytes = if kind == Kind::Long { LONG_FILL } else { n * 7919 % MAX_PAD };
    let fill = (0..bytes).map(|i| char::from(b'a' + ((i * 7 + n * 31 + thread as u64 * 5) % 26) as u8));
    let fill: String = fill.collect();
    format!(r#"{{"thread":{thread},"n":{n},"kind":"{}","fill":"{fill}"}}"#, kind.text())
}

/// The name that an item's text tells; `None` when it is no whole item of ours.
pub fn name_of(json: &str) -> Option<Name> {
    #[derive(serde::Deserialize)]
    struct Item {
        thread: usize,
        n: u64,
    }
    let item: Item = serde_json::from_str(json).ok()?;
    let name = (item.thread, item.n);
    (text(name) == json).then_some(name)
}

/// How far one thread has come, in items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub handed: u64,
    pub acknowledged: u64,
}

/// The file in which the worker counts, over any number of lives.
pub struct Counters(PathBuf);

impl Counters {
    pub fn new(path: PathBuf) -> Self {
        fs::write(&path, vec![0; THREADS * COUNTER_BYTES]).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn read(&self) -> Vec<Progress> {
        let bytes = fs::read(&self.0).unwrap();
        let starts = (0..THREADS).map(|thread| thread * COUNTER_BYTES);
        starts.map(|at| Progress { handed: word(&bytes, at), acknowledged: word(&bytes, at + 8) }).collect()
    }

    /// How often a client was told to shut down.
    pub fn shutdowns(&self) -> u64 {
        word(&fs::read(&self.0).unwrap(), 16)
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

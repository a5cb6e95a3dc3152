//! Stopwatch: how long the syncs of a process took (tests/c/sync_log.c notes them).

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::Path;

const ENTRIES: u64 = 1 << 18;
const ENTRY_WORDS: usize = 4;

/// Makes an empty log.
pub fn make(path: &Path) {
    // A process that was killed may have left one; its notes are of no use for the next one.
    let _ = fs::remove_file(path);
    fs::File::create(path).unwrap().set_len(8 + ENTRIES * ENTRY_WORDS as u64 * 8).unwrap();
}

/// One call that brought something to stable storage.
#[derive(Debug, Clone, Copy)]
struct Sync {
    thread: u64,
    begin_ns: u64,
    /// 0 while it lasts.
    end_ns: u64,
    is_msync: bool,
}

/// The syncs of a process's committer threads: those that sync journals.
pub struct Stopwatch(Vec<Sync>);

impl Stopwatch {
    pub fn read(path: &Path) -> Self {
        let Ok(mut file) = fs::File::open(path) else { return Self(Vec::new()) };
        let mut count = [0; 8];
        file.read_exact(&mut count).unwrap();
        let count = u64::from_ne_bytes(count);
        assert!(count < ENTRIES, "the log of the syncs is full");
        let mut bytes = Vec::new();
        file.take(count * ENTRY_WORDS as u64 * 8).read_to_end(&mut bytes).unwrap();
        let words: Vec<u64> =
            bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_ne_bytes(*chunk)).collect();
        let entries = words.as_chunks::<ENTRY_WORDS>().0.iter();
        let all = entries.map(|w| Sync { thread: w[0], begin_ns: w[1], end_ns: w[2], is_msync: w[3] == 1 });
        let mut syncs: Vec<Sync> = all.filter(|sync| sync.begin_ns > 0).collect();
        let committers: HashSet<u64> =
            syncs.iter().filter(|sync| sync.is_msync).map(|sync| sync.thread).collect();
        syncs.retain(|sync| committers.contains(&sync.thread));
        Self(syncs)
    }

    /// Nanoseconds between `from_ns` and `to_ns` in which a committer was syncing.
    pub fn busy_ns(&self, from_ns: u64, to_ns: u64) -> u64 {
        let end_of = |sync: &Sync| if sync.end_ns == 0 { to_ns } else { sync.end_ns.min(to_ns) };
        let mut spans: Vec<(u64, u64)> = self
            .0
            .iter()
            .map(|sync| (sync.begin_ns.max(from_ns), end_of(sync)))
            .filter(|(b, e)| b < e)
            .collect();
        spans.sort_unstable();
        let (mut busy, mut reached) = (0, 0);
        for (begin, end) in spans {
            busy += end.saturating_sub(begin.max(reached));
            reached = reached.max(end);
        }
        busy
    }

    /// The longest sync so far, in nanoseconds.
    pub fn longest_ns(&self) -> u64 {
        self.0.iter().map(|sync| sync.end_ns.saturating_sub(sync.begin_ns)).max().unwrap_or(0)
    }
}

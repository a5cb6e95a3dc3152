//! Checkpoint: how far a lane has come, changed as one: where the journal begins, the cursor, the ledger.

/// Where a record of the journal stands: its place in the ring and among the lane's items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LogPosition {
    /// Position in the endless ring, in bytes.
    pub(crate) pos: u64,
    /// Links the record to the one before it.
    pub(crate) chain: u32,
    /// Items before it in the lane's whole life: the seq of the item there.
    pub(crate) seq: u64,
    /// Bytes of JSON before it in the lane's whole life.
    pub(crate) bytes: u64,
}

impl LogPosition {
    fn to_words(self) -> [u64; 4] {
        [self.pos, self.chain.into(), self.seq, self.bytes]
    }

    fn from_words(words: &[u64]) -> Self {
        let word = |i| words.get(i).copied().unwrap_or(0);
        Self { pos: word(0), chain: word(1) as u32, seq: word(2), bytes: word(3) }
    }
}

/// What became of items that left the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) delivered: u64,
    pub(crate) rejected: u64,
    pub(crate) dropped_overflow: u64,
    pub(crate) dropped_expired: u64,
    pub(crate) dropped_corrupt: u64,
}

impl Tally {
    fn to_words(self) -> [u64; 5] {
        [self.delivered, self.rejected, self.dropped_overflow, self.dropped_expired, self.dropped_corrupt]
    }

    fn from_words(words: &[u64]) -> Self {
        let word = |i| words.get(i).copied().unwrap_or(0);
        Self {
            delivered: word(0),
            rejected: word(1),
            dropped_overflow: word(2),
            dropped_expired: word(3),
            dropped_corrupt: word(4),
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.delivered + self.rejected + self.dropped_overflow + self.dropped_expired + self.dropped_corrupt
    }

    pub(crate) fn add(&mut self, other: &Tally) {
        self.delivered += other.delivered;
        self.rejected += other.rejected;
        self.dropped_overflow += other.dropped_overflow;
        self.dropped_expired += other.dropped_expired;
        self.dropped_corrupt += other.dropped_corrupt;
    }
}

/// The state that a restart begins with.
///
/// Items before `cursor` are settled, and `tally` says how: `tally.total() == cursor`, until another lane absorbs this
/// one and counts them. Items from `cursor` to `head.seq` are in segments, items from `head` on in the journal's ring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Counts the checkpoints.
    pub(crate) sequence: u64,
    /// The oldest record that the ring must keep.
    pub(crate) head: LogPosition,
    /// Every record before it is committed: the search for the tail begins there.
    pub(crate) tail: LogPosition,
    /// The oldest item that is not settled.
    pub(crate) cursor: u64,
    /// Bytes of JSON of the settled items.
    pub(crate) settled_bytes: u64,
    pub(crate) tally: Tally,
    /// What became of the items of lanes that this one absorbed.
    pub(crate) adopted: Tally,
}

/// Words that a checkpoint takes in the header, its check included.
pub(crate) const SLOT_WORDS: usize = 22;

/// Every number in a checkpoint stays below this for millennia, so that sums of them fit.
const MAX_WORD: u64 = 1 << 60;

impl Checkpoint {
    /// How many of the settled items another lane counts, which has absorbed this one.
    pub(crate) fn counted_elsewhere(&self) -> u64 {
        if self.tally == Tally::default() { self.cursor } else { 0 }
    }

    /// Settled items of which it is not known what became of them, or of which too many are counted.
    pub(crate) fn unaccounted(&self) -> u64 {
        (self.cursor - self.counted_elsewhere()).abs_diff(self.tally.total())
    }

    pub(crate) fn to_words(self) -> [u64; SLOT_WORDS] {
        let mut words = [0; SLOT_WORDS];
        words[..3].copy_from_slice(&[self.sequence, self.cursor, self.settled_bytes]);
        words[3..7].copy_from_slice(&self.head.to_words());
        words[7..11].copy_from_slice(&self.tail.to_words());
        words[11..16].copy_from_slice(&self.tally.to_words());
        words[16..21].copy_from_slice(&self.adopted.to_words());
        words[SLOT_WORDS - 1] = check(&words);
        words
    }

    /// `None` when the words are not a whole checkpoint.
    pub(crate) fn from_words(words: &[u64; SLOT_WORDS]) -> Option<Self> {
        if words[SLOT_WORDS - 1] != check(words)
            || words[..SLOT_WORDS - 1].iter().any(|word| *word > MAX_WORD)
        {
            return None;
        }
        let checkpoint = Self {
            sequence: words[0],
            cursor: words[1],
            settled_bytes: words[2],
            head: LogPosition::from_words(&words[3..7]),
            tail: LogPosition::from_words(&words[7..11]),
            tally: Tally::from_words(&words[11..16]),
            adopted: Tally::from_words(&words[16..21]),
        };
        let on_records =
            [checkpoint.head, checkpoint.tail].iter().all(|position| position.pos.is_multiple_of(8));
        on_records.then_some(checkpoint)
    }
}

fn check(words: &[u64; SLOT_WORDS]) -> u64 {
    let mut bytes = [0; 8 * (SLOT_WORDS - 1)];
    bytes.as_chunks_mut().0.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_ne_bytes());
    // A slot of zeros, which a new file has, must not pass as whole.
    u64::from(crc32fast::hash(&bytes)) | 1 << 63
}

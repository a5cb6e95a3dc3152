//! Nesting: which objects and arrays are open, a bit for each.

/// What the innermost of them is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inside {
    Object,
    Array,
}

/// The open objects and arrays, from the outermost to the innermost.
#[derive(Default)]
pub(crate) struct Nesting {
    /// The innermost 64 at most; the lowest bit is the innermost, set for an object.
    word: u64,
    depth: usize,
    /// The words around it.
    outer: Vec<u64>,
}

impl Nesting {
    #[inline(always)]
    pub(crate) fn push(&mut self, inside: Inside) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.word);
        }
        self.word = self.word << 1 | u64::from(inside == Inside::Object);
        self.depth += 1;
    }

    /// Closes the innermost; there must be one.
    #[inline(always)]
    pub(crate) fn pop(&mut self) {
        self.word >>= 1;
        self.depth -= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.word = self.outer.pop().unwrap_or_default();
        }
    }

    #[inline(always)]
    pub(crate) fn inside(&self) -> Option<Inside> {
        let inside = if self.word & 1 == 1 { Inside::Object } else { Inside::Array };
        (self.depth > 0).then_some(inside)
    }
}

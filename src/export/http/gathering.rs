//! Gathering: output that waits for more of it.

use super::{Buffers, LazyBuffers};

/// Buffers whose output begins with what is still to be sent.
pub(super) struct Gathering {
    buffers: LazyBuffers,
    held: usize,
}

impl Gathering {
    pub(super) fn new(buffers: LazyBuffers) -> Self {
        Self { buffers, held: 0 }
    }

    /// Keeps as much more, or says that there is no room for what comes next.
    pub(super) fn hold(&mut self, amount: usize) -> bool {
        self.held += amount;
        self.held < self.buffers.output().len() / 2
    }

    pub(super) fn holds_any(&self) -> bool {
        self.held > 0
    }

    /// What was held back.
    pub(super) fn take(&mut self) -> &[u8] {
        let held = std::mem::take(&mut self.held);
        &self.buffers.output()[..held]
    }
}

impl Buffers for Gathering {
    fn output(&mut self) -> &mut [u8] {
        &mut self.buffers.output()[self.held..]
    }

    fn input(&self) -> &[u8] {
        self.buffers.input()
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.buffers.input_append_buf()
    }

    fn input_appended(&mut self, amount: usize) {
        self.buffers.input_appended(amount);
    }

    fn input_consume(&mut self, amount: usize) {
        self.buffers.input_consume(amount);
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        let (tmp, output) = self.buffers.tmp_and_output();
        (tmp, &mut output[self.held..])
    }

    fn can_use_input(&self) -> bool {
        self.buffers.can_use_input()
    }
}

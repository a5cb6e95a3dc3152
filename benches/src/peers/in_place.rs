//! InPlace: pwrite and fdatasync of each item in a file whose length never changes. Survives a power cut.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::Result;

const BYTES: u64 = 16 << 20;

/// The file, and where the next item goes.
pub struct InPlace {
    file: File,
    at: u64,
}

impl InPlace {
    /// A file in `dir`, already written once.
    pub fn new(dir: &Path) -> Result<Self> {
        let file = File::create(dir.join("in-place"))?;
        let page = [1; 4096];
        for at in (0..BYTES).step_by(page.len()) {
            file.write_all_at(&page, at)?;
        }
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }

    /// Writes one item and waits until it is on the disk.
    pub fn enqueue(&mut self, json: &[u8]) -> Result<()> {
        self.file.write_all_at(json, self.at)?;
        self.file.sync_data()?;
        self.at = (self.at + json.len() as u64) % (BYTES - (1 << 16));
        Ok(())
    }
}

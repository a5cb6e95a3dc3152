//! Append: one write(2) for each item, to the end of a file. Survives the death of the process, not a power cut.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use crate::Result;

/// The file is written from its start again at this length, so that a long run needs no more disk space than ours.
const MOST_BYTES: u64 = 4 << 30;

/// A log of lines.
pub struct Append {
    path: PathBuf,
    file: File,
    len: u64,
}

impl Append {
    /// A log in `dir`.
    pub fn new(dir: &Path) -> Result<Self> {
        let path = dir.join("append.ndjson");
        let file = File::create(&path)?;
        Ok(Self { path, file, len: 0 })
    }

    /// Appends one item.
    pub fn enqueue(&mut self, json: &[u8]) -> Result<()> {
        self.file.write_all(json)?;
        self.len += json.len() as u64;
        if self.len > MOST_BYTES {
            self.file.rewind()?;
            self.len = 0;
        }
        Ok(())
    }
}

impl Drop for Append {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

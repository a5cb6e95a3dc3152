//! Ring: length, CRC and bytes of each item, copied under a mutex into a mapped file, over and over. The least that survives
//! the death of the process. Nothing reads it, and nothing keeps it from overwriting what is still needed.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use vmap::MapMut;

use crate::Result;

/// As long as our journal.
const BYTES: usize = 16 << 20;

/// The map, and where the next record begins.
pub struct Ring(Mutex<(MapMut, usize)>);

impl Ring {
    /// A ring in `dir`, with every page already written once.
    pub fn new(dir: &Path) -> Result<Self> {
        let (mut map, _) =
            MapMut::with_options().write().create_new(true).resize(BYTES).open(dir.join("ring"))?;
        map.fill(1);
        Ok(Self(Mutex::new((map, 0))))
    }

    /// Writes one item.
    pub fn enqueue(&self, json: &[u8]) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (map, at) = &mut *ring;
        let end = *at + 8 + json.len();
        if end > map.len() {
            *at = 0;
        }
        let record = &mut map[*at..*at + 8 + json.len()];
        record[8..].copy_from_slice(json);
        record[..4].copy_from_slice(&(json.len() as u32).to_le_bytes());
        record[4..8].copy_from_slice(&crc32fast::hash(json).to_le_bytes());
        *at = (*at + 8 + json.len()).next_multiple_of(8);
    }
}

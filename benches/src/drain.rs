//! Drain: a spool that is filled, opened again and delivered.

use std::ops::AddAssign;
use std::path::Path;
use std::time::Instant;

use spanspool::BatchTraceProcessor;

use crate::Result;
use crate::machine::cpu_s;
use crate::ours::{self, PATIENCE};

/// How long something took, and how much CPU time of this process.
#[derive(Clone, Copy, Default)]
pub struct Spent {
    pub wall_s: f64,
    pub cpu_s: f64,
}

impl Spent {
    pub fn by<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Self)> {
        let (begin, cpu_before) = (Instant::now(), cpu_s());
        let made = work()?;
        Ok((made, Self { wall_s: begin.elapsed().as_secs_f64(), cpu_s: cpu_s() - cpu_before }))
    }
}

impl AddAssign for Spent {
    fn add_assign(&mut self, more: Self) {
        self.wall_s += more.wall_s;
        self.cpu_s += more.cpu_s;
    }
}

/// What `rounds` rounds of ours and of the peer cost together, in turns. On two cores a round is a fast or a slow one, by
/// where the system puts the ingest's thread: no single one says what a drain costs, and the middle one may be either.
pub fn in_turns(
    rounds: usize,
    mut ours: impl FnMut(usize) -> Result<Spent>,
    mut theirs: impl FnMut() -> Result<()>,
) -> Result<(Spent, Spent)> {
    let mut together = (Spent::default(), Spent::default());
    for n in 0..rounds {
        together.0 += ours(n)?;
        together.1 += Spent::by(&mut theirs)?.1;
    }
    Ok(together)
}

/// From opening a spool with `items` for `url` until all of them are delivered.
pub fn once(spool: &Path, url: &str, items: &[Vec<u8>], settings: &[(&str, &str)]) -> Result<Spent> {
    fill(spool, url, items, settings)?;
    let (client, spent) = Spent::by(|| {
        let client = ours::online(spool, url, settings)?;
        client.flush(PATIENCE)?;
        Ok(client)
    })?;
    delivered(client, spool, items)?;
    Ok(spent)
}

/// Leaves `items` for `url` in the spool.
pub fn fill(spool: &Path, url: &str, items: &[Vec<u8>], settings: &[(&str, &str)]) -> Result<()> {
    let client = ours::waiting(spool, url, settings)?;
    ours::fill(&client, items, items.len())?;
    client.sync()?;
    Ok(())
}

/// Sees to it that all items were delivered, and removes the spool.
pub fn delivered(client: BatchTraceProcessor, spool: &Path, items: &[Vec<u8>]) -> Result<()> {
    client.flush(PATIENCE)?;
    let delivered = client.stats()?.delivered;
    drop(client);
    std::fs::remove_dir_all(spool)?;
    if delivered == items.len() as u64 {
        Ok(())
    } else {
        Err(format!("only {delivered} of {} items were delivered", items.len()).into())
    }
}

//! Spool: what is known of the spool that is shown, shared by those who read it and those who answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use spanspool::{Destination, SpoolView};

use super::index::Index;
use super::items::Items;
use super::loader::{Loader, Progress};
use super::rejected::RejectedRows;
use super::watch::{self, Watch};
use crate::cli::lock::lock;

/// The most memory for the list of traces. What else is needed is a fraction of it.
const MOST_INDEX_BYTES: usize = 112 << 20;

/// Locks are taken one at a time, but for the index, under which `rejected` is not taken.
pub struct Spool {
    dir: PathBuf,
    watch: Mutex<Watch>,
    index: Mutex<Index>,
    progress: Mutex<Progress>,
    rejected: Mutex<BTreeMap<String, RejectedRows>>,
    items: Mutex<Items>,
}

impl Spool {
    /// Looks at the spool in `dir`, which is there. No trace is loaded yet.
    pub fn open(dir: &Path) -> spanspool::Result<Arc<Self>> {
        let mut watch = Watch::default();
        watch.note(Ok(watch::look(dir)?));
        Ok(Arc::new(Self {
            dir: dir.to_owned(),
            watch: Mutex::new(watch),
            index: Mutex::new(Index::new(MOST_INDEX_BYTES)),
            progress: Mutex::default(),
            rejected: Mutex::default(),
            items: Mutex::default(),
        }))
    }

    /// Loads everything that is there now.
    pub fn load(self: &Arc<Self>) {
        let mut loader = Loader::new(self.clone());
        while loader.round() {}
    }

    /// Loads everything and follows what changes, in threads of its own, for as long as the program runs.
    pub fn follow(self: &Arc<Self>) -> std::io::Result<()> {
        let interval = Duration::from_millis(watch::INTERVAL_MS);
        let (watching, loading) = (self.clone(), self.clone());
        thread::Builder::new().name("watch".into()).spawn(move || {
            loop {
                thread::sleep(interval);
                let seen = watch::look(&watching.dir);
                watching.watch().note(seen);
            }
        })?;
        thread::Builder::new().name("load".into()).spawn(move || {
            let mut loader = Loader::new(loading);
            loop {
                if !loader.round() {
                    thread::sleep(interval);
                }
            }
        })?;
        Ok(())
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The spool, opened again: what was there at first may have been replaced.
    pub fn view(&self) -> spanspool::Result<SpoolView> {
        SpoolView::open(&self.dir)
    }

    pub fn watch(&self) -> MutexGuard<'_, Watch> {
        lock(&self.watch)
    }

    pub fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.index)
    }

    pub fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.progress)
    }

    /// Where the items of `lane` go; that of anybody when it is not known.
    pub fn destination(&self, lane: &str) -> Destination {
        let watch = self.watch();
        let known = watch.lanes().iter().find(|it| it.id == lane);
        known.map(|lane| lane.destination.clone()).unwrap_or_default()
    }

    /// Whether there is a lane called `id`.
    pub fn has_lane(&self, id: &str) -> bool {
        let watch = self.watch();
        watch.lanes().iter().any(|it| it.id == id) || watch.unreadable().iter().any(|it| it.id == id)
    }

    /// By lane.
    pub fn rejected(&self) -> MutexGuard<'_, BTreeMap<String, RejectedRows>> {
        lock(&self.rejected)
    }

    pub fn items(&self) -> MutexGuard<'_, Items> {
        lock(&self.items)
    }
}

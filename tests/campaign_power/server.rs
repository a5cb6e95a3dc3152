//! Server: the process that plays disks. It is this test program, run again: a disk goes on whatever becomes of the
//! test, and no thread that serves one waits for what the test has locked. It ends with its input, and so with the test,
//! and then all that is on its disks gives errors.

use std::env;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::fuse::{self, Folder};
use super::mounts;
use super::program::{self, Progress};
use super::volatile::{Record, Volatile};
use super::witness;
use testkit::client::Noise;
use testkit::host::Host;

/// The first line that the process says.
const READY: &str = "ready";

/// An order, a line of JSON; the answer is another one.
#[derive(Serialize, Deserialize)]
enum Order {
    /// A new disk, under a name that was never in use.
    Disk { name: String, bytes: u64 },
    /// The record of the newest disk begins.
    Begin(Sources),
    /// The record ends; `honest`: flushes count. The answer is what came, a list of `Event`.
    End { honest: bool },
    /// A disk that is what a cut may have left of the newest one, see `Record::image`.
    Image { name: String, cut: usize, lost: u64, sector_bytes: usize, seed: u64 },
    /// The disk is not opened any more.
    Remove { name: String },
}

/// Where it stands what a sample is made of.
#[derive(Serialize, Deserialize)]
pub struct Sources {
    /// See `Crew::counters`.
    pub counters: PathBuf,
    /// See `Witness::counting`.
    pub requests: PathBuf,
}

/// What is owed at an instant, and what the ingest had.
#[derive(Clone, Serialize, Deserialize)]
pub struct Sample {
    pub requests: usize,
    pub progress: Progress,
}

impl Sample {
    fn of(sources: &Sources) -> Self {
        let requests = witness::count_in(&sources.requests);
        Self { requests, progress: program::read(&sources.counters) }
    }
}

/// A write or a flush that reached a disk, and what stood in the world outside when it came.
#[derive(Serialize, Deserialize)]
pub struct Event {
    pub is_flush: bool,
    pub sample: Sample,
}

/// The running process, ended when dropped.
pub struct Server {
    process: Mutex<Host>,
    folder: PathBuf,
}

impl Server {
    /// Starts it with a folder of disks at `folder`, which is made.
    pub fn start(folder: PathBuf) -> Self {
        let device = fuse::mount(&folder);
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "server::serve", "--nocapture", "--test-threads=1"]);
        fuse::hand_down(&device, &mut command);
        // At its end it must not be the one that unmounts what is on its disks: that takes writes to them.
        mounts::keep_apart(&mut command);
        let process = Host::run(&mut command);
        drop(device);
        // The test harness has its say first.
        while process.line() != READY {}
        Self { process: Mutex::new(process), folder }
    }

    /// Gives it a new disk, and tells where.
    pub fn add_disk(&self, name: &str, bytes: u64) -> PathBuf {
        self.give(&Order::Disk { name: name.to_owned(), bytes });
        self.folder.join(name)
    }

    /// Begins the record of the newest disk.
    pub fn begin_record(&self, sources: Sources) {
        self.give(&Order::Begin(sources));
    }

    /// Ends the record and tells what came.
    pub fn end_record(&self, honest: bool) -> Vec<Event> {
        self.ask(&Order::End { honest })
    }

    /// Gives it a disk that is what a cut may have left of the newest one, see `Record::image`, and tells where.
    pub fn add_image(
        &self,
        name: &str,
        cut: usize,
        lost: u64,
        sector_bytes: usize,
        noise: &mut Noise,
    ) -> PathBuf {
        let seed = noise.below(u64::MAX);
        self.give(&Order::Image { name: name.to_owned(), cut, lost, sector_bytes, seed });
        self.folder.join(name)
    }

    /// The disk is not opened any more.
    pub fn remove(&self, name: &str) {
        self.give(&Order::Remove { name: name.to_owned() });
    }

    fn give(&self, order: &Order) {
        self.ask::<()>(order);
    }

    fn ask<T: DeserializeOwned>(&self, order: &Order) -> T {
        let line = self.process.lock().unwrap().ask(&serde_json::to_string(order).unwrap());
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        fuse::unmount(&self.folder);
    }
}

/// The process's side.
#[test]
fn serve() {
    let Some(device) = fuse::inherited() else { return };
    let mut disks = Disks { folder: Folder::serve(device), newest: None, record: None };
    // The test harness has begun a line of its own.
    println!("\n{READY}");
    for line in io::stdin().lines().map_while(Result::ok) {
        println!("{}", disks.obey(serde_json::from_str(&line).unwrap()));
    }
}

struct Disks {
    folder: Folder,
    newest: Option<Arc<Volatile<Sample>>>,
    /// Of the newest disk, when it has ended.
    record: Option<Record<Sample>>,
}

impl Disks {
    /// Does what `order` says; the answer.
    fn obey(&mut self, order: Order) -> String {
        let newest = || self.newest.as_ref().unwrap();
        match order {
            Order::Disk { name, bytes } => {
                let disk = Arc::new(Volatile::new(bytes));
                self.folder.add(&name, disk.clone());
                self.newest = Some(disk);
            }
            Order::Begin(sources) => newest().begin_record(move || Sample::of(&sources)),
            Order::End { honest } => {
                let record = self.record.insert(newest().end_record(honest));
                let events = record.events();
                let events = events.map(|(is_flush, sample)| Event { is_flush, sample: sample.clone() });
                return serde_json::to_string(&Vec::from_iter(events)).unwrap();
            }
            Order::Image { name, cut, lost, sector_bytes, seed } => {
                let record = self.record.as_mut().unwrap();
                self.folder.add(&name, record.image(cut, lost, sector_bytes, &mut Noise::new(seed)));
            }
            Order::Remove { name } => self.folder.remove(&name),
        }
        "null".to_owned()
    }
}

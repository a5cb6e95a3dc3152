//! Program: the processes that enqueue (tests/c/power.c): what they handed over, what was acknowledged, and when.

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::stopwatch::{self, Stopwatch};
use testkit::wait::eventually;
use testkit::{caller, compile_c, root, run, succeed, tool};

/// Threads that enqueue in one process.
const THREADS: usize = 4;
/// Processes on one spool.
pub const PROCESSES: usize = 2;
/// The thread of items that are handed over after a cut.
pub const FRESH: usize = 1000;
/// Bytes of a thread's counters in the file.
const COUNTER_BYTES: usize = 64;
/// How often the counters are read.
const SAMPLE_EVERY: Duration = Duration::from_millis(1);
/// Samples of the counters that are kept: some seconds.
const SAMPLES: usize = 5000;

/// An item by its thread and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub struct Name {
    pub thread: usize,
    pub n: u64,
}

impl Name {
    /// The name that stands in an item's text; `None` when the text is not, to the last byte, what the program made.
    pub fn of(text: &str) -> Option<Self> {
        let name: Self = serde_json::from_str(text).ok()?;
        (name.text() == text).then_some(name)
    }

    /// As `write_item` in tests/c/power.c.
    pub fn text(self) -> String {
        let fill_bytes = if self.n % 512 == 100 { 100_000 } else { self.n * 7919 % 600 };
        let fill: String = (0..fill_bytes)
            .map(|i| char::from(b'a' + ((self.n + self.thread as u64 + i) % 26) as u8))
            .collect();
        format!(r#"{{"thread":{},"n":{},"fill":"{fill}"}}"#, self.thread, self.n)
    }

    /// Whether it is stored under the name of a key.
    pub fn is_named(self) -> bool {
        self.thread == 0 && self.n % 64 == 5
    }

    /// Whether the ingest refuses it.
    pub fn is_offensive(self) -> bool {
        self.thread < FRESH && (self.n + 11 * self.thread as u64) % 97 == 13
    }
}

pub fn unix_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// How far each thread has come at some instant.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Progress {
    pub handed: Vec<u64>,
    /// After which item the newest OK stands.
    pub acknowledged: Vec<u64>,
    /// What `acknowledged` was before the newest `spanspool_sync` that succeeded.
    pub synced: Vec<u64>,
}

/// The compiled programs.
pub struct Programs {
    program: PathBuf,
    no_sync: PathBuf,
    sync_log: PathBuf,
}

impl Programs {
    pub fn compile(out: &Path) -> Self {
        let shared = |source: &str| {
            let source = root().join(source);
            let made = out.join(source.file_stem().unwrap()).with_extension("so");
            let mut command = std::process::Command::new(tool("CC", "cc"));
            command
                .args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"])
                .arg(&source)
                .arg("-o")
                .arg(&made);
            succeed(&mut command);
            made
        };
        Self {
            program: compile_c("tests/c/power.c", out),
            no_sync: shared("tests/c/no_sync.c"),
            sync_log: shared("tests/c/sync_log.c"),
        }
    }
}

/// What is preloaded into the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preload {
    /// Notes of every sync.
    SyncLog,
    /// No protection from power cuts.
    NoSync,
}

/// When an item must have reached stable storage by itself (`durability=process`).
#[derive(Debug, Clone, Copy)]
pub struct AgeLimit {
    /// `sync_interval_ms`.
    pub interval_ns: u64,
    /// What the machine may take to wake a thread that is due, apart from what is measured.
    pub wake_up_ns: u64,
}

/// When (Unix time in nanoseconds) the threads were seen to be acknowledged how far.
type Sample = (u64, Vec<u64>);

/// The processes on one spool, and the record of what they did.
pub struct Crew {
    programs: Programs,
    preload: Preload,
    settings: Vec<String>,
    dir: PathBuf,
    running: Vec<Option<Child>>,
    history: Arc<Mutex<VecDeque<Sample>>>,
    stop: Arc<AtomicBool>,
    sampler: Option<JoinHandle<()>>,
    /// Items in the middle of whose enqueue a process was killed: received or not, nobody was told.
    uncertain: HashSet<Name>,
    /// With `durability=process`: items that a process had not synced for certain when it was killed.
    unsynced: HashSet<Name>,
    limit: Option<AgeLimit>,
    /// How often the processes call `spanspool_sync`; 0: never.
    pub sync_ms: u64,
}

impl Crew {
    /// `dir` is for the programs and their counters.
    pub fn new(dir: &Path, preload: Preload, settings: Vec<String>, limit: Option<AgeLimit>) -> Self {
        let counters = dir.join("counters");
        fs::write(&counters, vec![0; PROCESSES * THREADS * COUNTER_BYTES]).unwrap();
        let history = Arc::new(Mutex::new(VecDeque::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let sampler = thread::spawn({
            let (history, stop) = (history.clone(), stop.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    let sample = (read(&counters).acknowledged, unix_ns());
                    let mut history = history.lock().unwrap();
                    history.push_back((sample.1, sample.0));
                    if history.len() > SAMPLES {
                        history.pop_front();
                    }
                    drop(history);
                    thread::sleep(SAMPLE_EVERY);
                }
            }
        });
        Self {
            programs: Programs::compile(dir),
            preload,
            settings,
            dir: dir.to_path_buf(),
            running: (0..PROCESSES).map(|_| None).collect(),
            history,
            stop,
            sampler: Some(sampler),
            uncertain: HashSet::new(),
            unsynced: HashSet::new(),
            limit,
            sync_ms: 0,
        }
    }

    /// Starts process `which`, and waits until it has an OK.
    pub fn start(&mut self, which: usize) {
        let library = match self.preload {
            Preload::SyncLog => &self.programs.sync_log,
            Preload::NoSync => &self.programs.no_sync,
        };
        let first = which * THREADS;
        let before = self.progress().handed;
        let mut command = caller(&self.programs.program);
        command.arg(self.counters()).args([first.to_string(), THREADS.to_string()]).arg("1500");
        command.arg(self.sync_ms.to_string());
        command.args(&self.settings).env("LD_PRELOAD", library).env("SYNC_LOG", self.sync_log(which));
        stopwatch::make(&self.sync_log(which));
        self.running[which] = Some(command.spawn().unwrap());
        let process = &mut self.running[which];
        let dir = &self.dir;
        eventually("an item is received", || {
            let ended = process.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "it ended by itself: {ended:?}");
            read(&dir.join("counters")).acknowledged[first] > before[first]
        });
    }

    /// Whether the threads are to hand nothing over from now on. What the library does by itself goes on.
    pub fn rest(&self, resting: bool) {
        let counters = fs::OpenOptions::new().write(true).open(self.counters()).unwrap();
        for thread in 0..PROCESSES * THREADS {
            let at = (thread * COUNTER_BYTES + 16) as u64;
            counters.write_all_at(&u64::from(resting).to_ne_bytes(), at).unwrap();
        }
    }

    pub fn is_running(&self, which: usize) -> bool {
        self.running[which].is_some()
    }

    /// Kills process `which`; it must have been alive.
    pub fn kill(&mut self, which: usize) {
        let Some(mut child) = self.running[which].take() else { return };
        let status = run::kill(&mut child);
        assert_eq!(status.signal(), Some(9), "it ended by itself: {status}");
        let progress = self.progress();
        let synced = self.limit.map(|limit| self.old_ends(which, limit, unix_ns()));
        let synced = synced.or_else(|| (self.sync_ms > 0).then(|| progress.synced.clone()));
        for thread in which * THREADS..(which + 1) * THREADS {
            let acknowledged = progress.acknowledged[thread];
            let open = acknowledged..progress.handed[thread];
            self.uncertain.extend(open.map(|n| Name { thread, n }));
            // The dead sync nothing, and who takes over does so in its own time.
            let unsynced = synced.as_ref().map_or(acknowledged, |ends| ends[thread])..acknowledged;
            self.unsynced.extend(unsynced.map(|n| Name { thread, n }));
        }
    }

    /// The file with the notes of the syncs of process `which`.
    pub fn sync_log(&self, which: usize) -> PathBuf {
        self.dir.join(format!("sync_log.{which}"))
    }

    pub fn progress(&self) -> Progress {
        read(&self.counters())
    }

    /// The file in which the processes keep their numbers.
    pub fn counters(&self) -> PathBuf {
        self.dir.join("counters")
    }

    /// Whether a process was killed in the middle of enqueueing this item.
    pub fn is_uncertain(&self, name: &Name) -> bool {
        self.uncertain.contains(name)
    }

    /// Whether a process was killed before it had synced this item for certain.
    pub fn is_unsynced(&self, name: &Name) -> bool {
        self.unsynced.contains(name)
    }

    /// The items that had their OK when `progress` was read, just before a cut at `cut_ns`: those that must survive it,
    /// and those that are too young for that.
    pub fn acknowledged(&self, progress: &Progress, cut_ns: u64) -> (Vec<Name>, Vec<Name>) {
        let (mut owed, mut recent) = (Vec::new(), Vec::new());
        for which in 0..PROCESSES {
            let limit = self.limit.filter(|_| self.is_running(which));
            let old = limit.map(|limit| self.old_ends(which, limit, cut_ns));
            for thread in which * THREADS..(which + 1) * THREADS {
                let end = progress.acknowledged[thread];
                let old_end = old.as_ref().map_or(end, |ends| ends[thread]).min(end);
                let names =
                    (0..end).map(|n| Name { thread, n }).filter(|name| !self.uncertain.contains(name));
                let (old, new): (Vec<_>, Vec<_>) =
                    names.partition(|name| name.n < old_end && !self.unsynced.contains(name));
                owed.extend(old);
                recent.extend(new);
            }
        }
        (owed, recent)
    }

    /// How far the threads were acknowledged so long ago that process `which` must have synced it since.
    fn old_ends(&self, which: usize, limit: AgeLimit, cut_ns: u64) -> Vec<u64> {
        let stopwatch = Stopwatch::read(&self.sync_log(which));
        let history = self.history.lock().unwrap();
        let mut later_ns = cut_ns;
        let mut lost_ns = 0;
        for (at_ns, ends) in history.iter().rev().filter(|(at_ns, _)| *at_ns < cut_ns) {
            // A machine that kept the sampler waiting may have kept the committer waiting, which gives way to others.
            lost_ns += (later_ns - at_ns).saturating_sub(2 * SAMPLE_EVERY.as_nanos() as u64);
            later_ns = *at_ns;
            let may_take_ns = limit.interval_ns + stopwatch.busy_ns(*at_ns, cut_ns) + 2 * lost_ns;
            if cut_ns - at_ns > may_take_ns + limit.wake_up_ns {
                return ends.clone();
            }
        }
        vec![0; PROCESSES * THREADS]
    }

    /// The longest sync of the running processes, in nanoseconds.
    pub fn longest_sync_ns(&self) -> u64 {
        let longest = |which| Stopwatch::read(&self.sync_log(which)).longest_ns();
        (0..PROCESSES).map(longest).max().unwrap_or(0)
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for child in self.running.iter_mut().flatten() {
            // It may be dead already.
            let _ = child.kill();
            let _ = child.wait();
        }
        self.stop.store(true, Ordering::Relaxed);
        if let Some(sampler) = self.sampler.take() {
            let _ = sampler.join();
        }
    }
}

/// What stands in the processes' file.
pub fn read(counters: &Path) -> Progress {
    let bytes = fs::read(counters).unwrap();
    let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
    let starts = (0..PROCESSES * THREADS).map(|thread| thread * COUNTER_BYTES);
    Progress {
        handed: starts.clone().map(word).collect(),
        acknowledged: starts.clone().map(|at| word(at + 8)).collect(),
        synced: starts.map(|at| word(at + 24)).collect(),
    }
}

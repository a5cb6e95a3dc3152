//! Footprint: what a process takes of the machine, read from /proc, and whether that stays the same.

use std::fs;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What a process and its spool take at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footprint {
    pub rss_kib: u64,
    pub fds: u64,
    pub threads: u64,
    /// Of the spool; 0 where nobody looked.
    pub disk_kib: u64,
}

impl Footprint {
    /// Of the process `pid`, without its spool; nothing when it has ended.
    pub fn of(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
        Some(Self { rss_kib: number("VmRSS:")?, fds, threads: number("Threads:")?, disk_kib: 0 })
    }

    /// The larger of each part.
    fn max(self, other: Self) -> Self {
        Self {
            rss_kib: self.rss_kib.max(other.rss_kib),
            fds: self.fds.max(other.fds),
            threads: self.threads.max(other.threads),
            disk_kib: self.disk_kib.max(other.disk_kib),
        }
    }
}

/// The most that a process takes while it is watched.
pub struct Peak {
    first: Footprint,
    most: Arc<Mutex<Footprint>>,
    end: Arc<AtomicBool>,
}

impl Peak {
    const INTERVAL: Duration = Duration::from_millis(10);

    /// Watches the process `pid` until dropped, or until it ends.
    pub fn watch(pid: u32) -> Self {
        let first = Footprint::of(pid).unwrap();
        let (most, end) = (Arc::new(Mutex::new(first)), Arc::new(AtomicBool::new(false)));
        let peak = Self { first, most: most.clone(), end: end.clone() };
        thread::spawn(move || {
            while let Some(now) = Footprint::of(pid).filter(|_| !end.load(Relaxed)) {
                let mut most = most.lock().unwrap();
                *most = most.max(now);
                drop(most);
                thread::sleep(Self::INTERVAL);
            }
        });
        peak
    }

    /// When the watching began.
    pub fn first(&self) -> Footprint {
        self.first
    }

    pub fn so_far(&self) -> Footprint {
        *self.most.lock().unwrap()
    }
}

impl Drop for Peak {
    fn drop(&mut self) {
        self.end.store(true, Relaxed);
    }
}

/// A part of a footprint that must not grow.
struct Part {
    name: &'static str,
    of: fn(&Footprint) -> u64,
    /// Growth from the second fifth of a run to its last that is put down to chance. Over half an hour these are 18
    /// minutes: a leak of 1 descriptor or 1 MiB a minute is beyond it.
    tolerance: u64,
}

const PARTS: [Part; 4] = [
    Part { name: "rss_kib", of: |f| f.rss_kib, tolerance: 12 << 10 },
    Part { name: "fds", of: |f| f.fds, tolerance: 4 },
    Part { name: "threads", of: |f| f.threads, tolerance: 2 },
    Part { name: "disk_kib", of: |f| f.disk_kib, tolerance: 12 << 10 },
];

/// A run: one reading after the other, with nothing where a backlog stood, which takes memory and disk by its nature.
pub type Run = [Option<Footprint>];

/// Every part as "name: median of the second fifth -> median of the last".
pub fn course(run: &Run) -> String {
    let shown = |part: &Part| {
        let (early, late) = medians(run, part);
        format!("{} {early} -> {late}", part.name)
    };
    PARTS.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// The names of the parts that grew in the course of `run`.
pub fn growing(run: &Run) -> Vec<&'static str> {
    let grows = |part: &&Part| {
        let (early, late) = medians(run, part);
        late > early + part.tolerance
    };
    PARTS.iter().filter(grows).map(|part| part.name).collect()
}

/// The medians of the second and of the last fifth. The first is left out: a process grows until it is warm.
fn medians(run: &Run, part: &Part) -> (u64, u64) {
    let fifth = run.len() / 5;
    let median = |readings: &Run| {
        let mut numbers: Vec<u64> = readings.iter().flatten().map(part.of).collect();
        assert!(
            numbers.len() >= 3,
            "the machine is too slow: of {fifth} readings {} without backlog",
            numbers.len()
        );
        numbers.sort_unstable();
        numbers[numbers.len() / 2]
    };
    (median(&run[fifth..2 * fifth]), median(&run[run.len() - fifth..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half an hour that leaks so much a minute.
    fn half_an_hour(leak: impl Fn(&mut Footprint, u64)) -> Vec<Option<Footprint>> {
        let reading = |second: u64| {
            // It swings, as with backlogs that come and go.
            let swing = second % 40;
            let mut now = Footprint {
                rss_kib: 60_000 + 200 * swing,
                fds: 20 + swing / 10,
                threads: 14,
                disk_kib: 17_000 + 300 * swing,
            };
            leak(&mut now, second / 60);
            // A backlog for half of the time.
            (second / 20).is_multiple_of(2).then_some(now)
        };
        (0..1800).map(reading).collect()
    }

    #[test]
    fn half_an_hour_shows_a_leak_of_one_a_minute() {
        assert_eq!(growing(&half_an_hour(|_, _| ())), [""; 0]);
        assert_eq!(growing(&half_an_hour(|now, minute| now.fds += minute)), ["fds"]);
        assert_eq!(growing(&half_an_hour(|now, minute| now.rss_kib += minute << 10)), ["rss_kib"]);
        assert_eq!(growing(&half_an_hour(|now, minute| now.disk_kib += minute << 10)), ["disk_kib"]);
        assert_eq!(growing(&half_an_hour(|now, minute| now.threads += minute)), ["threads"]);
    }
}

//! Machine: what the kernel says about this machine, this process and its disk. 0 or "unknown" where it says nothing.

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::Result;

/// What figures depend on besides the code.
pub struct Machine {
    /// CPUs that this process may use.
    pub cpus: usize,
    /// The CPU's model.
    pub cpu: String,
    /// Memory in GiB.
    pub memory_gib: u64,
    /// The kernel's release.
    pub kernel: String,
    /// The type of the file system that is measured.
    pub file_system: String,
    /// The load average of the last minute before the run. Anything near `cpus` makes the figures worthless.
    pub load: f64,
}

impl Machine {
    /// This machine, and the file system of `dir`.
    pub fn here(dir: &Path) -> Self {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown CPU".into()),
            memory_gib: number(field("/proc/meminfo", "MemTotal")) >> 20,
            kernel: kernel.trim().to_owned(),
            file_system: file_system_of(dir),
            load: load.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpus, cpu, memory_gib, kernel, file_system, load } = self;
        write!(f, "{cpus} × {cpu}, {memory_gib} GiB, Linux {kernel}, {file_system}, load {load}")
    }
}

/// Writes all dirty pages of the file system of `dir` to its disk, whichever process they come from.
pub fn sync(dir: &Path) -> Result<()> {
    Ok(rustix::fs::syncfs(File::open(dir)?)?)
}

/// The most memory this process has held, in bytes.
pub fn peak_rss_bytes() -> u64 {
    number(field("/proc/self/status", "VmHWM")) << 10
}

/// CPU time of this process so far, in seconds. The kernel counts in hundredths.
pub fn cpu_s() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |n: usize| number(after_name.split_whitespace().nth(n).map(str::to_owned));
    (ticks(11) + ticks(12)) as f64 / 100.0
}

/// CPU time that the threads of this name have taken so far, in seconds.
pub fn thread_cpu_s(name: &str) -> f64 {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let is_named = |task: &fs::DirEntry| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name)
    };
    // In nanoseconds: `stat` has hundredths of a second.
    let on_cpu = |task: fs::DirEntry| number(fs::read_to_string(task.path().join("schedstat")).ok());
    tasks.filter(is_named).map(on_cpu).sum::<u64>() as f64 / 1e9
}

/// Bytes written to the disk of `dir` since boot, by any process.
pub fn device_bytes_written(dir: &Path) -> u64 {
    let Ok(meta) = fs::metadata(dir) else { return 0 };
    let dev = meta.dev();
    let (major, minor) = ((dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00));
    let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).unwrap_or_default();
    number(stat.split_whitespace().nth(6).map(str::to_owned)) * 512
}

/// Disk space of the files below `dir`, in bytes.
pub fn disk_bytes(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        // It has just been removed.
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}

/// Names of this process's threads, and how often each has gone to sleep.
pub fn threads() -> Vec<(String, u64)> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let thread = |task: fs::DirEntry| {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let status = task.path().join("status");
        let slept = number(field(&status.to_string_lossy(), "voluntary_ctxt_switches"));
        (name.trim().to_owned(), slept)
    };
    tasks.map(thread).collect()
}

fn file_system_of(dir: &Path) -> String {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mount = |line: &str| {
        let mut words = line.split(' ').skip(1).map(str::to_owned);
        Some((words.next()?, words.next()?))
    };
    let holding = mounts.lines().filter_map(mount).filter(|(at, _)| dir.starts_with(at));
    holding.max_by_key(|(at, _)| at.len()).map_or_else(|| "unknown file system".into(), |(_, kind)| kind)
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// The number that a text begins with.
fn number(text: Option<String>) -> u64 {
    let text = text.unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

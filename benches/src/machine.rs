//! Machine: what the kernel says of this machine, this process and its disk. 0 or "unknown" where it says nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A line about the processor, the memory, the kernel and the file system of `dir`.
pub fn describe(dir: &Path) -> String {
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into());
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let memory_kib: u64 = number(field("/proc/meminfo", "MemTotal"));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let (device, kind) = mount_of(dir);
    format!("{cpus} × {model}, {} GiB, Linux {}, {kind} on {device}", memory_kib >> 20, kernel.trim())
}

/// The most memory this process has held, in bytes.
pub fn peak_rss_bytes() -> u64 {
    number(field("/proc/self/status", "VmHWM")) << 10
}

/// Processor time of this process so far, in seconds; the kernel counts in hundredths.
pub fn cpu_s() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |n: usize| number(behind_name.split_whitespace().nth(n).map(str::to_owned));
    (ticks(11) + ticks(12)) as f64 / 100.0
}

/// Bytes that were written to the disk below `dir`, by anybody, since the machine was started.
pub fn device_bytes_written(dir: &Path) -> u64 {
    let Ok(meta) = fs::metadata(dir) else { return 0 };
    let dev = meta.dev();
    let (major, minor) = ((dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00));
    let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).unwrap_or_default();
    number(stat.split_whitespace().nth(6).map(str::to_owned)) * 512
}

/// The bytes that the files below `dir` take on disk.
pub fn disk_bytes(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        // It was removed just now.
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

fn mount_of(dir: &Path) -> (String, String) {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let of = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        Some((words.next()?, words.next()?, words.next()?))
    };
    let holding = mounts.lines().filter_map(of).filter(|(_, at, _)| dir.starts_with(at));
    holding
        .max_by_key(|(_, at, _)| at.len())
        .map_or(("unknown".into(), "unknown".into()), |(device, _, kind)| (device, kind))
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// The number at the beginning of a text.
fn number(text: Option<String>) -> u64 {
    let text = text.unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

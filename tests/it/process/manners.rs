//! Manners of a guest: what the library does to the process, the disk and the user that it lives with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use testkit::host::{Host, accepting, assert_each_once, files_below, settings, silent};
use testkit::ingest::{Answer, Ingest};
use testkit::wait::{PATIENCE, eventually};
use testkit::{TempDir, caller, compile_c, have, succeed};

/// Opens a spool, with a request under way and segments in use.
fn busy_host(dir: &TempDir, spool: &Path, ingest: &Ingest, more: &[&str]) -> Host {
    let more = [&["schedule_delay_ms=1", "journal_bytes=192KiB"], more].concat();
    let mut host = Host::start(&Host::compile(dir), &settings(spool, &ingest.url(), &more));
    assert_eq!(host.ask("enqueue busy 1000 1000"), "0 1000");
    assert!(ingest.wait_until(Instant::now() + PATIENCE, |requests| !requests.is_empty()));
    eventually("there are segments", || files_below(spool).iter().any(|path| path.ends_with("db")));
    host
}

fn field<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .trim()
}

/// The scheduling policy in a /proc/…/stat: field 41, the 39th after the name.
fn policy(stat: &str) -> libc::c_int {
    stat.rsplit(')').next().unwrap().split_ascii_whitespace().nth(38).unwrap().parse().unwrap()
}

#[test]
fn threads_are_named_take_no_signal_and_stay_behind() {
    let (dir, ingest) = (TempDir::new("manners-threads"), silent());
    let host = busy_host(&dir, &dir.join("spool"), &ingest, &[]);
    let tasks = fs::read_dir(format!("/proc/{}/task", host.pid())).unwrap();
    let mut names = Vec::new();
    for task in tasks.map(|task| task.unwrap()) {
        if task.file_name().to_str() == Some(&host.pid().to_string()) {
            continue;
        }
        let status = fs::read_to_string(task.path().join("status")).unwrap();
        let name = field(&status, "Name:").to_owned();
        assert!(name.starts_with("spanspool-") || name.starts_with("sled-"), "{name}");
        let blocked = u64::from_str_radix(field(&status, "SigBlk:"), 16).unwrap();
        // Nobody can block SIGKILL (9) and SIGSTOP (19); libc keeps 32 and 33 for itself.
        let unblockable = [9, 19, 32, 33].iter().fold(0u64, |set, signal| set | 1 << (signal - 1));
        assert_eq!(blocked | unblockable, u64::MAX, "{name}");
        let stat = fs::read_to_string(task.path().join("stat")).unwrap();
        assert_eq!(policy(&stat), libc::SCHED_BATCH, "{name}");
        names.push(name);
    }
    for expected in ["spanspool-disk", "spanspool-net", "spanspool-adopt"] {
        assert!(names.iter().any(|name| name == expected), "{names:?}");
    }
    // The mask and the policy of the caller's thread are as they were.
    let main = fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    assert_eq!(field(&main, "SigBlk:"), "0000000000000000");
    assert_eq!(policy(&fs::read_to_string(format!("/proc/{}/stat", host.pid())).unwrap()), libc::SCHED_OTHER);
}

#[test]
fn descriptors_are_closed_on_exec() {
    let (dir, ingest) = (TempDir::new("manners-fds"), silent());
    let spool = dir.join("spool");
    let host = busy_host(&dir, &spool, &ingest, &[]);
    let proc = PathBuf::from(format!("/proc/{}", host.pid()));
    // What the test itself was started with, the host has too.
    let inherited = |fd: &str| fs::read_link(Path::new("/proc/self/fd").join(fd)).ok();
    let (mut files, mut sockets) = (0, 0);
    for entry in fs::read_dir(proc.join("fd")).unwrap().map(|entry| entry.unwrap()) {
        let target = fs::read_link(entry.path()).unwrap();
        files += u32::from(target.starts_with(&spool));
        sockets += u32::from(target.to_str().unwrap().starts_with("socket:"));
        let fd = entry.file_name().into_string().unwrap();
        if !["0", "1", "2"].contains(&fd.as_str()) && inherited(&fd).as_ref() != Some(&target) {
            let info = fs::read_to_string(proc.join("fdinfo").join(&fd)).unwrap();
            let flags = u32::from_str_radix(field(&info, "flags:"), 8).unwrap();
            assert_ne!(flags & libc::O_CLOEXEC as u32, 0, "{fd}: {}", target.display());
        }
    }
    assert!(files >= 3 && sockets >= 1, "lock, journal, segment and connection: {files} and {sockets}");
}

#[test]
fn a_connection_that_breaks_raises_no_sigpipe() {
    let (dir, ingest) = (TempDir::new("manners-sigpipe"), accepting());
    let spool = dir.join("spool");
    ingest.reset_unread(3);
    let more = ["base_delay_ms=10", "max_batch_size=1000"];
    let mut host = Host::start(&Host::compile(&dir), &settings(&spool, &ingest.url(), &more));
    // A body of megabytes is still being written when the reset comes.
    assert_eq!(host.ask("enqueue large 1000 3000"), "0 1000");
    assert_eq!(host.ask("flush 60000"), "0");
    assert_each_once(&ingest, &[("large", 1000)]);
    assert_ne!(testkit::host::total(&testkit::host::status(&spool), "retries"), 0);
    host.end();
}

#[test]
fn the_environment_is_read_at_init_only() {
    let (dir, ingest) = (TempDir::new("manners-env"), accepting());
    let program = compile_c("tests/c/environment.c", dir.path());
    let more = ["journal_bytes=192KiB"];
    let mut command = caller(program);
    command.args(settings(&dir.join("spool"), &ingest.url(), &more));
    succeed(command.env("OPENAI_API_KEY", "sk-at-init").env("OPENAI_ORG_ID", "org-at-init"));
    assert_each_once(&ingest, &[("parent", 400), ("child", 100)]);
    for request in ingest.requests() {
        assert_eq!(request.header("authorization"), Some("Bearer sk-at-init"));
        assert_eq!(request.header("openai-organization"), Some("org-at-init"));
        assert_eq!(request.header("openai-project"), None);
    }
}

#[test]
fn nothing_is_printed() {
    let (dir, spool) = (TempDir::new("manners-output"), TempDir::new("manners-output-spool"));
    // Trouble of every kind, so that there is much to tell.
    let ingest = Ingest::start(|_| Answer::status(401).body("go away")).unwrap();
    fs::create_dir_all(spool.join("lanes/00000000aaaaaaaa")).unwrap();
    fs::write(spool.join("lanes/00000000aaaaaaaa/journal"), "no journal").unwrap();
    let log = dir.join("log");
    let mut command = caller(Host::compile(&dir));
    command.args(settings(spool.path(), &ingest.url(), &[&format!("log={}", log.display())]));
    let mut host = Host::run(command.stderr(fs::File::create(dir.join("stderr")).unwrap()));
    assert_eq!(host.line(), "ready");
    assert_eq!(host.ask("enqueue held 3"), "0 3");
    assert_eq!(host.ask("flush 1000"), "21");
    assert_eq!(host.ask("free"), "0");
    host.end();
    assert_eq!(fs::read_to_string(dir.join("stderr")).unwrap(), "");
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("lane 00000000aaaaaaaa is passed over") && log.contains("go away"), "{log}");
}

#[test]
fn strace_sees_no_file_of_the_spool_opened_without_cloexec() {
    if !have("strace", "--version", "strace_sees_no_file_of_the_spool_opened_without_cloexec") {
        return;
    }
    let (dir, ingest) = (TempDir::new("manners-strace"), accepting());
    let (program, spool, trace) = (Host::compile(&dir), dir.join("spool"), dir.join("trace"));
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-e",
        "trace=openat,open,socket,dup,dup3,pipe2,accept4,epoll_create1,eventfd2",
        "-o",
    ]);
    command.arg(&trace).arg(program).args(settings(&spool, &ingest.url(), &["journal_bytes=128KiB"]));
    command.env("LD_LIBRARY_PATH", testkit::lib_dir());
    let mut host = Host::run(&mut command);
    assert_eq!(host.line(), "ready");
    assert_eq!(host.ask("enqueue traced 500 1000"), "0 500");
    assert_eq!(host.ask("flush 60000"), "0");
    host.end();
    let trace = fs::read_to_string(trace).unwrap();
    let opened: Vec<&str> =
        trace.lines().filter(|line| line.contains("openat(") || line.contains("socket(")).collect();
    assert!(opened.len() > 10, "{trace}");
    for line in opened {
        assert!(line.contains("CLOEXEC") || line.contains(" = -1 "), "{line}");
    }
}

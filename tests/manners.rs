//! Manners of a guest: what the library does to the process, the disk and the user that it lives with.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
#[path = "common/host.rs"]
mod host;
#[path = "../src/bin/spanspool/ingest.rs"]
mod ingest;

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{TempDir, caller, compile_c, have, is_root, succeed};
use host::{Host, NOBODY, PATIENCE, assert_each_once, lanes, settings, spanspool, until, wait_until};
use ingest::{Answer, Fault, Ingest};

fn accepting() -> Ingest {
    Ingest::start(|_| Answer::status(200)).unwrap()
}

fn silent() -> Ingest {
    Ingest::start(|_| Answer::status(200).fault(Fault::Hang(Duration::from_secs(600)))).unwrap()
}

/// Opens a spool, with a request under way and segments in use.
fn busy_host(dir: &TempDir, spool: &Path, ingest: &Ingest, more: &[&str]) -> Host {
    let more = [&["schedule_delay_ms=1", "journal_bytes=192KiB", "enqueue_timeout_ms=60000"], more].concat();
    let mut host = Host::start(&Host::compile(dir), &settings(spool, &ingest.url(), &more));
    assert_eq!(host.ask("enqueue busy 1000 1000"), "0 1000");
    assert!(ingest.wait_until(Instant::now() + PATIENCE, |requests| !requests.is_empty()));
    wait_until("there are segments", || files_below(spool).iter().any(|path| path.ends_with("db")));
    host
}

/// Everything below `dir`, itself included.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut all = vec![dir.to_path_buf()];
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => all.extend(files_below(&entry.path())),
            _ => all.push(entry.path()),
        }
    }
    all
}

fn field<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .trim()
}

#[test]
fn threads_are_named_and_take_no_signal() {
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
        names.push(name);
    }
    for expected in ["spanspool-disk", "spanspool-net", "spanspool-adopt"] {
        assert!(names.iter().any(|name| name == expected), "{names:?}");
    }
    // The mask of the caller's thread is as it was.
    let main = fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    assert_eq!(field(&main, "SigBlk:"), "0000000000000000");
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
    assert_ne!(host::total(&host::status(&spool), "retries"), 0);
    host.end();
}

#[test]
fn the_environment_is_read_at_init_only() {
    let (dir, ingest) = (TempDir::new("manners-env"), accepting());
    let program = compile_c("tests/c/environment.c", dir.path());
    let more = ["journal_bytes=192KiB", "enqueue_timeout_ms=60000"];
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
    assert!(log.contains("lane 00000000aaaaaaaa is left as it is") && log.contains("go away"), "{log}");
}

/// Opens a spool as `command` does after `umask`, and looks at the modes of all that it makes.
fn check_modes(umask: &str, user: &[&str]) {
    let (dir, ingest) = (TempDir::new("manners-umask"), silent());
    let rejecting = Ingest::start(|request| {
        let bad = String::from_utf8_lossy(&request.body).contains("bad");
        Answer::status(if bad { 400 } else { 200 })
    })
    .unwrap();
    let program = Host::compile(&dir);
    let spool = dir.join("open/spool");
    fs::create_dir(dir.join("open")).unwrap();
    if !user.is_empty() {
        chown(dir.join("open"), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let run = |ingest: &Ingest, more: &[&str]| {
        let mut command = caller(user.first().unwrap_or(&"sh"));
        if !user.is_empty() {
            command.args(&user[1..]).arg("sh");
        }
        command.arg("-c").arg(format!("umask {umask}; exec \"$@\"")).arg("sh").arg(&program);
        let host = Host::run(command.args(settings(&spool, &ingest.url(), more)));
        assert_eq!(host.line(), "ready");
        host
    };
    let mut rejected = run(&rejecting, &[]);
    assert_eq!(rejected.ask("enqueue good 1"), "0 1");
    assert_eq!(rejected.ask("enqueue bad 1"), "0 1");
    assert_eq!(rejected.ask("flush 60000"), "0");
    let mut busy = run(&ingest, &["journal_bytes=192KiB", "enqueue_timeout_ms=60000"]);
    assert_eq!(busy.ask("enqueue busy 1000 1000"), "0 1000");
    wait_until("there are segments", || files_below(&spool).iter().any(|path| path.ends_with("db")));
    let all = until(Instant::now() + PATIENCE, "a segment is whole", || {
        let all = files_below(&spool);
        let modes =
            || all.iter().filter_map(|path| fs::symlink_metadata(path).ok().map(|m| m.mode() & 0o777));
        // sled makes its files as the umask says, in a folder that is private already.
        modes().all(|mode| mode == 0o700 || mode == 0o600).then_some(all)
    });
    for path in &all {
        let Ok(metadata) = fs::symlink_metadata(path) else { continue };
        let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(metadata.mode() & 0o777, expected, "umask {umask}: {}", path.display());
    }
    let has = |part: &str| all.iter().any(|path| path.to_str().unwrap().contains(part));
    assert!(has("/rejected/") && has("/journal") && has("/lock") && has("/segments/"), "{all:?}");
}

#[test]
fn files_are_private_whatever_the_umask() {
    check_modes("0", &[]);
    check_modes("077", &[]);
    if is_root("files_are_private_whatever_the_umask, as another user,") {
        let nobody = NOBODY.to_string();
        check_modes("0777", &["setpriv", "--reuid", &nobody, "--regid", &nobody, "--clear-groups"]);
    }
}

#[test]
fn a_lane_behind_a_link_is_passed_over_and_named() {
    let (dir, ingest) = (TempDir::new("manners-link"), accepting());
    let (program, spool, log) = (Host::compile(&dir), dir.join("spool"), dir.join("log"));
    let elsewhere = dir.join("elsewhere");
    lane_of_a_dead_process(&program, &elsewhere, &ingest);
    let lane = elsewhere.join("lanes").join(lanes(&elsewhere).remove(0));
    fs::create_dir_all(spool.join("lanes")).unwrap();
    let link = spool.join("lanes/00000000aaaaaaaa");
    symlink(&lane, &link).unwrap();
    let log_setting = format!("log={}", log.display());
    let mut host =
        Host::start(&program, &settings(&spool, &ingest.url(), &[&log_setting, "adopt_interval_ms=10"]));
    assert_eq!(host.ask("enqueue own 1"), "0 1");
    assert_eq!(host.ask("flush 60000"), "0");
    assert_each_once(&ingest, &[("own", 1)]);
    let log = fs::read_to_string(log).unwrap();
    let why = format!("{} is not a folder; a lane that is a link is not followed", link.display());
    assert!(log.contains("lane 00000000aaaaaaaa is left as it is") && log.contains(&why), "{log}");
    assert_eq!(host::total(&host::status(&elsewhere), "pending"), 3);
}

#[test]
fn a_lane_of_another_user_is_passed_over_and_named() {
    if !is_root("a_lane_of_another_user_is_passed_over_and_named") {
        return;
    }
    let (dir, ingest) = (TempDir::new("manners-foreign"), accepting());
    let (program, spool, log) = (Host::compile(&dir), dir.join("spool"), dir.join("log"));
    lane_of_a_dead_process(&program, &spool, &ingest);
    let foreign = lanes(&spool).remove(0);
    chown(spool.join("lanes").join(&foreign), Some(NOBODY), None).unwrap();
    // What another user left half made must not keep lanes from being adopted either.
    fs::create_dir(spool.join("lanes/00000000bbbbbbbb.new")).unwrap();
    chown(spool.join("lanes/00000000bbbbbbbb.new"), Some(NOBODY), None).unwrap();
    let log_setting = format!("log={}", log.display());
    let mut host =
        Host::start(&program, &settings(&spool, &ingest.url(), &[&log_setting, "adopt_interval_ms=10"]));
    lane_of_a_dead_process_beside(&program, &spool, &ingest);
    assert_eq!(host.ask("enqueue own 1"), "0 1");
    wait_until("the orphan is adopted", || lanes(&spool).len() == 3);
    assert_eq!(host.ask("flush 60000"), "0");
    assert_each_once(&ingest, &[("own", 1), ("beside", 2)]);
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains(&format!("lane {foreign} is left as it is")), "{log}");
    assert!(log.contains(&format!("belongs to user {NOBODY}, not to 0")), "{log}");
    assert!(spool.join("lanes/00000000bbbbbbbb.new").exists());
}

fn lane_of_a_dead_process(program: &Path, spool: &Path, ingest: &Ingest) {
    let mut dying = Host::start(program, &settings(spool, &ingest.url(), &["exporter=none"]));
    assert_eq!(dying.ask("enqueue left 3"), "0 3");
    dying.kill();
}

fn lane_of_a_dead_process_beside(program: &Path, spool: &Path, ingest: &Ingest) {
    let mut dying = Host::start(program, &settings(spool, &ingest.url(), &["exporter=none"]));
    assert_eq!(dying.ask("enqueue beside 2"), "0 2");
    dying.kill();
}

const KEY: &str = "sk-spanspool-test-0123456789abcdef";

#[test]
fn the_key_is_nowhere_but_in_the_requests() {
    let dir = TempDir::new("manners-key");
    let (program, spool, log) = (Host::compile(&dir), dir.join("spool"), dir.join("log"));
    // An ingest that is so careless as to quote the key in answers that are kept: 401 is told, 400 is stored.
    let ingest = Ingest::start(|request| {
        let quote = request.header("authorization").unwrap_or_default().to_owned();
        let status = match String::from_utf8_lossy(&request.body) {
            body if body.contains("held") => 401,
            body if body.contains("bad") => 400,
            _ => 200,
        };
        Answer::status(status).body(format!("Incorrect API key provided: {quote}"))
    })
    .unwrap();
    let log_setting = format!("log={}", log.display());
    let more = [log_setting.as_str(), "journal_bytes=192KiB", "enqueue_timeout_ms=60000"];
    let mut host = Host::start(&program, &settings(&spool, &ingest.url(), &more));
    assert_eq!(host.ask(&format!("key {KEY}")), "0");
    assert_eq!(host.ask("enqueue good 1000 1000"), "0 1000");
    assert_eq!(host.ask("flush 60000"), "0");
    assert_eq!(host.ask("enqueue bad 1"), "0 1");
    assert_eq!(host.ask("enqueue good 1"), "0 1");
    assert_eq!(host.ask("flush 60000"), "0");
    assert_eq!(host.ask("enqueue held 1"), "0 1");
    assert_eq!(host.ask("flush 500"), "21");
    assert!(ingest.requests().iter().any(|r| r.header("authorization").unwrap().ends_with(KEY)));
    assert!(fs::read_to_string(&log).unwrap().contains("Incorrect API key provided"));

    let mut looked_at = 0;
    for path in files_below(&spool).into_iter().chain([log]).filter(|path| path.is_file()) {
        assert!(!contains(&fs::read(&path).unwrap(), KEY.as_bytes()), "{}", path.display());
        looked_at += 1;
    }
    assert!(looked_at > 3);

    // A core of another process that has the spool open, a drain with a key of its own, does not have it either.
    let silent = silent();
    let endpoint = format!("endpoint={}", silent.url());
    let mut command = spanspool(&["drain", "--spool-dir", spool.to_str().unwrap(), "--set", &endpoint]);
    command.env("OPENAI_API_KEY", "sk-of-the-drain").stdout(Stdio::null()).stderr(Stdio::null());
    host.kill();
    let mut drain = command.spawn().unwrap();
    assert!(silent.wait_until(Instant::now() + PATIENCE, |requests| !requests.is_empty()));
    let (memory, arguments) =
        (memory_of(drain.id()), fs::read(format!("/proc/{}/cmdline", drain.id())).unwrap());
    drain.kill().unwrap();
    drain.wait().unwrap();
    assert!(contains(&memory, b"sk-of-the-drain"), "its own key is there, so the search finds what is there");
    assert!(!contains(&memory, KEY.as_bytes()));
    assert!(!contains(&arguments, b"sk-of-the-drain"));
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// All that a core of process `pid` would hold.
fn memory_of(pid: u32) -> Vec<u8> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut all = Vec::new();
    for line in
        maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with('r')))
    {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let mut piece = vec![0; (to - from) as usize];
        // Some ranges, such as the kernel's [vvar], can't be read by anybody.
        if memory.read_exact_at(&mut piece, from).is_ok() {
            all.extend(piece);
        }
    }
    all
}

#[test]
fn a_key_on_the_command_line_is_refused_without_being_repeated() {
    let output =
        spanspool(&["status", "--spool-dir", "x", "--set", &format!("api_key={KEY}")]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!contains(&[output.stdout, output.stderr].concat(), KEY.as_bytes()));
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
    command.arg(&trace).arg(program).args(settings(
        &spool,
        &ingest.url(),
        &["journal_bytes=128KiB", "enqueue_timeout_ms=60000"],
    ));
    command.env("LD_LIBRARY_PATH", common::lib_dir());
    let mut host = Host::run(&mut command);
    assert_eq!(host.line(), "ready");
    assert_eq!(host.ask("enqueue traced 500 1000"), "0 500");
    assert_eq!(host.ask("flush 60000"), "0");
    host.end();
    let trace = fs::read_to_string(trace).unwrap();
    let opened: Vec<&str> = trace
        .lines()
        .filter(|line| line.contains(spool.to_str().unwrap()) || line.contains("socket("))
        .collect();
    assert!(opened.len() > 10, "{trace}");
    for line in opened {
        assert!(line.contains("CLOEXEC") || line.contains(" = -1 "), "{line}");
    }
}

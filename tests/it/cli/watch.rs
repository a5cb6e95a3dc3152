//! The live view: `spanspool status` shows every lane as it is, while its owners run, to whoever may read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use testkit::cli::spanspool;
use testkit::client::open_offline;
use testkit::host::{Host, NOBODY, lane_names, settings};
use testkit::ingest::{Answer, Fault, Ingest};
use testkit::wait::{PATIENCE, eventually, until};
use testkit::{TempDir, caller, have, is_root, succeed};

fn status_arguments(spool: &Path) -> [String; 3] {
    ["status".into(), "--spool-dir".into(), spool.to_str().unwrap().into()]
}

/// What `spanspool status` shows to people.
fn shown(spool: &Path) -> String {
    let output = succeed(spanspool(&[]).args(status_arguments(spool)));
    String::from_utf8(output.stdout).unwrap()
}

/// The words of the line that shows the lane of `owner`.
fn row(picture: &str, owner: &str) -> Option<Vec<String>> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    picture.lines().map(words).find(|words| words.get(1).is_some_and(|word| word == owner))
}

#[test]
fn each_state_of_export_is_shown_with_its_reason() {
    let dir = TempDir::new("watch-states");
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    static STATUS: AtomicU16 = AtomicU16::new(0);
    let ingest = Ingest::start(|_| match STATUS.load(Ordering::SeqCst) {
        0 => Answer::status(200).fault(Fault::Hang(Duration::from_secs(600))),
        status => Answer::status(status).body("because"),
    })
    .unwrap();
    let more = ["schedule_delay_ms=1", "base_delay_ms=20000", "request_timeout_ms=1000"];
    let mut host = Host::start(&program, &settings(&spool, &ingest.url(), &more));
    let pid = host.pid().to_string();
    let state = || row(&shown(&spool), &pid).map(|words| words[2].clone()).unwrap_or_default();
    assert_eq!(state(), "idle");

    assert_eq!(host.ask("enqueue shown 3"), "0 3");
    eventually("sending is shown", || state() == "sending");
    STATUS.store(503, Ordering::SeqCst);
    let backoff = until(Instant::now() + PATIENCE, "a backoff is shown", || {
        // After the request that was never answered; the next one is.
        host.ask("flush 0");
        Some(shown(&spool)).filter(|picture| picture.contains("backoff: HTTP 503: because, next attempt in "))
    });
    assert!(backoff.contains("accepted 3 = delivered 0 + pending 3"), "{backoff}");
    assert_eq!(row(&backoff, &pid).unwrap()[2..4], ["backoff", "3"]);
    STATUS.store(401, Ordering::SeqCst);
    assert_eq!(host.ask("flush 500"), "21");
    eventually("a hold is shown", || shown(&spool).contains("hold: HTTP 401: because, next attempt in "));
    STATUS.store(200, Ordering::SeqCst);
    assert_eq!(host.ask("flush 60000"), "0");
    eventually("the end is shown", || {
        row(&shown(&spool), &pid)
            .is_some_and(|words| words[2..4] == ["idle", "0"] && words.contains(&"3".into()))
    });

    // From here on nothing is answered, so that both are left however long the kill takes.
    STATUS.store(0, Ordering::SeqCst);
    assert_eq!(host.ask("enqueue left 2"), "0 2");
    host.kill();
    let orphan = shown(&spool);
    assert_eq!(row(&orphan, "orphan").unwrap()[2..4], ["idle", "2"], "{orphan}");
    let json = testkit::host::status(&spool);
    assert!(json["lanes"][0]["owner_pid"].is_null() && json["lanes"][0]["pending"] == 2, "{json}");
}

#[test]
fn watch_goes_on_until_nobody_reads() {
    let dir = TempDir::new("watch-pipe");
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let offline = settings(&spool, "http://127.0.0.1:9/", &["exporter=none"]);
    let mut host = Host::start(&program, &offline);
    let watch = Host::run(spanspool(&[]).args(status_arguments(&spool)).arg("--watch"));
    let next_with = |part: &str| while !watch.line().contains(part) {};
    next_with("accepted 0 = ");
    next_with(&host.pid().to_string());
    assert_eq!(host.ask("enqueue seen 7"), "0 7");
    next_with("accepted 7 = delivered 0 + pending 7");
    host.kill();
    next_with(" orphan ");

    // A reader that has enough: the watch ends by itself, and well.
    let head = format!(
        "'{}' status --watch --json --spool-dir '{}' | head -n 2; exit ${{PIPESTATUS[0]}}",
        testkit::program().display(),
        spool.display()
    );
    let output = succeed(Command::new("bash").args(["-c", &head]));
    let lines: Vec<serde_json::Value> = output
        .stdout
        .split_inclusive(|b| *b == b'\n')
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line["pending"] == 7));
}

#[test]
fn watch_follows_what_takes_the_place_of_a_spool() {
    let dir = TempDir::new("watch-replaced");
    let spool = dir.join("spool");
    drop(open_offline(&spool, &[]));
    let watch = Host::run(spanspool(&[]).args(status_arguments(&spool)).arg("--watch"));
    let next_with = |part: &str| while !watch.line().contains(part) {};
    next_with("accepted 0 = ");
    // For longer than the time between two pictures.
    fs::rename(&spool, dir.join("away")).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    let fresh = open_offline(&spool, &[]);
    fresh.enqueue(b"{}").unwrap();
    next_with("accepted 1 = ");
}

#[test]
fn watch_draws_over_the_last_picture_on_a_terminal_only() {
    let dir = TempDir::new("watch-terminal");
    let spool = dir.join("spool");
    fs::create_dir(&spool).unwrap();
    let plain = Host::run(spanspool(&[]).args(status_arguments(&spool)).arg("--watch"));
    for _ in 0..20 {
        let line = plain.line();
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
    if !have("script", "--version", "watch_draws_over_the_last_picture_on_a_terminal_only") {
        return;
    }
    // script runs it on a terminal and shows what arrives there.
    let watch = format!("'{}' {} --watch", testkit::program().display(), status_arguments(&spool).join(" "));
    let terminal = Host::run(Command::new("script").args(["-q", "-c", &watch, "/dev/null"]));
    let mut pictures = 0;
    while pictures < 2 {
        let line = terminal.line();
        pictures += line.matches("\u{1b}[H").count();
        assert!(line.trim_end().ends_with("\u{1b}[K"), "each line is cleared to its end: {line:?}");
    }
}

#[test]
fn a_reader_of_another_user_sees_a_living_spool() {
    if !is_root("a_reader_of_another_user_sees_a_living_spool") {
        return;
    }
    // A folder that other users can reach.
    let dir = TempDir::new("watch-reader");
    let open = std::env::temp_dir().join(format!("spanspool-reader-{}", std::process::id()));
    fs::create_dir(&open).unwrap();
    let (program, spool) = (Host::compile(&dir), open.join("spool"));
    let binary = open.join("spanspool");
    fs::copy(testkit::program(), &binary).unwrap();
    let mut host = Host::start(&program, &settings(&spool, "http://127.0.0.1:9/", &["exporter=none"]));
    assert_eq!(host.ask("enqueue read 4"), "0 4");
    succeed(Command::new("chmod").args(["-R", "a+rX,a-w"]).arg(&open));
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let reader = |more: &str| {
        let nobody = NOBODY.to_string();
        let mut command = caller("setpriv");
        command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]).arg(&binary);
        command.args(status_arguments(&spool)).args(more.split_whitespace()).current_dir("/");
        command
    };
    let picture = String::from_utf8(succeed(&mut reader("")).stdout).unwrap();
    assert!(picture.contains("accepted 4 = delivered 0 + pending 4"), "{picture}");
    assert!(row(&picture, &host.pid().to_string()).is_some(), "{picture}");
    let watch = Host::run(&mut reader("--watch"));
    while !watch.line().contains(&host.pid().to_string()) {}
    host.kill();
    while !watch.line().contains(" orphan ") {}
    assert_eq!(lane_names(&spool).len(), 1);
    drop(watch);
    fs::remove_dir_all(&open).unwrap();
}

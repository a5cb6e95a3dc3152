//! Whose the files are: what the library makes is private, and what another user made is left alone.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;
use std::time::Instant;

use testkit::host::{Host, NOBODY, accepting, assert_each_once, files_below, lane_names, settings, silent};
use testkit::ingest::{Answer, Ingest};
use testkit::wait::{PATIENCE, eventually, until};
use testkit::{TempDir, caller, is_root};

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
    let mut busy = run(&ingest, &["journal_bytes=192KiB"]);
    assert_eq!(busy.ask("enqueue busy 1000 1000"), "0 1000");
    eventually("there are segments", || files_below(&spool).iter().any(|path| path.ends_with("db")));
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
fn a_host_that_changes_its_user_or_its_root_goes_on_with_what_is_open() {
    if !is_root("a_host_that_changes_its_user_or_its_root_goes_on_with_what_is_open") {
        return;
    }
    let empty = TempDir::new("permissions-root");
    let (user, root) = (format!("user {NOBODY}"), format!("chroot {}", empty.path().display()));
    for (change, why) in [(user, "Permission denied"), (root, "another root), and there is no /proc")] {
        let (dir, ingest) = (TempDir::new("permissions-change"), accepting());
        let (spool, log) = (dir.join("spool"), dir.join("log"));
        let log_setting = format!("log={}", log.display());
        let more = ["journal_bytes=64KiB", "sync_interval_ms=10", &log_setting];
        let mut host = Host::start(&Host::compile(&dir), &settings(&spool, &ingest.url(), &more));
        assert_eq!(host.ask("enqueue before 10"), "0 10");
        assert_eq!(host.ask("flush 60000"), "0");
        assert_eq!(host.ask(&change), "0");
        for n in 0..10 {
            assert_eq!(host.ask(&format!("enqueue after{n} 10")), "0 10");
            assert_eq!(host.ask("flush 60000"), "0");
            assert_eq!(host.ask("sync"), "0");
        }
        let lines = fs::read_to_string(&log).unwrap();
        let troubles: Vec<&str> = lines.lines().filter(|line| line < &"3").collect();
        assert!(troubles.len() <= 1, "{change}: {troubles:?}");
        let known = |line: &&str| {
            line.contains("lanes to adopt") || line.contains("or this process has another root")
        };
        assert!(troubles.iter().all(known), "{change}: {troubles:?}");
        let answer = host.ask("large oversize 100000");
        assert!(answer.starts_with("40 ") && answer.contains(why), "{change}: {answer}");
        assert_eq!(host.ask("enqueue last 10"), "0 10");
        assert_eq!(host.ask("flush 60000"), "0");
        host.end();
        let expected: Vec<String> = (0..10).map(|n| format!("after{n}")).collect();
        let expected = expected.iter().map(String::as_str).chain(["before", "last"]).map(|name| (name, 10));
        assert_each_once(&ingest, &expected.collect::<Vec<_>>());
    }
}

#[test]
fn a_lane_behind_a_link_is_passed_over_and_named() {
    let (dir, ingest) = (TempDir::new("manners-link"), accepting());
    let (program, spool, log) = (Host::compile(&dir), dir.join("spool"), dir.join("log"));
    let elsewhere = dir.join("elsewhere");
    lane_of_a_dead_process(&program, &elsewhere, &ingest);
    let lane = elsewhere.join("lanes").join(lane_names(&elsewhere).remove(0));
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
    assert!(log.contains("lane 00000000aaaaaaaa is passed over") && log.contains(&why), "{log}");
    assert_eq!(testkit::host::total(&testkit::host::status(&elsewhere), "pending"), 3);
}

#[test]
fn a_lane_of_another_user_is_passed_over_and_named() {
    if !is_root("a_lane_of_another_user_is_passed_over_and_named") {
        return;
    }
    let (dir, ingest) = (TempDir::new("manners-foreign"), accepting());
    let (program, spool, log) = (Host::compile(&dir), dir.join("spool"), dir.join("log"));
    lane_of_a_dead_process(&program, &spool, &ingest);
    let foreign = lane_names(&spool).remove(0);
    chown(spool.join("lanes").join(&foreign), Some(NOBODY), None).unwrap();
    // What another user left half made must not keep lanes from being adopted either.
    fs::create_dir(spool.join("lanes/00000000bbbbbbbb.new")).unwrap();
    chown(spool.join("lanes/00000000bbbbbbbb.new"), Some(NOBODY), None).unwrap();
    let log_setting = format!("log={}", log.display());
    let mut host =
        Host::start(&program, &settings(&spool, &ingest.url(), &[&log_setting, "adopt_interval_ms=10"]));
    lane_of_a_dead_process_beside(&program, &spool, &ingest);
    assert_eq!(host.ask("enqueue own 1"), "0 1");
    eventually("the orphan is adopted", || lane_names(&spool).len() == 3);
    assert_eq!(host.ask("flush 60000"), "0");
    assert_each_once(&ingest, &[("own", 1), ("beside", 2)]);
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains(&format!("lane {foreign} is passed over")), "{log}");
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

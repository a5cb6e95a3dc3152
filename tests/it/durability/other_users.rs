//! Commands that are run as another user than the spool's: looking makes nothing, and what the wrong user can't do ends
//! at once with a message that says who could.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::cli::{Ended, run, run_with_input};
use testkit::host::{Host, NOBODY, accepting, assert_each_once, files_below, lane_names, settings, silent};
use testkit::run::output_within;
use testkit::wait::PATIENCE;
use testkit::{TempDir, caller, is_root};

const AS_ROOT: &str =
    "belongs to user 65534, not to 0: run as that user (setpriv --reuid=65534 --regid=65534";
const AS_NOBODY: &str = "belongs to user 0, not to 65534: run as that user (setpriv --reuid=0 --regid=0";

/// Runs a program as a user without rights.
fn as_nobody(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let nobody = NOBODY.to_string();
    let mut command = caller("setpriv");
    command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]).arg(program);
    command
}

/// A folder of that user's, in one that everybody may search.
fn folder_of_nobody(dir: &TempDir, name: &str) -> PathBuf {
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let folder = dir.join(name);
    fs::create_dir(&folder).unwrap();
    chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    folder
}

/// The commands that change nothing, on the spool.
fn look_at(spool: &Path) {
    let spool = spool.to_str().unwrap();
    for look in [&["status"][..], &["status", "--json"], &["cat"], &["check"], &["rejected", "list"]] {
        run(&[look, &["--spool-dir", spool]].concat()).with(0);
    }
}

fn change(spool: &Path) -> Vec<Ended> {
    let (spool, item) = (spool.to_str().unwrap(), b"{\"id\":\"admin-0\"}");
    vec![
        run_with_input(&["enqueue", "--spool-dir", spool], item),
        run(&["drain", "--spool-dir", spool, "--set", "endpoint=http://127.0.0.1:9/"]),
        run(&["rejected", "requeue", "--all", "--spool-dir", spool]),
        run(&["rejected", "purge", "--all", "--spool-dir", spool]),
        run(&["check", "--repair", "--spool-dir", spool]),
    ]
}

#[test]
fn what_an_administrator_does_before_the_first_start_locks_nobody_out() {
    if !is_root("what_an_administrator_does_before_the_first_start_locks_nobody_out") {
        return;
    }
    let (dir, ingest) = (TempDir::new("users-first"), accepting());
    let spool = folder_of_nobody(&dir, "spool");
    look_at(&spool);
    for ended in change(&spool) {
        let ended = ended.with(1);
        assert!(ended.err.contains(AS_ROOT), "{}", ended.err);
    }
    // One that is not there yet would be in a folder of the service's.
    let below = spool.join("below");
    let ended = run_with_input(&["enqueue", "--spool-dir", below.to_str().unwrap()], b"{}").with(1);
    assert!(ended.err.contains(AS_ROOT), "{}", ended.err);
    assert_eq!(files_below(&spool), std::slice::from_ref(&spool));

    let program = Host::compile(&dir);
    let mut host = Host::run(as_nobody(program).args(settings(&spool, &ingest.url(), &[])));
    assert_eq!(host.line(), "ready");
    assert_eq!(host.ask("enqueue service 3"), "0 3");
    let before = files_below(&spool);
    look_at(&spool);
    for ended in change(&spool) {
        let ended = ended.with(1);
        assert!(ended.err.contains(AS_ROOT), "{}", ended.err);
    }
    assert_eq!(files_below(&spool), before);
    assert_eq!(host.ask("flush 60000"), "0");
    host.end();
    assert_each_once(&ingest, &[("service", 3)]);
}

#[test]
fn drain_ends_though_there_is_a_lane_of_another_user() {
    if !is_root("drain_ends_though_there_is_a_lane_of_another_user") {
        return;
    }
    let (dir, ingest) = (TempDir::new("users-drain"), accepting());
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let mut dying = Host::start(&program, &settings(&spool, &ingest.url(), &["exporter=none"]));
    assert_eq!(dying.ask("enqueue theirs 3"), "0 3");
    dying.kill();
    let theirs = lane_names(&spool).remove(0);
    chown(spool.join("lanes").join(&theirs), Some(NOBODY), Some(NOBODY)).unwrap();
    run_with_input(&["enqueue", "--spool-dir", spool.to_str().unwrap()], b"{\"id\":\"ours-0\"}").with(0);
    let endpoint = format!("endpoint={}", ingest.url());
    let drained = run(&["drain", "--spool-dir", spool.to_str().unwrap(), "--set", &endpoint]).with(1);
    assert!(drained.err.contains(&format!("lane {theirs} {AS_ROOT}")), "{}", drained.err);
    assert_each_once(&ingest, &[("ours", 1)]);
}

#[test]
fn a_user_without_rights_is_told_whose_the_spool_is() {
    if !is_root("a_user_without_rights_is_told_whose_the_spool_is") {
        return;
    }
    let (dir, ingest) = (TempDir::new("users-denied"), silent());
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let _owner = Host::start(&program, &settings(&spool, &ingest.url(), &[]));
    let path = spool.to_str().unwrap();
    for arguments in [&["status"][..], &["drain"], &["cat"], &["check"]] {
        let mut command = as_nobody(testkit::program());
        command.args(arguments).args(["--spool-dir", path]);
        let ended = Ended::from(output_within(PATIENCE, &mut command, &format!("{arguments:?}"))).with(1);
        assert!(ended.err.contains(AS_NOBODY), "{arguments:?}: {}", ended.err);
    }
    // The same for a program that opens it.
    let mut command = as_nobody(program);
    let output = output_within(PATIENCE, command.args(settings(&spool, &ingest.url(), &[])), "a host");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(AS_NOBODY), "{said}");
}

#[test]
fn a_folder_above_that_can_be_searched_and_not_read_is_good_enough() {
    if !is_root("a_folder_above_that_can_be_searched_and_not_read_is_good_enough") {
        return;
    }
    let (dir, ingest) = (TempDir::new("users-search"), accepting());
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let above = dir.join("above");
    fs::create_dir(&above).unwrap();
    fs::set_permissions(&above, fs::Permissions::from_mode(0o733)).unwrap();
    let mut host =
        Host::run(as_nobody(Host::compile(&dir)).args(settings(&above.join("spool"), &ingest.url(), &[])));
    assert_eq!(host.line(), "ready");
    assert_eq!(host.ask("enqueue here 3"), "0 3");
    assert_eq!(host.ask("flush 60000"), "0");
    host.end();
    assert_each_once(&ingest, &[("here", 3)]);
}

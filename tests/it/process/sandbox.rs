//! System calls that a sandbox refuses: something else does, or an error says what is refused. Nothing hangs, and no
//! item with an OK is lost.

use testkit::host::{Host, accepting, assert_each_once, settings};
use testkit::{TempDir, caller, compile_c_unlinked, compile_shim};

/// What becomes of a client for which a call is refused.
#[derive(Clone, Copy)]
enum Then {
    /// It works as if nothing were refused.
    Works,
    /// It does not open, and the error has this in it.
    NotOpened(&'static str),
    /// It opens, and no segment can be made: the error of an item for which one is needed has this in it.
    NoSegments(&'static str),
    /// It opens, and sends nothing.
    NothingSent,
}

const REFUSALS: [(&str, libc::c_long, Then); 18] = [
    ("fallocate", libc::SYS_fallocate, Then::Works),
    ("msync", libc::SYS_msync, Then::Works),
    ("madvise", libc::SYS_madvise, Then::Works),
    ("getrandom", libc::SYS_getrandom, Then::Works),
    ("prctl", libc::SYS_prctl, Then::Works),
    ("sched_setscheduler", libc::SYS_sched_setscheduler, Then::Works),
    ("sched_getscheduler", libc::SYS_sched_getscheduler, Then::Works),
    ("renameat2", libc::SYS_renameat2, Then::Works),
    ("statx", libc::SYS_statx, Then::Works),
    ("prlimit64", libc::SYS_prlimit64, Then::Works),
    ("ioctl", libc::SYS_ioctl, Then::NothingSent),
    ("socket", libc::SYS_socket, Then::NothingSent),
    ("connect", libc::SYS_connect, Then::NothingSent),
    ("flock", libc::SYS_flock, Then::NotOpened("cannot lock ")),
    ("fsync", libc::SYS_fsync, Then::NotOpened("cannot make ")),
    ("fchmodat", libc::SYS_fchmodat, Then::NotOpened("cannot make ")),
    ("sync_file_range", libc::SYS_sync_file_range, Then::NoSegments("cannot write ")),
    ("fdatasync", libc::SYS_fdatasync, Then::NoSegments("to stable storage")),
];

/// Opens a client for which `number` is refused with `error`, and uses it.
fn try_with(name: &str, number: libc::c_long, error: i32, then: Then) {
    let (dir, ingest) = (TempDir::new(&format!("sandbox-{name}")), accepting());
    let what = format!("{name} refused with {error}");
    let program = Host::compile(&dir);
    let mut command = caller(compile_c_unlinked("tests/c/refuse.c", dir.path()));
    let more = ["journal_bytes=64KiB", "enqueue_timeout_ms=5000"];
    let of_spool = settings(&dir.join("spool"), &ingest.url(), &more);
    command.args([number.to_string(), error.to_string()]).arg(&program).args(&of_spool);
    if let Then::NotOpened(why) = then {
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(1), "{what}: {text}");
        assert!(text.contains(why) && text.contains("os error"), "{what}: {text}");
        return;
    }
    let mut host = Host::run(&mut command);
    assert_eq!(host.line(), "ready", "{what}");
    assert_eq!(host.ask("enqueue small 10"), "0 10", "{what}");
    assert_eq!(host.ask("sync"), "0", "{what}");
    let answer = host.ask("large large 100000");
    let mut expected = vec![("small", 10)];
    match then {
        Then::NoSegments(why) if error != libc::ENOSYS || name == "fdatasync" => {
            assert!(answer.starts_with("40 ") && answer.contains(why), "{what}: {answer}");
        }
        _ => {
            assert_eq!(answer, "0", "{what}");
            expected.push(("large", 1));
        }
    }
    if let Then::NothingSent = then {
        assert_eq!(host.ask("flush 300"), "21", "{what}");
        host.end();
        // The next one is free to send.
        host = Host::start(&program, &of_spool);
    }
    assert_eq!(host.ask("flush 60000"), "0", "{what}");
    host.end();
    assert_each_once(&ingest, &expected);
}

#[test]
fn a_forbidden_call_has_a_substitute_or_an_error_that_names_it() {
    REFUSALS.into_iter().for_each(|(name, number, then)| try_with(name, number, libc::EPERM, then));
}

#[test]
fn a_missing_call_has_a_substitute_or_an_error_that_names_it() {
    REFUSALS.into_iter().for_each(|(name, number, then)| try_with(name, number, libc::ENOSYS, then));
}

#[test]
fn a_file_system_that_syncs_no_folders_is_good_enough() {
    for (error, works) in [(libc::EINVAL, true), (libc::EOPNOTSUPP, true), (libc::EIO, false)] {
        let (dir, ingest) = (TempDir::new("sandbox-folder"), accepting());
        let mut command = caller(Host::compile(&dir));
        command.env("LD_PRELOAD", compile_shim("tests/c/folder_shim.c", dir.path()));
        command.env("SPANSPOOL_TEST_FOLDER_SYNC", error.to_string());
        let mut host = Host::run(command.args(settings(&dir.join("spool"), &ingest.url(), &[])));
        let line = host.line();
        if !works {
            let line = host.line();
            assert!(line.contains("Input/output error"), "{line}");
            continue;
        }
        assert_eq!(line, "ready");
        assert_eq!(host.ask("enqueue here 3"), "0 3");
        assert_eq!(host.ask("flush 60000"), "0");
        host.end();
        assert_each_once(&ingest, &[("here", 3)]);
    }
}

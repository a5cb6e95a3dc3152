//! Exit: whatever way a process ends, it does not crash or wait, and every item that it had OK for is delivered.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use testkit::host::{Host, accepting, arrivals, assert_each_once, settings, silent, status, total};
use testkit::ingest::{Answer, Fault, Ingest};
use testkit::wait::{PATIENCE, eventually, until};
use testkit::{
    TempDir, caller, compile_c, compile_c_unlinked, compile_cpp, is_instrumented, lib_dir, succeed,
};

/// How long an exit may take.
const EXIT_TIME: Duration = Duration::from_millis(100);
/// Other processes of the machine may delay one exit, but not all of so many.
const ATTEMPTS: usize = 5;

fn wait_for_request(ingest: &Ingest) {
    assert!(ingest.wait_until(Instant::now() + PATIENCE, |requests| !requests.is_empty()));
}

/// Runs tests/c/exit.c until it ends in the way `way`; how it ended, and how long that took.
fn end_by(way: &str, program: &Path, dir: &TempDir) -> (ExitStatus, Duration) {
    let (spool, counters) = (dir.join("spool"), dir.join("counters"));
    let ingest = silent();
    let mut command = caller(program);
    command.arg(way).arg(&counters).args(settings(&spool, &ingest.url(), &["schedule_delay_ms=1"]));
    let mut host = Host::run(&mut command);
    wait_for_request(&ingest);
    eventually("every thread had OK for something", || {
        accepted(&counters).iter().all(|accepted| *accepted > 0)
    });
    let begin = Instant::now();
    host.tell("");
    let ended = until(begin + PATIENCE, "the program ends", || host.process.try_wait().unwrap());
    let time = begin.elapsed();

    // The next process finds all that was accepted.
    let accepting = accepting();
    let mut next = Host::start(&Host::compile(dir), &settings(&spool, &accepting.url(), &["adopt=any"]));
    assert_eq!(next.ask("flush 60000"), "0");
    let mut arrived = arrivals(&accepting);
    for (thread, accepted) in accepted(&counters).into_iter().enumerate() {
        for n in 0..accepted {
            assert_eq!(arrived.remove(&format!("{thread}-{n}")), Some(1), "thread {thread}, item {n}");
        }
        // The process may have ended between the OK and the counter.
        arrived.remove(&format!("{thread}-{accepted}"));
    }
    assert!(arrived.is_empty(), "{arrived:?}");
    next.end();
    (ended, time)
}

/// How many items each thread had OK for.
fn accepted(counters: &Path) -> Vec<u64> {
    let bytes = fs::read(counters).unwrap();
    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect()
}

/// Ends a program in the way `way` several times; the fastest must not have waited for anything.
fn check(way: &str, expected: ExitStatus) {
    let dir = TempDir::new("exit");
    let program = compile_c("tests/c/exit.c", dir.path());
    let mut times = Vec::new();
    for _ in 0..ATTEMPTS {
        let attempt = TempDir::new("exit-attempt");
        let (ended, time) = end_by(way, &program, &attempt);
        assert_eq!(ended, expected, "{way}");
        times.push(time);
    }
    let fastest = times.iter().min().unwrap();
    println!("{way} took {fastest:?}");
    assert!(is_instrumented() || *fastest <= EXIT_TIME, "{way}: {times:?}");
}

#[test]
fn exit_under_load() {
    check("exit", ExitStatus::from_raw(0));
}

#[test]
fn immediate_exit_under_load() {
    check("_exit", ExitStatus::from_raw(0));
}

#[test]
fn return_from_main_under_load() {
    check("return", ExitStatus::from_raw(0));
}

#[test]
fn abort_under_load() {
    check("abort", ExitStatus::from_raw(libc::SIGABRT));
}

#[test]
fn a_static_destructor_enqueues_after_main() {
    let (dir, ingest, silent) = (TempDir::new("exit-static"), accepting(), silent());
    let spool = dir.join("spool");
    let program = compile_cpp("tests/cpp/static_destructor.cpp", dir.path());
    succeed(caller(program).arg(&spool).arg(silent.url()));
    let mut next = Host::start(&Host::compile(&dir), &settings(&spool, &ingest.url(), &["adopt=any"]));
    assert_eq!(next.ask("flush 60000"), "0");
    assert_each_once(&ingest, &[("main", 1), ("destructor", 1)]);
}

#[test]
fn free_does_not_wait_for_a_request() {
    let (dir, ingest) = (TempDir::new("exit-free"), silent());
    let program = Host::compile(&dir);
    let time = |n: usize| {
        let spool = dir.join(&format!("spool{n}"));
        let mut host = Host::start(&program, &settings(&spool, &ingest.url(), &["schedule_delay_ms=1"]));
        assert_eq!(host.ask("enqueue left 3"), "0 3");
        assert!(ingest.wait_until(Instant::now() + PATIENCE, |requests| requests.len() > n));
        let begin = Instant::now();
        assert_eq!(host.ask("free"), "0");
        begin.elapsed()
    };
    let times: Vec<Duration> = (0..ATTEMPTS).map(time).collect();
    println!("free took {:?}", times.iter().min().unwrap());
    assert!(is_instrumented() || times.iter().any(|time| *time <= EXIT_TIME), "{times:?}");
}

/// Starts tests/c/dlclose.c, with a request under way or the spool freed, and has it unload the library.
fn run_dlclose(way: &str, dir: &TempDir, ingest: &Ingest) -> Host {
    let program = compile_c_unlinked("tests/c/dlclose.c", dir.path());
    let mut command = Command::new(program);
    command.arg(way).arg(lib_dir().join("libspanspool.so")).arg(dir.join("spool")).arg(ingest.url());
    let mut host = Host::run(&mut command);
    if way == "keep" {
        wait_for_request(ingest);
    }
    host.tell("");
    assert_eq!(host.line(), "closed");
    host
}

#[test]
fn the_library_goes_on_after_dlclose() {
    let dir = TempDir::new("exit-dlclose");
    let ingest =
        Ingest::start(|_| Answer::status(200).fault(Fault::DelayBefore(Duration::from_millis(500)))).unwrap();
    let mut host = run_dlclose("keep", &dir, &ingest);
    eventually("the answer is noted after dlclose", || total(&status(&dir.join("spool")), "delivered") == 1);
    host.tell("");
    host.end();
    assert_each_once(&ingest, &[("before", 1)]);
}

#[test]
fn the_library_stays_loaded_for_threads_that_end_after_dlclose() {
    let (dir, ingest) = (TempDir::new("exit-dlclose-freed"), silent());
    let mut host = run_dlclose("free", &dir, &ingest);
    host.tell("");
    host.end();
}

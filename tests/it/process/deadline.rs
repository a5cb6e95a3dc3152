//! The tests' own waits: a program that hangs ends in a failure that says where it hung.

use std::panic::catch_unwind;
use std::process::Command;
use std::time::Duration;

use testkit::run::output_within;

#[test]
fn a_program_that_hangs_is_killed_at_the_deadline_with_what_it_said() {
    let hangs = || {
        output_within(
            Duration::from_secs(1),
            Command::new("sh").args(["-c", "echo $$; exec sleep 3600"]),
            "a sleep",
        )
    };
    let why = *catch_unwind(hangs).unwrap_err().downcast::<String>().unwrap();
    assert!(why.contains("a sleep did not end within 1s") && why.contains("thread sleep in "), "{why}");
    let pid: u32 = why.lines().last().unwrap().parse().unwrap();
    testkit::wait::eventually("it is gone", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
}

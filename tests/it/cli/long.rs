//! The page of `spanspool view`, in a browser.

use std::env;
use std::io::{self, Write};
use std::process::Command;

use testkit::{TempDir, caller, have, program, root, succeed};

use crate::abi::long::python::python_with;

const TEST: &str = "the_page_in_a_browser";

#[test]
#[ignore = "needs minutes and another toolchain: `just callers`"]
fn the_page_in_a_browser() {
    let dir = TempDir::new("browser");
    let Some(mut tests) = browser_tests(TEST, &dir) else { return };
    tests.args(["--durations=3", "--ignore=test_backlog.py"]);
    // Takes the README's picture again, and runs nothing else.
    if env::var_os("SPANSPOOL_UPDATE_PICTURE").is_some() {
        tests.args(["-k", "picture_of_the_readme"]);
    }
    let output = succeed(&mut tests);
    io::stderr().write_all(&output.stdout).unwrap();
}

/// Runs the tests in `tests/browser`; what they need is in `dir`. `None` when there is no browser, which is said for
/// `test`.
pub fn browser_tests(test: &str, dir: &TempDir) -> Option<Command> {
    if !have("chromium", "--version", test) || !have("python3", "--version", test) {
        return None;
    }
    let python = python_with(test, "browser", "tests/browser/requirements.txt")?;
    let mut tests = caller(&python);
    tests.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp"]).arg(dir.join("tmp"));
    tests.current_dir(root().join("tests/browser"));
    tests.env("SPANSPOOL_PROGRAM", program()).env("PYTHONDONTWRITEBYTECODE", "1");
    Some(tests)
}

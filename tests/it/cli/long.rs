//! The page of `spanspool view`, in a browser.

use std::env;
use std::io::{self, Write};

use testkit::{TempDir, caller, have, program, root, succeed};

use crate::abi::long::python::python_with;

const TEST: &str = "the_page_in_a_browser";

#[test]
#[ignore = "needs minutes and another toolchain: `just callers`"]
fn the_page_in_a_browser() {
    if !have("chromium", "--version", TEST) || !have("python3", "--version", TEST) {
        return;
    }
    let Some(python) = python_with(TEST, "browser", "tests/browser/requirements.txt") else { return };
    let dir = TempDir::new("browser");
    let mut tests = caller(&python);
    tests.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=3", "--basetemp"]);
    tests.arg(dir.join("tmp")).current_dir(root().join("tests/browser"));
    tests.env("SPANSPOOL_PROGRAM", program()).env("PYTHONDONTWRITEBYTECODE", "1");
    // Takes the README's picture again, and runs nothing else.
    if env::var_os("SPANSPOOL_UPDATE_PICTURE").is_some() {
        tests.args(["-k", "picture_of_the_readme"]);
    }
    let output = succeed(&mut tests);
    io::stderr().write_all(&output.stdout).unwrap();
}

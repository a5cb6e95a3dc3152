//! The Python package: its wheel is built with the library under test, installed, and put through its own tests.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use testkit::{TempDir, caller, have, lib_dir, root, skip, succeed};

/// A Python with everything that the binding's tests need.
pub fn python(test: &str) -> Option<PathBuf> {
    python_with(test, "python", "bindings/python/tests/requirements.txt")
}

/// A Python with everything that `requirements` names, made once and kept between runs below `target` as `name`.
///
/// `None` when it can't be made here, for want of `venv` or of the network; that is said for `test`.
pub fn python_with(test: &str, name: &str, requirements: &str) -> Option<PathBuf> {
    static MADE: Mutex<()> = Mutex::new(());
    let _alone = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let home = testkit::target_tmp().join(name);
    let (python, stamp) = (home.join("bin/python"), home.join("made-with"));
    let requirements = root().join(requirements);
    let version = succeed(Command::new("python3").arg("--version")).stdout;
    let wanted = [version, fs::read(&requirements).unwrap()].concat();
    if fs::read(&stamp).is_ok_and(|made| made == wanted) {
        return Some(python);
    }
    // A half-made one must not count as made.
    let _ = fs::remove_dir_all(&home);
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&home);
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements);
    for (command, need) in
        [(&mut venv, "python3 -m venv (python3-venv)"), (&mut install, "packages from PyPI")]
    {
        let output = command.output().unwrap();
        if !output.status.success() {
            let why = [output.stdout, output.stderr].concat();
            skip(test, &format!("{need}: {}", String::from_utf8_lossy(&why)));
            return None;
        }
    }
    fs::write(stamp, wanted).unwrap();
    Some(python)
}

/// Runs pip below `python` without the network.
fn pip(python: &Path, arguments: &[&str]) -> Command {
    let mut command = caller(python);
    command.args(["-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input"]).args(arguments);
    command
}

#[test]
#[ignore = "needs minutes and another toolchain: `just callers`"]
fn the_python_package() {
    if !have("python3", "--version", "the_python_package") {
        return;
    }
    let Some(python) = python("the_python_package") else { return };
    let package = root().join("bindings/python");
    let dir = TempDir::new("wheel");

    // What setuptools left there last time would go into this wheel as well.
    let _ = fs::remove_dir_all(package.join("build"));
    let mut wheel = pip(&python, &["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir"]);
    wheel.arg(dir.path()).arg(&package).env("SPANSPOOL_LIBRARY", lib_dir().join("libspanspool.so"));
    succeed(&mut wheel);
    let made = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let name = made.file_name().unwrap().to_str().unwrap();
    let expected = concat!("spanspool-", env!("CARGO_PKG_VERSION"), "-py3-none-linux_");
    assert!(name.starts_with(expected), "{name}");
    succeed(pip(&python, &["install", "--no-deps", "--no-index", "--force-reinstall"]).arg(&made));

    let mut tests = caller(&python);
    tests.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=3", "--basetemp"]);
    tests.arg(dir.join("tmp")).current_dir(&package).env("PYTHONDONTWRITEBYTECODE", "1");
    tests.env("MYPY_CACHE_DIR", testkit::target_tmp().join("mypy"));
    tests.env_remove("SPANSPOOL_LIBRARY");
    let output = succeed(&mut tests);
    // The figures of what is lost with and without a spool.
    io::stderr().write_all(&output.stdout).unwrap();
}

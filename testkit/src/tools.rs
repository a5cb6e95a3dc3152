//! Tools of other makers and programs of our own: whether they are there, and how they are run.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Output, Stdio};

use crate::compile::lib_dir;
use crate::run::{LONG, output_within};

/// The tool that the environment variable `variable` names, else `default`.
pub fn tool(variable: &str, default: &str) -> String {
    env::var(variable).ok().filter(|v| !v.is_empty()).unwrap_or_else(|| default.into())
}

/// Whether `tool` can be run. If not, a line on standard error says that `test` is skipped; with CI=true it fails.
pub fn have(tool: &str, version_flag: &str, test: &str) -> bool {
    is_installed(tool, version_flag) || skip(test, &format!("{tool}, which is not installed"))
}

/// Whether `tool` can be run.
pub fn is_installed(tool: &str, version_flag: &str) -> bool {
    let status = Command::new(tool).arg(version_flag).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Says on standard error that `test` is left out for want of `need`; with CI=true it fails. Always `false`.
pub fn skip(test: &str, need: &str) -> bool {
    assert_ne!(env::var("CI").as_deref(), Ok("true"), "{test} needs {need}; CI=true allows no skipping");
    // Written past the test harness, which would swallow it.
    io::stderr().write_all(format!("SKIPPED {test}: it needs {need}\n").as_bytes()).unwrap();
    false
}

/// Whether the tests run as root. If not, a line on standard error says that `test` is skipped; with CI=true it fails.
pub fn is_root(test: &str) -> bool {
    if fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
        return true;
    }
    skip(test, "root, to act as several users")
}

/// Runs `command` without input; it must end with exit code 0.
#[track_caller]
pub fn succeed(command: &mut Command) -> Output {
    let what = format!("{command:?}");
    let output = output_within(LONG, command, &what);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// A command that runs `program` with the library of [`lib_dir`] and without the machine's OpenAI settings.
///
/// cargo sets `LD_LIBRARY_PATH` to folders of which the first may hold an older library, and it beats an rpath.
pub fn caller(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for name in ["OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"] {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"OTEL_EXPORTER_OTLP_") {
            command.env_remove(name);
        }
    }
    command.env("LD_LIBRARY_PATH", lib_dir());
    command
}

//! What several test programs share: scratch folders, the built library, other languages' tools.

// Each test program takes the part that it needs.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of its own, removed with all it holds when dropped.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A folder that can't be removed must not hide what the test found.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The project's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder with the libspanspool.so that cargo built for this very test run.
///
/// It is the test program's own. `cargo test` leaves the copy one folder up as the last `cargo build` made it.
pub fn lib_dir() -> PathBuf {
    let test = env::current_exe().unwrap();
    let dir = test.parent().unwrap().to_path_buf();
    assert!(dir.join("libspanspool.so").exists(), "no libspanspool.so in {}", dir.display());
    dir
}

/// Compiles and links a C program of the project; `out` is the folder for it.
pub fn compile_c(source: &str, out: &Path) -> PathBuf {
    compile(&tool("CC", "cc"), &["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-pthread"], source, out)
}

/// Compiles a C program of the project that loads the library itself; `out` is the folder for it.
pub fn compile_c_unlinked(source: &str, out: &Path) -> PathBuf {
    let flags = ["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-pthread", "-Wl,--as-needed"];
    compile(&tool("CC", "cc"), &flags, source, out)
}

/// Compiles and links a C++ program of the project; `out` is the folder for it.
pub fn compile_cpp(source: &str, out: &Path) -> PathBuf {
    compile(&tool("CXX", "c++"), &["-std=c++17"], source, out)
}

fn compile(compiler: &str, flags: &[&str], source: &str, out: &Path) -> PathBuf {
    let source = root().join(source);
    let program = out.join(source.file_stem().unwrap());
    let mut command = Command::new(compiler);
    command
        .args(flags)
        .args(["-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"])
        .arg(root().join("include"));
    command.arg(source).arg("-o").arg(&program).arg("-L").arg(lib_dir()).arg("-lspanspool");
    succeed(&mut command);
    program
}

/// The tool that the environment variable `variable` names, else `default`.
pub fn tool(variable: &str, default: &str) -> String {
    env::var(variable).ok().filter(|v| !v.is_empty()).unwrap_or_else(|| default.into())
}

/// Whether `tool` can be run. If not, a line on standard error says that `test` is skipped; with CI=true it fails.
pub fn have(tool: &str, version_flag: &str, test: &str) -> bool {
    let found = Command::new(tool).arg(version_flag).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return true;
    }
    skip(test, &format!("{tool}, which is not installed"))
}

/// Says that `test` is left out for want of `need`.
fn skip(test: &str, need: &str) -> bool {
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

/// Runs `command`, which must end with exit code 0.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
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
    command.env("LD_LIBRARY_PATH", lib_dir());
    command
}

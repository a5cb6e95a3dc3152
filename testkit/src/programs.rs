//! What several test programs share: scratch folders, the built library, other languages' tools.

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
        Self::new_in(&target_tmp(), name)
    }

    fn new_in(parent: &Path, name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = parent.join(unique);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The same in memory, where syncs cost nothing, if the system has a place for that.
    pub fn in_memory(name: &str) -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self::new_in(memory, name) } else { Self::new(name) }
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
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The folder of the test program, where cargo also leaves the libraries that it built for it.
fn test_program_dir() -> PathBuf {
    env::current_exe().unwrap().parent().unwrap().to_path_buf()
}

/// The `spanspool` program that cargo built for this test run.
pub fn program() -> PathBuf {
    test_program_dir().with_file_name("spanspool")
}

/// A folder below `target` for what the tests make.
pub fn target_tmp() -> PathBuf {
    test_program_dir().ancestors().nth(2).unwrap().join("tmp")
}

/// The folder with the libspanspool.so that cargo built for this very test run, as a development dependency, or the one
/// that [`CBuild`] names.
pub fn lib_dir() -> PathBuf {
    CBuild::of_this_run().lib_dir
}

/// How C and C++ programs are built: against which library, and with which flags beside the usual ones.
///
/// A test program that runs under a sanitizer finds it in its environment (tests/sanitizers.rs).
pub struct CBuild {
    pub lib_dir: PathBuf,
    pub compile_flags: Vec<String>,
    pub link_flags: Vec<String>,
}

impl CBuild {
    const LIB_DIR: &str = "SPANSPOOL_TEST_LIB_DIR";
    const COMPILE_FLAGS: &str = "SPANSPOOL_TEST_CFLAGS";
    const LINK_FLAGS: &str = "SPANSPOOL_TEST_LDFLAGS";

    /// The environment's, else one for the library that cargo built for this very test run.
    ///
    /// That is the test program's own. `cargo test` leaves the copy one folder up as the last `cargo build` made it.
    pub fn of_this_run() -> Self {
        let lib_dir = env::var_os(Self::LIB_DIR).map_or_else(test_program_dir, PathBuf::from);
        assert!(lib_dir.join("libspanspool.so").exists(), "no libspanspool.so in {}", lib_dir.display());
        let lines = |variable| tool(variable, "").lines().map(str::to_owned).collect();
        Self { lib_dir, compile_flags: lines(Self::COMPILE_FLAGS), link_flags: lines(Self::LINK_FLAGS) }
    }

    /// Has `command`, which runs tests, build by these.
    pub fn hand_to(&self, command: &mut Command) {
        command.env(Self::LIB_DIR, &self.lib_dir);
        command.env(Self::COMPILE_FLAGS, self.compile_flags.join("\n"));
        command.env(Self::LINK_FLAGS, self.link_flags.join("\n"));
    }

    /// Compiles and links a C program of the project; `out` is the folder for it.
    pub fn compile_c(&self, source: &str, out: &Path) -> PathBuf {
        self.compile(&tool("CC", "cc"), &["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-pthread"], source, out)
    }

    fn compile(&self, compiler: &str, flags: &[&str], source: &str, out: &Path) -> PathBuf {
        let source = root().join(source);
        let program = out.join(source.file_stem().unwrap());
        let object = program.with_extension("o");
        let mut compile = Command::new(compiler);
        compile.args(flags).args(["-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"]);
        compile.arg(root().join("include")).args(&self.compile_flags);
        succeed(compile.arg("-c").arg(source).arg("-o").arg(&object));
        // In a step of its own: a sanitizer's flag would bring the compiler's runtime, which is not the library's.
        let mut link = Command::new(compiler);
        link.args(flags).arg(&object).arg("-o").arg(&program);
        link.arg("-L").arg(&self.lib_dir).arg("-lspanspool").args(&self.link_flags);
        succeed(&mut link);
        program
    }
}

/// Whether the library under test has a sanitizer in it: it is right then, and many times as slow.
pub fn is_instrumented() -> bool {
    !CBuild::of_this_run().compile_flags.is_empty()
}

/// Compiles and links a C program of the project; `out` is the folder for it.
pub fn compile_c(source: &str, out: &Path) -> PathBuf {
    CBuild::of_this_run().compile_c(source, out)
}

/// Compiles a C program of the project that loads the library itself; `out` is the folder for it.
pub fn compile_c_unlinked(source: &str, out: &Path) -> PathBuf {
    let flags = ["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-pthread", "-Wl,--as-needed"];
    CBuild::of_this_run().compile(&tool("CC", "cc"), &flags, source, out)
}

/// Compiles and links a C++ program of the project; `out` is the folder for it.
pub fn compile_cpp(source: &str, out: &Path) -> PathBuf {
    compile_cpp_with(&tool("CXX", "c++"), source, out)
}

/// As [`compile_cpp`], with a compiler of one's choice.
pub fn compile_cpp_with(compiler: &str, source: &str, out: &Path) -> PathBuf {
    CBuild::of_this_run().compile(compiler, &["-std=c++17", "-pthread"], source, out)
}

/// Compiles a C library of the project for `LD_PRELOAD`; `out` is the folder for it.
pub fn compile_shim(source: &str, out: &Path) -> PathBuf {
    let source = root().join(source);
    let library = out.join(source.file_stem().unwrap()).with_extension("so");
    let mut command = Command::new(tool("CC", "cc"));
    command.args(["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread"]);
    succeed(command.arg(source).arg("-o").arg(&library).arg("-ldl"));
    library
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

//! Programs in C and C++: how they are built against the library under test.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::scratch::{root, test_program_dir};
use crate::tools::{succeed, tool};

/// The folder with the libspanspool.so that cargo built for this very test run, as a development dependency, or the one
/// that [`CBuild`] names.
pub fn lib_dir() -> PathBuf {
    CBuild::of_this_run().lib_dir
}

/// How C and C++ programs are built: against which library, and with which flags next to the usual ones.
///
/// A test program that runs under a sanitizer finds it in its environment (tests/it/process/sanitizers).
#[derive(Debug)]
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
        let what = format!("{compiler} {flags:?} {source:?} {self:?}");
        built_once(&what, &program, || {
            let mut compile = Command::new(compiler);
            compile.args(flags).args(["-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"]);
            compile.arg(root().join("include")).args(&self.compile_flags);
            succeed(compile.arg("-c").arg(&source).arg("-o").arg(&object));
            // In a step of its own: a sanitizer's flag would bring the compiler's runtime, which is not the library's.
            let mut link = Command::new(compiler);
            link.args(flags).arg(&object).arg("-o").arg(&program);
            link.arg("-L").arg(&self.lib_dir).arg("-lspanspool").args(&self.link_flags);
            succeed(&mut link);
        });
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
    built_once(&source.display().to_string(), &library, || {
        let mut command = Command::new(tool("CC", "cc"));
        command.args([
            "-std=gnu11",
            "-O1",
            "-g",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-shared",
            "-fPIC",
            "-pthread",
        ]);
        succeed(command.arg(&source).arg("-o").arg(&library).arg("-ldl"));
    });
    library
}

/// Puts at `path` what `build` makes there, which is built only once by a process: most tests run the same few programs.
fn built_once(what: &str, path: &Path, build: impl FnOnce()) {
    static BUILT: Mutex<BTreeMap<String, Arc<OnceLock<Vec<u8>>>>> = Mutex::new(BTreeMap::new());
    let kept =
        BUILT.lock().unwrap_or_else(PoisonError::into_inner).entry(what.to_owned()).or_default().clone();
    let mut is_there = false;
    let bytes = kept.get_or_init(|| {
        build();
        is_there = true;
        fs::read(path).unwrap()
    });
    if is_there {
        return;
    }
    // By a process of its own: a fork of this one could inherit a descriptor for writing, and a program that somebody
    // may write to does not start.
    let mut copy =
        Command::new("cp").args(["-f", "/dev/stdin"]).arg(path).stdin(Stdio::piped()).spawn().unwrap();
    copy.stdin.take().unwrap().write_all(bytes).unwrap();
    assert!(copy.wait().unwrap().success());
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

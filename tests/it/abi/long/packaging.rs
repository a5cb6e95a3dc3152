//! The installed library: `cargo cinstall` into an empty folder, and programs in C and C++ that are built against what
//! is there and nothing else, by pkg-config and by CMake, with the shared library and with the static one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::ingest::{Answer, Ingest, items_of};
use testkit::{TempDir, caller, have, lib_dir, root, succeed, tool};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Before 1.0 another minor version is another interface.
fn soname() -> String {
    let minor = VERSION.rsplit_once('.').unwrap().0;
    format!("libspanspool.so.{minor}")
}

/// What `cargo cinstall` makes of the release build.
fn install(prefix: &Path) {
    let mut cargo = Command::new(tool("CARGO", "cargo"));
    cargo.args(["cinstall", "--locked", "--libdir", "lib", "--prefix"]).arg(prefix);
    cargo.arg("--manifest-path").arg(root().join("capi/Cargo.toml"));
    succeed(&mut cargo);
}

fn text_of(command: &mut Command) -> String {
    String::from_utf8(succeed(command).stdout).unwrap()
}

/// The words after `label`, on the first line that has it.
fn words_behind<'a>(text: &'a str, label: &str) -> Vec<&'a str> {
    let line = text
        .lines()
        .find_map(|line| line.split_once(label))
        .unwrap_or_else(|| panic!("no {label} in {text}"));
    line.1.split_whitespace().collect()
}

#[test]
#[ignore = "needs minutes and another toolchain: `just callers`"]
fn programs_are_built_against_what_is_installed() {
    let tools = [
        ("cargo-cinstall", "--version"),
        ("pkg-config", "--version"),
        ("cmake", "--version"),
        ("make", "--version"),
        ("readelf", "--version"),
        ("nm", "--version"),
        ("ar", "--version"),
        (&tool("CC", "cc"), "--version"),
        (&tool("CXX", "c++"), "--version"),
    ];
    if !tools.iter().all(|(tool, flag)| have(tool, flag, "programs_are_built_against_what_is_installed")) {
        return;
    }
    let dir = TempDir::new("packaging");
    let prefix = dir.join("usr");
    install(&prefix);
    everything_is_in_its_place(&prefix);
    shared_library_is_what_was_reviewed(&prefix.join("lib/libspanspool.so"));
    both_libraries_are_optimised_as_a_whole(&prefix);
    needs_of_the_static_library_are_true(&prefix, &dir);
    pkg_config_builds_programs(&prefix, &dir);
    cmake_builds_programs(&prefix, &dir);
}

fn everything_is_in_its_place(prefix: &Path) {
    let mut files = Vec::new();
    find(prefix, &mut files);
    let mut files: Vec<&str> =
        files.iter().map(|f| f.strip_prefix(prefix).unwrap().to_str().unwrap()).collect();
    files.sort_unstable();
    let (full, short) = (format!("lib/libspanspool.so.{VERSION}"), format!("lib/{}", soname()));
    let expected = [
        "include/spanspool.h",
        "include/spanspool.hpp",
        "include/spanspool_opentelemetry.hpp",
        "lib/libspanspool.a",
        "lib/libspanspool.so",
        &short,
        &full,
        "lib/pkgconfig/spanspool.pc",
        "share/spanspool/cmake/spanspool-config-version.cmake",
        "share/spanspool/cmake/spanspool-config.cmake",
    ];
    // Beside them may lie what a debugger reads.
    files.retain(|file| !file.ends_with(".dwp"));
    assert_eq!(files, expected);
    for header in ["spanspool.h", "spanspool.hpp", "spanspool_opentelemetry.hpp"] {
        let read = |folder: PathBuf| fs::read(folder.join(header)).unwrap();
        assert_eq!(read(prefix.join("include")), read(root().join("include")), "{header}");
    }
}

fn find(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { find(&entry, files) } else { files.push(entry) }
    }
}

fn shared_library_is_what_was_reviewed(library: &Path) {
    let dynamic = text_of(Command::new("readelf").arg("-dW").arg(library));
    assert_eq!(words_behind(&dynamic, "Library soname:"), [format!("[{}]", soname())]);
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
    let mut nm = Command::new("nm");
    let symbols = text_of(nm.args(["--dynamic", "--defined-only", "--format=posix"]).arg(library));
    let mut exported: Vec<&str> = symbols.lines().map(|line| line.split(' ').next().unwrap()).collect();
    exported.sort_unstable();
    let reviewed = fs::read_to_string(root().join("capi/exports.txt")).unwrap();
    assert_eq!(exported, reviewed.lines().collect::<Vec<_>>());
}

/// Link-time optimisation leaves one object for all crates: the archive has one of ours, and none of a dependency's.
fn both_libraries_are_optimised_as_a_whole(prefix: &Path) {
    let members = text_of(Command::new("ar").arg("t").arg(prefix.join("lib/libspanspool.a")));
    let ours: Vec<&str> = members.lines().filter(|name| name.contains(".rcgu.o")).collect();
    let of_crates: Vec<&&str> = ours.iter().filter(|name| !name.starts_with("compiler_builtins")).collect();
    assert_eq!(of_crates.len(), 1, "{of_crates:?}");
}

/// `Libs.private` against what rustc says of the very crates that are linked.
fn needs_of_the_static_library_are_true(prefix: &Path, dir: &TempDir) {
    let rlib = newest_rlib();
    let mut rustc = Command::new(tool("RUSTC", "rustc"));
    rustc.args([
        "--edition=2024",
        "--crate-name=spanspool",
        "--crate-type=staticlib",
        "--print=native-static-libs",
    ]);
    rustc.arg("--extern").arg(format!("rust_crate={}", rlib.display()));
    rustc.arg("-L").arg(format!("dependency={}", lib_dir().display())).arg("-o").arg(dir.join("any.a"));
    let output = succeed(rustc.arg(root().join("capi/src/lib.rs")));
    fs::remove_file(dir.join("any.a")).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let pc = fs::read_to_string(prefix.join("lib/pkgconfig/spanspool.pc")).unwrap();
    assert_eq!(words_behind(&pc, "Libs.private:"), words_behind(&said, "native-static-libs:"));
}

/// The crate as this test program was linked with it.
fn newest_rlib() -> PathBuf {
    let all = fs::read_dir(lib_dir()).unwrap().map(|entry| entry.unwrap().path());
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("libspanspool-") && name.ends_with(".rlib")
    };
    all.filter(is_ours).max_by_key(|path| path.metadata().unwrap().modified().unwrap()).unwrap()
}

/// What pkg-config says of the library below `prefix`.
fn pkg_config(prefix: &Path, flags: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_LIBDIR", prefix.join("lib/pkgconfig")).env_remove("PKG_CONFIG_PATH");
    text_of(command.args(flags).arg("spanspool")).split_whitespace().map(str::to_owned).collect()
}

fn pkg_config_builds_programs(prefix: &Path, dir: &TempDir) {
    assert_eq!(pkg_config(prefix, &["--modversion"]), [VERSION]);
    // Without a shared library next to it, -lspanspool is the static one.
    let alone = dir.join("static");
    install(&alone);
    for name in ["libspanspool.so".to_owned(), soname(), format!("libspanspool.so.{VERSION}")] {
        fs::remove_file(alone.join("lib").join(name)).unwrap();
    }
    for (language, compiler, standard) in
        [("c", tool("CC", "cc"), "-std=c99"), ("cpp", tool("CXX", "c++"), "-std=c++17")]
    {
        let build = |name: &str, flags: Vec<String>| {
            let program = dir.join(name);
            let source = root().join(format!("examples/{language}/quickstart.{language}"));
            let mut command = Command::new(&compiler);
            succeed(command.arg(standard).arg(source).arg("-o").arg(&program).args(flags));
            program
        };
        let shared = build(&format!("{language}-shared"), pkg_config(prefix, &["--cflags", "--libs"]));
        runs(&shared, Some(&prefix.join("lib")));
        let built =
            build(&format!("{language}-static"), pkg_config(&alone, &["--cflags", "--libs", "--static"]));
        runs(&built, None);
    }
}

fn cmake_builds_programs(prefix: &Path, dir: &TempDir) {
    let build = dir.join("build");
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(root().join("tests/cmake")).arg("-B").arg(&build);
    configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    succeed(configure.arg(format!("-DEXAMPLES={}", root().join("examples").display())));
    succeed(Command::new("cmake").arg("--build").arg(&build));
    for language in ["c", "cpp"] {
        runs(&build.join(language), Some(&prefix.join("lib")));
        runs(&build.join(format!("{language}_static")), None);
    }

    // A version with another interface is not taken for this one.
    let mut other = Command::new("cmake");
    let source = dir.join("other");
    fs::create_dir(&source).unwrap();
    let (major, rest) = VERSION.split_once('.').unwrap();
    let other_minor = rest.split_once('.').unwrap().0.parse::<u32>().unwrap() - 1;
    let asks = format!(
        "cmake_minimum_required(VERSION 3.16)\nproject(other C)\nfind_package(spanspool {major}.{other_minor} REQUIRED)\n"
    );
    fs::write(source.join("CMakeLists.txt"), asks).unwrap();
    other.arg("-S").arg(&source).arg("-B").arg(dir.join("other-build"));
    let output = other.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display())).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(VERSION), "{said}");
}

/// Runs a quickstart: its item arrives. With a folder, it loads the library from there by its soname; else it has it
/// inside.
fn runs(program: &Path, libraries: Option<&Path>) {
    let dynamic = text_of(Command::new("readelf").arg("-dW").arg(program));
    assert_eq!(dynamic.contains(&format!("[{}]", soname())), libraries.is_some(), "{dynamic}");
    assert!(!dynamic.contains("[libspanspool.so]"), "{dynamic}");
    let (ingest, dir) = (Ingest::start(|_| Answer::status(200)).unwrap(), TempDir::new("packaging-spool"));
    let mut command = caller(program);
    match libraries {
        Some(folder) => command.env("LD_LIBRARY_PATH", folder),
        None => command.env_remove("LD_LIBRARY_PATH"),
    };
    succeed(command.arg(dir.path()).arg(ingest.url()));
    assert_eq!(ingest.requests().iter().flat_map(items_of).count(), 1, "{}", program.display());
}

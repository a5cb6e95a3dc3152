//! The library built with a compiler that watches it as it runs, and what that says.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use testkit::{CBuild, root, skip, succeed};

/// The compiler, by date. Only a nightly has sanitizers for Linux; with one of another day they may say other things.
const TOOLCHAIN: &str = include_str!("toolchain").trim_ascii();
const SUPPRESSIONS: &str = include_str!("tsan.supp");
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sanitizer {
    Address,
    Thread,
}

/// The library with a sanitizer in it.
pub struct Instrumented {
    sanitizer: Sanitizer,
    pub build: CBuild,
}

impl Sanitizer {
    fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Thread => "thread",
        }
    }

    /// The library of the compiler's own that the sanitizer's calls end in.
    fn runtime(self) -> &'static str {
        match self {
            Self::Address => "librustc-nightly_rt.asan.a",
            Self::Thread => "librustc-nightly_rt.tsan.a",
        }
    }

    /// The settings of a program: it goes on after a report, so that the test it belongs to ends as it always does,
    /// and every process writes its reports to a file in `reports`.
    fn options(self, reports: &Path) -> (&'static str, String) {
        let common = format!("log_path={}/report:symbolize=0:exitcode=0", reports.display());
        match self {
            // What a child of `fork` abandons is no leak worth a word.
            Self::Address => {
                let more = "detect_leaks=0:detect_stack_use_after_return=1:strict_string_checks=1";
                ("ASAN_OPTIONS", format!("{common}:{more}"))
            }
            // Children of a process with many threads start threads; an exit is not to wait for late reports.
            Self::Thread => {
                ("TSAN_OPTIONS", format!("{common}:die_after_fork=0:atexit_sleep_ms=0:history_size=4"))
            }
        }
    }
}

impl Instrumented {
    /// Builds the library and Rust's standard library with `sanitizer`. `None`: `test` is skipped, as a line on
    /// standard error says.
    pub fn build(sanitizer: Sanitizer, test: &str) -> Option<Self> {
        let asked = Command::new("rustup").args(["run", TOOLCHAIN, "rustc", "--print", "sysroot"]).output();
        let sysroot = asked.ok().filter(|answer| answer.status.success());
        let sysroot = sysroot.map(|answer| PathBuf::from(String::from_utf8(answer.stdout).unwrap().trim()));
        let source = |sysroot: &PathBuf| sysroot.join("lib/rustlib/src/rust/library/Cargo.toml").exists();
        let Some(sysroot) = sysroot.filter(source) else {
            let install =
                format!("rustup toolchain install {TOOLCHAIN} --profile minimal --component rust-src");
            skip(test, &format!("a compiler that is not installed: {install}"));
            return None;
        };
        let target_dir = testkit::target_tmp().with_file_name("sanitizers").join(sanitizer.name());
        succeed(&mut cargo(sanitizer, &target_dir));
        let runtime = sysroot.join("lib/rustlib").join(TARGET).join("lib").join(sanitizer.runtime());
        let link_flags =
            ["-pthread", "-Wl,--whole-archive", runtime.to_str().unwrap(), "-Wl,--no-whole-archive"];
        let system = ["-Wl,--export-dynamic", "-lm", "-ldl", "-lrt"];
        let build = CBuild {
            lib_dir: target_dir.join(TARGET).join("debug"),
            compile_flags: vec![format!("-fsanitize={}", sanitizer.name()), "-fno-omit-frame-pointer".into()],
            link_flags: link_flags.iter().chain(&system).map(|flag| (*flag).to_owned()).collect(),
        };
        Some(Self { sanitizer, build })
    }

    /// Has the programs that `command` is or starts write their reports to the folder `reports`.
    pub fn watch(&self, command: &mut Command, reports: &Path) {
        fs::create_dir_all(reports).unwrap();
        let (variable, options) = self.sanitizer.options(reports);
        command.env(variable, options);
    }

    /// What was reported to the folder `reports` and is not suppressed, with the names of our functions; and how many
    /// reports are suppressed.
    pub fn reports(&self, reports: &Path) -> (Vec<String>, usize) {
        let text: String = fs::read_dir(reports)
            .unwrap()
            .map(|file| String::from_utf8_lossy(&fs::read(file.unwrap().path()).unwrap()).into_owned())
            .collect();
        let is_report =
            |part: &&str| ["WARNING: ", "ERROR: ", "FATAL: "].iter().any(|kind| part.contains(kind));
        let all: Vec<&str> = text.split("==================\n").filter(is_report).collect();
        // Names take their time: at first only those that decide.
        let names = self.names(all.iter().flat_map(|report| accesses(report)));
        let suppressed =
            |report: &str| is_suppressed(&accesses(report).map(|a| named(a, &names)).collect::<Vec<_>>());
        let left: Vec<&str> = all.iter().copied().filter(|report| !suppressed(report)).collect();
        let names = self.names(left.iter().copied());
        (left.iter().map(|report| named(report, &names)).collect(), all.len() - left.len())
    }

    /// For each address of the library's in `texts` the functions there, the innermost first, each on a line.
    fn names<'a>(&self, texts: impl Iterator<Item = &'a str>) -> HashMap<&'a str, String> {
        let addresses: BTreeSet<&str> = texts.flat_map(str::lines).filter_map(address).collect();
        let mut command = Command::new("timeout");
        command
            .args(["600", "addr2line", "-a", "-C", "-f", "-i", "-e"])
            .arg(self.build.lib_dir.join("libspanspool.so"));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input: String = addresses.iter().map(|address| format!("{address}\n")).collect();
        let mut stdin = process.stdin.take().unwrap();
        // In a thread, lest both wait for the other to read.
        let writer = thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = process.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // Before each answer stands its address in a line.
        let answers: Vec<String> = text.lines().fold(Vec::new(), |mut answers, line| {
            if line.starts_with("0x") {
                answers.push(String::new())
            } else if let Some(answer) = answers.last_mut() {
                *answer += &format!("{line}\n");
            }
            answers
        });
        assert_eq!(answers.len(), addresses.len(), "addr2line said {text:.2000}");
        addresses.into_iter().zip(answers.iter().map(|answer| frames(answer))).collect()
    }
}

/// addr2line's answer to an address, a function and its place in turn, with one line for both.
fn frames(answer: &str) -> String {
    let lines: Vec<&str> = answer.lines().collect();
    lines.chunks(2).map(|frame| format!("    libspanspool.so: {}\n", frame.join(" at "))).collect()
}

/// `text` with `names` in place of the lines with their addresses.
fn named(text: &str, names: &HashMap<&str, String>) -> String {
    let line = |line: &str| match address(line).and_then(|address| names.get(address)) {
        Some(frames) => frames.clone(),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// The command that builds the library. Little is optimised, that it takes not long; its own lines are named.
fn cargo(sanitizer: Sanitizer, target_dir: &Path) -> Command {
    let mut command = Command::new("rustup");
    command.args([
        "run",
        TOOLCHAIN,
        "cargo",
        "rustc",
        "--quiet",
        "--locked",
        "--package",
        "spanspool-capi",
        "--crate-type",
        "cdylib",
    ]);
    command.args(["--target", TARGET, "-Zbuild-std=std,panic_unwind", "--target-dir"]);
    command.arg(target_dir);
    for setting in ["package.\"*\".opt-level=1", "debug=\"line-tables-only\"", "incremental=false"] {
        command.arg("--config").arg(format!("profile.dev.{setting}"));
    }
    // What `cargo test` has set for its own compiler is not for this one.
    for variable in
        ["LD_LIBRARY_PATH", "RUSTC", "RUSTC_WRAPPER", "RUSTDOC", "CARGO_ENCODED_RUSTFLAGS", "CARGO"]
    {
        command.env_remove(variable);
    }
    command.current_dir(root());
    command.env("RUSTFLAGS", format!("-Zsanitizer={}", sanitizer.name()));
    command
}

/// The address of a line like `    #1 0x7f… (libspanspool.so+0x2a2792) (BuildId: …)`.
fn address(line: &str) -> Option<&str> {
    let (_, behind) = line.trim_start().strip_prefix('#')?.split_once("libspanspool.so+")?;
    behind.split(')').next()
}

/// The parts of a report of ThreadSanitizer that tell where memory was read and written.
fn accesses(report: &str) -> impl Iterator<Item = &str> {
    let begin =
        |part: &str| ["  Read of", "  Write of", "  Atomic", "  Previous"].iter().find_map(|b| part.find(b));
    report.split("\n\n").filter_map(move |part| begin(part).map(|at| &part[at..]))
}

/// Whether each of a report's accesses, with names, happens where the suppressions say, deeper than any function of
/// ours. The earlier one may be forgotten by now.
fn is_suppressed(accesses: &[String]) -> bool {
    let ours = format!(" at {}/src/", root().display());
    let suppressed = |access: &String| {
        let deep = access.lines().take_while(|line| !line.contains(&ours)).collect::<Vec<_>>();
        let mut places = SUPPRESSIONS.lines().filter_map(|line| line.strip_prefix("race:"));
        places.any(|place| deep.iter().any(|line| line.contains(place)))
    };
    let forgotten = |access: &String| access.contains("[failed to restore the stack]");
    accesses.iter().any(suppressed) && accesses.iter().all(|access| suppressed(access) || forgotten(access))
}

#[test]
fn a_race_is_suppressed_only_when_it_is_not_ours() {
    let sled = "  Write of size 8\n    libspanspool.so: drop at /any/sled-0.34.7/src/arc.rs:156\n".to_owned();
    let ours =
        format!("  Previous read of size 8\n    libspanspool.so: f at {}/src/a.rs:1\n", root().display());
    let forgotten = "  Previous write of size 8\n    [failed to restore the stack]\n".to_owned();
    let below = format!("{ours}{}", sled.lines().last().unwrap());
    assert!(
        is_suppressed(&[sled.clone(), sled.clone()]) && is_suppressed(&[sled.clone(), forgotten.clone()])
    );
    for other in [&ours, &below] {
        assert!(
            !is_suppressed(&[sled.clone(), other.clone()]) && !is_suppressed(&[other.clone(), sled.clone()])
        );
    }
    assert!(!is_suppressed(&[forgotten]) && !is_suppressed(&[]));
}

//! The API key is in the requests and nowhere else.

use std::fs;
use std::os::unix::fs::FileExt;
use std::process::Stdio;
use std::time::Instant;

use testkit::TempDir;
use testkit::cli::spanspool;
use testkit::host::{Host, files_below, settings, silent};
use testkit::ingest::{Answer, Ingest};
use testkit::wait::PATIENCE;

const KEY: &str = "sk-spanspool-test-0123456789abcdef";

#[test]
fn the_key_is_nowhere_but_in_the_requests() {
    let dir = TempDir::new("manners-key");
    let (program, spool, log) = (Host::compile(&dir), dir.join("spool"), dir.join("log"));
    // An ingest that is so careless as to quote the key in answers that are kept: 401 is told, 400 is stored.
    let ingest = Ingest::start(|request| {
        let quote = request.header("authorization").unwrap_or_default().to_owned();
        let status = match String::from_utf8_lossy(&request.body) {
            body if body.contains("held") => 401,
            body if body.contains("bad") => 400,
            _ => 200,
        };
        Answer::status(status).body(format!("Incorrect API key provided: {quote}"))
    })
    .unwrap();
    let log_setting = format!("log={}", log.display());
    let more = [log_setting.as_str(), "journal_bytes=192KiB"];
    let mut host = Host::start(&program, &settings(&spool, &ingest.url(), &more));
    assert_eq!(host.ask(&format!("key {KEY}")), "0");
    assert_eq!(host.ask("enqueue good 1000 1000"), "0 1000");
    assert_eq!(host.ask("flush 60000"), "0");
    assert_eq!(host.ask("enqueue bad 1"), "0 1");
    assert_eq!(host.ask("enqueue good 1"), "0 1");
    assert_eq!(host.ask("flush 60000"), "0");
    assert_eq!(host.ask("enqueue held 1"), "0 1");
    assert_eq!(host.ask("flush 500"), "21");
    assert!(ingest.requests().iter().any(|r| r.header("authorization").unwrap().ends_with(KEY)));
    assert!(fs::read_to_string(&log).unwrap().contains("Incorrect API key provided"));

    let mut looked_at = 0;
    for path in files_below(&spool).into_iter().chain([log]).filter(|path| path.is_file()) {
        assert!(!contains(&fs::read(&path).unwrap(), KEY.as_bytes()), "{}", path.display());
        looked_at += 1;
    }
    assert!(looked_at > 3);

    // A core of another process that has the spool open, a drain with a key of its own, does not have it either.
    let silent = silent();
    let endpoint = format!("endpoint={}", silent.url());
    let spool_dir = spool.to_str().unwrap();
    let mut command = spanspool(&["drain", "--spool-dir", spool_dir, "--set", &endpoint, "--set=adopt=any"]);
    command.env("OPENAI_API_KEY", "sk-of-the-drain").stdout(Stdio::null()).stderr(Stdio::null());
    host.kill();
    let mut drain = command.spawn().unwrap();
    assert!(silent.wait_until(Instant::now() + PATIENCE, |requests| !requests.is_empty()));
    let (memory, arguments) =
        (memory_of(drain.id()), fs::read(format!("/proc/{}/cmdline", drain.id())).unwrap());
    drain.kill().unwrap();
    drain.wait().unwrap();
    assert!(contains(&memory, b"sk-of-the-drain"), "its own key is there, so the search finds what is there");
    assert!(!contains(&memory, KEY.as_bytes()));
    assert!(!contains(&arguments, b"sk-of-the-drain"));
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// All that a core of process `pid` would hold.
fn memory_of(pid: u32) -> Vec<u8> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut all = Vec::new();
    for line in
        maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with('r')))
    {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let mut piece = vec![0; (to - from) as usize];
        // Some ranges, such as the kernel's [vvar], can't be read by anybody.
        if memory.read_exact_at(&mut piece, from).is_ok() {
            all.extend(piece);
        }
    }
    all
}

#[test]
fn a_key_on_the_command_line_is_refused_without_being_repeated() {
    let output =
        spanspool(&["status", "--spool-dir", "x", "--set", &format!("api_key={KEY}")]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!contains(&[output.stdout, output.stderr].concat(), KEY.as_bytes()));
}

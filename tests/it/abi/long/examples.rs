//! The examples do what they show.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::host::{Host, accepting, drain, ids_of, silent, status, total, wait_for_items};
use testkit::ingest::{Answer, Ingest, items_of};
use testkit::{TempDir, caller, compile_c, compile_cpp, have, lib_dir, root, succeed, tool};

fn have_c(test: &str) -> bool {
    have(&tool("CC", "cc"), "--version", test)
}

fn have_cpp(test: &str) -> bool {
    have(&tool("CXX", "c++"), "--version", test)
}

#[test]
fn c_quickstart_delivers_its_item() {
    if have_c("c_quickstart_delivers_its_item") {
        let dir = TempDir::new("quickstart");
        quickstart_delivers_its_item(&compile_c("examples/c/quickstart.c", dir.path()), &dir);
    }
}

#[test]
fn cpp_quickstart_delivers_its_item() {
    if have_cpp("cpp_quickstart_delivers_its_item") {
        let dir = TempDir::new("quickstart-cpp");
        quickstart_delivers_its_item(&compile_cpp("examples/cpp/quickstart.cpp", dir.path()), &dir);
    }
}

fn quickstart_delivers_its_item(program: &Path, dir: &TempDir) {
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let run = |endpoint: &str| {
        let mut command = caller(program);
        command.arg(dir.join("spool")).arg(endpoint);
        command
    };

    let output = succeed(&mut run(&ingest.url()));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let items: Vec<String> = ingest.requests().iter().flat_map(items_of).collect();
    assert_eq!(items.len(), 1);
    assert!(items[0].contains(r#""workflow_name":"quickstart""#), "{items:?}");

    let output = run("not a url").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("'not a url'"), "{text}");
}

#[test]
fn c_threads_deliver_each_span_once() {
    if !have_c("c_threads_deliver_each_span_once") {
        return;
    }
    let (dir, ingest) = (TempDir::new("threads"), accepting());
    let program = compile_c("examples/c/threads.c", dir.path());
    let output = succeed(caller(program).arg(dir.join("spool")).arg(ingest.url()));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "accepted 1000, delivered 1000, refused 0\n");
    let ids: Vec<String> = ingest.requests().iter().flat_map(ids_of).collect();
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (1000, 1000));
}

#[test]
fn c_offline_device_keeps_its_readings_through_a_kill() {
    if !have_c("c_offline_device_keeps_its_readings_through_a_kill") {
        return;
    }
    let (dir, ingest) = (TempDir::new("offline-device"), accepting());
    let (port, url) = (ingest.port(), ingest.url());
    // The device is away from the network.
    ingest.stop();
    let program = compile_c("examples/c/offline_device.c", dir.path());
    let spool = dir.join("spool");
    let start = || Host::run(caller(&program).arg(&spool).arg(&url));

    let mut device = start();
    for n in 1..=20 {
        let answer = device.ask(&format!("reading \"{n}\" of C:\\\t"));
        assert_eq!(answer, format!("kept: {n} pending, 0 delivered, 0 dropped"));
    }
    device.kill();

    let ingest = Ingest::start_on(port, |_| Answer::status(200)).unwrap();
    let mut device = start();
    device.ask("the last one");
    assert_eq!(device.ask("online"), "sent: 0 pending, 21 delivered, 0 dropped");
    device.end();
    let items: Vec<String> = ingest.requests().iter().flat_map(items_of).collect();
    assert_eq!(items.len(), 21);
    let text = |item: &str| {
        let item: serde_json::Value = serde_json::from_str(item).unwrap();
        item["span_data"]["data"]["text"].as_str().unwrap().to_owned()
    };
    assert_eq!(text(&items[0]), "reading \"1\" of C:\\\t");
    assert_eq!(text(&items[20]), "the last one");
}

/// A client of examples/cpp/server.cpp.
struct Caller(BufReader<TcpStream>);

impl Caller {
    /// Connects to the address that the server tells first.
    fn new(address: &str) -> Self {
        Self(BufReader::new(TcpStream::connect(address).unwrap()))
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.0.get_mut(), "{line}").unwrap();
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap();
        answer
    }
}

/// Runs the C++ server until SIGTERM, with answered lines and with a connection that is open by then. Returns what it
/// says.
fn serve(program: &Path, spool: &Path, ingest: &Ingest) -> String {
    let mut server = Host::run(caller(program).arg(spool).arg(ingest.url()));
    let said = server.line();
    let address = said.strip_prefix("listening on ").unwrap();
    let (mut first, mut second) = (Caller::new(address), Caller::new(address));
    for _ in 0..5 {
        assert_eq!(first.ask("hello"), "hello\n");
        assert_eq!(second.ask("bye"), "bye\n");
    }
    drop(first);
    succeed(Command::new("kill").args(["-TERM", &server.pid().to_string()]));
    let said = server.line();
    server.end();
    said
}

#[test]
#[ignore = "needs minutes and another toolchain: `just callers`"]
fn cpp_server_ends_gracefully() {
    if !have_cpp("cpp_server_ends_gracefully") {
        return;
    }
    let dir = TempDir::new("server");
    let program = compile_cpp("examples/cpp/server.cpp", dir.path());
    let spool = dir.join("spool");
    let unheard = silent();
    assert!(serve(&program, &spool, &unheard).contains("deadline"));
    assert_eq!(total(&status(&spool), "pending"), 11, "its trace and ten spans");
    drop(unheard);

    let ingest = accepting();
    drain(&spool, &ingest.url());
    assert_eq!(serve(&program, &spool, &ingest), "all delivered");
    wait_for_items(&ingest, 22);
    assert_eq!(total(&status(&spool), "pending"), 0);
}

#[test]
fn rust_quickstart_delivers_its_trace_and_spans() {
    let dir = TempDir::new("quickstart-rust");
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let program = example("quickstart");
    let run = |endpoint: &str| {
        let mut command = caller(&program);
        command.arg(dir.join("spool")).arg(endpoint);
        command
    };

    let output = succeed(&mut run(&ingest.url()));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let items: Vec<String> = ingest.requests().iter().flat_map(items_of).collect();
    let [trace, call, agent] = &items[..] else { panic!("{items:?}") };
    assert!(trace.contains(r#""workflow_name":"quickstart""#), "{trace}");
    assert!(call.contains(r#""name":"lookup","input":null,"output":"42""#), "{call}");
    let agent: spanspool::Span = serde_json::from_str(agent).unwrap();
    assert!(call.contains(&format!(r#""parent_id":"{}""#, agent.id)), "{call}");

    let output = run("not a url").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("'not a url'"), "{text}");
}

/// A Rust example as `cargo test` built it. With `--test it` alone it is built by `cargo build --examples`.
fn example(name: &str) -> PathBuf {
    let program = lib_dir().with_file_name("examples").join(name);
    let built = |path: &Path| path.metadata().unwrap().modified().unwrap();
    let source = root().join(format!("examples/rust/{name}.rs"));
    assert!(
        program.exists() && built(&program) >= built(&source),
        "{} is not up to date: run `cargo build --examples`",
        program.display()
    );
    program
}

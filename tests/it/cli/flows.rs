//! Items go through the program from a file to the ingest, and what the ingest refuses comes back.

mod long;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use spanspool::{BatchTraceProcessor, Config};
use testkit::TempDir;
use testkit::cli::{Ended, run, run_with_input, spanspool};
use testkit::host::files_below;
use testkit::ingest::{Answer, Ingest, Request, items_of};
use testkit::run::output_of;
use testkit::wait::{PATIENCE, eventually};

const THREE: &str = "{\"id\":\"a\"}\n{\"id\":\"b\", \"n\":[1,2]}\n{\"id\":\"ż\"}\n";
const SAMPLE: &str = include_str!("../../fixtures/agents-sdk-sample.ndjson");

/// A spool with `lines` in it.
fn spool_of(lines: &str) -> (TempDir, String) {
    let folder = TempDir::new("cli");
    let dir = folder.argument("spool");
    run_with_input(&["enqueue", "--spool-dir", &dir], lines.as_bytes()).with(0);
    (folder, dir)
}

/// Drains into `endpoint` with short delays; ten seconds are far more than it takes.
fn drain(dir: &str, endpoint: &str, more: &[&str]) -> Ended {
    let endpoint = format!("endpoint={endpoint}");
    let fixed = [
        "drain",
        "--spool-dir",
        dir,
        "--set",
        &endpoint,
        "--set=base_delay_ms=10",
        "--set=max_delay_ms=100",
        "--timeout-ms=10000",
    ];
    run(&[&fixed, more].concat())
}

/// The answer of an ingest that takes everything.
fn taking(_: &Request) -> Answer {
    Answer::status(200)
}

fn pending(dir: &str) -> u64 {
    status(dir, "pending")
}

fn status(dir: &str, field: &str) -> u64 {
    run(&["status", "--json", "--spool-dir", dir]).with(0).json()[field].as_u64().unwrap()
}

fn arrived(ingest: &Ingest) -> Vec<String> {
    ingest.requests().iter().flat_map(items_of).collect()
}

#[test]
fn what_was_enqueued_is_in_cat_and_status_and_then_at_the_ingest() {
    let (_folder, dir) = spool_of(SAMPLE);
    assert_eq!(run(&["cat", "--spool-dir", &dir]).with(0).out, SAMPLE);
    let all = SAMPLE.lines().count() as u64;
    assert_eq!((status(&dir, "accepted"), pending(&dir)), (all, all));

    let ingest = Ingest::start(taking).unwrap();
    let ended = drain(&dir, &ingest.url(), &["--json"]).with(0).json();
    assert_eq!((ended["accepted"].as_u64(), ended["delivered"].as_u64()), (Some(all), Some(all)));
    assert_eq!(arrived(&ingest), SAMPLE.lines().collect::<Vec<_>>());
    assert_eq!((status(&dir, "delivered"), pending(&dir)), (all, 0));
    assert_eq!(run(&["cat", "--spool-dir", &dir]).with(0).out, "");
}

#[test]
fn enqueue_reads_a_file_and_stdin_and_sends_nothing() {
    let folder = TempDir::new("cli");
    let (dir, file) = (folder.argument("spool"), folder.write("items", THREE));
    let ingest = Ingest::start(taking).unwrap();
    let endpoint = format!("endpoint={}", ingest.url());
    let fixed = [
        "enqueue",
        "--spool-dir",
        &dir,
        "--set",
        &endpoint,
        "--set=exporter=backend",
        "--set=schedule_delay_ms=1",
    ];
    let text = run(&[&fixed[..], &[&file]].concat()).with(0).out;
    assert!(text.contains("3 items accepted") && text.contains("spanspool drain"), "{text}");
    run_with_input(&[&fixed[..], &["-"]].concat(), THREE.as_bytes()).with(0);
    // No line break after the last item.
    run_with_input(&fixed, THREE.trim_end().as_bytes()).with(0);
    assert_eq!(pending(&dir), 9);
    assert!(ingest.requests().is_empty());
}

#[test]
fn a_bad_line_is_named_and_the_rest_is_taken() {
    let folder = TempDir::new("cli");
    let dir = folder.argument("spool");
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(5000));
    let input = format!("{{\"n\":1}}\n\n[2]\n  \n{long}\n{{\"n\":6}}\n{{\"n\":7}} {{}}\r\n{{\"n\":8}}\r\n");
    let words = ["enqueue", "--spool-dir", &dir, "--set=max_item_bytes=1KiB", "--json"];
    let ended = run_with_input(&words, input.as_bytes()).with(1);
    assert_eq!(ended.json(), serde_json::json!({"enqueued": 3, "refused": 3, "stopped_at_line": null}));
    let named: Vec<_> = ended.err.lines().map(|line| line.split(": ").nth(1).unwrap()).collect();
    assert_eq!(named, ["-:3", "-:5", "-:7"], "{}", ended.err);
    let size = format!("line of {} bytes is over max_item_bytes=1024", long.len() + 1);
    assert!(ended.err.contains(&size), "{}", ended.err);
    assert_eq!(run(&["cat", "--spool-dir", &dir]).out, "{\"n\":1}\n{\"n\":6}\n{\"n\":8} \n");
}

#[test]
fn a_file_that_is_not_there_makes_no_spool() {
    let folder = TempDir::new("cli");
    let ended =
        run(&["enqueue", "--spool-dir", &folder.argument("spool"), &folder.argument("absent")]).with(1);
    assert!(ended.err.contains("absent: No such file"), "{}", ended.err);
    assert!(!folder.path().join("spool").exists());
}

#[test]
fn a_full_spool_stops_enqueue_at_a_line_it_names() {
    let folder = TempDir::new("cli");
    let dir = folder.argument("spool");
    let words = ["enqueue", "--spool-dir", &dir, "--set=max_queue_size=2"];
    let ended = run_with_input(&words, THREE.as_bytes()).with(1);
    assert!(ended.err.contains("-:3: "), "{}", ended.err);
    assert!(
        ended.out.contains("2 items accepted") && ended.out.contains("stopped at line 3"),
        "{}",
        ended.out
    );
    assert_eq!(pending(&dir), 2);
}

#[test]
fn a_folder_that_is_not_there_is_an_error_and_is_not_made() {
    let folder = TempDir::new("cli");
    let dir = folder.argument("mistyped");
    for words in [
        &["status"][..],
        &["cat"],
        &["drain"],
        &["rejected", "list"],
        &["rejected", "requeue", "--all"],
        &["rejected", "purge", "--all"],
    ] {
        let ended = run(&[words, &["--spool-dir", &dir]].concat()).with(1);
        assert!(ended.err.contains("mistyped"), "{}", ended.err);
    }
    assert!(!Path::new(&dir).exists());
}

#[test]
fn an_empty_spool_is_drained_and_has_nothing_to_show() {
    let (_folder, dir) = spool_of("");
    assert_eq!(pending(&dir), 0);
    assert_eq!(run(&["cat", "--spool-dir", &dir]).with(0).out, "");
    assert_eq!(run(&["rejected", "list", "--json", "--spool-dir", &dir]).with(0).out, "");
    drain(&dir, "http://127.0.0.1:9/", &[]).with(0);
}

#[test]
fn what_cannot_be_delivered_in_time_stays() {
    let (_folder, dir) = spool_of(THREE);
    let ingest = Ingest::start(|_| Answer::status(503)).unwrap();
    let ended = drain(&dir, &ingest.url(), &["--timeout-ms=300"]).with(1);
    assert!(
        ended.out.contains("accepted 3 = delivered 0 + pending 3 + rejected 0 + dropped 0"),
        "{}",
        ended.out
    );
    assert!(ended.out.contains("3 pending"), "{}", ended.out);
    assert!(!ingest.requests().is_empty());
    assert_eq!(run(&["cat", "--spool-dir", &dir]).out, THREE);
}

#[test]
fn a_drain_ends_when_its_spool_is_removed() {
    let (_folder, dir) = spool_of(THREE);
    let ingest = Ingest::start(|_| Answer::status(503)).unwrap();
    let endpoint = format!("endpoint={}", ingest.url());
    let arguments = ["drain", "--spool-dir", &dir, "--set", &endpoint];
    let mut draining = spanspool(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("a delivery is tried", || !ingest.requests().is_empty());
    fs::remove_dir_all(&dir).unwrap();
    let ended = Ended::from(output_of(&mut draining, PATIENCE, "the drain")).with(1);
    assert!(ended.err.contains("the folder was removed"), "{}", ended.err);
    assert_eq!(ended.out, "");
}

#[test]
fn what_several_processes_left_behind_is_drained() {
    let folder = TempDir::new("cli");
    let dir = folder.argument("spool");
    // Clients that live at the same time have a lane each; dropped, they leave orphans.
    let clients: Vec<_> = (0..3).map(|n| client(&dir, n)).collect();
    drop(clients);
    assert_eq!(pending(&dir), 3);
    let ingest = Ingest::start(taking).unwrap();
    drain(&dir, &ingest.url(), &[]).with(0);
    let mut arrived = arrived(&ingest);
    arrived.sort();
    assert_eq!(arrived, ["{\"n\":0}", "{\"n\":1}", "{\"n\":2}"]);
}

#[test]
fn what_a_running_process_has_is_named_and_left_to_it() {
    let folder = TempDir::new("cli");
    let dir = folder.argument("spool");
    let _running = client(&dir, 7);
    let ingest = Ingest::start(taking).unwrap();
    let ended = drain(&dir, &ingest.url(), &[]).with(1);
    assert!(ended.out.contains(&format!("1 pending: process {} has", std::process::id())), "{}", ended.out);
    assert!(ingest.requests().is_empty());
}

/// A client in this process that sends nothing and has the item `{"n":n}`.
fn client(dir: &str, n: u32) -> BatchTraceProcessor {
    let mut config = Config::new();
    config.set("spool_dir", dir).unwrap().set("exporter", "none").unwrap();
    let client = BatchTraceProcessor::open(config).unwrap();
    client.enqueue(format!("{{\"n\":{n}}}").as_bytes()).unwrap();
    client
}

#[test]
fn a_refused_item_is_listed_requeued_and_delivered() {
    let (_folder, dir) = spool_of(THREE);
    let refusing =
        Ingest::start(|request| match items_of(request).iter().any(|item| item.contains("\"b\"")) {
            true => Answer::status(400).body("b is\nnot wanted"),
            false => Answer::status(200),
        })
        .unwrap();
    let ended = drain(&dir, &refusing.url(), &[]).with(1);
    assert!(ended.out.contains("1 item rejected in this run"), "{}", ended.out);

    let text = run(&["rejected", "list", "--spool-dir", &dir]).with(0).out;
    for part in ["HTTP 400", "refused", "b is not wanted", "{\"id\":\"b\", \"n\":[1,2]}", "1 rejected item"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let entry = run(&["rejected", "list", "--json", "--spool-dir", &dir]).with(0).json();
    assert_eq!(entry["item"], serde_json::json!({"id": "b", "n": [1, 2]}));
    assert_eq!((entry["status"].as_u64(), entry["answer"].as_str()), (Some(400), Some("b is\nnot wanted")));
    let id = entry["id"].as_str().unwrap();

    let ended = run(&["rejected", "requeue", id, "nobody-1", "--spool-dir", &dir]).with(2);
    assert!(ended.err.contains("'nobody-1'"), "{}", ended.err);
    assert_eq!((pending(&dir), status(&dir, "rejected")), (0, 1));
    let ended = run(&["rejected", "requeue", id, "--json", "--spool-dir", &dir]).with(0);
    assert_eq!(ended.json(), serde_json::json!({"requeued": 1}));
    assert_eq!((pending(&dir), status(&dir, "rejected")), (1, 0));
    let taking = Ingest::start(taking).unwrap();
    drain(&dir, &taking.url(), &["--set=adopt=any"]).with(0);
    assert_eq!(arrived(&taking), ["{\"id\":\"b\", \"n\":[1,2]}"]);
    assert_eq!(status(&dir, "delivered"), 3);
}

#[test]
fn rejected_items_that_can_not_be_read_keep_no_other_from_being_drained() {
    let (_folder, dir) = spool_of("{\"n\":1}\n{\"n\":2}\n");
    let picky = |request: &Request| {
        let has = |part: &str| items_of(request).iter().any(|item| item.contains(part));
        Answer::status(if has("1") { 400 } else { 200 })
    };
    let ingest = Ingest::start(picky).unwrap();
    drain(&dir, &ingest.url(), &[]).with(1);
    run_with_input(&["enqueue", "--spool-dir", &dir], b"{\"n\":3}\n").with(0);
    let is_rejected = |path: &PathBuf| path.parent().unwrap().ends_with("rejected");
    let file = files_below(Path::new(&dir)).into_iter().find(is_rejected).unwrap();
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let ended = drain(&dir, &ingest.url(), &[]).with(1);
    assert!(ended.err.contains("cannot read"), "{}", ended.err);
    assert_eq!(arrived(&ingest).last().unwrap(), "{\"n\":3}");
}

#[test]
fn a_purged_item_is_gone() {
    let (_folder, dir) = spool_of(THREE);
    let ingest = Ingest::start(|request| match items_of(request).iter().any(|item| item.contains("\"b\"")) {
        true => Answer::status(400),
        false => Answer::status(200),
    })
    .unwrap();
    drain(&dir, &ingest.url(), &[]).with(1);
    run(&["rejected", "purge", "nobody-1", "--spool-dir", &dir]).with(2);
    assert_eq!(run(&["rejected", "list", "--spool-dir", &dir]).out.matches("HTTP 400").count(), 1);
    let ended = run(&["rejected", "purge", "--all", "--json", "--spool-dir", &dir]).with(0);
    assert_eq!(ended.json(), serde_json::json!({"purged": 1}));
    assert_eq!(run(&["rejected", "list", "--json", "--spool-dir", &dir]).out, "");
}

#[test]
fn the_key_of_a_file_is_sent_and_never_written() {
    let (folder, dir) = spool_of(THREE);
    let file = folder.write("key", "sk-from-a-file\n");
    let ingest = Ingest::start(taking).unwrap();
    let ended = drain(&dir, &ingest.url(), &["--api-key-file", &file]).with(0);
    assert_eq!(ingest.requests()[0].header("authorization"), Some("Bearer sk-from-a-file"));
    assert!(!(ended.out + &ended.err).contains("sk-from"));
    assert!(!holds(Path::new(&dir), b"sk-from-a-file"));
    // The search itself finds what is there.
    assert!(holds(folder.path(), b"sk-from-a-file"));
}

/// A spool with items of the default key and of two named ones, and an ingest that wants the right keys.
fn spool_of_keys() -> (TempDir, String, Ingest) {
    let folder = TempDir::new("cli");
    let dir = folder.argument("spool");
    let mut config = Config::new();
    config.set("spool_dir", &dir).unwrap().set("exporter", "none").unwrap();
    let client = BatchTraceProcessor::open(config).unwrap();
    client.enqueue(b"{\"id\":\"default\"}").unwrap();
    client.enqueue_as("team", b"{\"id\":\"team\"}").unwrap();
    client.enqueue_as("guest", b"{\"id\":\"guest\"}").unwrap();
    let ingest = Ingest::start(|request| {
        let key = request.header("authorization").unwrap_or_default().to_owned();
        let is_right = |item: &String| match item.as_str() {
            "{\"id\":\"team\"}" => key == "Bearer sk-team",
            "{\"id\":\"guest\"}" => key == "Bearer sk-guest",
            _ => key.is_empty(),
        };
        Answer::status(if items_of(request).iter().all(is_right) { 200 } else { 401 })
    })
    .unwrap();
    (folder, dir, ingest)
}

/// As `drain`, with environment variables.
fn drain_with(dir: &str, ingest: &Ingest, more: &[&str], variables: &[(&str, &str)]) -> Ended {
    let endpoint = format!("endpoint={}", ingest.url());
    let fixed = ["drain", "--timeout-ms=60000", "--spool-dir", dir, "--set", &endpoint];
    let mut drain = spanspool(&[&fixed, more].concat());
    drain.envs(variables.iter().copied()).output().unwrap().into()
}

#[test]
fn drain_sends_items_with_the_keys_of_their_names() {
    let (folder, dir, ingest) = spool_of_keys();
    let file = folder.write("guest", " sk-guest\n");
    let guest = format!("guest={file}");
    let words = ["--named-key-env", "team=TEAM_KEY", "--named-key-file", &guest];
    let ended = drain_with(&dir, &ingest, &words, &[("TEAM_KEY", "sk-team\n")]).with(0);
    assert!(ended.out.contains("3 items left the spool"), "{}", ended.out);
    assert_eq!((status(&dir, "delivered"), status(&dir, "rejected")), (3, 0));
    assert!(!(ended.out + &ended.err).contains("sk-"));
    assert!(!holds(Path::new(&dir), b"sk-team") && !holds(Path::new(&dir), b"sk-guest"));
}

#[test]
fn drain_ends_with_the_keys_that_its_items_wait_for() {
    let (_folder, dir, ingest) = spool_of_keys();
    let guest = ["--named-key-env=guest=GUEST_KEY"];
    let both = ["--named-key-env=guest=GUEST_KEY", "--named-key-env=team=TEAM_KEY"];
    // Once more, nothing is pending, and they wait all the same.
    for _ in 0..2 {
        let ended = drain_with(&dir, &ingest, &guest, &[("GUEST_KEY", "sk-wrong")]).with(1);
        for part in [
            "1 item set aside: the key 'team' is not known; --named-key-env team=VARIABLE gives it",
            "1 item set aside: the ingest refused the key 'guest'",
        ] {
            assert!(ended.out.contains(part), "{part} in {}", ended.out);
        }
    }
    let keys = [("GUEST_KEY", "sk-guest"), ("TEAM_KEY", "sk-team")];
    let ended = drain_with(&dir, &ingest, &both, &keys).with(0);
    assert!(ended.out.contains("2 items left the spool"), "{}", ended.out);
    assert_eq!((status(&dir, "delivered"), status(&dir, "rejected")), (3, 0));
}

fn holds(folder: &Path, text: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => holds(&path, text),
        false => fs::read(&path).unwrap().windows(text.len()).any(|window| window == text),
    })
}

#[test]
fn status_for_people_has_the_ledger_and_a_row_a_lane() {
    let (_folder, dir) = spool_of(THREE);
    let text = run(&["status", "--spool-dir", &dir]).with(0).out;
    assert!(text.contains("1 lane,"), "{text}");
    assert!(text.contains("accepted 3 = delivered 0 + pending 3 + rejected 0 + dropped 0"), "{text}");
    let json = run(&["status", "--json", "--spool-dir", &dir]).with(0).json();
    let lane = &json["lanes"][0];
    assert_eq!((lane["owner_pid"].as_u64(), lane["pending"].as_u64()), (None, Some(3)));
    assert!(text.contains(lane["id"].as_str().unwrap()), "{text}");
}

#[test]
fn a_reader_of_cat_that_has_gone_is_no_fault() {
    let (_folder, dir) = spool_of(SAMPLE);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let command = ["cat", "--spool-dir", &dir];
    let output = spanspool(&command).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn an_item_with_line_breaks_is_one_line_in_cat() {
    let folder = TempDir::new("cli");
    let dir = folder.argument("spool");
    let client = client(&dir, 1);
    client.enqueue(b"{\r\n  \"id\": \"a\"\n}").unwrap();
    // It only looks: the owner of the lane is this process, and it is running.
    assert_eq!(run(&["cat", "--spool-dir", &dir]).with(0).out, "{\"n\":1}\n{    \"id\": \"a\" }\n");
    let json = run(&["status", "--json", "--spool-dir", &dir]).with(0).json();
    assert_eq!(json["lanes"][0]["owner_pid"].as_u64(), Some(std::process::id().into()));
}

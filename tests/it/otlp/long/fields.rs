//! Fields: a request with every field, by the C interface and the program, is the same after the Collector has read and
//! written it.

use std::fmt::Debug;
use std::fs;
use std::iter;

use prost::Message;
use testkit::cli::{run, run_with_input};
use testkit::host::Host;
use testkit::ingest::{Answer, Ingest};
use testkit::otlp::{Logs, Metrics, Traces, logs, metrics, traces};
use testkit::{TempDir, caller, compile_c};

use super::collector::{Collector, built};

#[test]
#[ignore = "needs a Collector: `just collector`"]
fn every_field_comes_through_the_collector() {
    let Some(program) = built("every_field_comes_through_the_collector") else { return };
    let mut collector = Collector::new(&program);
    let bytes = [
        ("traces", traces().encode_to_vec()),
        ("logs", logs().encode_to_vec()),
        ("metrics", metrics().encode_to_vec()),
    ];
    let dir = TempDir::new("fields");
    for (signal, item) in &bytes {
        leave(&dir, &collector.url(), signal, item);
    }
    collector.start();
    run(&["drain", "--timeout-ms=60000", "--spool-dir", &dir.argument("spool")]).with(0);
    let arrivals = collector.arrivals();
    assert_eq!((arrivals.requests().len(), arrivals.repeated), (3, 0));
    let [of_traces, of_logs, of_metrics] = ["traces", "logs", "metrics"].map(|signal| {
        let name =
            if signal == "traces" { "resourceSpans".into() } else { format!("resource{}", capital(signal)) };
        let request = arrivals.requests().iter().find(|request| request.get(&name).is_some()).unwrap();
        to_protobuf(signal, &request.to_string())
    });
    assert_same(&Traces::decode(&of_traces[..]).unwrap(), &traces());
    assert_same(&Logs::decode(&of_logs[..]).unwrap(), &logs());
    assert_same(&Metrics::decode(&of_metrics[..]).unwrap(), &metrics());
}

fn capital(name: &str) -> String {
    name[..1].to_uppercase() + &name[1..]
}

/// Compared as text, because a NaN equals no other. To the Collector, no value is the same as an empty one.
fn assert_same(arrived: &impl Debug, sent: &impl Debug) {
    let text = |of: &dyn Debug| {
        format!("{of:?}").replace("value: Some(AnyValue { value: None })", "value: None").replace(", ", ",\n")
    };
    let (arrived, sent) = (text(arrived), text(sent));
    let differs = iter::zip(arrived.lines(), sent.lines()).position(|(arrived, sent)| arrived != sent);
    let near = |text: &str, at: usize| {
        text.lines().skip(at.saturating_sub(10)).take(20).collect::<Vec<_>>().join("\n")
    };
    if let Some(at) = differs {
        panic!("arrived:\n{}\n\nsent:\n{}", near(&arrived, at), near(&sent, at));
    }
    assert_eq!(arrived.len(), sent.len());
}

/// Leaves an item in the spool by a program in C that is killed.
fn leave(dir: &TempDir, url: &str, signal: &str, item: &[u8]) {
    let program = compile_c("tests/c/enqueue_bytes.c", dir.path());
    let file = dir.join("item");
    fs::write(&file, [&(item.len() as u32).to_le_bytes()[..], item].concat()).unwrap();
    let settings = [
        format!("spool_dir={}", dir.argument("spool")),
        format!("signal={signal}"),
        format!("endpoint={url}"),
        "exporter=otlp".into(),
    ];
    let mut host = Host::run(caller(program).arg(file).args(settings));
    assert_eq!(host.line(), "ready");
    host.kill();
}

/// The bytes that the program makes of a line that the Collector wrote.
fn to_protobuf(signal: &str, line: &str) -> Vec<u8> {
    let dir = TempDir::new("fields-again");
    let spool = dir.argument("spool");
    let receiver = Ingest::start(|_| Answer::status(200)).unwrap();
    let (signal, url) =
        (format!("signal={signal}"), format!("endpoint=http://127.0.0.1:{}", receiver.port()));
    let settings = ["enqueue", "--spool-dir", &spool, "--set=exporter=otlp", "--set", &signal, "--set", &url];
    let ended = run_with_input(&settings, line.as_bytes()).with(0);
    assert_eq!(ended.err, "", "nothing is left out");
    run(&["drain", "--timeout-ms=60000", "--spool-dir", &spool]).with(0);
    receiver.requests().remove(0).body
}

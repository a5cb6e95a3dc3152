//! Telemetrygen: what OpenTelemetry's own generator sends goes through the program's `enqueue` to a Collector.

use std::path::PathBuf;
use std::process::Command;

use prost::Message;
use testkit::cli::{run, run_with_input};
use testkit::ingest::{Answer, Ingest};
use testkit::otlp::{Logs, Metrics, Traces};
use testkit::{TempDir, succeed, target_tmp};

use super::arrivals::Arrivals;
use super::collector::{Collector, built};

/// Of the Collector's release.
const GENERATOR: &str = "github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen@v0.161.0";
/// Traces, log records or metrics of each of two workers. The generator drops some of them when it is in a hurry.
const COUNT: usize = 500;

fn generator() -> PathBuf {
    let mut install = Command::new("go");
    install.args(["install", GENERATOR]).env("GOBIN", target_tmp()).env("GOTOOLCHAIN", "auto");
    succeed(install.env("CGO_ENABLED", "0"));
    target_tmp().join("telemetrygen")
}

/// The bodies of the requests with which the generator sends a signal.
fn generated(signal: &str) -> Vec<Vec<u8>> {
    let receiver = Ingest::start(|_| Answer::status(200)).unwrap();
    let mut generate = Command::new(generator());
    generate.args([signal, "--otlp-http", "--otlp-insecure", "--rate=0", "--workers=2"]);
    generate.arg(format!("--otlp-endpoint=127.0.0.1:{}", receiver.port()));
    generate.arg(format!("--{signal}={COUNT}"));
    if signal == "traces" {
        generate.args(["--child-spans=3", "--span-links=1", "--status-code=Error"]);
    }
    succeed(&mut generate);
    receiver.requests().into_iter().map(|request| request.body).collect()
}

/// The bodies with their lengths before them.
fn delimited(bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut all = Vec::new();
    for body in bodies {
        prost::encode_length_delimiter(body.len(), &mut all).unwrap();
        all.extend_from_slice(body);
    }
    all
}

/// How many records are in the bodies, as a decoder of others reads them.
fn records(signal: &str, bodies: &[Vec<u8>]) -> usize {
    let of = |body: &Vec<u8>| -> usize {
        let body = &body[..];
        match signal {
            "traces" => {
                let of = Traces::decode(body).unwrap().resource_spans;
                of.iter().flat_map(|of| &of.scope_spans).map(|of| of.spans.len()).sum()
            }
            "logs" => {
                let of = Logs::decode(body).unwrap().resource_logs;
                of.iter().flat_map(|of| &of.scope_logs).map(|of| of.log_records.len()).sum()
            }
            _ => {
                let of = Metrics::decode(body).unwrap().resource_metrics;
                of.iter().flat_map(|of| &of.scope_metrics).map(|of| of.metrics.len()).sum()
            }
        }
    };
    bodies.iter().map(of).sum()
}

fn arrived(signal: &str, arrivals: &Arrivals) -> usize {
    match signal {
        "traces" => arrivals.spans().count(),
        "logs" => arrivals.log_records().count(),
        _ => arrivals.metrics().count(),
    }
}

#[test]
#[ignore = "needs a Collector: `just collector`"]
fn what_the_generator_sends_arrives_by_the_program() {
    let Some(program) = built("what_the_generator_sends_arrives_by_the_program") else { return };
    for signal in ["traces", "logs", "metrics"] {
        let (dir, mut collector) = (TempDir::new("telemetrygen"), Collector::new(&program));
        let bodies = generated(signal);
        let spool = dir.argument("spool");
        let (of_signal, endpoint) = (format!("signal={signal}"), format!("endpoint={}", collector.url()));
        let settings = ["--set", "exporter=otlp", "--set", &of_signal, "--set", &endpoint];
        let enqueue = ["enqueue", "--spool-dir", &spool, "--format=delimited", "--json"];
        let enqueued =
            run_with_input(&[&enqueue[..], &settings].concat(), &delimited(&bodies)).with(0).json();
        assert_eq!((&enqueued["enqueued"], &enqueued["refused"]), (&bodies.len().into(), &0.into()));
        collector.start();
        run(&["drain", "--spool-dir", &spool, "--timeout-ms=60000"]).with(0);
        let expected = records(signal, &bodies);
        assert!(expected >= COUNT, "{expected}");
        let arrivals = collector.arrivals();
        assert_eq!((arrived(signal, &arrivals), arrivals.repeated), (expected, 0), "{signal}");
        println!("{signal}: {expected} records in {} requests of the generator", bodies.len());
    }
}

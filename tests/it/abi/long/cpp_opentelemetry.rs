//! The C++ header for OpenTelemetry: what arrives equals what the SDK's own OTLP exporters send for the same program,
//! and a program is killed and goes on.

use std::iter;
use std::path::{Path, PathBuf};
use std::process::Command;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest as Logs;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest as Metrics;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as Traces;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message;
use testkit::host::{Host, accepting};
use testkit::ingest::Ingest;
use testkit::{TempDir, caller, have, lib_dir, root, skip, succeed, tool};

use crate::abi::long::shop::shop_is_killed_and_goes_on;

const PACKAGES: [&str; 4] =
    ["opentelemetry_trace", "opentelemetry_logs", "opentelemetry_metrics", "opentelemetry_common"];

/// Whether the C++ SDK is here, 1.19 or newer.
pub fn have_sdk(test: &str) -> bool {
    if !have(&tool("CXX", "c++"), "--version", test) || !have("pkg-config", "--version", test) {
        return false;
    }
    let found = Command::new("pkg-config")
        .args(["--exists", "--print-errors", "opentelemetry_trace >= 1.19"])
        .status();
    found.is_ok_and(|status| status.success())
        || skip(test, "opentelemetry-cpp 1.19 with libabsl-dev, which are not installed")
}

/// Compiles a program with the SDK, and links `libraries` of it as well.
pub fn build(source: &str, dir: &TempDir, libraries: &[&str]) -> PathBuf {
    let flags = succeed(Command::new("pkg-config").args(["--cflags", "--libs"]).args(PACKAGES)).stdout;
    let program = dir.join(Path::new(source).file_stem().unwrap().to_str().unwrap());
    let mut command = Command::new(tool("CXX", "c++"));
    command.args(["-std=c++17", "-O1", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread", "-I"]);
    command.arg(root().join("include")).arg(root().join(source)).arg("-o").arg(&program);
    command.arg("-L").arg(lib_dir()).arg("-lspanspool");
    command.args(String::from_utf8(flags).unwrap().split_whitespace()).args(libraries);
    succeed(&mut command);
    program
}

fn url(ingest: &Ingest) -> String {
    format!("http://127.0.0.1:{}", ingest.port())
}

/// The messages of all requests to `path`.
fn received<M: Message + Default>(ingest: &Ingest, path: &str) -> Vec<M> {
    let requests = ingest.requests();
    requests.iter().filter(|r| r.path == path).map(|r| M::decode(&r.body[..]).unwrap()).collect()
}

fn spans(ingest: &Ingest) -> Vec<ResourceSpans> {
    received::<Traces>(ingest, "/v1/traces").into_iter().flat_map(|it| it.resource_spans).collect()
}

fn logs(ingest: &Ingest) -> Vec<ResourceLogs> {
    received::<Logs>(ingest, "/v1/logs").into_iter().flat_map(|it| it.resource_logs).collect()
}

/// Metrics with their resource and scope, each alone: a request of ours has one scope, the SDK's has all.
fn metrics(ingest: &Ingest) -> Vec<ResourceMetrics> {
    let mut found = Vec::new();
    for from in received::<Metrics>(ingest, "/v1/metrics").into_iter().flat_map(|it| it.resource_metrics) {
        for scope in &from.scope_metrics {
            found.push(ResourceMetrics { scope_metrics: vec![scope.clone()], ..from.clone() });
        }
    }
    found
}

#[track_caller]
fn assert_same<T: PartialEq + std::fmt::Debug>(ours: &[T], stock: &[T], count: usize) {
    assert_eq!((ours.len(), stock.len()), (count, count));
    for (ours, stock) in iter::zip(ours, stock) {
        assert!(ours == stock, "ours: {ours:#?}\nthe SDK's: {stock:#?}");
    }
}

#[test]
#[ignore = "needs minutes and another toolchain: `just callers`"]
fn cpp_header_for_opentelemetry_sends_what_the_sdk_sends() {
    if !have_sdk("cpp_header_for_opentelemetry_sends_what_the_sdk_sends") {
        return;
    }
    let dir = TempDir::new("cpp-opentelemetry");
    let stock_libraries = [
        "-lopentelemetry_exporter_otlp_http",
        "-lopentelemetry_exporter_otlp_http_log",
        "-lopentelemetry_exporter_otlp_http_metric",
    ];
    let program = build("tests/cpp/opentelemetry.cpp", &dir, &stock_libraries);
    let run = |what: &str, receivers: &[&Ingest]| {
        let mut command = caller(&program);
        command.arg(what).arg(dir.join(what)).args(receivers.iter().map(|it| url(it)));
        succeed(&mut command);
    };

    let (ours, stock) = (accepting(), accepting());
    run("same", &[&ours, &stock]);
    assert_same(&spans(&ours), &spans(&stock), 9);
    assert_same(&logs(&ours), &logs(&stock), 52);
    // How often a reader collects at its end is up to the SDK.
    let collected = metrics(&ours).len();
    assert!(collected >= 2);
    assert_same(&metrics(&ours), &metrics(&stock), collected);
    for request in ours.requests() {
        let agent = request.header("user-agent").unwrap();
        assert!(agent.starts_with("spanspool-opentelemetry-cpp/0."), "{agent}");
    }

    let receiver = accepting();
    run("own", &[&receiver]);
    what_the_sdk_sends_otherwise(&receiver);
    run("promises", &[&accepting()]);
}

fn what_the_sdk_sends_otherwise(receiver: &Ingest) {
    let [from] = &spans(receiver)[..] else { panic!("one span") };
    let scope = &from.scope_spans[0];
    assert_eq!(scope.scope.as_ref().unwrap().name, "bad \u{fffd} scope");
    let span = &scope.spans[0];
    assert_eq!(span.name, "a\u{fffd}");
    let found: Vec<_> = span.attributes.iter().map(|it| (it.key.as_str(), it.value.clone())).collect();
    let text = |text: &str| Some(Value::StringValue(text.into()));
    let value = |at: usize| found[at].1.clone().unwrap().value;
    assert_eq!(found[0].0, "\u{fffd}");
    assert_eq!(value(0), text("\u{fffd} surrogate, overlong \u{fffd}, cut \u{fffd}"));
    assert_eq!((found[1].0, value(1)), ("above", text("18446744073709551615")));
    let status = span.status.as_ref().unwrap();
    assert_eq!((status.code, status.message.as_str()), (1, ""));
    let [from] = &logs(receiver)[..] else { panic!("one log record") };
    assert_eq!(from.scope_logs[0].log_records[0].event_name, "an.event");
}

#[test]
#[ignore = "needs minutes and another toolchain: `just callers`"]
fn cpp_program_with_opentelemetry_is_killed_and_goes_on() {
    if !have_sdk("cpp_program_with_opentelemetry_is_killed_and_goes_on") {
        return;
    }
    let dir = TempDir::new("cpp-shop");
    let program = build("examples/cpp/opentelemetry.cpp", &dir, &[]);
    let (receiver, orders) = shop_is_killed_and_goes_on(|receiver| {
        Host::run(caller(&program).arg(dir.join("spool")).arg(url(receiver)))
    });
    let (spans, logs) = (spans(&receiver), logs(&receiver));
    for order in &orders {
        let of = |found: &str| found.contains(order.as_str());
        assert!(spans.iter().any(|it| of(&format!("{it:?}"))), "no span of {order}");
        assert!(logs.iter().any(|it| of(&format!("{it:?}"))), "no log record of {order}");
    }
    assert!(!metrics(&receiver).is_empty());
}

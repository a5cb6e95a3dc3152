//! Kills: programs in several languages, each killed twice while the Collector comes and goes, and what that has
//! written, span by span, against what the programs said.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::cli::spanspool;
use testkit::wait::eventually;
use testkit::{TempDir, caller, have, lib_dir, root, succeed, tool};

use super::arrivals::{Arrivals, attribute, list};
use super::collector::{Collector, built};
use super::program::{End, Program};
use crate::abi::long::cpp_opentelemetry::{build, have_sdk};
use crate::abi::long::go::{go_with_modules, have_modules};
use crate::abi::long::python::python;

/// How many lines a program says between one event and the next.
const STEP: usize = 40;

/// Runs a program three times, with the Collector down at first and killed in the middle: it is killed twice, and then
/// ends. Returns what it said each time.
fn kill_twice(collector: &mut Collector, dir: &TempDir, command: &Start<'_>, end: End) -> [Vec<String>; 3] {
    let run = |name: &str, compression: &str, url: String| {
        let mut command = command(&dir.join("spool"), &url);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", url).env("OTEL_EXPORTER_OTLP_COMPRESSION", compression);
        Program::start(command.env("OTEL_METRIC_EXPORT_INTERVAL", "100"), dir.join(name))
    };
    let url = collector.url();
    let mut first = run("first", "none", url.clone());
    first.go_on(STEP);
    collector.start();
    wait_for_more(collector);
    first.go_on(STEP);
    let first = first.kill();

    let mut second = run("second", "gzip", url.clone());
    second.go_on(STEP);
    wait_for_more(collector);
    collector.kill();
    second.go_on(STEP);
    let second = second.kill();

    let mut third = run("third", "gzip", url);
    third.go_on(STEP);
    collector.start();
    wait_for_more(collector);
    third.go_on(STEP);
    let third = third.end(end);
    drain(dir);
    [first, second, third]
}

/// Makes the command that runs a program with this spool and receiver.
type Start<'a> = dyn Fn(&Path, &str) -> Command + 'a;

/// Waits until the Collector has taken more spans.
fn wait_for_more(collector: &Collector) {
    let before = collector.arrivals().spans().count();
    eventually("the Collector takes more", || collector.arrivals().spans().count() > before);
}

/// Has a shop killed, and compares what arrived with what it shipped: nothing lost, nothing invented.
fn a_shop_is_killed(language: &str, program: &Path, command: &Start<'_>, end: End) {
    let (dir, mut collector) = (TempDir::new(language), Collector::new(program));
    let runs = kill_twice(&mut collector, &dir, command, end);
    let runs = runs.map(|lines| lines.into_iter().filter(|line| line.starts_with("order-")).collect());
    let arrivals = collector.arrivals();
    assert_eq!(arrivals.services(), BTreeSet::from(["shop"]));
    let spans = arrivals.spans_by(|span| (span["name"] == "ship").then(|| attribute(span, "order.id"))?);
    let logs = arrivals.log_records_by(|log| log["body"]["stringValue"].as_str()?.strip_prefix("shipped "));
    for names in [names_of(&spans), names_of(&logs)] {
        assert_said(&names, &runs);
    }
    // The two signals came by ways of their own: that each record names its span proves both.
    for (order, ids) in &spans {
        assert_eq!((ids.0.len(), ids.1.len(), logs.get(order)), (32, 16, Some(ids)), "{order}");
    }
    assert_counts(&arrivals, &runs);
    let said: usize = runs.iter().map(Vec::len).sum();
    println!("{language}: {said} orders, 2 kills, 0 lost, {} requests repeated", arrivals.repeated);
}

fn names_of<T>(by_name: &BTreeMap<String, T>) -> BTreeSet<String> {
    by_name.keys().cloned().collect()
}

/// All that was said has arrived. One that was killed may have recorded one order more than it could say.
fn assert_said(arrived: &BTreeSet<String>, runs: &[Vec<String>; 3]) {
    let said: BTreeSet<String> = runs.iter().flatten().cloned().collect();
    let lost: Vec<_> = said.difference(arrived).collect();
    assert!(lost.is_empty(), "lost: {} {lost:?}", lost.len());
    let unsaid: BTreeSet<String> = runs[..2].iter().map(|run| next(run.last().unwrap())).collect();
    let invented: Vec<_> = arrived.difference(&said).filter(|order| !unsaid.contains(*order)).collect();
    assert!(invented.is_empty(), "invented: {invented:?}");
}

/// The order after `order`.
fn next(order: &str) -> String {
    let (run, n) = order.rsplit_once('-').unwrap();
    format!("{run}-{:06}", n.parse::<u64>().unwrap() + 1)
}

/// The counts of each run, which the SDK collects now and then and at the end, are those of its orders.
fn assert_counts(arrivals: &Arrivals, runs: &[Vec<String>; 3]) {
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    let number = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
    for point in
        arrivals.metrics().filter(|of| of["name"] == "orders").flat_map(|of| list(&of["sum"]["dataPoints"]))
    {
        let count = counts.entry(number(&point["startTimeUnixNano"])).or_default();
        *count = number(&point["asInt"]).max(*count);
    }
    let counts: Vec<u64> = counts.into_values().collect();
    let shipped = runs.each_ref().map(|run| run.len() as u64);
    let is_right = iter::zip(&counts, &shipped).all(|(count, shipped)| *count > 0 && *count <= shipped + 1);
    assert!(counts.len() == 3 && is_right && counts[2] == shipped[2], "{counts:?} of {shipped:?} orders");
}

#[test]
#[ignore = "needs a Collector: `just collector`"]
fn go_program_is_killed_and_the_collector_has_all() {
    let (test, plug) = ("go_program_is_killed_and_the_collector_has_all", "bindings/go/otelspool");
    let Some(collector) = built(test) else { return };
    if !have_modules(plug, test) {
        return;
    }
    let dir = TempDir::new("go-shop");
    let shop = dir.join("shop");
    succeed(go_with_modules(plug, "build").arg("-o").arg(&shop).arg("./example"));
    let command = |spool: &Path, _: &str| with(&shop, &[spool]);
    a_shop_is_killed("Go", &collector, &command, End::Term);
}

#[test]
#[ignore = "needs a Collector: `just collector`"]
fn cpp_program_is_killed_and_the_collector_has_all() {
    let test = "cpp_program_is_killed_and_the_collector_has_all";
    let Some(collector) = built(test) else { return };
    if !have_sdk(test) {
        return;
    }
    let dir = TempDir::new("cpp-shop");
    let shop = build("examples/cpp/opentelemetry.cpp", &dir, &[]);
    let command = |spool: &Path, _: &str| with(&shop, &[spool]);
    a_shop_is_killed("C++", &collector, &command, End::Term);
}

#[test]
#[ignore = "needs a Collector: `just collector`"]
fn rust_program_is_killed_and_the_collector_has_all() {
    let Some(collector) = built("rust_program_is_killed_and_the_collector_has_all") else { return };
    let target = lib_dir().ancestors().nth(2).unwrap().to_path_buf();
    let mut cargo = Command::new(tool("CARGO", "cargo"));
    cargo.args([
        "build",
        "--locked",
        "-p",
        "spanspool-opentelemetry",
        "--features=metrics",
        "--example=shop",
    ]);
    succeed(cargo.current_dir(root()).env("CARGO_TARGET_DIR", &target));
    let command = |spool: &Path, _: &str| with(&target.join("debug/examples/shop"), &[spool]);
    a_shop_is_killed("Rust", &collector, &command, End::Input);
}

#[test]
#[ignore = "needs a Collector: `just collector`"]
fn python_program_is_killed_and_the_collector_has_all() {
    let test = "python_program_is_killed_and_the_collector_has_all";
    let Some(collector) = built(test) else { return };
    let Some(python) = python_for(test) else { return };
    let command = |spool: &Path, _: &str| in_python(&python, "tests/collector/shop.py", &[spool]);
    a_shop_is_killed("Python", &collector, &command, End::Term);
}

#[test]
#[ignore = "needs a Collector: `just collector`"]
fn agents_are_killed_and_the_collector_has_all_their_spans() {
    let test = "agents_are_killed_and_the_collector_has_all_their_spans";
    let Some(collector) = built(test) else { return };
    let Some(python) = python_for(test) else { return };
    let (dir, mut collector) = (TempDir::new("agents"), Collector::new(&collector));
    let program = "bindings/python/tests/programs/agents_otlp.py";
    let command = |spool: &Path, url: &str| in_python(&python, program, &[spool, Path::new(url)]);
    let run = |name: &str| Program::start(&mut command(&dir.join("spool"), &collector.url()), dir.join(name));
    let mut first = run("first");
    first.go_on(STEP);
    let mut said = first.kill();
    let mut second = run("second");
    second.go_on(STEP);
    collector.start();
    wait_for_more(&collector);
    second.go_on(STEP);
    said.extend(second.kill());
    drain(&dir);
    let arrivals = collector.arrivals();
    let text =
        |span: &Value| format!("{} {}", span["spanId"].as_str().unwrap(), span["name"].as_str().unwrap());
    let all: Vec<String> = arrivals.spans().map(text).collect();
    let (arrived, said): (BTreeSet<_>, BTreeSet<_>) = (all.iter().collect(), said.iter().collect());
    assert_eq!(all.len(), arrived.len(), "a span is in two requests");
    let lost: Vec<_> = said.difference(&arrived).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let unsaid: Vec<_> = arrived.difference(&said).collect();
    assert!(unsaid.len() <= 2, "one for each kill: {unsaid:?}");
    println!("agents: {} spans, 2 kills, 0 lost, {} requests repeated", said.len(), arrivals.repeated);
}

#[test]
#[ignore = "needs a Collector: `just collector`"]
fn example_of_an_agent_ends_and_the_collector_has_its_trace() {
    let test = "example_of_an_agent_ends_and_the_collector_has_its_trace";
    let Some(collector) = built(test) else { return };
    let Some(python) = python_for(test) else { return };
    let (dir, mut collector) = (TempDir::new("agent"), Collector::new(&collector));
    collector.start();
    let (spool, url) = (dir.join("spool"), collector.url());
    let mut example = in_python(&python, "examples/python/agent_otlp.py", &[&spool, Path::new(&url)]);
    assert_eq!(String::from_utf8_lossy(&succeed(&mut example).stdout), "It is sunny in Zurich.\n");
    drain(&dir);
    let arrivals = collector.arrivals();
    assert_eq!(arrivals.services(), BTreeSet::from(["forecaster"]));
    let spans: Vec<&Value> = arrivals.spans().collect();
    assert!(spans.iter().all(|span| span["traceId"] == spans[0]["traceId"]), "{spans:?}");
    let kinds: Vec<_> = spans.iter().filter_map(|span| attribute(span, "openinference.span.kind")).collect();
    let count = |kind| kinds.iter().filter(|found| **found == kind).count();
    assert_eq!((count("LLM"), count("TOOL")), (2, 1), "{kinds:?}");
}

/// Delivers what the programs had no time for, and what they did not adopt.
fn drain(dir: &TempDir) {
    succeed(&mut spanspool(&["drain", "--timeout-ms=60000", "--spool-dir", &dir.argument("spool")]));
}

/// The interpreter that has the SDKs.
fn python_for(test: &str) -> Option<PathBuf> {
    if have("python3", "--version", test) { python(test) } else { None }
}

/// Runs a program of the project with the package as it is in the sources.
fn in_python(python: &Path, program: &str, arguments: &[&Path]) -> Command {
    let mut command = with(python, &[&root().join(program)]);
    command.args(arguments).env("PYTHONPATH", root().join("bindings/python/src"));
    command.env("SPANSPOOL_LIBRARY", lib_dir().join("libspanspool.so")).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn with(program: &Path, arguments: &[&Path]) -> Command {
    let mut command = caller(program);
    command.args(arguments);
    command
}

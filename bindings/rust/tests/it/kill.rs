//! Kill: each span whose `end()` had returned, and each record whose `emit()` had, is delivered by the next process.

use std::collections::BTreeSet;
use std::env;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering::Relaxed;

use opentelemetry::logs::{LogRecord as _, Logger as _, LoggerProvider as _};
use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use spanspool_opentelemetry::{SpoolLogProcessor, SpoolSpanProcessor};
use testkit::TempDir;
use testkit::ingest::{Answer, Ingest, Request};
use testkit::wait::PATIENCE;

use crate::{SPOOL, client, in_a_process, logs, spans};

/// How many spans, and records, have ended when it is killed.
const ENDED: u64 = 300;

/// The process that is to be killed: another test runs this one. By itself it does nothing.
#[test]
fn writer() {
    let Some(spool) = env::var_os(SPOOL) else { return };
    let traces =
        SdkTracerProvider::builder().with_span_processor(SpoolSpanProcessor::open(&spool).unwrap()).build();
    let logs =
        SdkLoggerProvider::builder().with_log_processor(SpoolLogProcessor::open(&spool).unwrap()).build();
    let (tracer, logger) = (traces.tracer("writer"), logs.logger("writer"));
    for n in 0_u64.. {
        tracer.start(n.to_string()).end();
        let mut record = logger.create_log_record();
        record.set_body(n.to_string().into());
        logger.emit(record);
        // The test harness may be in the middle of a line.
        io::stdout().write_all(format!("\nended {n}\n").as_bytes()).unwrap();
    }
}

/// Runs the writer until it is killed; says how many spans and records had ended.
fn kill_writer(dir: &TempDir, receiver: &Ingest) -> u64 {
    let mut host = in_a_process("kill::writer", dir.path(), receiver.port(), None);
    let mut ended = 0;
    while ended < ENDED {
        if let Some(n) = host.line().strip_prefix("ended ") {
            ended = n.parse::<u64>().unwrap() + 1;
        }
    }
    host.kill();
    ended
}

fn numbers(texts: impl Iterator<Item = String>) -> BTreeSet<u64> {
    texts.map(|text| text.parse().unwrap()).collect()
}

#[test]
fn the_next_process_delivers_all_that_had_ended() {
    let (dir, status) = (TempDir::new("kill"), Arc::new(AtomicU16::new(503)));
    let of_receiver = status.clone();
    let receiver = Ingest::start(move |_: &Request| Answer::status(of_receiver.load(Relaxed))).unwrap();
    let ended = kill_writer(&dir, &receiver);
    receiver.take_requests();
    status.store(200, Relaxed);
    // Each takes over what the writer left of its signal.
    for signal in ["traces", "logs"] {
        client(dir.path(), receiver.port(), signal).flush(PATIENCE).unwrap();
    }
    let (of_spans, of_logs): (Vec<_>, Vec<_>) =
        receiver.take_requests().into_iter().partition(|request| request.path == "/v1/traces");
    let spans = numbers(of_spans.iter().flat_map(spans::spans_in).map(|(_, span)| span.name));
    let bodies = of_logs.iter().flat_map(logs::records_in).filter_map(|(_, record)| record.body?.value);
    let logs = numbers(bodies.map(|body| match body {
        Value::StringValue(text) => text,
        other => panic!("{other:?}"),
    }));
    let missing = |arrived: &BTreeSet<u64>| (0..ended).filter(|n| !arrived.contains(n)).collect::<Vec<_>>();
    assert_eq!((missing(&spans), missing(&logs)), (vec![], vec![]));
}

//! Errors: what can't be stored is said in the SDK's log, without a flood, and in the SDK's own results.

use std::env;
use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::logs::{Logger as _, LoggerProvider as _};
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::logs::{LogProcessor as _, SdkLoggerProvider};
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _, SpanProcessor as _};
use spanspool::BatchTraceProcessor;
use spanspool_opentelemetry::{SpoolLogProcessor, SpoolSpanExporter, SpoolSpanProcessor};
use testkit::TempDir;
use testkit::ingest::{Answer, Ingest};
use testkit::wait::{PATIENCE, until};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::{SPOOL, at_once, client, config, in_a_process, receiver, span_data};

/// Keeps the events of this crate, each as its name and its fields.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Subscriber for Heard {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "spanspool-opentelemetry"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Fields(String);
        impl Visit for Fields {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                self.0 += &format!(" {field}={value:?}");
            }
        }
        let mut fields = Fields(event.metadata().name().to_owned());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// A finished span with an attribute of `bytes` bytes.
fn long_span(bytes: usize) -> SpanData {
    let mut span = span_data("long");
    span.attributes = vec![KeyValue::new("pad", "x".repeat(bytes))];
    span
}

#[test]
fn a_full_spool_is_told_once_until_there_is_room_again() {
    let (dir, status) = (TempDir::new("full"), Arc::new(AtomicU16::new(503)));
    let of_receiver = status.clone();
    let receiver = Ingest::start(move |_| Answer::status(of_receiver.load(Relaxed))).unwrap();
    let settings = [("max_queue_size", "1"), ("enqueue_timeout_ms", "0")];
    let client = BatchTraceProcessor::open(config(dir.path(), receiver.port(), &settings)).unwrap();
    let client = Arc::new(client);
    let processor = SpoolSpanProcessor::with_client(client.clone());
    let heard = Heard::default();
    tracing::subscriber::with_default(heard.clone(), || {
        for _ in 0..2 {
            status.store(503, Relaxed);
            for _ in 0..5 {
                processor.on_end(span_data("a"));
            }
            let told = heard.take();
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].starts_with("Spanspool.NotStored"), "{told:?}");
            assert!(told[0].contains("signal=\"traces\"") && told[0].contains("max_queue_size"), "{told:?}");
            status.store(200, Relaxed);
            client.flush(PATIENCE).unwrap();
            processor.on_end(span_data("b"));
            client.flush(PATIENCE).unwrap();
            processor.on_end(span_data("c"));
            client.flush(PATIENCE).unwrap();
            let told = heard.take();
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].starts_with("Spanspool.StoredAgain") && told[0].contains("lost=3"), "{told:?}");
        }
    });
    assert_eq!(client.stats().unwrap().delivered, 2 * 3);
}

#[test]
fn after_a_shutdown_each_record_is_refused_and_one_is_told() {
    let (dir, receiver) = (TempDir::new("shut-down"), receiver());
    let client = client(dir.path(), receiver.port(), "logs");
    let processor = SpoolLogProcessor::with_client(client.clone());
    processor.shutdown_with_timeout(PATIENCE).unwrap();
    assert!(matches!(processor.shutdown(), Err(OTelSdkError::AlreadyShutdown)));
    assert!(matches!(processor.force_flush(), Err(OTelSdkError::AlreadyShutdown)));
    let provider = SdkLoggerProvider::builder().with_log_processor(processor).build();
    let (logger, heard) = (provider.logger(""), Heard::default());
    tracing::subscriber::with_default(heard.clone(), || {
        (0..5).for_each(|_| logger.emit(logger.create_log_record()));
    });
    let told = heard.take();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("signal=\"logs\"") && told[0].contains("shut down"), "{told:?}");
    assert_eq!(client.stats().unwrap().accepted, 0);
}

#[test]
fn a_client_of_another_signal_refuses_and_says_why() {
    let (dir, receiver) = (TempDir::new("wrong-signal"), receiver());
    let processor = SpoolSpanProcessor::with_client(client(dir.path(), receiver.port(), "metrics"));
    let heard = Heard::default();
    tracing::subscriber::with_default(heard.clone(), || processor.on_end(span_data("a")));
    let told = heard.take();
    assert!(told.len() == 1 && told[0].contains("metrics"), "{told:?}");
}

#[test]
fn one_span_that_is_too_long_costs_no_other() {
    let (dir, receiver) = (TempDir::new("too-long"), receiver());
    let settings = [("max_item_bytes", "1KiB")];
    let client = Arc::new(BatchTraceProcessor::open(config(dir.path(), receiver.port(), &settings)).unwrap());
    let exporter = SpoolSpanExporter::with_client(client.clone());
    let batch = vec![span_data("a"), long_span(2_000), span_data("b")];
    let error = at_once(exporter.export(batch)).unwrap_err().to_string();
    assert!(error.contains("1 records of traces") && error.contains("max_item_bytes"), "{error}");
    assert_eq!(client.stats().unwrap().accepted, 2);
    exporter.shutdown_with_timeout(PATIENCE).unwrap();
    let after = at_once(exporter.export(vec![span_data("a")]));
    assert!(matches!(after, Err(OTelSdkError::AlreadyShutdown)), "{after:?}");
}

#[test]
fn a_full_spool_refuses_the_rest_of_a_batch() {
    let (dir, receiver) = (TempDir::new("rest"), Ingest::start(|_| Answer::status(503)).unwrap());
    let settings = [("max_queue_size", "2"), ("enqueue_timeout_ms", "0")];
    let client = Arc::new(BatchTraceProcessor::open(config(dir.path(), receiver.port(), &settings)).unwrap());
    let exporter = SpoolSpanExporter::with_client(client.clone());
    let batch = (0..5).map(|_| span_data("a")).collect();
    let error = at_once(exporter.export(batch)).unwrap_err().to_string();
    assert!(error.contains("3 records of traces"), "{error}");
    assert_eq!(client.stats().unwrap().accepted, 2);
}

#[test]
fn a_shutdown_without_a_receiver_ends_in_time_and_keeps_what_is_left() {
    let dir = TempDir::new("no-receiver");
    let processor = SpoolSpanProcessor::with_client(client(dir.path(), 9, "traces"));
    processor.on_end(span_data("left"));
    let time = Duration::from_millis(50);
    let ended = processor.shutdown_with_timeout(time);
    assert!(matches!(ended, Err(OTelSdkError::Timeout(it)) if it == time), "{ended:?}");
    let receiver = receiver();
    // The next process is told where to send it.
    let next = client(dir.path(), receiver.port(), "traces");
    assert_eq!(next.stats().unwrap().pending, 0, "it is of another destination");
    drop(next);
    assert_eq!(client(dir.path(), 9, "traces").stats().unwrap().pending, 1);
}

/// Another test runs it in a process of its own, where what the client's threads log can be heard.
#[test]
fn holder() {
    let Some(spool) = env::var_os(SPOOL) else { return };
    let heard = Heard::default();
    tracing::subscriber::set_global_default(heard.clone()).unwrap();
    let processor = SpoolSpanProcessor::open(spool).unwrap();
    processor.on_end(span_data("held"));
    assert!(processor.force_flush().is_err());
    // The test harness may be in the middle of a line.
    let told = format!("\ntold {:?}\n", heard.take());
    io::stdout().write_all(told.as_bytes()).unwrap();
}

#[test]
fn what_the_client_has_to_say_goes_to_the_log_as_well() {
    let (dir, receiver) = (TempDir::new("held"), Ingest::start(|_| Answer::status(401)).unwrap());
    let host = in_a_process("errors::holder", dir.path(), receiver.port(), None);
    let told = until(Instant::now() + PATIENCE, "the process tells", || {
        host.line().strip_prefix("told ").map(str::to_owned)
    });
    assert!(told.contains("Spanspool.Error") && told.contains("401"), "{told}");
}

#[test]
fn settings_that_are_no_good_are_an_error() {
    let mut config = spanspool::Config::new();
    assert!(SpoolSpanProcessor::with_config(config.clone()).is_err(), "spool_dir is not set");
    let dir = TempDir::new("bad");
    config.set("spool_dir", &dir.write("file", "")).unwrap();
    assert!(SpoolSpanProcessor::with_config(config).is_err(), "a file is no folder");
}

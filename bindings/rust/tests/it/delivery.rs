//! Delivery: what threads end arrives once, with our name on it, however the receiver is.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::{SdkTracerProvider, Span};
use spanspool_opentelemetry::SpoolSpanProcessor;
use testkit::TempDir;
use testkit::client::the_header;
use testkit::ingest::{Answer, Ingest};
use testkit::wait::PATIENCE;

use crate::spans::arrived;
use crate::{client, config, receiver};

#[test]
fn a_request_says_who_sent_it_and_of_what() {
    let (dir, receiver) = (TempDir::new("sender"), receiver());
    // Settings for the ingest of another exporter are put right.
    let mut config = config(dir.path(), receiver.port(), &[("signal", "logs"), ("api_key", "sk-key")]);
    config.set("exporter", "backend").unwrap();
    let processor = SpoolSpanProcessor::with_config(config).unwrap();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    provider.tracer("").start("span").end();
    provider.force_flush().unwrap();
    let request = receiver.requests().remove(0);
    assert_eq!(request.path, "/v1/traces");
    assert_eq!(the_header(&request, "authorization"), "Bearer sk-key");
    let version = env!("CARGO_PKG_VERSION");
    let agent =
        format!("spanspool-opentelemetry/{version} spanspool/{version} OTel-OTLP-Exporter-Rust/{version}");
    assert_eq!(the_header(&request, "user-agent"), agent);
}

#[test]
fn many_threads_and_an_outage_lose_nothing() {
    const THREADS: usize = 8;
    const SPANS: usize = 200;
    let (dir, status) = (TempDir::new("threads"), Arc::new(AtomicU16::new(503)));
    let of_receiver = status.clone();
    let receiver = Ingest::start(move |_| Answer::status(of_receiver.load(Relaxed))).unwrap();
    let client = client(dir.path(), receiver.port(), "traces");
    let processor = SpoolSpanProcessor::with_client(client.clone());
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let tracer = provider.tracer("threads");
            scope.spawn(move || (0..SPANS).for_each(|n| tracer.start(format!("{thread}-{n}")).end()));
        }
    });
    receiver.take_requests();
    status.store(200, Relaxed);
    client.flush(PATIENCE).unwrap();
    let mut names: Vec<_> = arrived(&receiver).into_iter().map(|(_, span)| span.name).collect();
    names.sort();
    let mut expected: Vec<_> =
        (0..THREADS).flat_map(|thread| (0..SPANS).map(move |n| format!("{thread}-{n}"))).collect();
    expected.sort();
    assert_eq!(names, expected);
}

#[test]
fn a_span_that_ends_with_its_thread_is_stored() {
    thread_local! {
        static HELD: RefCell<Option<Span>> = const { RefCell::new(None) };
    }
    let (dir, receiver) = (TempDir::new("thread-end"), receiver());
    let client = client(dir.path(), receiver.port(), "traces");
    let processor = SpoolSpanProcessor::with_client(client.clone());
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let tracer = provider.tracer("");
    thread::spawn(move || {
        HELD.with(|held| *held.borrow_mut() = Some(tracer.start("held")));
        // What this thread has of its own is made now, and is gone before what it holds.
        tracer.start("first").end();
    })
    .join()
    .unwrap();
    assert_eq!(client.stats().unwrap().accepted, 2);
}

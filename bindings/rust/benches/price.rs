//! What a span with 10 string attributes costs from its start to the return of `end()`, next to an SDK that exports
//! nothing and to the SDK's own synchronous processor and encoder.
//!
//! ```text
//! cargo bench -p spanspool-opentelemetry --bench price
//! ```

#![allow(clippy::print_stdout, reason = "it is a program")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{
    SdkTracer, SdkTracerProvider, SimpleSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};
use prost::Message;
use spanspool::{BatchTraceProcessor, Config};
use spanspool_opentelemetry::SpoolSpanProcessor;
use testkit::TempDir;
use testkit::ingest::{Answer, Ingest};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const ROUNDS: usize = 1_000;
const SPANS: usize = 200;

/// Drops each span.
#[derive(Debug)]
struct Nothing;

impl SpanProcessor for Nothing {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The SDK's own encoder; the bytes go into a spool as well.
struct OwnEncoder {
    resource: ResourceAttributesWithSchema,
    client: Arc<BatchTraceProcessor>,
}

impl std::fmt::Debug for OwnEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OwnEncoder")
    }
}

impl SpanExporter for OwnEncoder {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let request = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        self.client.enqueue(&request).map_err(|e| OTelSdkError::InternalFailure(e.to_string()))
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

fn config(dir: &TempDir, ingest: &Ingest) -> Result<Config> {
    let mut config = Config::new();
    config
        .set("spool_dir", &dir.argument("spool"))?
        .set("exporter", "otlp")?
        .set("endpoint", &format!("http://127.0.0.1:{}", ingest.port()))?
        // Nothing is sent before a round is over.
        .set("max_batch_size", "65536")?
        .set("schedule_delay_ms", "86400000")?;
    Ok(config)
}

/// One way to end a span, and what a span took in each round.
struct Candidate {
    name: &'static str,
    tracer: SdkTracer,
    provider: SdkTracerProvider,
    rounds: Vec<f64>,
}

impl Candidate {
    fn new(name: &'static str, processor: impl SpanProcessor + 'static) -> Self {
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        Self { name, tracer: provider.tracer("bench"), provider, rounds: Vec::new() }
    }

    fn round(&mut self) {
        // What happened since the last round has taken the caches.
        (0..SPANS).for_each(|_| span(&self.tracer));
        let begin = Instant::now();
        for _ in 0..SPANS {
            span(&self.tracer);
        }
        self.rounds.push(begin.elapsed().as_nanos() as f64 / SPANS as f64);
        // Whatever was stored is delivered before another one is measured.
        let _ = self.provider.force_flush();
    }

    /// What a span took in the fastest tenth of the rounds, and in half of them.
    fn times(&mut self) -> [f64; 2] {
        self.rounds.sort_by(f64::total_cmp);
        [10, 2].map(|part| self.rounds[self.rounds.len() / part])
    }
}

fn span(tracer: &SdkTracer) {
    const ATTRIBUTES: [(&str, &str); 10] = [
        ("http.request.method", "GET"),
        ("http.route", "/orders/{id}"),
        ("url.scheme", "https"),
        ("server.address", "shop.example.com"),
        ("client.address", "192.0.2.17"),
        ("user_agent.original", "curl/8.5.0"),
        ("network.protocol.version", "1.1"),
        ("db.system.name", "postgresql"),
        ("db.collection.name", "orders"),
        ("messaging.destination.name", "invoices"),
    ];
    let mut span = tracer.start("GET /orders/{id}");
    for (key, value) in ATTRIBUTES {
        span.set_attribute(KeyValue::new(key, value.to_owned()));
    }
    span.end();
}

fn main() -> Result<()> {
    let ingest = Ingest::start(|_| Answer::status(200))?;
    let (ours, stock) = (TempDir::new("price-ours"), TempDir::new("price-stock"));
    let client = Arc::new(BatchTraceProcessor::open(config(&stock, &ingest)?)?);
    let encoder = OwnEncoder { resource: ResourceAttributesWithSchema::default(), client: client.clone() };
    let mut candidates = [
        Candidate::new("a processor that drops it", Nothing),
        Candidate::new("SpoolSpanProcessor", SpoolSpanProcessor::with_config(config(&ours, &ingest)?)?),
        Candidate::new("SimpleSpanProcessor, the SDK's encoder, enqueue", SimpleSpanProcessor::new(encoder)),
    ];
    for _ in 0..ROUNDS {
        candidates.iter_mut().for_each(Candidate::round);
        client.flush(Duration::from_secs(60))?;
        ingest.take_requests();
    }
    let base = candidates[0].times();
    for candidate in &mut candidates {
        let [fast, median] = candidate.times();
        let ratios = format!(
            "{fast:>6.0} ns {:>6.2} x, median {median:>6.0} ns {:>6.2} x",
            fast / base[0],
            median / base[1]
        );
        println!("{:<50} {ratios}", candidate.name);
    }
    Ok(())
}

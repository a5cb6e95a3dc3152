//! Metrics: what the exporter stores is what the SDK's own encoder makes.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use prost::Message;
use spanspool_opentelemetry::SpoolMetricExporter;
use testkit::TempDir;
use testkit::wait::PATIENCE;

use crate::{SPOOL, at_once, client, in_a_process, receiver, resource};

/// Hands each collection to the plug, and keeps what the SDK's own encoder makes of it.
struct Judged {
    plug: SpoolMetricExporter,
    made: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
}

impl PushMetricExporter for Judged {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.made.lock().unwrap().push(metrics.into());
        self.plug.export(metrics).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.plug.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.plug.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.plug.temporality()
    }
}

fn record(provider: &SdkMeterProvider) {
    let meter = provider.meter("meter-żółw");
    for n in 0..100 {
        meter.u64_counter("orders").with_unit("{order}").build().add(n, &[KeyValue::new("kind", "a")]);
        meter.i64_up_down_counter("open").build().add(-1, &[]);
        meter.f64_gauge("load").with_description("of the machine").build().record(0.5, &[]);
        meter.f64_histogram("duration").build().record(n as f64, &[]);
    }
}

#[test]
fn the_exporter_stores_what_the_sdk_would_send() {
    for temporality in [Temporality::Cumulative, Temporality::Delta] {
        let (dir, receiver, made) = (TempDir::new("metrics"), receiver(), Arc::default());
        let client = client(dir.path(), receiver.port(), "metrics");
        let plug = SpoolMetricExporter::with_client(client.clone()).with_temporality(temporality);
        let reader = PeriodicReader::builder(Judged { plug, made: Arc::clone(&made) })
            .with_interval(Duration::from_secs(86_400))
            .build();
        let provider = SdkMeterProvider::builder().with_resource(resource()).with_reader(reader).build();
        for _ in 0..2 {
            record(&provider);
            provider.force_flush().unwrap();
        }
        client.flush(PATIENCE).unwrap();
        let decoded = |body: &[u8]| ExportMetricsServiceRequest::decode(body).unwrap().resource_metrics;
        let arrived: Vec<_> = receiver.requests().iter().flat_map(|it| decoded(&it.body)).collect();
        let made: Vec<_> = made.lock().unwrap().iter().flat_map(|it| it.resource_metrics.clone()).collect();
        assert_eq!(made.len(), 2);
        assert_eq!(arrived, made);
        assert_eq!(orders(&made[1]), if temporality == Temporality::Delta { 4950 } else { 9900 });
        provider.shutdown().unwrap();
    }
}

/// The value of the counter `orders`.
fn orders(of: &opentelemetry_proto::tonic::metrics::v1::ResourceMetrics) -> i64 {
    use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value::AsInt;
    let metrics = of.scope_metrics.iter().flat_map(|of| &of.metrics);
    let data = metrics.filter(|metric| metric.name == "orders").find_map(|metric| metric.data.clone());
    let Some(Data::Sum(sum)) = data else { panic!("orders is no sum") };
    let Some(AsInt(value)) = sum.data_points[0].value else { panic!("orders is no integer") };
    value
}

#[test]
fn a_collection_without_metrics_is_not_stored() {
    let (dir, receiver) = (TempDir::new("metrics-none"), receiver());
    let client = client(dir.path(), receiver.port(), "metrics");
    let plug = SpoolMetricExporter::with_client(client.clone());
    let exported = at_once(plug.export(&ResourceMetrics::default()));
    assert!(exported.is_ok(), "{exported:?}");
    assert_eq!(client.stats().unwrap().accepted, 0);
}

/// Runs in a process of its own: it says which temporality an exporter has.
#[test]
fn says_which_temporality_it_has() {
    let Some(spool) = std::env::var_os(SPOOL) else { return };
    let plug = SpoolMetricExporter::open(&spool).unwrap();
    let (preferred, chosen) =
        (plug.temporality(), plug.with_temporality(Temporality::Cumulative).temporality());
    writeln!(io::stdout(), "\n{preferred:?}\n{chosen:?}").unwrap();
}

#[test]
fn the_environment_says_which_temporality_is_preferred() {
    let cases = [
        (None, "Cumulative"),
        (Some(""), "Cumulative"),
        (Some("Delta"), "Delta"),
        (Some(" lowmemory "), "LowMemory"),
        (Some("none of these"), "Cumulative"),
    ];
    for (preference, expected) in cases {
        let dir = TempDir::new("temporality");
        let variable = preference.map(|it| ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", it));
        let host = in_a_process("metrics::says_which_temporality_it_has", dir.path(), 9, variable);
        let mut lines = std::iter::repeat_with(|| host.line());
        let said = lines.find(|line| ["Cumulative", "Delta", "LowMemory"].contains(&line.trim()));
        assert_eq!(said.as_deref(), Some(expected), "{preference:?}");
        assert_eq!(host.line(), "Cumulative", "what the program says goes first");
    }
}

//! Judge: the decoder of opentelemetry-proto, which the check of a request has to agree with. The tests and the fuzz
//! target have it both.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest as Logs;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest as Metrics;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as Traces;
use prost::Message;

use super::Signal;

/// What the decoder finds: the records, or that it is no request.
pub(crate) fn records(bytes: &[u8], signal: Signal) -> Option<usize> {
    Some(match signal {
        Signal::Traces => {
            let all = Traces::decode(bytes).ok()?.resource_spans;
            all.iter().flat_map(|of| &of.scope_spans).map(|of| of.spans.len()).sum()
        }
        Signal::Logs => {
            let all = Logs::decode(bytes).ok()?.resource_logs;
            all.iter().flat_map(|of| &of.scope_logs).map(|of| of.log_records.len()).sum()
        }
        Signal::Metrics => {
            let all = Metrics::decode(bytes).ok()?.resource_metrics;
            all.iter().flat_map(|of| &of.scope_metrics).map(|of| of.metrics.len()).sum()
        }
    })
}

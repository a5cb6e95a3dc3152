"""Metrics: what a reader collects goes into a spool. Only this module needs protobuf."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.metrics.view import Aggregation, ExponentialBucketHistogramAggregation

from .._client import Client
from .._settings import Path, Settings
from ._plug import Plug

if TYPE_CHECKING:
    from typing_extensions import Unpack

# What OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE makes a delta. All else is cumulative.
_DELTA: dict[str, list[type]] = {"delta": [Counter, Histogram, ObservableCounter], "lowmemory": [Counter, Histogram]}


class SpoolMetricExporter(Plug[MetricsData], MetricExporter):
    """Puts what a ``PeriodicExportingMetricReader`` collects into a spool on disk.

    Metrics are encoded by the SDK's own encoder. A request may arrive twice, and a delta would count twice then: prefer
    cumulative temporality, the default.
    """

    def __init__(
        self,
        spool_dir: Path | None = None,
        *,
        client: Client | None = None,
        preferred_temporality: dict[type, AggregationTemporality] | None = None,
        preferred_aggregation: dict[type, Aggregation] | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """As for `SpoolSpanProcessor`, with ``signal`` as ``metrics``.

        What is preferred comes before ``OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`` and
        ``OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION``, which are read here.
        """
        super().__init__("metrics", "collection of metrics", _request, spool_dir, client, settings)
        MetricExporter.__init__(
            self,
            preferred_temporality=_temporality() | (preferred_temporality or {}),
            preferred_aggregation=_aggregation() | (preferred_aggregation or {}),
        )

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Stores what was collected, unless that is nothing."""
        has_any = any(scope.metrics for of in metrics_data.resource_metrics for scope in of.scope_metrics)
        return MetricExportResult.SUCCESS if not has_any or self._store(metrics_data) else MetricExportResult.FAILURE

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Delivers for 5 seconds at most. What is left stays in the spool for the next process."""
        self._shut_down(timeout_millis / 1000)


def _request(data: MetricsData) -> bytes:
    request: bytes = encode_metrics(data).SerializeToString()
    return request


def _temporality() -> dict[type, AggregationTemporality]:
    preference = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "").strip().lower()
    return dict.fromkeys(_DELTA.get(preference, []), AggregationTemporality.DELTA)


def _aggregation() -> dict[type, Aggregation]:
    preference = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "").strip().lower()
    is_exponential = preference == "base2_exponential_bucket_histogram"
    return {Histogram: ExponentialBucketHistogramAggregation()} if is_exponential else {}

"""OpenTelemetry: spans, log records and metrics are durable before the SDK's call returns, and delivered by OTLP.

This package needs the extra ``spanspool[opentelemetry]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._logs import SpoolLogExporter, SpoolLogRecordProcessor
from ._traces import SpoolSpanExporter, SpoolSpanProcessor

if TYPE_CHECKING:
    from ._metrics import SpoolMetricExporter

__all__ = [
    "SpoolLogExporter",
    "SpoolLogRecordProcessor",
    "SpoolMetricExporter",
    "SpoolSpanExporter",
    "SpoolSpanProcessor",
]


def __getattr__(name: str) -> object:
    # A program without metrics does not load protobuf.
    if name == "SpoolMetricExporter":
        from ._metrics import SpoolMetricExporter

        return SpoolMetricExporter
    raise AttributeError(f"module 'spanspool.opentelemetry' has no attribute '{name}'")

"""Spans and log records without end, by a spool and by batch processors: telemetry.py SPOOL_DIR SPOOL_URL SDK_URL

Each is told on standard output, in one write, when the SDK's call has returned: its signal and its name.
"""

from __future__ import annotations

import itertools
import os
import sys

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from records import Providers

from spanspool.opentelemetry import SpoolLogRecordProcessor, SpoolSpanProcessor

spool_dir, spool_url, sdk_url = sys.argv[1:]
make = Providers(
    [
        SpoolSpanProcessor(spool_dir, endpoint=spool_url),
        BatchSpanProcessor(OTLPSpanExporter(f"{sdk_url}/v1/traces"), schedule_delay_millis=500),
    ],
    [
        SpoolLogRecordProcessor(spool_dir, endpoint=spool_url),
        BatchLogRecordProcessor(OTLPLogExporter(f"{sdk_url}/v1/logs"), schedule_delay_millis=500),
    ],
)
tracer, logger = make.tracer(), make.logger()
for n in itertools.count():
    with tracer.start_span(f"span {n}", attributes={"n": n, "text": "ü" * 10}):
        pass
    os.write(1, f"traces span {n}\n".encode())
    logger.emit(body=f"record {n}", attributes={"n": n})
    os.write(1, f"logs record {n}\n".encode())

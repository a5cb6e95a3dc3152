"""A span, a log record and a count for each order, until SIGTERM: shop.py SPOOL_DIR

Each order is told on standard output, in one write, when the SDK's calls have returned.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from spanspool.opentelemetry import SpoolLogRecordProcessor, SpoolMetricExporter, SpoolSpanProcessor

spool_dir = sys.argv[1]
resource = Resource({"service.name": "shop"})
spans = TracerProvider(resource=resource)
spans.add_span_processor(SpoolSpanProcessor(spool_dir))
logs = LoggerProvider(resource)
logs.add_log_record_processor(SpoolLogRecordProcessor(spool_dir))
metrics = MeterProvider([PeriodicExportingMetricReader(SpoolMetricExporter(spool_dir))], resource)
tracer, logger = spans.get_tracer("shop"), logs.get_logger("shop")
orders = metrics.get_meter("shop").create_counter("orders")

running = True


def stop(*_):
    # An Event would not do: its set() waits for ever when the signal comes while its wait() holds the lock.
    global running
    running = False


signal.signal(signal.SIGTERM, stop)
n = 0
while running:
    n += 1
    order = f"order-{os.getpid()}-{n:06}"
    with tracer.start_as_current_span("ship", attributes={"order.id": order}):
        logger.emit(severity_number=SeverityNumber.INFO, body=f"shipped {order}")
    orders.add(1)
    os.write(1, f"{order}\n".encode())
    time.sleep(0.02)
metrics.shutdown()
spans.shutdown()
logs.shutdown()

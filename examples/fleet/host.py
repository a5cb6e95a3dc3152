"""A host of the fleet: spans until SIGTERM: host.py NAME SPOOL_DIR ENDPOINT

Each span's name is told on standard output, in one write, when the SDK's call has returned.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from spanspool.opentelemetry import SpoolSpanProcessor

name, spool_dir, endpoint = sys.argv[1:]
provider = TracerProvider(resource=Resource({"service.name": "fleet", "host.name": name}))
provider.add_span_processor(SpoolSpanProcessor(spool_dir, endpoint=endpoint, schedule_delay=0.5))
tracer = provider.get_tracer("fleet")

running = True


def stop(*_: object) -> None:
    # An Event would not do: its set() waits for ever when the signal comes while its wait() holds the lock.
    global running
    running = False


signal.signal(signal.SIGTERM, stop)
n = 0
while running:
    n += 1
    # A process that is started again goes on with numbers of its own.
    span = f"{name}-{os.getpid()}-{n}"
    with tracer.start_as_current_span(span):
        pass
    os.write(1, f"{span}\n".encode())
    time.sleep(0.02)
provider.shutdown()

"""A processor that is shared by fork, while another thread makes spans: telemetry_forks.py SPOOL_DIR ENDPOINT

Each span's name is told on standard output, in one write, when ``end()`` has returned.
"""

from __future__ import annotations

import os
import sys
import threading

from opentelemetry.sdk.trace import TracerProvider

from spanspool.opentelemetry import SpoolSpanProcessor

provider = TracerProvider()
processor = SpoolSpanProcessor(sys.argv[1], endpoint=sys.argv[2])
provider.add_span_processor(processor)
tracer = provider.get_tracer("forks")
over = threading.Event()


def work(who: str) -> None:
    for n in range(20):
        tracer.start_span(f"{who} {n}").end()
        os.write(1, f"{who} {n}\n".encode())


def go_on() -> None:
    round = 0
    while not over.is_set():
        work(f"thread {round}")
        round += 1


thread = threading.Thread(target=go_on)
thread.start()
for n in range(4):
    child = os.fork()
    if child == 0:
        work(f"child {n}")
        if n % 2:
            processor.force_flush()
        os._exit(0)
    work(f"parent {n}")
    assert os.waitpid(child, 0)[1] == 0
over.set()
thread.join()
work("after")
provider.shutdown()

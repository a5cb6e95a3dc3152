"""What the same costs in the OpenAI Agents SDK: a call of its processor, and delivery to an ingest on this machine.

    cargo build --release --manifest-path benches/Cargo.toml
    python benches/agents_sdk.py        # in a venv with openai-agents, and with spanspool for a comparison of calls
"""

import logging
import pathlib
import statistics
import subprocess
import tempfile
import time

from agents.tracing import FunctionSpanData, processors
from agents.tracing.provider import DefaultTraceProvider

try:
    from spanspool import SpoolTraceProcessor
except ImportError:
    SpoolTraceProcessor = None

ITEMS = 12_800
BATCH = 128
ROUNDS = 5
SERVER = pathlib.Path(__file__).parent / "target/release/spanspool-benches"


class AcceptAll(processors.BackendSpanExporter):
    """Accepts everything at once."""

    def export(self, items):
        pass


def spans():
    trace = DefaultTraceProvider().create_trace("Refunds")
    provider = DefaultTraceProvider()
    made = []
    for n in range(ITEMS):
        span = provider.create_span(FunctionSpanData("lookup_order", f'{{"order": {n}}}', "shipped"), parent=trace)
        span.start()
        span.finish()
        made.append(span)
    return made


def calls(items, spool):
    """Prints what `on_span_end` takes, with the processors in turns, so that both meet the same machine."""
    compared = {"openai-agents": processors.BatchTraceProcessor(AcceptAll(), max_queue_size=2 * ITEMS)}
    if SpoolTraceProcessor:
        compared["spanspool"] = SpoolTraceProcessor(spool, exporter="none")
    taken = {name: [] for name in compared}
    for at in range(0, ITEMS, BATCH):
        for name, processor in compared.items():
            for span in items[at : at + BATCH]:
                begin = time.perf_counter_ns()
                processor.on_span_end(span)
                taken[name].append(time.perf_counter_ns() - begin)
    # Both would warn of the items that are left.
    logging.disable(logging.WARNING)
    for name, processor in compared.items():
        processor.shutdown(0)
        print(f"on_span_end of {name}: p50 {statistics.median(taken[name]):.0f} ns")


def main():
    items = spans()
    with tempfile.TemporaryDirectory() as spool:
        calls(items, spool)

    server = subprocess.Popen([SERVER, "serve", "0"], stdout=subprocess.PIPE, text=True)
    try:
        endpoint = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1/traces/ingest"
        exporter = processors.BackendSpanExporter(api_key="sk-bench", endpoint=endpoint)
        rounds = []
        for _ in range(ROUNDS):
            begin, cpu = time.perf_counter(), time.process_time()
            for at in range(0, ITEMS, BATCH):
                exporter.export(items[at : at + BATCH])
            rounds.append((time.perf_counter() - begin, time.process_time() - cpu))
        seconds, cpu = (statistics.median(values) for values in zip(*rounds))
        print(f"delivered: {ITEMS / seconds:.0f} items/s, {cpu / ITEMS * 1e6:.1f} µs of CPU time for each item")
    finally:
        server.kill()


if __name__ == "__main__":
    main()

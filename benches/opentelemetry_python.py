"""What `SpoolSpanProcessor` costs in OpenTelemetry's SDK for Python, and what is lost to kill -9 with it and without.

    cargo build --release
    export SPANSPOOL_LIBRARY=target/release/libspanspool.so PYTHONPATH=bindings/python/src
    python benches/opentelemetry_python.py    # in a venv with bindings/python/tests/requirements.txt

Prices are of a span with 10 string attributes from its start to its end(), in alternating rounds. The ratio is the
median of the rounds' ratios to the SDK with nothing exported. The peer is the SDK's SimpleSpanProcessor with its own
encoder, and nothing that sends.

Losses are those of a program that makes 1,000 spans a second and is killed after 12 seconds, with the defaults of the
SDK's BatchSpanProcessor, its OTLPSpanExporter and the spool, after another process has opened the spool.
"""

import gc
import http.server
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult

from spanspool import Client
from spanspool.opentelemetry import SpoolSpanProcessor

ATTRIBUTES = {f"http.attribute.{n}": f"value-{n}-of-a-usual-length" for n in range(10)}
BATCH = {"max_batch_size": 65_536, "max_batch_bytes": "64 MiB", "journal_bytes": "128 MiB"}
ROUNDS, SPANS = 300, 50
SECONDS, PER_SECOND = 12, 1000


class EncodeOnly(SpanExporter):
    def export(self, spans):
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS


def tracer(*processors):
    provider = TracerProvider(resource=Resource.create({"service.name": "bench"}), shutdown_on_exit=False)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider.get_tracer("bench", "1.0")


def prices(spool):
    # Nothing is sent while it is measured, as with the peer: the batch is not full before an hour is over.
    ours = SpoolSpanProcessor(spool, endpoint="http://127.0.0.1:9", schedule_delay=3600.0, **BATCH)
    compared = {
        "SDK, nothing exported": tracer(),
        "SpoolSpanProcessor": tracer(ours),
        "SimpleSpanProcessor": tracer(SimpleSpanProcessor(EncodeOnly())),
    }
    taken = {name: [] for name in compared}
    gc.disable()
    for _ in range(ROUNDS):
        gc.collect(0)
        for name, made_by in compared.items():
            begin = time.thread_time_ns()
            for _ in range(SPANS):
                made_by.start_span("GET /orders", attributes=ATTRIBUTES).end()
            taken[name].append((time.thread_time_ns() - begin) / SPANS)
    gc.enable()
    alone = taken["SDK, nothing exported"]
    for name, values in taken.items():
        ratio = statistics.median(value / base for value, base in zip(values, alone))
        print(f"{name:22} {statistics.median(values) / 1000:6.1f} µs a span, {ratio:.2f} ×")
    assert ours.client.stats().accepted == ROUNDS * SPANS


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    arrived = {"/spool": set(), "/sdk": set()}

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        names = self.arrived[self.path.removesuffix("/v1/traces")]
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names.update(span.name for scope in resource.scope_spans for span in scope.spans)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format, *args):
        pass


def make_spans(spool, url):
    made_by = tracer(
        SpoolSpanProcessor(spool, endpoint=f"{url}/spool"), BatchSpanProcessor(OTLPSpanExporter(f"{url}/sdk/v1/traces"))
    )
    begin = time.monotonic()
    for n in range(SECONDS * PER_SECOND * 10):
        made_by.start_span(str(n), attributes=ATTRIBUTES).end()
        os.write(1, b"%d\n" % n)
        time.sleep(max(0.0, begin + n / PER_SECOND - time.monotonic()))


def losses(spool):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    child = subprocess.Popen([sys.executable, __file__, str(spool), url], stdout=subprocess.PIPE, text=True)
    killer = threading.Timer(SECONDS, child.kill)
    killer.start()
    ended = {line.rstrip() for line in child.stdout if line.endswith("\n")}
    with Client(spool, exporter="otlp", endpoint=f"{url}/spool") as client:
        client.flush(60)
    print(f"kill -9: of {len(ended)} spans that had ended, lost by BatchSpanProcessor:", end=" ")
    print(f"{len(ended - Receiver.arrived['/sdk'])}, by SpoolSpanProcessor: {len(ended - Receiver.arrived['/spool'])}")


def main():
    if len(sys.argv) == 3:
        make_spans(*sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        prices(pathlib.Path(folder, "prices"))
        losses(pathlib.Path(folder, "losses"))


if __name__ == "__main__":
    main()

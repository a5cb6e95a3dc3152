"""The SDK's own exporters and the plugs, side by side in the same program: what arrives is the same."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import PROGRAMS, needs
from ingest import PATIENCE_S, Ingest, Request

needs("opentelemetry.sdk")
needs("opentelemetry.exporter.otlp.proto.http")

import otlp
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Observation
from opentelemetry.sdk._logs import LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.trace import StatusCode
from records import LOGS, RESOURCE, SPANS, Providers

from spanspool import ArgumentError, Client, SettingError, SpanspoolError, __version__
from spanspool.opentelemetry import (
    SpoolLogExporter,
    SpoolLogRecordProcessor,
    SpoolMetricExporter,
    SpoolSpanExporter,
    SpoolSpanProcessor,
)
from spanspool.opentelemetry._encoding import Requests, encode_span


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENDPOINT", "HEADERS", "PROTOCOL", "METRICS_TEMPORALITY_PREFERENCE"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)


@pytest.fixture
def receiver() -> Iterator[Ingest]:
    with Ingest(otlp.decode) as receiver:
        yield receiver


@pytest.fixture
def processor(receiver: Ingest, spool: Path) -> Iterator[SpoolSpanProcessor]:
    processor = SpoolSpanProcessor(spool, endpoint=receiver.url(""))
    yield processor
    processor.shutdown()


def tracer_of(*processors: SpanProcessor, **settings: Any) -> Any:
    return Providers(list(processors), []).tracer(**settings)


def assert_same(receiver: Ingest, signal: str) -> list[Any]:
    theirs, ours = receiver.accepted(f"/sdk/v1/{signal}"), receiver.accepted(f"/spool/v1/{signal}")
    for there, here in zip(theirs, ours, strict=True):
        assert here == there
    assert ours
    return ours


@pytest.mark.parametrize("scenario", SPANS)
def test_spans_arrive_as_the_sdk_sends_them(
    scenario: Callable[[Providers], None], receiver: Ingest, spool: Path
) -> None:
    ours = SpoolSpanProcessor(spool, endpoint=receiver.url("/spool"))
    theirs = SimpleSpanProcessor(OTLPSpanExporter(receiver.url("/sdk/v1/traces")))
    scenario(Providers([ours, theirs], []))
    assert ours.force_flush()
    assert_same(receiver, "traces")
    ours.shutdown()


@pytest.mark.parametrize("scenario", LOGS)
@pytest.mark.filterwarnings("ignore:Log record attributes were dropped")
def test_log_records_arrive_as_the_sdk_sends_them(
    scenario: Callable[[Providers], None], receiver: Ingest, spool: Path
) -> None:
    ours = SpoolLogRecordProcessor(spool, endpoint=receiver.url("/spool"))
    theirs = SimpleLogRecordProcessor(OTLPLogExporter(receiver.url("/sdk/v1/logs")))
    scenario(Providers([], [ours, theirs]))
    assert ours.force_flush()
    assert_same(receiver, "logs")
    ours.shutdown()


def test_exporters_arrive_as_the_sdk_sends_them(receiver: Ingest, spool: Path) -> None:
    spans = SpoolSpanExporter(spool, endpoint=receiver.url("/spool"))
    logs = SpoolLogExporter(spool, endpoint=receiver.url("/spool"))
    of_spans = [BatchSpanProcessor(e) for e in (spans, OTLPSpanExporter(receiver.url("/sdk/v1/traces")))]
    of_logs = [BatchLogRecordProcessor(e) for e in (logs, OTLPLogExporter(receiver.url("/sdk/v1/logs")))]
    make = Providers([*of_spans], [*of_logs])
    tracer, logger = make.tracer(), make.logger()
    for n in range(1000):
        tracer.start_span(f"span {n}", attributes={"n": n}).end()
        logger.emit(body=n)
    both: list[BatchSpanProcessor | BatchLogRecordProcessor] = [*of_spans, *of_logs]
    for processor in both:
        assert processor.force_flush()
    assert spans.force_flush() and logs.force_flush()
    assert len(assert_same(receiver, "traces")) == len(assert_same(receiver, "logs")) == 1000
    for processor in both:
        processor.shutdown()  # type: ignore[no-untyped-call]


class Remembered(SpoolMetricExporter):
    """Keeps what it was given."""

    collected: list[MetricsData]

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> Any:
        self.collected.append(metrics_data)
        return super().export(metrics_data, timeout_millis, **kwargs)


@pytest.mark.parametrize("preference", ["", "delta"])
def test_metrics_arrive_as_the_sdk_encodes_them(
    preference: str, receiver: Ingest, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", preference)
    exporter = Remembered(spool, endpoint=receiver.url(""))
    exporter.collected = []
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))
    provider = MeterProvider([reader], RESOURCE, shutdown_on_exit=False)
    # Nothing to export is no request.
    assert provider.force_flush()
    meter = provider.get_meter("meter", "1.0", "https://example.com/scope", {"a": 1})
    counter = meter.create_counter("counter", "1", "ü")
    meter.create_observable_gauge("gauge", [lambda options: [Observation(0.5, {"a": "b"})]])
    histogram = meter.create_histogram("histogram")
    for n in range(3):
        counter.add(n, {"n": n})
        histogram.record(n)
        assert provider.force_flush()
    assert exporter.force_flush()
    expected = [one for data in exporter.collected for one in otlp.records(encode_metrics(data))]
    assert receiver.accepted("/v1/metrics") == expected and len(expected) == 9
    temporalities = {
        otlp.record(one).sum.aggregation_temporality for one in expected if otlp.record(one).HasField("sum")
    }
    assert temporalities == {1 if preference else 2}
    provider.shutdown()
    assert exporter.collected


def test_no_metrics_are_no_request(receiver: Ingest, spool: Path) -> None:
    exporter = SpoolMetricExporter(spool, endpoint=receiver.url(""))
    assert exporter.export(MetricsData(resource_metrics=[])).name == "SUCCESS"
    assert exporter.client.stats().accepted == 0
    exporter.shutdown()


def test_text_that_is_no_unicode_costs_no_span(processor: SpoolSpanProcessor, receiver: Ingest) -> None:
    half, scope = "a\ud800b", ("\udfff", "\ud800", "\udfff", {"\udfff": "\udfff"})
    tracer = Providers([processor], []).tracer(*scope, resource=Resource({half: half}, "\ud800"))
    with tracer.start_span(half, attributes={half: half, "list": [half], "pair": "\ud83c\udf1e", "kept": 1}) as span:
        span.add_event(half, {half: half})
        span.set_status(StatusCode.ERROR, half)
    assert processor.force_flush()
    [span] = otlp.spans(receiver.accepted())
    assert (span.name, span.status.message, span.events[0].name) == ("a\ufffdb",) * 3
    values = {attribute.key: attribute.value for attribute in span.attributes}
    assert values["a\ufffdb"].string_value == values["list"].array_value.values[0].string_value == "a\ufffdb"
    # Two halves that belong together are one character.
    assert values["pair"].string_value == "\U0001f31e" and values["kept"].int_value == 1


def test_values_without_a_form_cost_no_span(
    processor: SpoolSpanProcessor, receiver: Ingest, caplog: pytest.LogCaptureFixture
) -> None:
    deep: list[Any] = []
    for _ in range(60):
        deep = [deep]
    tracer = tracer_of(processor)
    for _ in range(3):
        tracer.start_span("odd", attributes={"big": 2**64, "in": [-(2**63) - 1], "deep": deep, "kept": 1}).end()
    # Python's programs write such things.
    for name, start, end in ((5, 1.5, -1), (None, "soon", 2**64), (b"bytes", 1, 2)):
        tracer.start_span(name, start_time=start).end(end)
    assert processor.force_flush()
    *odd, number, none, text = otlp.spans(receiver.accepted())
    assert [[attribute.key for attribute in span.attributes] for span in odd] == [["kept"]] * 3
    assert (number.name, number.start_time_unix_nano, number.end_time_unix_nano) == ("5", 1, 0)
    assert (none.name, none.start_time_unix_nano, none.end_time_unix_nano) == ("None", 0, 2**64 - 1)
    assert (text.name, text.start_time_unix_nano, text.end_time_unix_nano) == ("b'bytes'", 1, 2)
    told = [record.getMessage() for record in caplog.records if record.name == "spanspool"]
    assert [line.split("'")[1] for line in told] == ["big", "in", "deep"], told


def test_values_are_nested_as_deeply_as_a_receiver_takes(processor: SpoolSpanProcessor, receiver: Ingest) -> None:
    tracer = tracer_of(processor)
    for levels in range(20, 60):
        values: Any = "leaf"
        for level in range(levels):
            values = {"a": values} if level % 2 else [values]
        tracer.start_span(str(levels), attributes={"deep": values}).end()
    assert processor.force_flush()
    # None was refused, and the receiver's own decoder took them all.
    spans = otlp.spans(receiver.accepted())
    assert [span.name for span in spans] == [str(levels) for levels in range(20, 60)]
    assert spans[0].attributes and not spans[-1].attributes


def test_bodies_without_a_form_are_texts(receiver: Ingest, spool: Path) -> None:
    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    processor = SpoolLogRecordProcessor(spool, endpoint=receiver.url(""))
    logger = Providers([], [processor]).logger()
    cycle: list[Any] = []
    cycle.append(cycle)
    for body in (cycle, Hostile(), {1, 2}, 2**64, 10**5000):
        logger.emit(body=body)
    assert processor.force_flush()
    bodies = [otlp.record(record).body.string_value for record in receiver.accepted()]
    assert bodies[:4] == ["[[...]]", "<Hostile: no text>", "{1, 2}", str(2**64)] and bodies[4].startswith("<int: ")
    processor.shutdown()


def test_a_span_of_another_class_is_the_same(processor: SpoolSpanProcessor) -> None:
    class Remember(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            self.span = span

    remember = Remember()
    tracer = tracer_of(remember)
    with tracer.start_span("span", attributes={"a": 1}) as span:
        span.add_event("event", {"b": "c"})
    public = {name: getattr(remember.span, name) for name in dir(ReadableSpan) if not name.startswith("_")}
    # Its public properties alone, as a release of the SDK may have them that keeps them in another way.
    assert encode_span(SimpleNamespace(**public)) == encode_span(remember.span)  # type: ignore[arg-type]


def test_what_is_kept_does_not_grow_without_end(processor: SpoolSpanProcessor) -> None:
    requests = processor._request.__self__  # type: ignore[attr-defined]
    assert isinstance(requests, Requests)
    for n in range(1000):
        tracer = Providers([processor], []).tracer(f"scope {n}")
        tracer.start_span("s" * n, attributes={f"key {n}": "value"}).end()
    assert len(requests._origins) <= 64
    tracer = tracer_of(processor)
    for n in range(1000):
        tracer.start_span("s" * n).end()
    assert all(len(origin.heads) <= 256 for origin in requests._origins.values())
    from spanspool.opentelemetry._encoding import spans

    assert 0 < len(spans._names) <= 512 and 0 < len(spans._of_spans._heads) <= 512
    assert processor.client.stats().accepted == 2000


def test_threads_share_a_processor(processor: SpoolSpanProcessor, receiver: Ingest) -> None:
    def work(thread: int) -> None:
        # More origins and more lengths than are kept, so that threads throw away what others are about to use.
        for n in range(200):
            resource = Resource({"thread": thread, "n": n % 7})
            tracer = Providers([processor], []).tracer(f"scope {thread} {n % 5}", resource=resource)
            tracer.start_span(f"{thread} {n}", attributes={f"key {n}": "x" * n}).end()

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert processor.force_flush()
    arrived = set()
    for request in receiver.accepted():
        [of_resource] = request.resource_spans
        [of_scope] = of_resource.scope_spans
        [span] = of_scope.spans
        thread, n = map(int, span.name.split())
        assert [a.value.int_value for a in of_resource.resource.attributes] == [thread, n % 7]
        assert of_scope.scope.name == f"scope {thread} {n % 5}"
        assert [(a.key, a.value.string_value) for a in span.attributes] == [(f"key {n}", "x" * n)]
        arrived.add((thread, n))
    assert len(arrived) == 1600


def test_a_full_spool_is_told_once_and_never_raised(
    receiver: Ingest, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = lambda request: 503
    processor = SpoolSpanProcessor(spool, endpoint=receiver.url(""), max_queue_size=5, base_delay=0.01, max_delay=0.05)
    tracer = tracer_of(processor)
    for _ in range(20):
        tracer.start_span("span").end()
    receiver.answer = lambda request: 200
    assert processor.force_flush()
    tracer.start_span("after").end()
    assert processor.client.stats().accepted == 6
    told = [record.getMessage() for record in caplog.records if "lost" in record.getMessage()]
    assert len(told) == 2 and told[0].startswith("a span is lost, it could not be stored: ")
    assert told[1] == "before the spool took them again: 15 spans were lost"
    processor.shutdown()
    caplog.clear()
    for _ in range(3):
        tracer.start_span("too late").end()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "shut down" in caplog.text
    assert not processor.force_flush()
    processor.shutdown()


def test_log_records_about_lost_log_records_end(receiver: Ingest, spool: Path) -> None:
    receiver.answer = lambda request: 503
    processor = SpoolLogRecordProcessor(spool, endpoint=receiver.url(""), max_queue_size=1)
    provider = Providers([], [processor]).logger()
    with pytest.warns(DeprecationWarning):
        handler = LoggingHandler(logger_provider=SimpleNamespace(get_logger=lambda *_, **__: provider))  # type: ignore[arg-type]
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        for n in range(10):
            root.error("line %d", n)
    finally:
        root.removeHandler(handler)
    assert processor.client.stats().accepted == 1
    receiver.answer = lambda request: 200
    processor.shutdown()


def test_exporters_say_what_is_lost(receiver: Ingest, spool: Path) -> None:
    spans = SpoolSpanExporter(spool, endpoint=receiver.url(""))
    logs = SpoolLogExporter(spool, endpoint=receiver.url(""))
    metrics = SpoolMetricExporter(spool, endpoint=receiver.url(""))
    reader = InMemoryMetricReader()
    MeterProvider([reader], RESOURCE).get_meter("meter").create_counter("counter").add(1)
    data = reader.get_metrics_data()
    assert data
    for wanted in ("SUCCESS", "FAILURE"):
        outcomes = [spans.export([ReadableSpan("span", _context())]), logs.export([]), metrics.export(data)]
        assert [outcome.name for outcome in outcomes] == [wanted, "SUCCESS", wanted]
        spans.shutdown()
        logs.shutdown()
        metrics.shutdown(1_000)


def _context() -> Any:
    return TracerProvider(shutdown_on_exit=False).get_tracer("").start_span("").get_span_context()


def test_flush_and_shutdown_end_in_time(spool: Path, receiver: Ingest) -> None:
    over = threading.Event()

    def hang(request: Request) -> int:
        over.wait()
        return 503

    receiver.answer = hang
    processor = SpoolSpanProcessor(spool, endpoint=receiver.url(""))
    tracer_of(processor).start_span("span").end()
    begin = time.monotonic()
    assert processor.force_flush(100) is False
    processor.shutdown()
    assert time.monotonic() - begin < 30
    over.set()
    receiver.answer = lambda request: 200
    with Client(spool, exporter="otlp", endpoint=receiver.url("")) as client:
        receiver.wait_until("the span", lambda: len(receiver.accepted()) == 1)
        client.flush(60)


def test_where_and_how_it_sends(receiver: Ingest, spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url("/base"))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=agents")
    processor = SpoolSpanProcessor(spool)
    tracer_of(processor).start_span("span").end()
    # As the SDK's own processors may be asked.
    assert processor.force_flush(None)
    [request] = receiver.requests("/base/v1/traces")
    assert request.headers["x-team"] == "agents"
    token = f"spanspool-opentelemetry-python/{__version__} "
    assert request.headers["user-agent"].startswith(token) and "OTel-OTLP-Exporter" in request.headers["user-agent"]
    processor.shutdown()
    processor = SpoolSpanProcessor(spool, headers={"user-agent": "mine", "Authorization": "Basic c3Bhbg=="})
    tracer_of(processor).start_span("span").end()
    assert processor.force_flush()
    headers = receiver.requests()[1].headers
    assert (headers["user-agent"], headers["authorization"]) == ("mine", "Basic c3Bhbg==")
    processor.shutdown()

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(SpanspoolError, match="http/protobuf"):
        SpoolSpanProcessor(spool)


def test_a_plug_of_a_client(receiver: Ingest, spool: Path) -> None:
    client = Client(spool, exporter="otlp", signal="traces", endpoint=receiver.url(""))
    processor = SpoolSpanProcessor(client=client)
    tracer_of(processor).start_span("span").end()
    client.flush(60)
    assert len(receiver.accepted("/v1/traces")) == 1
    with pytest.raises(ArgumentError, match="of the client"):
        SpoolSpanProcessor(spool, client=client)
    processor.shutdown()
    with pytest.raises(ArgumentError, match="not settings of a plug"):
        SpoolSpanProcessor(spool, exporter="backend")
    with pytest.raises(SettingError, match="did you mean"):
        SpoolSpanProcessor(spool, endpoimt=receiver.url(""))  # type: ignore[call-arg]


def test_sigkill_and_restart(receiver: Ingest, spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    urls = receiver.url("/spool"), receiver.url("/sdk")
    program = [sys.executable, str(PROGRAMS / "telemetry.py"), str(spool), *urls]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = []
        more = 300
        # Both have exported once before it is killed, so that neither is caught in its first delay.
        for line in process.stdout:
            lines.append(line)
            if all(
                receiver.accepted(f"{who}/v1/{signal}") for who in ("/sdk", "/spool") for signal in ("traces", "logs")
            ):
                more -= 1
            if more == 0:
                process.kill()
                break
        lines += [line for line in process.stdout if line.endswith("\n")]
    accepted = {line.rstrip() for line in lines}

    for signal in ("traces", "logs"):
        with Client(spool, exporter="otlp", signal=signal, endpoint=urls[0]) as client:
            client.flush(60)

    def lost(who: str) -> int:
        traces, logs = (receiver.accepted(f"{who}/v1/{signal}") for signal in ("traces", "logs"))
        arrived = {f"traces {span.name}" for span in otlp.spans(traces)}
        return len(accepted - arrived - {f"logs {otlp.record(record).body.string_value}" for record in logs})

    ours, theirs = lost("/spool"), lost("/sdk")
    with capsys.disabled():
        text = (
            f"of {len(accepted)} spans and log records, lost by batch processors: {theirs}, lost by spanspool: {ours}"
        )
        print(f"\nkill -9: {text}")
    assert ours == 0
    assert theirs > 0


def test_forked_processes_lose_nothing(receiver: Ingest, spool: Path) -> None:
    command = [sys.executable, str(PROGRAMS / "telemetry_forks.py"), str(spool), receiver.url("")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    accepted = set(done.stdout.splitlines())
    assert len(accepted) >= 180
    with Client(spool, exporter="otlp", endpoint=receiver.url("")) as client:
        receiver.wait_until("all spans", lambda: {span.name for span in otlp.spans(receiver.accepted())} >= accepted)
        client.flush(60)


def test_each_part_loads_no_more_than_it_needs() -> None:
    program = """
import sys
import spanspool
assert not any(name.startswith("opentelemetry") for name in sys.modules)
from spanspool.opentelemetry import SpoolLogExporter, SpoolSpanProcessor
assert "google.protobuf" not in sys.modules
from spanspool.opentelemetry import SpoolMetricExporter
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

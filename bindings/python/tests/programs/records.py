"""Records: spans and log records, one function for each kind of thing that can be in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider, LogRecordLimits, LogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

RESOURCE = Resource({"service.name": "shop", "host.cpus": 8, "nested": {"a": [1, "ü"]}}, "https://example.com/resource")
UNLIMITED = {"max_span_attributes": SpanLimits.UNSET, "max_event_attributes": SpanLimits.UNSET}

VALUES: dict[str, Any] = {
    "text": "plain", "empty text": "", "unicode": "ü \u2028 \U0001f31e \0", "long": "x" * 100_000,
    "true": True, "false": False, "zero": 0, "one": 1, "two bytes": 300, "minus": -1, "most": 2**63 - 1,
    "least": -(2**63), "half": 0.5, "whole": 1.0, "inf": float("inf"), "tiny": 5e-324, "none": None,
    "bytes": b"\xff\0", "no bytes": b"", "texts": ["a", "", "ü"], "integers": [1, -1, 0],
    "mixed": [1, "a", None, b"b", [True, [], {}]],
    "nothing": [], "map": {"a": 1, "b": {"c": [1.5, {"d": None}]}, "ü": ""}, "no map": {}, "ключ": "значение",
    "k" * 300: "long key",
}  # fmt: skip


class Number(int):
    """A number of a class of the program's own."""


class Providers:
    """Makes providers whose spans and records all go to the same processors."""

    def __init__(self, spans: list[SpanProcessor], logs: list[LogRecordProcessor]) -> None:
        self._spans, self._logs = spans, logs

    def tracer(self, *scope: Any, resource: Resource = RESOURCE, **settings: Any) -> trace.Tracer:
        provider = TracerProvider(resource=resource, shutdown_on_exit=False, **settings)
        for processor in self._spans:
            provider.add_span_processor(processor)
        return provider.get_tracer(*(scope or ("scope", "1.0")))

    def logger(self, *scope: Any, resource: Resource = RESOURCE, limits: LogRecordLimits | None = None) -> Any:
        provider = LoggerProvider(resource, shutdown_on_exit=False, log_record_limits=limits)
        for processor in self._logs:
            provider.add_log_record_processor(processor)
        return provider.get_logger(*(scope or ("scope", "1.0")))


def kinds(make: Providers) -> None:
    tracer = make.tracer()
    for kind in SpanKind:
        tracer.start_span(kind.name, kind=kind).end()


def statuses(make: Providers) -> None:
    tracer = make.tracer()
    for status in (Status(StatusCode.OK), Status(StatusCode.ERROR), Status(StatusCode.ERROR, "no ü"), Status()):
        with tracer.start_span("status") as span:
            span.set_status(status)
    try:
        with tracer.start_as_current_span("exception"):
            raise ValueError("went wrong \U0001f31e")
    except ValueError:
        pass


def values(make: Providers) -> None:
    tracer = make.tracer("scope", "1.0", "https://example.com/scope", {"scope.attribute": [1, {"a": "b"}]})
    for key, value in VALUES.items():
        tracer.start_span("value", attributes={key: value}).end()
    with tracer.start_span("all", attributes=VALUES) as span:
        span.add_event("event", VALUES)
        span.add_event("", {}, timestamp=0)
        span.add_event("later", timestamp=2**63)
    context = SpanContext(1, 2, is_remote=True)
    tracer.start_span("links", links=[Link(context, VALUES), Link(SpanContext(2**128 - 1, 2**64 - 1, False))]).end()
    own: dict[str, Any] = {"number": Number(5), "object": object(), "numbers": [Number(-1)]}
    tracer.start_span("own classes", attributes=own).end()


def parents(make: Providers) -> None:
    state = TraceState([("vendor", "a=b"), ("other", "c")])
    for is_remote in (True, False):
        for flags in (TraceFlags.SAMPLED, TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID):
            context = SpanContext(0xABC << 100, 0xDEF, is_remote, TraceFlags(flags), state)
            above = trace.set_span_in_context(NonRecordingSpan(context))
            tracer = make.tracer()
            with tracer.start_as_current_span("child", above, links=[Link(context)]):
                tracer.start_span("grandchild").end()


def names(make: Providers) -> None:
    for name in ("", "ü \U0001f31e", "x" * 70_000):
        make.tracer(name or "scope", name or None, name or None).start_span(name).end()
    make.tracer("no version", resource=Resource({})).start_span("empty resource").end()
    make.tracer("", resource=Resource.get_empty()).start_span("empty scope").end()


def times(make: Providers) -> None:
    tracer = make.tracer()
    for start, end in ((0, 0), (1, 2**64 - 1), (5, 4)):
        tracer.start_span("times", start_time=start).end(end)


def many(make: Providers) -> None:
    limits = SpanLimits(**UNLIMITED)
    attributes = {f"attribute.{n}": f"value {n}" for n in range(10_000)}
    with make.tracer(span_limits=limits).start_span("many", attributes=attributes) as span:
        span.add_event("many", attributes)
    tracer = make.tracer()
    for length in (0, 1, 62, 63, 64, 65, 126, 127, 128, 129, 16_383, 16_384):
        tracer.start_span("n" * length, attributes={"key": "v" * length, "k" * (length + 1): "ü" * length}).end()


def limits(make: Providers) -> None:
    few = SpanLimits(max_span_attributes=3, max_events=2, max_links=1, max_event_attributes=1, max_link_attributes=1)
    link = Link(SpanContext(1, 2, False), {"a": 1, "b": 2})
    with make.tracer(span_limits=few).start_span("few", attributes=VALUES, links=[link, link, link]) as span:
        for _ in range(5):
            span.add_event("event", {"a": 1, "b": 2, "c": 3})
    nothing = SpanLimits(max_span_attributes=0, max_events=0, max_links=0)
    with make.tracer(span_limits=nothing).start_span("nothing", attributes=VALUES, links=[link]) as span:
        span.add_event("event")
    short = SpanLimits(max_attribute_length=3, max_span_attribute_length=2)
    with make.tracer(span_limits=short).start_span("short", attributes=VALUES) as span:
        span.add_event("event", VALUES)


def many_origins(make: Providers) -> None:
    """More resources and scopes than are kept, and some that are alike."""
    for n in range(100):
        resource = Resource({"n": n % 50})
        for scope in ("a", f"b{n}"):
            make.tracer(scope, resource=resource).start_span(f"span {n}").end()


def changed_resource(make: Providers) -> None:
    """As after a fork, when the SDK gives its tracers another resource."""
    tracer: Any = make.tracer()
    for n in range(3):
        tracer.start_span("before").end()
        tracer.resource = Resource({"n": n})
        tracer.start_span("after").end()


class RecordOnly(Sampler):
    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        return SamplingResult(Decision.RECORD_ONLY)

    def get_description(self) -> str:
        return "records what is not sampled"


def unsampled(make: Providers) -> None:
    make.tracer(sampler=RecordOnly()).start_span("recorded").end()
    make.tracer(sampler=TraceIdRatioBased(0.0)).start_span("dropped").end()
    context = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(TraceFlags.DEFAULT))
    above = trace.set_span_in_context(NonRecordingSpan(context))
    make.tracer().start_span("unsampled", above).end()
    make.tracer().start_span("sampled").end()


SPANS: list[Callable[[Providers], None]] = [
    kinds, statuses, values, parents, names, times, many, limits, many_origins, changed_resource, unsampled,
]  # fmt: skip


def bodies(make: Providers) -> None:
    logger = make.logger("scope", "1.0", "https://example.com/scope", {"a": 1})
    for body in VALUES.values():
        logger.emit(body=body)
    logger.emit(body=VALUES, attributes=VALUES)


def severities(make: Providers) -> None:
    logger = make.logger()
    for severity in SeverityNumber:
        logger.emit(severity_number=severity, severity_text=severity.name)
    logger.emit(severity_text="")
    logger.emit(severity_text="ü")


def log_fields(make: Providers) -> None:
    logger = make.logger()
    logger.emit(event_name="user.login", body="event")
    logger.emit(event_name="", timestamp=0, observed_timestamp=0)
    logger.emit(timestamp=1, observed_timestamp=2**64 - 1)
    logger.emit(body="failed", exception=ValueError("no ü"))
    with make.tracer().start_as_current_span("span"):
        logger.emit(body="in a span")
        logger.emit(LogRecord(body="a record", attributes={"a": None}))
    logger.emit(body="outside", context=Context())
    make.logger("", resource=Resource.get_empty()).emit(body="empty scope")


def log_limits(make: Providers) -> None:
    make.logger(limits=LogRecordLimits(max_attributes=2, max_attribute_length=3)).emit(body="few", attributes=VALUES)
    attributes = {f"attribute.{n}": n for n in range(10_000)}
    make.logger(limits=LogRecordLimits(max_attributes=LogRecordLimits.UNSET)).emit(body="many", attributes=attributes)


LOGS: list[Callable[[Providers], None]] = [bodies, severities, log_fields, log_limits]

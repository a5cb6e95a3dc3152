"""The SDK's own exporters and the plugs, side by side in the same program: what arrives is the same."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import needs
from ingest import Ingest

for name in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
    needs(name)

import otlp  # noqa: E402
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter  # noqa: E402
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: E402
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from records import LOGS, SPANS, Providers  # noqa: E402

from spanspool.opentelemetry import SpoolLogRecordProcessor, SpoolSpanProcessor  # noqa: E402


@pytest.fixture
def receiver() -> Iterator[Ingest]:
    with Ingest(otlp.decode) as receiver:
        yield receiver


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
def test_log_records_arrive_as_the_sdk_sends_them(
    scenario: Callable[[Providers], None], receiver: Ingest, spool: Path
) -> None:
    ours = SpoolLogRecordProcessor(spool, endpoint=receiver.url("/spool"))
    theirs = SimpleLogRecordProcessor(OTLPLogExporter(receiver.url("/sdk/v1/logs")))
    scenario(Providers([], [ours, theirs]))
    assert ours.force_flush()
    assert_same(receiver, "logs")
    ours.shutdown()

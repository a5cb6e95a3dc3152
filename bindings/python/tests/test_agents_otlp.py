"""The Agents SDK by way of OpenTelemetry: OpenInference makes the spans, and the spool keeps them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import EXAMPLES, PROGRAMS, needs
from ingest import Ingest

needs("opentelemetry.sdk")
needs("openinference.instrumentation.openai_agents")

import otlp

from spanspool import Client


@pytest.fixture
def receiver() -> Iterator[Ingest]:
    with Ingest(otlp.decode) as receiver:
        yield receiver


def test_the_example_delivers_its_spans(receiver: Ingest, spool: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "agent_otlp.py"), str(spool), receiver.url("")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "It is sunny in Zurich.\n")
    spans = otlp.spans(receiver.accepted("/v1/traces"))
    assert len({span.trace_id for span in spans}) == 1
    [root] = [span for span in spans if not span.parent_span_id]
    assert root.name == "weather"
    kinds = [a.value.string_value for span in spans for a in span.attributes if a.key == "openinference.span.kind"]
    assert kinds.count("LLM") == 2 and kinds.count("TOOL") == 1 and kinds.count("AGENT") >= 1
    resource = receiver.accepted()[0].resource_spans[0].resource
    assert "forecaster" in [a.value.string_value for a in resource.attributes if a.key == "service.name"]


def test_sigkill_in_the_middle_of_runs(receiver: Ingest, spool: Path) -> None:
    program = [sys.executable, str(PROGRAMS / "agents_otlp.py"), str(spool), receiver.url("")]
    lines = []
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        more = 50
        for line in process.stdout:
            lines.append(line)
            # Something was delivered by the process itself.
            more -= bool(receiver.accepted())
            if more == 0:
                process.kill()
                break
        lines += [line for line in process.stdout if line.endswith("\n")]
    with Client(spool, exporter="otlp", endpoint=receiver.url("")) as client:
        client.flush(60)
    arrived = {f"{span.span_id.hex()} {span.name}" for span in otlp.spans(receiver.accepted())}
    assert arrived >= {line.rstrip() for line in lines}
    assert len(lines) > 50

"""Agent runs without end as OpenTelemetry spans: agents_otlp.py SPOOL_DIR ENDPOINT

Each span is told on standard output, in one write, when the spool has it: its id and its name.
"""

from __future__ import annotations

import os
import sys

from agents import RunConfig
from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from runs import handoffs, tools

from spanspool.opentelemetry import SpoolSpanProcessor


class Recorder(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        os.write(1, f"{span.context.span_id:016x} {span.name}\n".encode())


provider = TracerProvider()
provider.add_span_processor(SpoolSpanProcessor(sys.argv[1], endpoint=sys.argv[2]))
provider.add_span_processor(Recorder())
OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)
while True:
    tools(RunConfig())
    handoffs(RunConfig())

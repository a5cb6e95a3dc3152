"""Recorder: a processor that tells on standard output, one write for each item, what those before it have taken."""

from __future__ import annotations

import os
from typing import Any

from agents.tracing import Span, Trace, TracingProcessor


class Recorder(TracingProcessor):
    def on_trace_start(self, trace: Trace) -> None:
        os.write(1, f" {trace.trace_id}\n".encode())

    def on_trace_end(self, trace: Trace) -> None:
        pass

    def on_span_start(self, span: Span[Any]) -> None:
        pass

    def on_span_end(self, span: Span[Any]) -> None:
        os.write(1, f"{span.trace_id} {span.span_id}\n".encode())

    def shutdown(self) -> None:
        pass

    def force_flush(self) -> None:
        pass


def recorded(output: str) -> list[tuple[str, str]]:
    """The items of a recorder's output, as `ingest.ident` names them."""
    lines = [line.split(" ") for line in output.splitlines()]
    return [(trace_id, item_id) for trace_id, item_id in lines]

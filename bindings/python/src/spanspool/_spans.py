"""Spans: those of the OpenAI Agents SDK as JSON, without the dict that ``export()`` makes.

Making that dict and encoding it, key by key, costs more than storing the span. `key_and_json` writes the same bytes
from the span's own fields: those of each span, and those of a function's data, which is the most frequent. It does so
only for releases of the SDK that the tests compare it with. With any other one, a patched ``export``, a subclass or a
value of an uncommon type, the span is exported and encoded.
"""

from __future__ import annotations

from typing import Any

import agents
from agents.tracing import FunctionSpanData, Span, SpanData, span_data, spans
from agents.tracing.spans import SpanImpl

from ._json import encode, quote, text

# Releases of the SDK whose ``export()`` says what `key_and_json` writes: tests/test_spans.py passes with each.
_KNOWN_RELEASES = ("0.24.0",)

# What the SDK passes on from a trace's metadata to its spans.
_routing_keys = frozenset(getattr(spans, "_SPAN_METADATA_ROUTING_KEYS", ()))

# The SDK's own classes of data: their `export` only reads, so it may be called once more in vain.
_data_classes = {kind for kind in vars(span_data).values() if isinstance(kind, type) and issubclass(kind, SpanData)}


def _known(kind: Any) -> Any:
    """The ``export`` of ``kind``; None if it is not known what that says: of another release, or patched already."""
    is_known = getattr(agents, "__version__", None) in _KNOWN_RELEASES
    return kind.export if is_known and kind.export.__module__ == kind.__module__ else None


# The methods that the functions below take the place of.
_span_export, _function_export = _known(SpanImpl), _known(FunctionSpanData)


def key_and_json(span: Span[Any], previews: bool) -> tuple[str | None, bytes]:
    """The key that the span's run has of its own, and what `encode` makes of ``span.export()``.

    The JSON is empty if there is nothing to send.
    """
    if type(span) is SpanImpl and SpanImpl.export is _span_export:
        data, parent, error, metadata = span._span_data, span._parent_id, span._error, span._trace_metadata
        try:
            if getattr(data, "metadata", None) is None and (metadata is None or _passes_nothing_on(metadata)):
                json = (
                    f'{{"object":"trace.span","id":{quote(span._span_id)},"trace_id":{quote(span._trace_id)}'
                    f',"parent_id":{"null" if parent is None else quote(parent)}'
                    f',"started_at":{quote(span._started_at)},"ended_at":{quote(span._ended_at)}'
                    f',"span_data":{_data_text(data)},"error":{"null" if error is None else text(error)}}}'
                )
                return span._tracing_api_key, json.encode()
        except (TypeError, ValueError, RecursionError):
            # Not what most spans are, or a value that `encode` leaves out.
            pass
    exported = span.export()
    return span.tracing_api_key, encode(exported, previews=previews) if exported else b""


def _passes_nothing_on(trace_metadata: dict[str, Any]) -> bool:
    return type(trace_metadata) is dict and _routing_keys.isdisjoint(trace_metadata)


def _data_text(data: Any) -> str:
    """The JSON of a span's data. Raises `TypeError` for a class that is not the SDK's, and as `quote` and `text` do."""
    if type(data) is not FunctionSpanData or FunctionSpanData.export is not _function_export:
        if type(data) not in _data_classes:
            raise TypeError
        return text(data.export())
    input, output, mcp_data = data.input, data.output, data.mcp_data
    return (
        f'{{"type":"function","name":{quote(data.name)}'
        f',"input":{"null" if input is None else quote(input)}'
        f',"output":{"null" if output is None else quote(str(output))}'
        f',"mcp_data":{"null" if mcp_data is None else text(mcp_data)}}}'
    )

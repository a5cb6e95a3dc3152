"""Traces: spans go into a spool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import TraceFlags

from .._client import Client
from .._settings import Path, Settings
from ._encoding import Requests, encode_span
from ._plug import Plug

if TYPE_CHECKING:
    from typing_extensions import Unpack

_SAMPLED = TraceFlags.SAMPLED


class SpoolSpanProcessor(Plug[ReadableSpan], SpanProcessor):
    """Keeps each sampled span in a spool on disk: it is durable when ``span.end()`` returns.

    ``provider.add_span_processor(SpoolSpanProcessor("/var/lib/myapp/spool"))`` is all. It takes the place of a
    ``BatchSpanProcessor`` and its exporter. All methods may be called from any thread, and after ``fork``.
    """

    def __init__(
        self, spool_dir: Path | None = None, *, client: Client | None = None, **settings: Unpack[Settings]
    ) -> None:
        """Opens the spool in the folder ``spool_dir``, which with ``settings`` is as for `spanspool.Client`.

        ``exporter`` is ``otlp`` and ``signal`` is ``traces``. Or give a ``client`` that was opened with these.

        Raises `spanspool.SpanspoolError` when the settings, a variable ``OTEL_EXPORTER_OTLP_…`` or the folder can't be
        used.
        """
        super().__init__("traces", "span", Requests(encode_span).request, spool_dir, client, settings)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Does nothing: a span is stored when it ends."""

    def on_end(self, span: ReadableSpan) -> None:
        """Stores the span."""
        context = span.context
        if context and context.trace_flags & _SAMPLED:
            self._store(span)

    def shutdown(self) -> None:
        """Delivers for 5 seconds at most. What is left stays in the spool for the next process."""
        self._shut_down()


class SpoolSpanExporter(Plug[ReadableSpan], SpanExporter):
    """Puts the spans that a ``BatchSpanProcessor`` exports into a spool on disk.

    A span is durable only once it is exported, which is 5 seconds after its end by default. `SpoolSpanProcessor` does
    not leave that gap.
    """

    def __init__(
        self, spool_dir: Path | None = None, *, client: Client | None = None, **settings: Unpack[Settings]
    ) -> None:
        """As for `SpoolSpanProcessor`."""
        super().__init__("traces", "span", Requests(encode_span).request, spool_dir, client, settings)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Stores each span. ``FAILURE`` if one is lost; the others are durable all the same."""
        stored = [self._store(span) for span in spans]
        return SpanExportResult.SUCCESS if all(stored) else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Delivers for 5 seconds at most. What is left stays in the spool for the next process."""
        self._shut_down()

"""spanspool: traces and spans are durable before the call returns, and delivered when the ingest can be reached.

`SpoolTraceProcessor` is a processor for the OpenAI Agents SDK, and `spanspool.opentelemetry` has some for
OpenTelemetry. `Client` takes any JSON object, or export requests of OTLP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._client import Client
from ._errors import (
    ArgumentError,
    CorruptError,
    FullError,
    InternalError,
    ItemError,
    ItemTooLargeError,
    LockedError,
    SettingError,
    ShutDownError,
    SpanspoolError,
    Status,
    StorageError,
    TimeoutError,
)
from ._library import version
from ._settings import Settings
from ._stats import ExportState, Stats

if TYPE_CHECKING:
    from .openai_agents import SpoolTraceProcessor

__all__ = [
    "ArgumentError",
    "Client",
    "CorruptError",
    "ExportState",
    "FullError",
    "InternalError",
    "ItemError",
    "ItemTooLargeError",
    "LockedError",
    "SettingError",
    "Settings",
    "ShutDownError",
    "SpanspoolError",
    "SpoolTraceProcessor",
    "Stats",
    "Status",
    "StorageError",
    "TimeoutError",
    "__version__",
]

__version__ = version()


def __getattr__(name: str) -> object:
    # A program without the SDK can use Client.
    if name == "SpoolTraceProcessor":
        from .openai_agents import SpoolTraceProcessor

        return SpoolTraceProcessor
    raise AttributeError(f"module 'spanspool' has no attribute '{name}'")

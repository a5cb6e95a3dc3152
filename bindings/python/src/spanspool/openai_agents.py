"""OpenAI Agents: the SDK's traces and spans go into a spool. Only this module and `_spans` import ``agents``."""

from __future__ import annotations

import hmac
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from agents.tracing import Span, Trace, TracingProcessor

from ._client import Client
from ._errors import ArgumentError, ShutDownError, SpanspoolError
from ._json import encode
from ._settings import Path, Settings
from ._spans import key_and_json
from ._stats import Stats

if TYPE_CHECKING:
    from typing_extensions import Unpack

OPENAI_ENDPOINT = "https://api.openai.com/v1/traces/ingest"

logger = logging.getLogger("spanspool")

# One thread at a time opens a spool again. A fork waits for it, so that no child is born with the lock held; a signal
# handler that forks may be running inside it.
_opening = threading.RLock()
os.register_at_fork(before=_opening.acquire, after_in_parent=_opening.release, after_in_child=_opening.release)


class SpoolTraceProcessor(TracingProcessor):
    """Keeps each trace and span of the OpenAI Agents SDK in a spool on disk from the moment it ends, and delivers it.

    ``set_trace_processors([SpoolTraceProcessor(spool_dir="…")])`` replaces the SDK's own exporter with it.
    ``add_trace_processor(…)`` adds it next to that one; an ingest that is the same for both gets everything twice.

    What arrives is what the SDK's own exporter would send. A run's ``tracing={"api_key": …}`` is honoured: its items
    are sent with that key, which stays in memory. The spool keeps a name made from it (`key_name`). After a restart
    they wait in the rejected store, as ``no_key:NAME``, until a run in any process of the spool has the same key. Those
    whose key is answered 401 or 403 wait as ``key_refused:NAME``.

    Only `force_flush` and `shutdown` wait for the network. No method raises unless it says so. What could not be
    stored, because of a full disk or a limit, is an error in the log ``spanspool``. So is what the ingest refuses.
    All methods may be called from any thread, inside an event loop, and after ``fork``.
    """

    def __init__(
        self, spool_dir: Path | None = None, *, flush_timeout: float | None = 10.0, **settings: Unpack[Settings]
    ) -> None:
        """Opens the spool in the folder ``spool_dir``; it and ``settings`` are as for `spanspool.Client`.

        ``flush_timeout`` is the longest that ``flush_traces()`` waits, in seconds; None is for ever. With
        ``OPENAI_AGENTS_DISABLE_TRACING`` set to ``true`` or ``1`` nothing is opened, made or sent until the program
        turns tracing on after all.

        Raises `SpanspoolError` when the settings or the folder can't be used.
        """
        self._spool_dir = spool_dir
        if settings.get("exporter") == "otlp":
            raise ArgumentError(
                "exporter='otlp': traces of the Agents SDK are not OTLP; make them OpenTelemetry spans with "
                "openinference-instrumentation-openai-agents, and export those with "
                "spanspool.opentelemetry.SpoolSpanProcessor (examples/python/agent_otlp.py)",
            )
        # Items are made here, by Python's own encoder: the library need not check them again.
        self._settings: Settings = {"validation": "none", **settings}
        self._flush_timeout = flush_timeout
        endpoint = settings.get("endpoint") or OPENAI_ENDPOINT
        sanitize = settings.get("sanitize") or "auto"
        is_openai = endpoint.rstrip("/") == OPENAI_ENDPOINT
        self._previews = sanitize == "always" or (sanitize == "auto" and is_openai)
        self._client: _RunsClient | None = None
        if os.environ.get("OPENAI_AGENTS_DISABLE_TRACING", "").lower() not in ("true", "1"):
            self._open()

    def on_trace_start(self, trace: Trace) -> None:
        """Stores the trace."""
        try:
            if client := self._client:
                client.take_late_key()
            exported = trace.export()
            self._store(trace.tracing_api_key, encode(exported, previews=self._previews) if exported else b"")
        except Exception as error:
            logger.error("trace %s is lost, it could not be stored: %s", trace.trace_id, error)

    def on_trace_end(self, trace: Trace) -> None:
        """Stores nothing, as a trace is stored when it starts. Logs what changed with the ingest."""
        if client := self._client:
            client.take_late_key()
            try:
                client.stats()
            except SpanspoolError as error:
                logger.debug("the spool's counters can't be read: %s", error)

    def on_span_start(self, span: Span[Any]) -> None:
        """Does nothing: a span is stored when it ends."""

    def on_span_end(self, span: Span[Any]) -> None:
        """Stores the span as it is now."""
        try:
            key, json = key_and_json(span, self._previews)
            self._store(key, json)
        except Exception as error:
            logger.error("span %s of %s is lost, it could not be stored: %s", span.span_id, span.trace_id, error)

    def force_flush(self) -> None:
        """Sends what was stored so far at once and waits for the answers, for ``flush_timeout`` at most.

        What is not delivered by then stays in the spool and is delivered later.
        """
        client = self._client
        if not client:
            return
        client.take_late_key()
        try:
            client.flush(self._flush_timeout)
        except SpanspoolError as error:
            logger.warning("traces are not all delivered yet, they stay in the spool: %s", error)

    def shutdown(self, timeout: float | None = None) -> None:
        """Delivers for ``timeout`` seconds, 5 by default, and closes the spool.

        What is left stays in it for the next process. An item that ends later opens the spool again.
        """
        with _opening:
            client, self._client = self._client, None
        if not client:
            return
        client.take_late_key()
        try:
            client.shutdown(5.0 if timeout is None else timeout)
        except SpanspoolError as error:
            logger.warning("traces are not all delivered, they stay in the spool: %s", error)

    def set_api_key(self, key: str) -> None:
        """Replaces the API key of the items that have none of their own.

        The SDK's ``set_tracing_export_api_key`` speaks to its own exporter only. Raises `SpanspoolError`.
        """
        self._settings["api_key"] = key
        if client := self._client:
            client.set_api_key(key)

    def stats(self) -> Stats:
        """The counters of this process's part of the spool. Raises `SpanspoolError`."""
        return self._open().stats()

    def _open(self) -> _RunsClient:
        """The client, opened if there is none."""
        client = self._client
        if not client:
            with _opening:
                client = self._client
                if not client:
                    client = self._client = _RunsClient(self._spool_dir, **self._settings)
        return client

    def _store(self, key: str | None, json: bytes) -> None:
        while json:
            client = self._client or self._open()
            try:
                if key:
                    client.enqueue_with(key, json)
                else:
                    client.enqueue(json)
                return
            except ShutDownError:
                # If another thread shut the client down in between, the next one is open.
                if self._client is client:
                    raise


class _RunsClient(Client):
    """A client that has its keys from runs and from the environment."""

    def __init__(self, spool_dir: Path | None, **settings: Unpack[Settings]) -> None:
        self._needs_key = not settings.get("api_key") and not os.environ.get("OPENAI_API_KEY")
        # The names of keys that were set. Each is set once, as that searches the rejected store.
        self._named: set[str] = set()
        super().__init__(spool_dir, **settings)

    def enqueue_with(self, key: str, json: bytes) -> None:
        """As `enqueue`, for an item to be sent with ``key``."""
        name = key_name(key)
        if name not in self._named:
            try:
                self.set_named_key(name, key)
            except ShutDownError:
                raise
            except SpanspoolError as error:
                # The item is kept all the same: without a key that can be sent it waits in the rejected store.
                logger.error("the API key of a run can't be used as it should: %s", error)
            self._named.add(name)
        self.enqueue_as(name, json)

    def set_api_key(self, key: str) -> None:
        self._needs_key = False
        super().set_api_key(key)

    def take_late_key(self) -> None:
        """Like the SDK, takes an OPENAI_API_KEY that came into the environment after the spool was opened."""
        if self._needs_key and (key := os.environ.get("OPENAI_API_KEY")):
            try:
                self.set_api_key(key)
            except ShutDownError:
                # The next client finds it when it is opened.
                return
            except SpanspoolError as error:
                logger.error("OPENAI_API_KEY can't be used: %s", error)

    def _look(self) -> None:
        # A look into the environment costs more than an enqueue, so spans take one no more often than this.
        self.take_late_key()
        super()._look()


def key_name(key: str) -> str:
    """The name under which a run's key is kept in a spool.

    It is the same in every process, so that after a restart the key finds its items. It is a hash, of which 128 bits
    are kept: the key can't be read off it. The constant makes it differ from the plain SHA-256 that the SDK keeps in a
    saved run's state, so that the two can't be matched.
    """
    digest = hmac.digest(b"spanspool: name of a tracing key", key.encode("utf-8", "surrogatepass"), "sha256")
    return f"agents-{digest.hex()[:32]}"

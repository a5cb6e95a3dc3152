"""Plug: what processors and exporters have in common, which is a client that the SDK calls."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, Literal, TypeVar

from .._client import Client
from .._errors import ArgumentError, ShutDownError, SpanspoolError, TimeoutError
from .._library import version
from .._settings import Path, Settings
from ._losses import Losses

logger = logging.getLogger("spanspool")

Signal = Literal["traces", "logs", "metrics"]
# What the SDK hands over.
Data = TypeVar("Data")

# How long the end of a program waits for a receiver, in seconds. What is not delivered by then stays in the spool.
_PATIENCE = 5.0
# How long a flush without a timeout waits, as with the SDK's own processors.
_FLUSH = 30.0


class Plug(Generic[Data]):
    """A client, as the SDK calls it. Only the constructor raises: the log ``spanspool`` tells what went wrong."""

    def __init__(
        self,
        signal: Signal,
        what: str,
        request: Callable[[Data], bytes],
        spool_dir: Path | None,
        client: Client | None,
        settings: Settings,
    ) -> None:
        if client and (settings or spool_dir is not None):
            raise ArgumentError("spool_dir and settings are those of the client")
        self.client = client or _open(signal, spool_dir, settings)
        """The client, for what the SDK has no call for, such as `Client.stats`."""
        self._request = request
        self._losses = Losses(what)

    def force_flush(self, timeout_millis: float | None = None) -> bool:
        """Sends at once and waits until all is delivered or rejected. False if the time was over first.

        Without a timeout it waits 30 seconds at most. What is left stays in the spool and is delivered later.
        """
        try:
            self.client.flush(_FLUSH if timeout_millis is None else timeout_millis / 1000)
        except (TimeoutError, ShutDownError):
            return False
        except SpanspoolError as error:
            logger.error("the spool can't be flushed: %s", error)
            return False
        return True

    def _store(self, data: Data) -> bool:
        """Stores what is durable when this returns. False if it is lost."""
        try:
            self.client.enqueue(self._request(data))
        except Exception as error:
            self._losses.add(error)
            return False
        if self._losses.open:
            self._losses.close("before the spool took them again")
        return True

    def _shut_down(self, timeout: float = _PATIENCE) -> None:
        try:
            self.client.shutdown(min(timeout, _PATIENCE))
        except ShutDownError:
            # The program did it, or another plug of this client.
            return
        except SpanspoolError as error:
            logger.warning("not all is delivered, it stays in the spool: %s", error)
        self._losses.close("until the shutdown")


def _open(signal: Signal, spool_dir: Path | None, settings: Settings) -> Client:
    if "exporter" in settings or "signal" in settings:
        raise ArgumentError("exporter and signal are not settings of a plug, it has its own")
    headers = dict(settings.get("headers") or {})
    if "user-agent" not in map(str.lower, headers):
        # The library's own, after what this is.
        headers["User-Agent"] = (
            f"spanspool-opentelemetry-python/{version()} spanspool/{version()} OTel-OTLP-Exporter-Rust/{version()}"
        )
    # The requests are made here: the library need not check them again.
    settings = {"validation": "none", **settings}
    ours: Settings = {"exporter": "otlp", "signal": signal, "headers": headers}
    return Client(spool_dir, **(settings | ours))

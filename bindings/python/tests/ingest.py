"""Ingest: an HTTP server on the loopback address that keeps what it is sent and answers as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

# Longer than any step takes on a slow machine.
PATIENCE_S = 120.0


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    items: list[Any] = field(default_factory=list)

    @property
    def key(self) -> str | None:
        authorization = self.headers.get("authorization")
        return None if authorization is None else authorization.removeprefix("Bearer ")


def backend(path: str, body: bytes) -> list[Any]:
    """The items of a request in the wire format of the Agents SDK."""
    items: list[dict[str, Any]] = json.loads(body)["data"]
    return items


class Ingest:
    """Answers each request with the status that ``answer`` gives; a request is recorded before that is asked.

    ``decode`` makes its items of its path and its body.
    """

    def __init__(self, decode: Callable[[str, bytes], list[Any]] = backend) -> None:
        self.answer: Callable[[Request], int] = lambda request: 200
        self._requests: list[tuple[Request, int]] = []
        self._changed = threading.Condition()
        ingest = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = ingest._take(Request(self.path, headers, decode(self.path, body)))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        # Closing must not wait for a handler that a test made hang.
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> Ingest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, path: str = "/v1/traces/ingest") -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def _take(self, request: Request) -> int:
        with self._changed:
            at = len(self._requests)
            self._requests.append((request, 0))
            self._changed.notify_all()
        status = self.answer(request)
        with self._changed:
            self._requests[at] = (request, status)
            self._changed.notify_all()
        return status

    def requests(self, path: str = "") -> list[Request]:
        """Everything that came in, answered or not; with ``path`` only what came to an URL that ends so."""
        with self._changed:
            return [request for request, _ in self._requests if request.path.endswith(path)]

    def accepted(self, path: str = "") -> list[Any]:
        """The items that were answered 200."""
        with self._changed:
            taken = [request for request, status in self._requests if status == 200]
        return [item for request in taken if request.path.endswith(path) for item in request.items]

    def wait_until(self, what: str, condition: Callable[[], bool]) -> None:
        """Waits for a condition that depends on what came in."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            left = deadline - time.monotonic()
            assert left > 0, f"not in time: {what}"
            with self._changed:
                self._changed.wait(min(left, 0.05))


def ident(item: dict[str, Any]) -> tuple[str, str]:
    """What tells an item from all others: a span's id is its own only within its trace."""
    return (item.get("trace_id", ""), item["id"])


def by_ident(items: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """Each item as text, so that the order of keys and the form of numbers count; none may be there twice."""
    texts = {ident(item): json.dumps(item) for item in items}
    assert len(texts) == len(items), "an item came twice"
    return texts


def assert_same_batches(requests: list[Request]) -> None:
    """An item comes again only in the same batch, under the same key and with the same bytes, so that one can tell."""
    batches: dict[str, str] = {}
    homes: dict[tuple[str, str], str] = {}
    for request in requests:
        key = request.headers["idempotency-key"]
        assert batches.setdefault(key, json.dumps(request.items)) == json.dumps(request.items)
        for item in request.items:
            assert homes.setdefault(ident(item), key) == key, f"{ident(item)} came in two batches"

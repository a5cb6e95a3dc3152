"""Waits as Python knows them: seconds of any size, signals, and no wait without an end."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PROGRAMS
from ingest import PATIENCE_S, Ingest, Request

import spanspool
from spanspool import Client


@pytest.fixture
def hanging(ingest: Ingest) -> Iterator[Ingest]:
    """An ingest that answers no request before the test's end."""
    over = threading.Event()

    def hang(request: Request) -> int:
        over.wait()
        return 200

    ingest.answer = hang
    yield ingest
    over.set()


@pytest.mark.parametrize("call", ["flush", "shutdown", "with", "forever", "a-handler"])
def test_ctrl_c_ends_a_wait_and_loses_nothing(call: str, hanging: Ingest, spool: Path) -> None:
    command = [sys.executable, str(PROGRAMS / "interrupted.py"), str(spool), hanging.url(), call]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "waiting\n"
        hanging.wait_until("the request", lambda: bool(hanging.requests()))
        process.send_signal(signal.SIGINT)
        name, late = process.stdout.readline().split()
        # The block's own end waits up to 5 seconds for delivery.
        longest = 5.0 if call == "with" else 0.0
        assert name == ("ShutDownError" if call == "a-handler" else "KeyboardInterrupt")
        # On an idle machine this takes a few milliseconds.
        assert float(late) < longest + 10.0
        assert process.wait(PATIENCE_S) == 0
    hanging.answer = lambda request: 200
    with Client(spool, endpoint=hanging.url()) as client:
        client.flush(60)
    assert {"id": call} in hanging.accepted()


@pytest.mark.parametrize("timeout", [None, math.inf, 1e300, 1e18, 10**400, 60, 60.0, True])
def test_a_timeout_may_be_of_any_size(timeout: float | None, ingest: Ingest, spool: Path) -> None:
    client = Client(spool, endpoint=ingest.url())
    client.enqueue({"id": 1})
    client.flush(60 if timeout is True else timeout)
    client.enqueue({"id": 2})
    client.shutdown(60 if timeout is True else timeout)
    assert [item["id"] for item in ingest.accepted()] == [1, 2]


@pytest.mark.parametrize("timeout", [0, 0.0, -1, -math.inf, 1e-300, 0.001])
def test_a_short_one_does_not_wait(timeout: float, hanging: Ingest, spool: Path) -> None:
    client = Client(spool, endpoint=hanging.url())
    client.enqueue({"id": 1})
    with pytest.raises(TimeoutError):
        client.flush(timeout)
    with pytest.raises(spanspool.TimeoutError):
        client.shutdown(timeout)


def test_what_is_no_time_is_an_error(ingest: Ingest, spool: Path) -> None:
    client = Client(spool, endpoint=ingest.url())
    with pytest.raises(ValueError, match="timeout"):
        client.flush(math.nan)
    with pytest.raises(TypeError):
        client.flush("soon")  # type: ignore[arg-type]
    # Neither shut it down.
    with pytest.raises(ValueError, match="timeout"):
        client.shutdown(math.nan)
    client.enqueue({"id": 1})


def test_a_flush_does_not_hurry_the_ingest(ingest: Ingest, spool: Path) -> None:
    ingest.answer = lambda request: 503
    client = Client(spool, endpoint=ingest.url(), base_delay=86_400, max_delay=86_400)
    client.enqueue({"id": 1})
    with pytest.raises(spanspool.TimeoutError):
        client.flush(1.5)
    # One that the flush asks for, and one that was under way.
    assert 1 <= len(ingest.requests()) <= 2

"""What a client logs, also at the program's end and in forked children."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import PROGRAMS
from ingest import PATIENCE_S, Ingest

import spanspool
from spanspool import Client, ExportState
from spanspool._reporter import INTERVAL


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records if record.name == "spanspool"]


def test_each_change_is_logged_once(ingest: Ingest, spool: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "spanspool")
    ingest.answer = lambda request: 503
    client = Client(spool, endpoint=ingest.url(), base_delay=0.01, max_delay=0.02, max_batch_size=1)
    client.enqueue({"id": 1})
    for _ in range(3):
        with pytest.raises(spanspool.TimeoutError):
            client.flush(0.2)
    ingest.answer = lambda request: 200
    client.flush(60)
    ingest.answer = lambda request: 400 if request.items[0]["id"] == "bad" else 200
    client.enqueue({"id": "bad"})
    # Without one that is accepted it could as well be the endpoint.
    client.enqueue({"id": "good"})
    client.flush(60)
    client.stats()
    levels, texts = zip(*lines(caplog), strict=True)
    assert levels[:2] == (logging.WARNING, logging.INFO) and levels[-1] == logging.ERROR
    assert texts[0] == "the ingest answers 503: 1 items wait in the spool and are tried again"
    assert texts[1] == "the ingest accepts items again"
    assert texts[-1].startswith(f"1 items are set aside: `spanspool rejected list --spool-dir {spool}`")
    assert sum("set aside" in text for text in texts) == 1


def test_an_enqueue_logs_what_it_finds(spool: Path, caplog: pytest.LogCaptureFixture) -> None:
    client = Client(spool, endpoint="http://127.0.0.1:9/", schedule_delay=0, base_delay=60)
    client.enqueue({"id": 1})
    deadline = time.monotonic() + PATIENCE_S
    # Only to see that the state is there; the log must not depend on this call.
    reporter, client._reporter = client._reporter, type(client._reporter)("")
    while client.stats().export_state != ExportState.BACKOFF:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    client._reporter = reporter
    caplog.clear()
    time.sleep(max(0, reporter.due - time.monotonic()))
    client.enqueue({"id": 2})
    assert lines(caplog) == [
        (logging.WARNING, "the ingest can't be reached: 2 items wait in the spool and are tried again")
    ]
    client.enqueue({"id": 3})
    assert len(lines(caplog)) == 1 and reporter.due > time.monotonic() + INTERVAL / 2


def test_a_handler_that_fails_or_calls_the_client_does_no_harm(
    ingest: Ingest, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ingest.answer = lambda request: 401
    client = Client(spool, endpoint=ingest.url())
    calls = []

    class Odd(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            calls.append(client.stats())
            client.enqueue({"id": "from the handler"})
            raise RuntimeError("no log today")

    handler = Odd()
    logger = logging.getLogger("spanspool")
    logger.addHandler(handler)
    try:
        client.enqueue({"id": 1})
        with pytest.raises(spanspool.TimeoutError):
            client.flush(0.5)
        assert client.stats().accepted == 2 and len(calls) == 1
    finally:
        logger.removeHandler(handler)


def test_only_what_is_delivered_says_that_the_ingest_accepts_items(
    ingest: Ingest, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "spanspool")
    ingest.answer = lambda request: 401
    client = Client(spool, endpoint=ingest.url())
    client.enqueue({"id": 1})
    for call in client.flush, client.shutdown:
        with pytest.raises(spanspool.TimeoutError):
            call(0.5)
    assert client.stats().export_state == ExportState.IDLE
    assert [text for _, text in lines(caplog)] == ["the ingest answers 401: 1 items wait in the spool"]


@pytest.mark.parametrize("how", ["exit", "fork", "daemon"])
def test_logging_harms_neither_exit_nor_fork(how: str, ingest: Ingest, spool: Path) -> None:
    ingest.answer = lambda request: 401
    for _ in range(3):
        command = [sys.executable, str(PROGRAMS / "logs.py"), str(spool), ingest.url(), how]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0, done.stderr
        said = [line.split(" ", 3) for line in done.stderr.splitlines()]
        assert all(name == "spanspool" for _, _, name, _ in said), done.stderr
        holds = [process for process, level, _, text in said if level == "WARNING" and "answers 401" in text]
        # One of each process: a child tells of its own lane.
        assert len(holds) == len(set(holds)) == (4 if how == "fork" else 1), done.stderr
        assert done.stdout.split()[1] in holds

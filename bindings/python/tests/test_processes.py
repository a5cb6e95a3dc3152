"""Exit and fork, of real processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import PROGRAMS
from ingest import PATIENCE_S, Ingest, Request, assert_same_batches, by_ident, ident
from recorder import recorded

from spanspool import Client


def run(program: str, *arguments: str) -> list[tuple[str, str]]:
    """The items that a program took, once it ended by itself."""
    command = [sys.executable, str(PROGRAMS / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return recorded(done.stdout)


def test_exit_leaves_to_the_next_process_what_a_hanging_ingest_does_not_take(ingest: Ingest, spool: Path) -> None:
    over = threading.Event()

    def hang(request: Request) -> int:
        over.wait()
        return 503

    ingest.answer = hang
    accepted = run("exits.py", str(spool), ingest.url())
    assert accepted and not ingest.accepted()
    # Its end tried to deliver.
    assert ingest.requests()
    over.set()
    ingest.answer = lambda request: 200
    with Client(spool, endpoint=ingest.url()) as client:
        client.flush(60)
    assert set(by_ident(ingest.accepted())) == set(accepted)


def test_exit_delivers_what_it_can(ingest: Ingest, spool: Path) -> None:
    accepted = run("exits.py", str(spool), ingest.url())
    assert set(by_ident(ingest.accepted())) == set(accepted)


@pytest.mark.parametrize("how", ["fork", "multiprocessing-fork", "multiprocessing-spawn", "prefork", "threads"])
def test_forked_processes_lose_nothing(how: str, ingest: Ingest, spool: Path) -> None:
    accepted = run("forks.py", how, str(spool), ingest.url())
    assert len(accepted) >= 4 * 21
    with Client(spool, endpoint=ingest.url()) as client:
        ingest.wait_until("all items", lambda: {ident(item) for item in ingest.accepted()} >= set(accepted))
        client.flush(60)
    assert {ident(item) for item in ingest.accepted()} == set(accepted)
    # A child that ended while it sent what a dead sibling had left makes its batch come again.
    assert_same_batches(ingest.requests())

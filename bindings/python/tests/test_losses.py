"""What is lost, by the spool and by the SDK's own exporter, in the same runs. The SDK's figures are the control."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from agents import RunConfig, custom_span, flush_traces, set_trace_processors, trace
from agents.tracing.processors import BackendSpanExporter, BatchTraceProcessor
from conftest import PROGRAMS
from ingest import Ingest, Request, by_ident, ident
from recorder import recorded
from runs import single

from spanspool import SpoolTraceProcessor
from spanspool.openai_agents import key_name

KEY = "sk-of-some-runs-0123456789"


def lost(accepted: list[tuple[str, str]], ingest: Ingest, path: str) -> int:
    arrived = {ident(item) for item in ingest.accepted(path)}
    return len([item for item in accepted if item not in arrived])


def show(what: str, accepted: int, sdk: int, spool: int, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{what}: of {accepted} items, lost by openai-agents: {sdk}, lost by spanspool: {spool}")


def test_sigkill_and_restart(ingest: Ingest, spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    urls = [ingest.url("/spool"), ingest.url("/sdk")]
    program = [sys.executable, str(PROGRAMS / "forever.py"), str(spool), *urls, KEY]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = []
        more = 300
        # Both have exported once before it is killed, so that neither is caught in its first delay.
        for line in process.stdout:
            lines.append(line)
            if ingest.accepted("/sdk") and ingest.accepted("/spool"):
                # From now on items with the runs' key stay behind, however slow the machine is.
                ingest.answer = lambda request: 503 if request.path == "/spool" and request.key == KEY else 200
                more -= 1
            if more == 0:
                process.kill()
                break
        lines += [line for line in process.stdout if line.endswith("\n")]
    accepted = recorded("".join(lines))

    ingest.answer = lambda request: 200
    # The next process. It cannot know the runs' key, so those items are set aside until a run brings it.
    processor = SpoolTraceProcessor(spool_dir=spool, endpoint=ingest.url("/spool"), api_key="sk-default")
    set_trace_processors([processor])
    flush_traces()
    without_key = lost(accepted, ingest, "/spool")
    assert without_key > 0 and processor.stats().rejected > 0
    assert not any(KEY.encode() in path.read_bytes() for path in spool.rglob("*") if path.is_file())
    assert any(key_name(KEY).encode() in path.read_bytes() for path in spool.rglob("*") if path.is_file())
    single(RunConfig(tracing={"api_key": KEY}))
    flush_traces()
    assert processor.stats().rejected == 0

    ours, theirs = lost(accepted, ingest, "/spool"), lost(accepted, ingest, "/sdk")
    show("kill -9 in the middle of runs", len(accepted), theirs, ours, capsys)
    assert ours == 0
    assert theirs > 0
    sent_with = {(ident(item), request.key) for request in ingest.requests("/spool") for item in request.items}
    assert len(sent_with) == len({item for item, _ in sent_with}), "an item was sent with two keys"
    assert {key for _, key in sent_with} == {KEY, "sk-default"}


def test_an_outage_longer_than_the_sdks_patience(
    ingest: Ingest, spool: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = BatchTraceProcessor(BackendSpanExporter(api_key="sk", endpoint=ingest.url("/sdk")))
    settings = {"base_delay": 0.1, "max_delay": 0.5}
    ours = SpoolTraceProcessor(spool_dir=spool, endpoint=ingest.url("/spool"), flush_timeout=0.5, **settings)  # type: ignore[arg-type]
    set_trace_processors([ours, theirs])
    accepted: list[tuple[str, str]] = []

    def work() -> None:
        with trace("outage") as run:
            accepted.append(("", run.trace_id))
            for n in range(99):
                with custom_span(f"span-{n}") as span:
                    accepted.append((run.trace_id, span.span_id))

    work()
    flush_traces()
    ingest.answer = lambda request: 503
    work()
    flush_traces()
    ingest.answer = lambda request: 200
    work()
    flush_traces()
    assert len(by_ident(ingest.accepted("/spool"))) == len(accepted)
    sdk, spool_lost = lost(accepted, ingest, "/sdk"), lost(accepted, ingest, "/spool")
    show("the ingest answers 503 for as long as the SDK tries", len(accepted), sdk, spool_lost, capsys)
    assert spool_lost == 0
    assert sdk > 0


def test_a_burst_while_the_ingest_hangs(
    ingest: Ingest, spool: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "openai.agents")
    over = threading.Event()

    def hang(request: Request) -> int:
        over.wait()
        return 200

    ingest.answer = hang
    theirs = BatchTraceProcessor(BackendSpanExporter(api_key="sk", endpoint=ingest.url("/sdk")))
    ours = SpoolTraceProcessor(spool_dir=spool, endpoint=ingest.url("/spool"), flush_timeout=60)
    set_trace_processors([ours, theirs])
    accepted: list[tuple[str, str]] = []
    with trace("burst") as run:
        accepted.append(("", run.trace_id))
        for n in range(11_999):
            with custom_span(f"span-{n}") as span:
                accepted.append((run.trace_id, span.span_id))
    over.set()
    flush_traces()
    assert len(by_ident(ingest.accepted("/spool"))) == len(accepted)
    sdk, spool_lost = lost(accepted, ingest, "/sdk"), lost(accepted, ingest, "/spool")
    show("a burst while the ingest hangs", len(accepted), sdk, spool_lost, capsys)
    assert spool_lost == 0
    assert sdk > 0

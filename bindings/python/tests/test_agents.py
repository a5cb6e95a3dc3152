"""The SDK's own exporter and the spool, side by side in the same runs: what arrives is the same."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from agents import (
    RunConfig,
    Runner,
    add_trace_processor,
    custom_span,
    flush_traces,
    set_trace_processors,
    set_tracing_disabled,
    trace,
)
from agents.testing import assistant_message
from agents.tracing.processors import BackendSpanExporter, BatchTraceProcessor
from ingest import Ingest, Request, by_ident, ident
from runs import SCENARIOS, agent, single

from spanspool import ArgumentError, Client, SpoolTraceProcessor
from spanspool.openai_agents import key_name

KEY = "sk-tracing-0123456789abcdef"


def both(ingest: Ingest, spool: Path, flush_timeout: float = 60) -> SpoolTraceProcessor:
    """Sends each item to /sdk by the SDK's own exporter, and to /spool by way of a spool."""
    exporter = BackendSpanExporter(api_key="sk-default", endpoint=ingest.url("/sdk"))
    set_trace_processors([BatchTraceProcessor(exporter)])
    processor = SpoolTraceProcessor(
        spool_dir=spool, endpoint=ingest.url("/spool"), api_key="sk-default", flush_timeout=flush_timeout
    )
    add_trace_processor(processor)
    return processor


def assert_same(ingest: Ingest) -> int:
    theirs, ours = by_ident(ingest.accepted("/sdk")), by_ident(ingest.accepted("/spool"))
    assert ours == theirs
    return len(ours)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_arrives_is_what_the_sdk_sends(scenario: Callable[[RunConfig], None], ingest: Ingest, spool: Path) -> None:
    processor = both(ingest, spool)
    scenario(RunConfig())
    flush_traces()
    count = assert_same(ingest)
    assert count >= 2
    stats = processor.stats()
    assert (stats.accepted, stats.delivered, stats.pending) == (count, count, 0)
    assert {request.key for request in ingest.requests()} == {"sk-default"}
    assert {request.headers["openai-beta"] for request in ingest.requests("/spool")} == {"traces=v1"}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_same_holds_for_what_openai_wants_shortened(
    scenario: Callable[[RunConfig], None], ingest: Ingest, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The SDK sanitises for this one endpoint, the spool for this one endpoint or when told to.
    monkeypatch.setattr(BackendSpanExporter, "_OPENAI_TRACING_INGEST_ENDPOINT", ingest.url("/sdk"))
    both(ingest, spool)
    processor = SpoolTraceProcessor(
        spool_dir=spool.with_name("always"), endpoint=ingest.url("/always"), api_key="sk-default", sanitize="always"
    )
    add_trace_processor(processor)
    scenario(RunConfig())
    flush_traces()
    assert by_ident(ingest.accepted("/always")) == by_ident(ingest.accepted("/sdk"))
    changed = by_ident(ingest.accepted("/always")) != by_ident(ingest.accepted("/spool"))
    # Runs with a scripted model have fields that are short, but usage of turns is told to nobody.
    assert changed or scenario.__name__ not in ("beyond_json", "large", "factories")


def test_every_kind_of_span_was_compared(ingest: Ingest, spool: Path) -> None:
    both(ingest, spool)
    for scenario in SCENARIOS:
        scenario(RunConfig())
    flush_traces()
    print(f"{assert_same(ingest)} items, JSON-equal")
    items = [item for item in ingest.accepted("/spool") if item["object"] == "trace.span"]
    kinds = {item["span_data"]["type"] for item in items}
    assert kinds == {
        "agent", "function", "generation", "response", "handoff", "custom", "guardrail", "transcription", "speech",
        "speech_group", "mcp_tools",
    }  # fmt: skip
    custom = [item["span_data"]["data"] for item in items if item["span_data"]["type"] == "custom"]
    assert {data.get("sdk_span_type") for data in custom} == {"task", "turn", None}
    assert any(item["error"] for item in items) and any("metadata" in item for item in items)


def test_a_runs_own_key_is_used_and_is_nowhere_on_disk(ingest: Ingest, spool: Path) -> None:
    both(ingest, spool, flush_timeout=0.5)
    # Nothing is accepted at first, so that all of it is on disk when that is searched.
    ingest.answer = lambda request: 200 if request.path == "/sdk" else 503
    single(RunConfig(tracing={"api_key": KEY}))
    single(RunConfig())
    single(RunConfig(tracing={"api_key": "sk-other"}))
    flush_traces()
    assert ingest.requests("/spool")
    files = [path for path in spool.rglob("*") if path.is_file()]
    contents = [path.read_bytes() for path in files]
    assert any(key_name(KEY).encode() in content for content in contents), "the search finds what is there"
    assert not any(KEY.encode() in content or b"sk-default" in content for content in contents)

    ingest.answer = lambda request: 200
    ingest.wait_until("delivery", lambda: len(ingest.accepted("/spool")) >= len(ingest.accepted("/sdk")))
    assert_same(ingest)
    assert keys_of(ingest, "/spool") == keys_of(ingest, "/sdk")
    assert set(keys_of(ingest, "/spool").values()) == {KEY, "sk-other", "sk-default"}


def keys_of(ingest: Ingest, path: str) -> dict[str, str | None]:
    """The key that each item was sent with."""
    return {item["id"]: request.key for request in ingest.requests(path) for item in request.items}


def test_a_name_does_not_tell_the_key() -> None:
    assert key_name(KEY) == key_name(KEY) != key_name(KEY + "x")
    assert KEY not in key_name(KEY) and len(key_name(KEY)) == len("agents-") + 32


def test_a_key_that_cannot_be_sent_costs_no_item(ingest: Ingest, spool: Path, caplog: pytest.LogCaptureFixture) -> None:
    processor = SpoolTraceProcessor(spool_dir=spool, endpoint=ingest.url())
    set_trace_processors([processor])
    with trace("w", tracing={"api_key": "two\nlines"}):
        pass
    flush_traces()
    assert processor.stats().rejected == 1 and not ingest.requests()
    assert "can't be used" in caplog.text and "two" not in caplog.text


@pytest.mark.parametrize("off", ["true", "1", "TRUE"])
def test_disabled_tracing_opens_and_sends_nothing(
    off: str, ingest: Ingest, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_AGENTS_DISABLE_TRACING", off)
    processor = SpoolTraceProcessor(spool_dir=spool, endpoint=ingest.url())
    set_tracing_disabled(True)
    set_trace_processors([processor])
    single(RunConfig())
    flush_traces()
    assert not spool.exists() and not ingest.requests()

    set_tracing_disabled(False)
    single(RunConfig())
    flush_traces()
    assert ingest.accepted()


def test_a_key_that_comes_late_into_the_environment_is_used(
    ingest: Ingest, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_trace_processors([SpoolTraceProcessor(spool_dir=spool, endpoint=ingest.url())])
    monkeypatch.setenv("OPENAI_API_KEY", "sk-late")
    single(RunConfig())
    flush_traces()
    assert {request.key for request in ingest.requests()} == {"sk-late"}


def test_the_key_may_be_replaced(ingest: Ingest, spool: Path) -> None:
    processor = SpoolTraceProcessor(spool_dir=spool, endpoint=ingest.url(), api_key="sk-1")
    set_trace_processors([processor])
    processor.set_api_key("sk-2")
    single(RunConfig())
    flush_traces()
    assert {request.key for request in ingest.requests()} == {"sk-2"}
    processor.shutdown()
    # It is still the key of the client that the next item opens.
    single(RunConfig())
    flush_traces()
    assert {request.key for request in ingest.requests()} == {"sk-2"}


def test_what_ends_after_shutdown_is_not_lost(ingest: Ingest, spool: Path) -> None:
    processor = SpoolTraceProcessor(spool_dir=spool, endpoint=ingest.url())
    set_trace_processors([processor])
    with trace("w"):
        with custom_span("before"):
            pass
        processor.shutdown()
        with custom_span("after"):
            pass
    flush_traces()
    assert len(ingest.accepted()) == 3


def test_what_ends_while_it_is_shut_down_is_not_lost(
    ingest: Ingest, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    processor = SpoolTraceProcessor(spool_dir=spool, endpoint=ingest.url())
    set_trace_processors([processor])
    ends: list[str] = []

    def work(name: str) -> None:
        for _ in range(20):
            with trace(name) as run:
                for _ in range(9):
                    with custom_span(name):
                        pass
            ends.append(run.trace_id)

    threads = [threading.Thread(target=work, args=(f"thread-{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        processor.shutdown(0)
    for thread in threads:
        thread.join()
    assert "lost" not in caplog.text
    processor.shutdown(0)
    with Client(spool, endpoint=ingest.url()) as client:
        ingest.wait_until("all items", lambda: len({ident(item) for item in ingest.accepted()}) >= 3 * 20 * 10)
        client.flush(60)
    assert len(ends) == 3 * 20


def test_what_cannot_be_stored_is_an_error_in_the_log_and_none_in_the_run(
    ingest: Ingest, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    set_trace_processors([SpoolTraceProcessor(spool_dir=spool, endpoint=ingest.url(), max_item_bytes=1024)])
    with trace("w") as run, custom_span("big", {"text": "x" * 2000}) as span:
        pass
    assert f"span {span.span_id} of {run.trace_id} is lost" in caplog.text
    assert "xxx" not in caplog.text
    flush_traces()
    assert [item["object"] for item in ingest.accepted()] == ["trace"]


def test_a_refusing_ingest_is_told_once(ingest: Ingest, spool: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "spanspool")
    processor = SpoolTraceProcessor(spool_dir=spool, endpoint=ingest.url(), flush_timeout=0.5)
    set_trace_processors([processor])

    def lines() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == "spanspool"]

    ingest.answer = lambda request: 401
    single(RunConfig())
    flush_traces()
    assert "answers 401" in lines()[0] and "stay in the spool" in lines()[1]
    single(RunConfig())
    single(RunConfig())
    assert len(lines()) == 2

    ingest.answer = lambda request: 400 if any(i.get("workflow_name") == "bad" for i in request.items) else 200
    with trace("bad"):
        pass
    flush_traces()
    single(RunConfig())
    assert lines()[-2] == "the ingest accepts items again"
    assert "1 items are set aside" in lines()[-1]


def test_an_event_loop_goes_on_while_the_ingest_hangs(ingest: Ingest, spool: Path) -> None:
    over = threading.Event()
    hanging: list[Request] = []

    def hang(request: Request) -> int:
        hanging.append(request)
        over.wait()
        return 200

    ingest.answer = hang
    set_trace_processors([SpoolTraceProcessor(spool_dir=spool, endpoint=ingest.url(), schedule_delay=0)])

    async def run() -> None:
        with trace("first"):
            pass
        while not hanging:
            await asyncio.sleep(0.01)
        for _ in range(20):
            await Runner.run(agent([assistant_message("hello")]), "hi")

    asyncio.run(run())
    # All runs came to their end, and the very first request has no answer yet.
    assert len(hanging) == 1
    over.set()
    flush_traces()
    assert len({item["id"] for item in ingest.accepted() if item["object"] == "trace"}) == 21


def test_items_are_text_as_the_sdk_writes_it(ingest: Ingest, spool: Path) -> None:
    set_trace_processors([SpoolTraceProcessor(spool_dir=spool, endpoint=ingest.url(), exporter="none")])
    with trace("ü\u2028", metadata={"n": 1.0}):
        pass
    [journal] = spool.rglob("journal")
    assert '"workflow_name":"ü\u2028","group_id":null,"metadata":{"n":1.0}}'.encode() in journal.read_bytes()


def test_spans_of_a_long_run_find_a_late_key(ingest: Ingest, spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_trace_processors([SpoolTraceProcessor(spool_dir=spool, endpoint=ingest.url(), schedule_delay=0.01)])
    with trace("w"):
        monkeypatch.setenv("OPENAI_API_KEY", "sk-late")

        def found() -> bool:
            with custom_span("later"):
                pass
            return "sk-late" in {request.key for request in ingest.requests()}

        ingest.wait_until("a span that finds the key", found)


def test_the_processor_does_not_make_otlp(tmp_path: Path) -> None:
    way = r"openinference-instrumentation-openai-agents, .*spanspool\.opentelemetry\.SpoolSpanProcessor"
    with pytest.raises(ArgumentError, match=way):
        SpoolTraceProcessor(tmp_path, exporter="otlp")

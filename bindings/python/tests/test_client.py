"""The client: settings, items, keys and errors, against a real ingest."""

from __future__ import annotations

import gc
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from ingest import Ingest

import spanspool
from spanspool import Client, Settings, SpanspoolError, Status
from spanspool._library import HEADER_VERSION, PROTOTYPES
from spanspool._stats import RawStats

HEADER = (Path(__file__).parents[3] / "include" / "spanspool.h").read_text()


def test_settings_statuses_counters_and_functions_are_those_of_the_c_header() -> None:
    table = HEADER[HEADER.index(" *   spool_dir\n") : HEADER.index(" */")]
    names = set(re.findall(r"^ \*   ([a-z_.A-Z]+)(?: = .*)?$", table, re.MULTILINE))
    assert len(names) > 30
    assert names == set(Settings.__annotations__) - {"headers"} | {"spool_dir", "header.NAME"}
    statuses = re.findall(r"^  SPANSPOOL_(?:ERR_)?([A-Z_]+) = (\d+),$", HEADER, re.MULTILINE)
    assert {name: int(number) for name, number in statuses} == {status.name: status.value for status in Status}
    counters = re.findall(r"^  uint64_t (\w+);$", HEADER, re.MULTILINE)
    assert counters == [name for name, _ in RawStats._fields_]  # type: ignore[misc]
    functions = set(re.findall(r"\b(spanspool_\w+)\(", HEADER[HEADER.index('extern "C"') :]))
    assert set(PROTOTYPES) == functions - {"spanspool_config_set_log"}
    assert f"#define SPANSPOOL_VERSION_NUMBER 0x{HEADER_VERSION:06x}\n" in HEADER
    assert f'#define SPANSPOOL_VERSION "{spanspool.__version__}"\n' in HEADER


def test_bytes_text_and_mappings_arrive(ingest: Ingest, spool: Path) -> None:
    with Client(spool, endpoint=ingest.url(), headers={"X-Team": "agents"}, allow_insecure=False, jitter=0.5) as client:
        client.enqueue(b'{"id":"bytes"}')
        client.enqueue('{"id":"text \u2028"}')
        client.enqueue({"id": "mapping", "nan": float("nan"), "n": 1})
        client.sync()
        client.flush(60_000)
        stats = client.stats()
    assert ingest.accepted() == [{"id": "bytes"}, {"id": "text \u2028"}, {"id": "mapping", "n": 1}]
    assert (stats.accepted, stats.delivered, stats.pending, stats.last_http_status) == (3, 3, 0, 200)
    assert ingest.requests()[0].headers["x-team"] == "agents"


@pytest.mark.parametrize(
    ("settings", "status", "text"),
    [
        ({"jitter": 2}, Status.INVALID_ARGUMENT, "jitter='2'"),
        ({"max_batch_sise": 1}, Status.UNKNOWN_KEY, "did you mean 'max_batch_size'"),
        ({"headers": {"Host": "x"}}, Status.INVALID_ARGUMENT, "header.Host"),
        ({"endpoint": "http://a\0b"}, Status.INVALID_ARGUMENT, "NUL"),
        ({"ca_file": Path("/nowhere.pem")}, Status.IO, "/nowhere.pem"),
    ],
)
def test_bad_settings_are_errors_that_name_them(
    settings: dict[str, object], status: Status, text: str, spool: Path
) -> None:
    with pytest.raises(SpanspoolError, match=re.escape(text)) as caught:
        Client(spool, **settings)  # type: ignore[arg-type]
    assert caught.value.status is status


@pytest.mark.parametrize("item", [b"", b"[]", b'{"a":', "not json", '{"half":"\ud83d"}', b'{"a":"\xff"}'])
def test_what_is_no_item_is_refused(item: bytes | str, ingest: Ingest, spool: Path) -> None:
    client = Client(spool, endpoint=ingest.url())
    with pytest.raises(SpanspoolError) as caught:
        client.enqueue(item)
    assert caught.value.status is Status.INVALID_ITEM
    assert client.stats().accepted == 0


def test_limits_and_deadlines_are_errors_with_a_status(ingest: Ingest, spool: Path) -> None:
    ingest.answer = lambda request: 503
    client = Client(spool, endpoint=ingest.url(), max_item_bytes=1024, max_queue_size=1)
    with pytest.raises(SpanspoolError) as caught:
        client.enqueue({"text": "x" * 2000})
    assert caught.value.status is Status.ITEM_TOO_LARGE
    client.enqueue({"id": 1})
    with pytest.raises(SpanspoolError) as caught:
        client.enqueue({"id": 2})
    assert caught.value.status is Status.FULL
    with pytest.raises(SpanspoolError) as caught:
        client.flush(50)
    assert caught.value.status is Status.TIMEOUT and "deadline" in str(caught.value)


def test_every_call_after_shutdown_says_so(ingest: Ingest, spool: Path) -> None:
    client = Client(spool, endpoint=ingest.url())
    client.shutdown(0)
    calls: list[Callable[[], object]] = [
        lambda: client.enqueue(b"{}"),
        lambda: client.enqueue_as("n", b"{}"),
        lambda: client.set_api_key("k"),
        lambda: client.set_named_key("n", "k"),
        client.wake,
        client.sync,
        lambda: client.flush(0),
        client.stats,
        lambda: client.shutdown(0),
    ]
    for call in calls:
        with pytest.raises(SpanspoolError) as caught:
            call()
        assert caught.value.status is Status.SHUT_DOWN


def test_keys_by_name_and_by_default(ingest: Ingest, spool: Path) -> None:
    with Client(spool, endpoint=ingest.url(), api_key="sk-1") as client:
        client.enqueue_as("team", {"id": "named"})
        client.flush(60_000)
        # Nobody has told the key yet.
        assert client.stats().rejected == 1
        client.set_named_key("team", "sk-team")
        client.enqueue({"id": "first"})
        client.flush(60_000)
        client.set_api_key("sk-2")
        client.enqueue({"id": "second"})
        client.flush(60_000)
        with pytest.raises(SpanspoolError) as caught:
            client.enqueue_as("", {"id": "x"})
        assert caught.value.status is Status.INVALID_ARGUMENT
    sent = {item["id"]: request.key for request in ingest.requests() for item in request.items}
    assert sent == {"named": "sk-team", "first": "sk-1", "second": "sk-2"}


def test_a_client_without_an_end_leaves_its_items_to_the_next(ingest: Ingest, spool: Path) -> None:
    client = Client(spool, exporter="none")
    client.enqueue({"id": 1})
    del client
    gc.collect()
    with Client(spool, endpoint=ingest.url()) as client:
        client.wake()
        client.flush(60_000)
    assert ingest.accepted() == [{"id": 1}]


def test_other_threads_run_while_one_waits_in_the_library(ingest: Ingest, spool: Path) -> None:
    over = threading.Event()

    def hang(request: object) -> int:
        over.wait()
        return 200

    ingest.answer = hang
    client = Client(spool, endpoint=ingest.url())
    client.enqueue({"id": 1})
    flushing = threading.Thread(target=client.flush, args=(600_000,))
    flushing.start()
    ingest.wait_until("the request", lambda: bool(ingest.requests()))
    # The flush is under way and holds no lock of Python's: this thread goes on, and lets the flush end.
    client.enqueue({"id": 2})
    over.set()
    flushing.join()
    client.shutdown(60_000)
    assert ingest.accepted() == [{"id": 1}, {"id": 2}]


def imported(library: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import spanspool; print(spanspool.__version__)"]
    environment = {**os.environ, "SPANSPOOL_LIBRARY": library}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_library_may_be_named_by_the_environment() -> None:
    own = Path(spanspool.__file__).with_name("libspanspool.so")
    assert imported(str(own)).stdout == f"{spanspool.__version__}\n"


def test_a_library_that_does_not_fit_is_refused_at_import(tmp_path: Path) -> None:
    assert "spanspool cannot use the library /nowhere.so" in imported("/nowhere.so").stderr
    compiler = os.environ.get("CC") or "cc"
    if shutil.which(compiler) is None:
        assert os.environ.get("CI") != "true", f"the tests need {compiler}; CI=true allows no skipping"
        pytest.skip(f"needs {compiler}, which is not installed")
    functions = "".join(f"int {name}(void) {{ return 0x000200; }}\n" for name in PROTOTYPES)
    other, source = tmp_path / "other.so", tmp_path / "other.c"
    source.write_text(functions)
    subprocess.run([compiler, "-shared", "-o", other, source], check=True)
    assert "it is version 0.2.0, and this package is made for 0.1.0" in imported(str(other)).stderr
    source.write_text("int nothing;")
    subprocess.run([compiler, "-shared", "-o", other, source], check=True)
    assert "undefined symbol" in imported(str(other)).stderr


def test_the_client_needs_no_sdk() -> None:
    program = "import sys, spanspool; spanspool.Client; sys.exit('agents' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)

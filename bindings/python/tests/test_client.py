"""The client: settings, items, keys and errors, against a real ingest."""

from __future__ import annotations

import copy
import gc
import mmap
import os
import pickle
import re
import shutil
import subprocess
import sys
import threading
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest
from ingest import Ingest

import spanspool
from spanspool import (
    Client,
    ExportState,
    FullError,
    ItemError,
    ItemTooLargeError,
    SettingError,
    Settings,
    ShutDownError,
    SpanspoolError,
    Status,
)
from spanspool._errors import error_of
from spanspool._library import HEADER_VERSION, PROTOTYPES
from spanspool._settings import DURATIONS
from spanspool._stats import RawStats

HEADER = (Path(__file__).parents[3] / "include" / "spanspool.h").read_text()


def test_settings_statuses_counters_and_functions_are_those_of_the_c_header() -> None:
    start = HEADER.index(" *   spool_dir\n")
    table = HEADER[start : HEADER.index(" */", start)]
    names = set(re.findall(r"^ \*   ([a-z_.A-Z]+)(?: = .*)?$", table, re.MULTILINE))
    assert len(names) > 30
    in_c = {DURATIONS[name][0] if name in DURATIONS else name for name in Settings.__annotations__}
    assert names == in_c - {"headers"} | {"spool_dir", "header.NAME"}
    assert set(DURATIONS) <= set(Settings.__annotations__)
    for prefix, names_here in (("(?:ERR_)?", Status), ("EXPORT_", ExportState)):
        found = re.findall(rf"^  SPANSPOOL_{prefix}([A-Z_]+) = (\d+),$", HEADER, re.MULTILINE)
        there = {name: int(number) for name, number in found if not name.startswith(("LOG_", "EXPORT_"))}
        assert there == {member.name: member.value for member in names_here}
    counters = re.findall(r"^  uint64_t (\w+);$", HEADER, re.MULTILINE)
    assert counters == [name for name, _ in RawStats._fields_]  # type: ignore[misc]
    functions = set(re.findall(r"\b(spanspool_\w+)\(", HEADER[HEADER.index('extern "C"') :]))
    assert set(PROTOTYPES) == functions - {"spanspool_config_set_log"}
    assert f"#define SPANSPOOL_VERSION_NUMBER 0x{HEADER_VERSION:06x}\n" in HEADER
    assert f'#define SPANSPOOL_VERSION "{spanspool.__version__}"\n' in HEADER


def test_any_contiguous_buffer_is_bytes(ingest: Ingest, spool: Path) -> None:
    text = b'{"id":"%d"}'
    with mmap.mmap(-1, 10) as mapped, Client(spool, endpoint=ingest.url()) as client:
        mapped[:10] = text % 0
        whole = memoryview(b"--" + text % 1 + b"--")
        reused = bytearray(text % 2)
        for item in (mapped, whole[2:-2], reused, array("B", text % 3)):
            client.enqueue(item)
            client.enqueue_as("name", item)
        # The library has its own copy.
        reused[:] = b"x" * len(reused)
        client.set_named_key("name", "sk")
        client.flush(60)
        for wrong in (5, None, [b"{}"]):
            with pytest.raises(TypeError, match="an item is a mapping, a text or bytes, not"):
                client.enqueue(wrong)  # type: ignore[arg-type]
    assert sorted(item["id"] for item in ingest.accepted()) == sorted("01230123")


def test_bytes_text_and_mappings_arrive(ingest: Ingest, spool: Path) -> None:
    with Client(spool, endpoint=ingest.url(), headers={"X-Team": "agents"}, allow_insecure=False, jitter=0.5) as client:
        client.enqueue(b'{"id":"bytes"}')
        client.enqueue('{"id":"text \u2028"}')
        client.enqueue({"id": "mapping", "nan": float("nan"), "n": 1})
        client.sync()
        client.flush(60)
        stats = client.stats()
    assert ingest.accepted() == [{"id": "bytes"}, {"id": "text \u2028"}, {"id": "mapping", "n": 1}]
    assert (stats.accepted, stats.delivered, stats.pending, stats.last_http_status) == (3, 3, 0, 200)
    assert ingest.requests()[0].headers["x-team"] == "agents"


@pytest.mark.parametrize(
    ("settings", "status", "text"),
    [
        ({"jitter": 2}, Status.INVALID_ARGUMENT, "jitter='2'"),
        ({"max_batch_sise": 1}, Status.UNKNOWN_SETTING, "did you mean 'max_batch_size'"),
        ({"schedule_delay_ms": 1}, Status.UNKNOWN_SETTING, "did you mean 'schedule_delay', in seconds"),
        ({"base_delay": "soon"}, Status.UNKNOWN_SETTING, "base_delay='soon': it must be a number of seconds"),
        ({"max_age": float("inf")}, Status.UNKNOWN_SETTING, "max_age=inf"),
        ({"max_age": -1}, Status.UNKNOWN_SETTING, "max_age=-1"),
        ({"max_delay": 1e9}, Status.INVALID_ARGUMENT, "1 to 86400000"),
        ({"headers": {"Host": "x"}}, Status.INVALID_ARGUMENT, "header.Host"),
        ({"endpoint": "http://a\0b"}, Status.UNKNOWN_SETTING, "NUL"),
        ({"client_cert_file": Path("/nowhere.pem")}, Status.INVALID_ARGUMENT, "without client_key_file"),
    ],
)
def test_bad_settings_are_errors_that_name_them(
    settings: dict[str, object], status: Status, text: str, spool: Path
) -> None:
    with pytest.raises(SpanspoolError, match=re.escape(text)) as caught:
        Client(spool, **settings)  # type: ignore[arg-type]
    assert caught.value.status is status
    assert isinstance(caught.value, SettingError)


@pytest.mark.parametrize("item", [b"", b"[]", b'{"a":', "not json", '{"half":"\ud83d"}', b'{"a":"\xff"}'])
def test_what_is_no_item_is_refused(item: bytes | str, ingest: Ingest, spool: Path) -> None:
    client = Client(spool, endpoint=ingest.url())
    with pytest.raises(ItemError) as caught:
        client.enqueue(item)
    assert caught.value.status is Status.INVALID_ITEM and isinstance(caught.value, ValueError)
    assert client.stats().accepted == 0


def test_limits_and_deadlines_are_errors_with_a_status(ingest: Ingest, spool: Path) -> None:
    ingest.answer = lambda request: 503
    client = Client(spool, endpoint=ingest.url(), max_item_bytes=1024, max_queue_size=1)
    # The texts say which limit it was, which the phrase of a status can't.
    with pytest.raises(ItemTooLargeError, match="item of 2011 bytes is over max_item_bytes=1024") as caught:
        client.enqueue({"text": "x" * 2000})
    assert caught.value.status is Status.ITEM_TOO_LARGE and isinstance(caught.value, ItemError)
    client.enqueue({"id": 1})
    with pytest.raises(FullError, match="max_queue_size"):
        client.enqueue({"id": 2})
    with pytest.raises(spanspool.TimeoutError) as timeout:
        client.flush(0.05)
    assert timeout.value.status is Status.TIMEOUT and isinstance(timeout.value, TimeoutError)


def test_each_status_has_a_class_of_its_own_and_survives_pickling() -> None:
    errors = [error_of(status, f"text {status}") for status in (*(Status), 1234) if status != Status.OK]
    assert len({type(error) for error in errors}) == len(errors)
    assert {type(error).__name__ for error in errors} <= set(spanspool.__all__)
    for error in [*errors, error_of(1234, "newer")]:
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.status) == (type(error), str(error), error.status)
    assert type(errors[-1]) is SpanspoolError and errors[-1].status == 1234


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_client_has_no_copies(make: Callable[[Client], object], ingest: Ingest, spool: Path) -> None:
    with Client(spool, endpoint=ingest.url()) as client, pytest.raises(TypeError, match="spool_dir"):
        make(client)


def test_every_call_after_shutdown_says_so(ingest: Ingest, spool: Path) -> None:
    client = Client(spool, endpoint=ingest.url())
    client.enqueue({"id": 1})
    client.shutdown(60)
    calls: list[Callable[[], object]] = [
        lambda: client.enqueue(b"{}"),
        lambda: client.enqueue_as("n", b"{}"),
        lambda: client.set_api_key("k"),
        lambda: client.set_named_key("n", "k"),
        client.wake,
        client.sync,
        lambda: client.flush(0),
        lambda: client.shutdown(0),
    ]
    for call in calls:
        with pytest.raises(ShutDownError):
            call()
    assert client.stats().accepted == 1


def test_keys_by_name_and_by_default(ingest: Ingest, spool: Path) -> None:
    with Client(spool, endpoint=ingest.url(), api_key="sk-1") as client:
        client.enqueue_as("team", {"id": "named"})
        client.flush(60)
        # The name has no key yet.
        assert client.stats().rejected == 1
        client.set_named_key("team", "sk-team")
        client.enqueue({"id": "first"})
        client.flush(60)
        client.set_api_key("sk-2")
        client.enqueue({"id": "second"})
        client.flush(60)
        with pytest.raises(spanspool.ArgumentError, match="name"):
            client.enqueue_as("", {"id": "x"})
    sent = {item["id"]: request.key for request in ingest.requests() for item in request.items}
    assert sent == {"named": "sk-team", "first": "sk-1", "second": "sk-2"}


def test_nothing_is_sent_between_pause_and_wake(ingest: Ingest, spool: Path) -> None:
    client = Client(spool, endpoint=ingest.url(), schedule_delay=0.01, max_bytes_per_s="1 MiB", order="newest_first")
    client.pause()
    client.enqueue({"id": 1})
    with pytest.raises(TimeoutError, match="paused; 1 items stay in the spool"):
        client.flush(0.3)
    assert ingest.accepted() == []
    client.wake()
    client.flush(60)
    assert ingest.accepted() == [{"id": 1}]
    client.pause()
    client.enqueue({"id": 2})
    with pytest.raises(TimeoutError, match="paused; 1 items stay in the spool"):
        client.shutdown()
    assert ingest.accepted() == [{"id": 1}]


def test_a_client_without_an_end_leaves_its_items_to_the_next(ingest: Ingest, spool: Path) -> None:
    client = Client(spool, exporter="none")
    client.enqueue({"id": 1})
    del client
    gc.collect()
    with Client(spool, endpoint=ingest.url()) as client:
        client.wake()
        client.flush(60)
    assert ingest.accepted() == [{"id": 1}]


def test_other_threads_run_while_one_waits_in_the_library(ingest: Ingest, spool: Path) -> None:
    over = threading.Event()

    def hang(request: object) -> int:
        over.wait()
        return 200

    ingest.answer = hang
    client = Client(spool, endpoint=ingest.url())
    client.enqueue({"id": 1})
    flushing = threading.Thread(target=client.flush)
    flushing.start()
    ingest.wait_until("the request", lambda: bool(ingest.requests()))
    # The flush is under way and holds no lock of Python's: this thread goes on, and lets the flush end.
    client.enqueue({"id": 2})
    over.set()
    flushing.join()
    client.shutdown(60)
    assert ingest.accepted() == [{"id": 1}, {"id": 2}]


def imported(library: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import spanspool; print(spanspool.__version__)"]
    environment = {**os.environ, "SPANSPOOL_LIBRARY": library}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_library_may_be_named_by_the_environment() -> None:
    own = Path(spanspool.__file__).with_name("libspanspool.so")
    assert imported(str(own)).stdout == f"{spanspool.__version__}\n"


def test_a_library_that_does_not_fit_is_refused_at_import(tmp_path: Path) -> None:
    assert "spanspool can't use the library /nowhere.so" in imported("/nowhere.so").stderr
    compiler = os.environ.get("CC") or "cc"
    if shutil.which(compiler) is None:
        assert os.environ.get("CI") != "true", f"the tests need {compiler}; CI=true allows no skipping"
        pytest.skip(f"needs {compiler}, which is not installed")
    functions = "".join(f"int {name}(void) {{ return 0x000900; }}\n" for name in PROTOTYPES)
    other, source = tmp_path / "other.so", tmp_path / "other.c"
    source.write_text(functions)
    subprocess.run([compiler, "-shared", "-o", other, source], check=True)
    assert "it is version 0.9.0, and this package is made for 0.2.0" in imported(str(other)).stderr
    source.write_text("int nothing;")
    subprocess.run([compiler, "-shared", "-o", other, source], check=True)
    assert "undefined symbol" in imported(str(other)).stderr


def test_the_client_needs_no_sdk() -> None:
    program = "import sys, spanspool; spanspool.Client; sys.exit('agents' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)

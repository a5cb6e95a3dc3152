"""Client: an open spool."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import math
import os
import threading
from collections.abc import Callable, Mapping
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

from ._errors import ArgumentError, SettingError, SpanspoolError, Status, error_of
from ._json import encode
from ._library import LIBRARY, last_error, phrase
from ._reporter import Reporter
from ._settings import Path, Settings, default_spool_dir, setting_texts
from ._stats import RawStats, Stats

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self, Unpack

    Item = Buffer | str | Mapping[str, object]

logger = logging.getLogger("spanspool")

# Called for each item: spares it a search.
_enqueue = LIBRARY.spanspool_enqueue

# What the library takes for "without end".
_FOREVER_MS = 2**64 - 1
# A flush that nobody waits for any more ends after this. Each new one ends a backoff, so it must not be short: the
# ingest would be asked as often. It is the default of max_delay.
_FLUSH_SLICE = 30.0


class Client:
    """An open spool, and the native threads that deliver from it.

    When `enqueue` returns, the item is durable as the setting ``durability`` says. It will be delivered by this process
    or by the next one on the same ``spool_dir``. All methods may be called from any thread, several at once, and none
    holds the GIL while it waits. After ``fork`` the child's first call opens a lane of its own.

    Every method raises subclasses of `SpanspoolError`; after `shutdown` that is `ShutDownError`, except for `stats`.
    As a context manager the client is shut down at the end, with 5 seconds for delivering.

    What a person should know goes to the log ``spanspool``: an ingest that refuses or is away, items set aside or
    dropped. The client looks for such changes in the calls that the program makes, at most once a second, and in every
    `flush`, `stats` and `shutdown`.
    """

    # The class keeps it, because at the interpreter's end the modules may be gone before the last client.
    _free = LIBRARY.spanspool_free

    def __init__(self, spool_dir: Path | None = None, **settings: Unpack[Settings]) -> None:
        """Opens the spool in the folder ``spool_dir``, which is made when absent, and begins to deliver.

        Without ``spool_dir`` the folder is ``$SPANSPOOL_DIR``, else ``$XDG_STATE_HOME/spanspool``, else
        ``~/.local/state/spanspool``. Programs that send to different ingests need different folders.

        ``settings`` are those of `Settings`. ``OPENAI_API_KEY``, ``OPENAI_ORG_ID`` and ``OPENAI_PROJECT_ID`` are read
        here.

        Raises `SettingError` for a setting that is unknown or has a bad value, `StorageError` when the folder can't be
        made or filled up to ``journal_bytes``.
        """
        self._handle = ctypes.c_void_p()
        folder = default_spool_dir() if spool_dir is None else spool_dir
        texts = setting_texts({"spool_dir": folder, **settings})
        config = LIBRARY.spanspool_config_new()
        why = ctypes.create_string_buffer(1024)
        try:
            for name, in_c, text in texts:
                value = _c_text(f"the setting {name}", text, SettingError)
                status = LIBRARY.spanspool_config_set(config, _c_text("a setting's name", in_c), value, why, len(why))
                _check_setting(status, why.value)
            status = LIBRARY.spanspool_init(config, ctypes.byref(self._handle), why, len(why))
            _check_setting(status, why.value)
        finally:
            LIBRARY.spanspool_config_free(config)
        self._reporter = Reporter(os.fsdecode(folder))

    def enqueue(self, item: Item) -> None:
        """Accepts one item as bytes, which are sent as they are: a JSON object, or with ``exporter="otlp"`` an export
        request of the client's ``signal`` in protobuf's binary form. A JSON object may also be a text, or a mapping.

        Bytes may be any object with a buffer, such as ``bytearray`` or ``memoryview``; they are copied. It waits for no
        network, and for the disk at most ``enqueue_timeout``.

        Raises `ItemError`, `ItemTooLargeError`, `FullError`, `StorageError` or `ShutDownError`. The item was not stored
        then; but with ``durability="power"`` an item that could not be synced (`StorageError`) may still be delivered.
        """
        encoded = item if type(item) is bytes else _bytes(item)
        status = _enqueue(self._handle, encoded, len(encoded))
        if status:
            self._fail(status)
        if monotonic() >= self._reporter.due:
            self._look()

    def enqueue_as(self, name: str, item: Item) -> None:
        """As `enqueue`, for an item to be sent with the key that `set_named_key` gives under ``name``, now or later.

        The spool keeps the name, never the key. ``name`` has 1 to 255 bytes. Items whose turn comes are set aside in
        the rejected store, as ``no_key:NAME`` if no key has that name, or as ``key_refused:NAME`` if the ingest answers
        the key with 401 or 403. They are sent as soon as any client of the same destination in this spool sets the key.
        """
        encoded = _bytes(item)
        status = LIBRARY.spanspool_enqueue_as(self._handle, _c_text("the name of a key", name), encoded, len(encoded))
        if status:
            self._fail(status)
        if monotonic() >= self._reporter.due:
            self._look()

    def set_api_key(self, key: str) -> None:
        """Replaces the API key and tries at once what was waiting for one. The key is kept in memory only."""
        self._check(LIBRARY.spanspool_set_api_key(self._handle, _c_text("the API key", key)))

    def set_named_key(self, name: str, key: str) -> None:
        """Sets the key for items that were enqueued under ``name``.

        Those set aside as ``no_key:NAME`` or ``key_refused:NAME``, by any process of this spool with the same
        destination, go back on their way in the background; `flush` waits for that. The key is kept in memory only: a
        new process has to set it again.
        """
        texts = _c_text("the name of a key", name), _c_text("the API key", key)
        self._check(LIBRARY.spanspool_set_named_key(self._handle, *texts))

    def pause(self) -> None:
        """Sends nothing until `wake`: items are taken and durable as before, but no request begins.

        Meanwhile `flush` waits as in an outage, for `wake` or its timeout. `shutdown` does not wait: no call can end
        the pause after it.
        """
        self._check(LIBRARY.spanspool_pause(self._handle))

    def wake(self) -> None:
        """Says that the network is back: ends a pause, a backoff or a hold and tries now. Does not wait."""
        self._check(LIBRARY.spanspool_wake(self._handle))

    def sync(self) -> None:
        """Waits until every item enqueued before is on stable storage, so that a power cut can't take it."""
        self._check(LIBRARY.spanspool_sync(self._handle))

    def flush(self, timeout: float | None = None) -> None:
        """Sends at once and waits until every item enqueued before was delivered or rejected.

        ``timeout`` is a number of seconds, as large as you like; None waits for ever, 0 or less does not wait. On the
        main thread a signal handler runs while it waits; Ctrl-C ends it with ``KeyboardInterrupt``.

        Raises `TimeoutError` when the time was over first. What is left stays in the spool and is delivered later.
        """
        end = math.inf if timeout is None else monotonic() + _seconds(timeout)
        status, text = self._interruptible(lambda given_up: self._flush_until(end, given_up))
        self._look()
        if status:
            raise error_of(status, text)

    def stats(self) -> Stats:
        """The counters as they are now; after `shutdown` as they were at its end."""
        return self._reporter.look(self._read_stats)

    def shutdown(self, timeout: float | None = 5.0) -> None:
        """Accepts no more items, delivers until ``timeout`` passed, and stops the threads.

        ``timeout`` is as for `flush`. Ctrl-C ends the wait in the same way; then the delivery goes on until its time or
        the program is over.

        Raises `TimeoutError` when items are left. They stay in the spool for the next client.
        """
        status, text = self._shut_down(timeout)
        if status:
            raise error_of(status, text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Nothing is lost when it fails, and an error of the block counts for more.
        status, text = self._shut_down(5.0)
        if status not in (Status.OK, Status.SHUT_DOWN):
            logger.warning("not all items are delivered, they stay in the spool: %s", text)

    def __reduce__(self) -> NoReturn:
        # A copy would free the handle a second time.
        raise TypeError("a Client can't be copied or pickled: open another one on the same spool_dir")

    def __del__(self) -> None:
        # A thread inside a call holds a reference to the client, so no thread is in one now.
        self._free(self._handle)

    def _shut_down(self, timeout: float | None) -> tuple[int, str]:
        limit = _FOREVER_MS if timeout is None else _milliseconds(_seconds(timeout))
        outcome = self._interruptible(lambda _: self._outcome(LIBRARY.spanspool_shutdown(self._handle, limit)))
        self._look()
        return outcome

    def _flush_until(self, end: float, given_up: threading.Event) -> tuple[int, str]:
        while True:
            left = end - monotonic()
            limit = _milliseconds(min(left, _FLUSH_SLICE))
            status, text = self._outcome(LIBRARY.spanspool_flush(self._handle, limit))
            if status != Status.TIMEOUT or left <= _FLUSH_SLICE or given_up.is_set():
                return status, text

    def _interruptible(self, wait: Callable[[threading.Event], tuple[int, str]]) -> tuple[int, str]:
        """What ``wait`` gives, with signal handlers run while it waits. Its argument is set when one of them raises.

        Python runs signal handlers on the main thread only, and not while that is in native code.
        """
        given_up, done = threading.Event(), threading.Event()
        if threading.current_thread() is not threading.main_thread():
            return wait(given_up)
        outcome: list[tuple[int, str]] = []

        def run() -> None:
            try:
                outcome.append(wait(given_up))
            finally:
                done.set()

        try:
            try:
                threading.Thread(target=run, name="spanspool-wait", daemon=True).start()
            except RuntimeError:
                # At the interpreter's end there are no new threads.
                return wait(given_up)
            done.wait()
        except BaseException:
            given_up.set()
            raise
        return outcome[0]

    def _read_stats(self) -> Stats:
        raw = RawStats()
        self._check(LIBRARY.spanspool_get_stats(self._handle, ctypes.byref(raw), ctypes.sizeof(raw)))
        return raw.stats()

    def _look(self) -> None:
        """Logs what changed."""
        with contextlib.suppress(SpanspoolError):
            self._reporter.look(self._read_stats)

    def _check(self, status: int) -> None:
        if status:
            self._fail(status)

    def _fail(self, status: int) -> None:
        raise error_of(*self._outcome(status))

    def _outcome(self, status: int) -> tuple[int, str]:
        """A status with its text. To be called on the thread that made the call, before another call."""
        return status, (last_error(self._handle) or phrase(status)) if status else ""


def _seconds(timeout: float) -> float:
    """A timeout of any size, 0 or more."""
    try:
        if math.isnan(timeout):
            raise ArgumentError("timeout=nan: it must be a number of seconds")
        return max(0.0, float(timeout))
    except OverflowError:
        # An integer of hundreds of digits.
        return math.inf if timeout > 0 else 0.0


def _milliseconds(seconds: float) -> int:
    """Rounded up, so that the library does not answer just before the time is over."""
    if seconds >= _FOREVER_MS / 1000:
        return _FOREVER_MS
    return max(0, math.ceil(seconds * 1000))


def _check_setting(status: int, why: bytes) -> None:
    if status == Status.INVALID_ARGUMENT:
        error = SettingError(why.decode(errors="replace"))
        error.status = Status.INVALID_ARGUMENT
        raise error
    if status:
        raise error_of(status, why.decode(errors="replace"))


def _c_text(what: str, value: str | bytes, kind: type[ArgumentError] = ArgumentError) -> bytes:
    """``value`` as a C string. C would take a NUL inside for its end and act on half of it."""
    if not isinstance(value, (str, bytes)):
        raise TypeError(f"{what} is a text, not {type(value).__name__}")
    try:
        encoded = value if isinstance(value, bytes) else value.encode()
    except UnicodeEncodeError as error:
        raise kind(f"{what} can't be written in UTF-8") from error
    if b"\0" in encoded:
        raise kind(f"{what} has a NUL character in it")
    return encoded


def _bytes(item: Item) -> bytes:
    if isinstance(item, bytes):
        return item
    if isinstance(item, str):
        # Half a surrogate pair goes through, for the library to refuse it by name.
        return item.encode("utf-8", "surrogatepass")
    if isinstance(item, Mapping):
        return encode(item)
    try:
        return bytes(memoryview(item))
    except TypeError:
        raise TypeError(f"an item is a mapping, a text or bytes, not {type(item).__name__}") from None

"""Client: an open spool."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from ._json import encode
from ._library import LIBRARY, c_text, check
from ._settings import Path, Settings, setting_texts
from ._stats import RawStats, Stats

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class Client:
    """An open spool, and the native threads that deliver from it.

    When `enqueue` returns, the item is durable as the setting ``durability`` says, and it will be delivered by this
    process or by the next one on the same ``spool_dir``. All methods may be called from any thread, several at
    once, and none holds the GIL while it waits. After ``fork`` the child's first call opens a lane of its own.

    Every method raises `SpanspoolError`, whose ``status`` says what happened; after `shutdown` that is
    ``Status.SHUT_DOWN``. As a context manager it is shut down at the end, with 5 seconds for delivering.
    """

    # The class keeps it, because at the interpreter's end the modules may be gone before the last client.
    _free = LIBRARY.spanspool_free

    def __init__(self, spool_dir: Path, **settings: Unpack[Settings]) -> None:
        """Opens the spool in the folder ``spool_dir``, which is made when absent, and begins to deliver.

        ``settings`` have the names and the meanings of the library's own. ``OPENAI_API_KEY``, ``OPENAI_ORG_ID`` and
        ``OPENAI_PROJECT_ID`` are read here.

        Raises `SpanspoolError`: ``UNKNOWN_KEY`` or ``INVALID_ARGUMENT`` for a setting, ``IO`` when the folder can't be
        made or filled up to ``journal_bytes``.
        """
        self._handle = ctypes.c_void_p()
        why = ctypes.create_string_buffer(1024)
        config = LIBRARY.spanspool_config_new()
        try:
            for name, value in setting_texts(spool_dir, settings):
                key, text = c_text("the name of a setting", name), c_text(f"the setting {name}", value)
                status = LIBRARY.spanspool_config_set(config, key, text, why, len(why))
                check(status, why.value.decode())
            status = LIBRARY.spanspool_init(config, ctypes.byref(self._handle), why, len(why))
            check(status, why.value.decode())
        finally:
            LIBRARY.spanspool_config_free(config)

    def enqueue(self, item: bytes | str | Mapping[str, object]) -> None:
        """Takes one item: a JSON object as bytes or text, which travels as it is, or a mapping to make one of.

        It waits for no network, and for the disk at most ``enqueue_timeout_ms``.

        Raises `SpanspoolError`: ``INVALID_ITEM``, ``ITEM_TOO_LARGE``, ``FULL``, ``IO``, ``SHUT_DOWN``. The item was not
        stored then.
        """
        json = _bytes(item)
        check(LIBRARY.spanspool_enqueue(self._handle, json, len(json)))

    def enqueue_as(self, name: str, item: bytes | str | Mapping[str, object]) -> None:
        """As `enqueue`, for an item to be sent with the key that `set_named_key` gives under ``name``, now or later.

        The spool keeps the name, never the key. ``name`` has 1 to 255 bytes.
        """
        json = _bytes(item)
        check(LIBRARY.spanspool_enqueue_as(self._handle, c_text("the name of a key", name), json, len(json)))

    def set_api_key(self, key: str) -> None:
        """Replaces the API key and tries at once what was waiting for one. The key is kept in memory only."""
        check(LIBRARY.spanspool_set_api_key(self._handle, c_text("the API key", key)))

    def set_named_key(self, name: str, key: str) -> None:
        """Sets the key for items that were enqueued under ``name``, those set aside for want of it included.

        It is kept in memory only: a new process has to set it again.
        """
        check(
            LIBRARY.spanspool_set_named_key(self._handle, c_text("the name of a key", name), c_text("the API key", key))
        )

    def wake(self) -> None:
        """Says that the network is back: ends a backoff or a hold and tries now. Does not wait."""
        check(LIBRARY.spanspool_wake(self._handle))

    def sync(self) -> None:
        """Waits until every item enqueued before is on stable storage, so that a power cut can't take it."""
        check(LIBRARY.spanspool_sync(self._handle))

    def flush(self, timeout_ms: int) -> None:
        """Sends at once and waits until every item enqueued before was delivered or rejected.

        Raises `SpanspoolError` with ``TIMEOUT`` when ``timeout_ms`` passed first; what is left stays in the spool and
        is delivered later.
        """
        check(LIBRARY.spanspool_flush(self._handle, max(0, timeout_ms)))

    def stats(self) -> Stats:
        """The counters as they are now."""
        raw = RawStats()
        check(LIBRARY.spanspool_get_stats(self._handle, ctypes.byref(raw), ctypes.sizeof(raw)))
        return raw.stats()

    def shutdown(self, timeout_ms: int) -> None:
        """Takes no more items, delivers until ``timeout_ms`` passed, and stops the threads.

        Raises `SpanspoolError` with ``TIMEOUT`` when items are left: they stay in the spool for the next client.
        """
        check(LIBRARY.spanspool_shutdown(self._handle, max(0, timeout_ms)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The status is not asked for: what is left stays in the spool, and an error of the block counts for more.
        LIBRARY.spanspool_shutdown(self._handle, 5000)

    def __del__(self) -> None:
        # A thread inside a call holds a reference to the client, so nobody is in one now.
        self._free(self._handle)


def _bytes(item: bytes | str | Mapping[str, object]) -> bytes:
    if isinstance(item, bytes):
        return item
    # Half a surrogate pair goes through, for the library to refuse it by name.
    return item.encode("utf-8", "surrogatepass") if isinstance(item, str) else encode(item)

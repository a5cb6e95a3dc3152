"""Errors: one exception class for each status of the library."""

from __future__ import annotations

import builtins
from enum import IntEnum


class Status(IntEnum):
    """What a call of the library answers. The numbers are those of ``enum spanspool_status`` in the C header."""

    OK = 0
    INVALID_ARGUMENT = 1
    INVALID_ITEM = 2
    ITEM_TOO_LARGE = 3
    UNKNOWN_SETTING = 4
    FULL = 20
    TIMEOUT = 21
    SHUT_DOWN = 22
    IO = 40
    CORRUPT = 41
    LOCKED = 42
    INTERNAL = 99


class SpanspoolError(Exception):
    """The base class of all errors of this package. The text says what was wrong and, where known, what is allowed.

    Raised itself only for a status that a newer library has and this package does not know.
    """

    status: int = Status.INTERNAL
    """One of `Status`, or the number that a newer library gave."""


class ArgumentError(SpanspoolError, ValueError):
    """An argument is not allowed. Nothing was changed."""

    status = Status.INVALID_ARGUMENT


class SettingError(ArgumentError):
    """A setting is unknown, or has a value that is not allowed (``status`` tells which). No client was opened."""

    status = Status.UNKNOWN_SETTING


class ItemError(SpanspoolError, ValueError):
    """The item is not exactly one JSON object in UTF-8. With ``exporter="otlp"``: not one export request of the signal.

    Nothing was stored.
    """

    status = Status.INVALID_ITEM


class ItemTooLargeError(ItemError):
    """The item is longer than ``max_item_bytes``. Nothing was stored."""

    status = Status.ITEM_TOO_LARGE


class FullError(SpanspoolError):
    """The spool is at its limit, or the journal had no room within ``enqueue_timeout``. Nothing was stored."""

    status = Status.FULL


class TimeoutError(SpanspoolError, builtins.TimeoutError):
    """The time was over first. What was not delivered stays in the spool and is delivered later."""

    status = Status.TIMEOUT


class ShutDownError(SpanspoolError):
    """The client was shut down. Nothing was stored."""

    status = Status.SHUT_DOWN


class StorageError(SpanspoolError, OSError):
    """The operating system refused a file operation. Trying again may help."""

    status = Status.IO


class CorruptError(StorageError):
    """A file of the spool is damaged, or has a format that this version does not read."""

    status = Status.CORRUPT


class LockedError(StorageError):
    """Another process holds what this call needs. Trying again may help."""

    status = Status.LOCKED


class InternalError(SpanspoolError):
    """A defect of spanspool itself. What was accepted before is still safe. Please report it."""

    status = Status.INTERNAL


_CLASSES: dict[int, type[SpanspoolError]] = {
    int(kind.status): kind
    for kind in (
        ArgumentError, SettingError, ItemError, ItemTooLargeError, FullError, TimeoutError, ShutDownError,
        StorageError, CorruptError, LockedError, InternalError,
    )
}  # fmt: skip


def error_of(status: int, text: str) -> SpanspoolError:
    """The exception for a status other than OK."""
    error = _CLASSES.get(status, SpanspoolError)(text)
    if error.status != status:
        error.status = status
    return error

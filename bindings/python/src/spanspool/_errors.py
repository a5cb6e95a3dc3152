"""Errors: what the library answers when it does not answer OK."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """What a call of the library answers; the numbers are those of ``enum spanspool_status`` in the C header."""

    OK = 0
    INVALID_ARGUMENT = 1
    INVALID_ITEM = 2
    ITEM_TOO_LARGE = 3
    UNKNOWN_KEY = 4
    FULL = 20
    TIMEOUT = 21
    SHUT_DOWN = 22
    IO = 40
    CORRUPT = 41
    LOCKED = 42
    INTERNAL = 99


class SpanspoolError(Exception):
    """The library's answer when it is not OK. Its text says what was wrong and, for settings, what is allowed."""

    status: int
    """One of `Status`, or the number that a newer library gave."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, text)
        try:
            self.status = Status(status)
        except ValueError:
            self.status = status
        self.text = text

    def __str__(self) -> str:
        return self.text

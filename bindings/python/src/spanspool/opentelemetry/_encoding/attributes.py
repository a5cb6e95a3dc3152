"""Attributes: keys and values, as the messages ``KeyValue`` and ``AnyValue`` of OTLP."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .protobuf import MOST_UINT64, double, sized, utf8, varint

logger = logging.getLogger("spanspool")

# Receivers take 100 messages within one another. So many are left for a value, wherever it stands.
_MOST_NESTED = 94

# What is kept, so that nothing grows without end. Programs have few keys; one with more pays for each anew.
_MOST_KEYS = 512
_MOST_LENGTH = 64
_MOST_TOLD = 1000


class Attributes:
    """Writes the field of a message that holds its attributes."""

    def __init__(self, tag: bytes) -> None:
        self._tag = tag
        # What stands before a short text, by the key and by the text's length.
        self._heads: dict[str, dict[int, str]] = {}
        self._told: set[str] = set()

    def write(self, parts: list[bytes], attributes: Iterable[tuple[str, Any]]) -> None:
        """Appends attributes to the parts of a message.

        One that OTLP has no form for is left out, and named in the log once for each key: an integer of more than 64
        bits, values nested too deeply for any receiver, an object of another type.
        """
        heads = self._heads
        # Text is the fastest thing to put together. In Latin-1 each byte has a character.
        texts: list[str] = []
        for key, value in attributes:
            # Nearly all are short and plain, so these few lines are most of what a span costs.
            if type(value) is str and value.isascii():
                try:
                    texts += (heads[key][len(value)], value)
                    continue
                except KeyError:
                    if len(value) < _MOST_LENGTH:
                        texts += (self._head(key, len(value)), value)
                        continue
            try:
                attribute = sized(self._tag, _key_value(utf8(key), any_value(value)))
                texts.append(attribute.decode("latin-1"))
            except (ValueError, RecursionError) as error:
                self._tell(key, error)
        parts.append("".join(texts).encode("latin-1"))

    def _head(self, key: str, length: int) -> str:
        heads = self._heads.get(key)
        if heads is None:
            if len(self._heads) >= _MOST_KEYS:
                self._heads.clear()
            heads = self._heads[key] = {}
        message = _key_value(utf8(key), b"\x0a" + varint(length), length)
        head = self._tag + varint(len(message) + length) + message
        return heads.setdefault(length, head.decode("latin-1"))

    def _tell(self, key: str, error: Exception) -> None:
        if key not in self._told:
            if len(self._told) >= _MOST_TOLD:
                self._told.clear()
            self._told.add(key)
            logger.warning("the attribute %r is left out, OTLP has no form for its value: %s", key, error)


def any_value(value: object, room: int = _MOST_NESTED) -> bytes:
    """An ``AnyValue``. ``room`` is how many messages may be within one another in it.

    Raises `ValueError` for what OTLP has no form for.
    """
    if isinstance(value, str):
        # string_value = 1
        return sized(b"\x0a", utf8(value))
    if value is None:
        return b""
    if isinstance(value, bool):
        # bool_value = 2
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError("an integer of more than 64 bits")
        # int_value = 3
        return b"\x18" + varint(value & MOST_UINT64)
    if isinstance(value, float):
        # double_value = 4
        return double(0x21, value)
    if isinstance(value, bytes):
        # bytes_value = 7
        return sized(b"\x3a", value)
    return _nested(value, room)


def _nested(value: object, room: int) -> bytes:
    if room < 3:
        raise ValueError("values nested too deeply")
    if isinstance(value, Sequence):
        # array_value = 5, its values = 1
        values = b"".join([sized(b"\x0a", any_value(item, room - 2)) for item in value])
        return sized(b"\x2a", values)
    if isinstance(value, Mapping):
        # kvlist_value = 6, its values = 1
        items = [_key_value(utf8(key), any_value(item, room - 3)) for key, item in pairs(value)]
        return sized(b"\x32", b"".join([sized(b"\x0a", item) for item in items]))
    raise ValueError(f"an object of the type {type(value).__name__}")


def _key_value(key: bytes, value: bytes, more: int = 0) -> bytes:
    """A ``KeyValue``. ``more`` bytes of the value are written after it."""
    # key = 1, value = 2
    return sized(b"\x0a", key) + b"\x12" + varint(len(value) + more) + value


def pairs(mapping: Mapping[str, Any] | None) -> Iterable[tuple[str, Any]]:
    """The items as they are now. Other threads may be changing what a log record refers to."""
    if mapping is None:
        return ()
    try:
        # Every dict has it, and so have the SDK's attributes, over which to iterate takes several times as long.
        copy: dict[str, Any] = mapping.copy()  # type: ignore[attr-defined]
        return copy.items()
    except AttributeError:
        return list(mapping.items())

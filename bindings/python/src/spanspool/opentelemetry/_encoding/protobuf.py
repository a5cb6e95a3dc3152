"""Protobuf: its binary form, as far as an export request needs it.

A field is its tag, which is its number and how it is encoded, and its value. One that holds a text or a message has its
length in between. The tags are constants of the modules that write the messages, named in a comment.
"""

from __future__ import annotations

import struct

# Those that were needed so far, of at most two bytes: nearly all lengths.
_varints: dict[int, bytes] = {}

MOST_UINT64 = 2**64 - 1

double = struct.Struct("<Bd").pack
"""A field that is a double: its tag and its value."""
fixed64 = struct.Struct("<BQ").pack
"""A field that is a fixed64: its tag and its value."""


def varint(value: int) -> bytes:
    """A whole number from 0 to 2^64 - 1."""
    try:
        return _varints[value]
    except KeyError:
        rest, encoded = value, bytearray()
        while rest >= 0x80:
            encoded.append(rest & 0x7F | 0x80)
            rest >>= 7
        encoded.append(rest)
        if value < 0x4000:
            _varints[value] = bytes(encoded)
        return bytes(encoded)


def sized(tag: bytes, value: bytes) -> bytes:
    """A field that has a length: a text, bytes or a message."""
    return tag + varint(len(value)) + value


def utf8(text: object) -> bytes:
    """A text in UTF-8. Half a surrogate pair becomes U+FFFD, and what is no text is made one."""
    try:
        return str.encode(text)  # type: ignore[arg-type]
    except TypeError:
        return utf8(str(text))
    except UnicodeEncodeError:
        halves = str.encode(text, "utf-16-le", "surrogatepass")  # type: ignore[arg-type]
        return halves.decode("utf-16-le", "replace").encode()


def nanoseconds(time: object) -> int:
    """A time as a fixed64 can hold it; 0, which stands for an unknown time, for what is none."""
    try:
        return min(max(int(time), 0), MOST_UINT64)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError, OverflowError):
        return 0

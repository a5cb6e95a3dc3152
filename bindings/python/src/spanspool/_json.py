"""JSON: items as the OpenAI Agents SDK writes them, down to the bytes."""

from __future__ import annotations

import json
import json.encoder
import math
from collections.abc import Callable, Mapping
from typing import Any

# Stands for a value that JSON can't express.
NOTHING = object()

_strict, _lenient = (
    json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=allow_nan) for allow_nan in (False, True)
)
# What `JSONEncoder.encode` comes down to. It is absent where Python lacks its C code.
_make_encoder: Any = getattr(json.encoder, "c_make_encoder", None)
_refuse = _strict.default

quote: Callable[[Any], str] = json.encoder.encode_basestring
"""A string as JSON. Raises `TypeError` for anything else."""


def text(value: object) -> str:
    """``value`` as compact JSON. Raises `TypeError`, `ValueError` or `RecursionError` where JSON can't express it."""
    if _make_encoder is None:
        return _strict.encode(value)
    # An encoder of its own for each value: the first argument is what it finds cycles with.
    encoder = _make_encoder({}, _refuse, quote, None, ":", ",", False, False, False)
    return "".join(encoder(value, 0))


def encode(item: Mapping[str, Any], *, previews: bool = False) -> bytes:
    """``item`` as compact JSON in UTF-8.

    A value that JSON can't express does not cost the rest of the item. As in the SDK, such values are left out, keys
    become texts, and half a surrogate pair becomes "?". With ``previews`` a span's input or output that JSON can't
    express is replaced by an object that says what it was, as the SDK does for OpenAI.
    """
    plain = item if type(item) is dict else dict(item)
    try:
        return text(plain).encode()
    except (TypeError, ValueError, RecursionError):
        kept = _sendable(_with_previews(plain) if previews else plain)
        return _lenient.encode(kept).encode("utf-8", "replace")


def _sendable(value: object, above: tuple[int, ...] = ()) -> object:
    """``value`` without what JSON can't express, or `NOTHING`. ``above`` are the ids of what it lies in."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else NOTHING
    try:
        if isinstance(value, int):
            # Python refuses to write integers of thousands of digits.
            return value if repr(value) else NOTHING
        if id(value) in above:
            return NOTHING
        return _sendable_within(value, (*above, id(value)))
    except (ValueError, RecursionError):
        return NOTHING


def _sendable_within(value: object, above: tuple[int, ...]) -> object:
    if isinstance(value, dict):
        pairs = ((_key_text(key), _sendable(child, above)) for key, child in value.items())
        return {key: child for key, child in pairs if key is not None and child is not NOTHING}
    if isinstance(value, (list, tuple)):
        children = (_sendable(child, above) for child in value)
        return [child for child in children if child is not NOTHING]
    return NOTHING


def _key_text(key: object) -> str | None:
    """The text that json.dumps makes of a key; None for one that it can't send."""
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (bool, int, float)):
        try:
            return json.dumps(key, allow_nan=False)
        except ValueError:
            return None
    return None


def _with_previews(item: dict[str, Any]) -> dict[str, Any]:
    data = item.get("span_data")
    if not isinstance(data, dict):
        return item
    lost = [
        field
        for field in ("input", "output")
        # The SDK takes NaN and infinity for numbers at first and leaves them out later.
        if field in data and not isinstance(data[field], float) and _sendable(data[field]) is NOTHING
    ]
    return {**item, "span_data": {**data, **{field: _preview(data[field]) for field in lost}}}


def _preview(value: object) -> dict[str, object]:
    kind = type(value).__name__
    size = ""
    if isinstance(value, (bytes, bytearray, memoryview)):
        size = f" bytes={len(value)}"
    elif isinstance(value, (dict, list, tuple, set, frozenset)):
        size = f" len={len(value)}"
    return {"truncated": True, "original_type": kind, "preview": f"<{kind}{size} truncated>"}

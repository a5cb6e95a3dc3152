"""Spans: the message ``Span`` of OTLP, as the SDK's own encoder makes it of the same span."""

from __future__ import annotations

import struct
from operator import attrgetter
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import DEFAULT_TRACE_STATE, Link, SpanContext, SpanKind, Status, StatusCode

from .attributes import Attributes
from .protobuf import fixed64, nanoseconds, sized, utf8, varint

# attributes: 9 of Span, 3 of Span.Event, 4 of Span.Link
_of_spans, _of_events, _of_links = Attributes(b"\x4a"), Attributes(b"\x1a"), Attributes(b"\x22")

# trace_id = 1, span_id = 2, start_time_unix_nano = 7, end_time_unix_nano = 8
_head = struct.Struct("<2s16s2s8sBQBQ").pack

# kind = 6
_kinds = {kind: bytes((0x30, kind.value + 1)) for kind in SpanKind}

# flags: 16 of Span, 6 of Span.Link. Those that OTLP defines: whether the parent or the linked span is remote.
_IS_KNOWN, _IS_REMOTE = 0x100, 0x200
_span_flags, _link_flags = struct.Struct("<2sI").pack, struct.Struct("<BI").pack
_NO_REMOTE_PARENT = _span_flags(b"\x85\x01", _IS_KNOWN)

# What most spans have. A member of an enum is slow to look up, and slow to hash.
_INTERNAL, _UNSET = SpanKind.INTERNAL, StatusCode.UNSET
_INTERNAL_FIELD, _UNSET_FIELD = _kinds[_INTERNAL], b"\x7a\x00"


# The public properties take as long as all the rest: each is a call, and some make copies. So the fields below them are
# read, if the release of the SDK has them.
_FIELDS = ("context", "parent", "kind", "name", "start_time", "end_time", "status", "attributes", "events", "links")
_public = attrgetter(*_FIELDS)
_private = attrgetter(*[f"_{field}" for field in _FIELDS])


def _fields(span: ReadableSpan) -> Any:
    try:
        return _private(span)
    except AttributeError:
        return _public(span)


def encode_span(span: ReadableSpan) -> bytes:
    """A span that has ended."""
    context, parent, kind, text, start, end, status, attributes, events, links = _fields(span)
    trace_id, span_id, name = context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big"), utf8(text)
    try:
        head = _head(b"\x0a\x10", trace_id, b"\x12\x08", span_id, 0x39, start, 0x41, end)
    except struct.error:
        # No time, or one that is not a whole number of 64 bits.
        head = _head(b"\x0a\x10", trace_id, b"\x12\x08", span_id, 0x39, nanoseconds(start), 0x41, nanoseconds(end))
    # name = 5
    parts = [head, b"\x2a", varint(len(name)), name, _INTERNAL_FIELD if kind is _INTERNAL else _kinds[kind]]
    if parent:
        # parent_span_id = 4
        flags = _span_flags(b"\x85\x01", _remoteness(parent))
        parts += (b"\x22\x08", parent.span_id.to_bytes(8, "big"), flags)
    else:
        parts.append(_NO_REMOTE_PARENT)
    state = context.trace_state
    if state is not DEFAULT_TRACE_STATE and state:
        # trace_state = 3
        parts.append(sized(b"\x1a", utf8(",".join([f"{key}={value}" for key, value in state.items()]))))
    parts.append(_UNSET_FIELD if status.status_code is _UNSET and not status.description else _status(status))
    _of_spans.write(parts, attributes)
    if events:
        # events = 11
        parts += [sized(b"\x5a", _event(event)) for event in events]
    if links:
        # links = 13
        parts += [sized(b"\x6a", _link(link)) for link in links]
    # dropped_attributes_count = 10, dropped_events_count = 12, dropped_links_count = 14
    if dropped := getattr(attributes, "dropped", 0):
        parts.append(b"\x50" + varint(dropped))
    if dropped := getattr(events, "dropped", 0):
        parts.append(b"\x60" + varint(dropped))
    if dropped := getattr(links, "dropped", 0):
        parts.append(b"\x70" + varint(dropped))
    return b"".join(parts)


def _remoteness(context: SpanContext) -> int:
    return _IS_KNOWN | _IS_REMOTE if context.is_remote else _IS_KNOWN


def _event(event: Event) -> bytes:
    # time_unix_nano = 1, name = 2
    parts = [fixed64(0x09, nanoseconds(event.timestamp)), sized(b"\x12", utf8(event.name))]
    _of_events.write(parts, event.attributes)
    # dropped_attributes_count = 4
    if dropped := event.dropped_attributes:
        parts.append(b"\x20" + varint(dropped))
    return b"".join(parts)


def _link(link: Link) -> bytes:
    context = link.context
    # trace_id = 1, span_id = 2
    parts = [
        b"\x0a\x10", context.trace_id.to_bytes(16, "big"), b"\x12\x08", context.span_id.to_bytes(8, "big"),
        _link_flags(0x35, _remoteness(context)),
    ]  # fmt: skip
    _of_links.write(parts, link.attributes)
    # dropped_attributes_count = 5
    if dropped := link.dropped_attributes:
        parts.append(b"\x28" + varint(dropped))
    return b"".join(parts)


def _status(status: Status) -> bytes:
    """The field that holds the status: status = 15, its message = 2, its code = 3."""
    message = sized(b"\x12", utf8(status.description)) if status.description else b""
    return sized(b"\x7a", message + bytes((0x18, status.status_code.value)))

"""Spans: the message ``Span`` of OTLP, as the SDK's own encoder makes it of the same span."""

from __future__ import annotations

import struct
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import DEFAULT_TRACE_STATE, Link, SpanContext, SpanKind, Status, StatusCode

from .attributes import Attributes, pairs
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
_NONE_DROPPED = (0, 0, 0)

# The field of each name. There are few, as OpenTelemetry asks for names that stand for many spans.
_names: dict[str, bytes] = {}
_MOST_NAMES, _LONG_NAME = 512, 128


def _fields(span: Any) -> tuple[Any, ...]:
    try:
        # As the SDK keeps them. Each of the public properties is a call, and some make copies, which a span that has
        # ended does not need: they take four times as long.
        return (
            span._context, span._parent, span._kind, span._name, span._start_time, span._end_time, span._status,
            span._attributes._dict, span._events._dq, span._links._dq,
            (span._attributes.dropped, span._events.dropped, span._links.dropped),
        )  # fmt: skip
    except AttributeError:
        # A span that the program made, or another release of the SDK.
        return (
            span.context, span.parent, span.kind, span.name, span.start_time, span.end_time, span.status,
            span.attributes, span.events, span.links,
            (span.dropped_attributes, span.dropped_events, span.dropped_links),
        )  # fmt: skip


def encode_span(span: ReadableSpan) -> bytes:
    """A span that has ended."""
    context, parent, kind, name, start, end, status, attributes, events, links, dropped = _fields(span)
    trace_id, span_id = context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")
    try:
        head = _head(b"\x0a\x10", trace_id, b"\x12\x08", span_id, 0x39, start, 0x41, end)
    except struct.error:
        # No time, or one that is not a whole number of 64 bits.
        head = _head(b"\x0a\x10", trace_id, b"\x12\x08", span_id, 0x39, nanoseconds(start), 0x41, nanoseconds(end))
    try:
        parts = [head, _names[name], _INTERNAL_FIELD if kind is _INTERNAL else _kinds[kind]]
    except (KeyError, TypeError):
        parts = [head, _name(name), _kinds[kind]]
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
    _of_spans.write(parts, attributes.items())
    if events:
        # events = 11
        parts += [sized(b"\x5a", _event(event)) for event in events]
    if links:
        # links = 13
        parts += [sized(b"\x6a", _link(link)) for link in links]
    if dropped != _NONE_DROPPED:
        parts += _dropped(*dropped)
    return b"".join(parts)


def _name(name: object) -> bytes:
    # name = 5
    field = sized(b"\x2a", utf8(name))
    if isinstance(name, str) and len(name) < _LONG_NAME:
        if len(_names) >= _MOST_NAMES:
            _names.clear()
        _names[name] = field
    return field


def _dropped(attributes: int, events: int, links: int) -> list[bytes]:
    # dropped_attributes_count = 10, dropped_events_count = 12, dropped_links_count = 14
    counts = ((b"\x50", attributes), (b"\x60", events), (b"\x70", links))
    return [tag + varint(count) for tag, count in counts if count]


def _remoteness(context: SpanContext) -> int:
    return _IS_KNOWN | _IS_REMOTE if context.is_remote else _IS_KNOWN


def _event(event: Event) -> bytes:
    # time_unix_nano = 1, name = 2
    parts = [fixed64(0x09, nanoseconds(event.timestamp)), sized(b"\x12", utf8(event.name))]
    _of_events.write(parts, pairs(event.attributes))
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
    _of_links.write(parts, pairs(link.attributes))
    # dropped_attributes_count = 5
    if dropped := link.dropped_attributes:
        parts.append(b"\x28" + varint(dropped))
    return b"".join(parts)


def _status(status: Status) -> bytes:
    """The field that holds the status: status = 15, its message = 2, its code = 3."""
    message = sized(b"\x12", utf8(status.description)) if status.description else b""
    return sized(b"\x7a", message + bytes((0x18, status.status_code.value)))

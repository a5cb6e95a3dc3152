"""Log records: the message ``LogRecord`` of OTLP, as the SDK's own encoder makes it of the same record."""

from __future__ import annotations

from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord

from .attributes import Attributes, any_value, pairs
from .protobuf import fixed64, nanoseconds, sized, utf8, varint

# attributes = 6
_attributes = Attributes(b"\x32")


def encode_log_record(readable: ReadableLogRecord | ReadWriteLogRecord) -> bytes:
    """A log record."""
    record = readable.log_record
    # time_unix_nano = 1, observed_time_unix_nano = 11
    parts = [fixed64(0x09, nanoseconds(record.timestamp)), fixed64(0x59, nanoseconds(record.observed_timestamp))]
    if severity := getattr(record.severity_number, "value", 0):
        # severity_number = 2
        parts.append(b"\x10" + varint(severity))
    # severity_text = 3, body = 5
    parts += (_text(b"\x1a", record.severity_text), sized(b"\x2a", _body(record.body)))
    _attributes.write(parts, pairs(record.attributes))
    if dropped := readable.dropped_attributes:
        # dropped_attributes_count = 7
        parts.append(b"\x38" + varint(dropped))
    # flags = 8, a fixed32
    parts.append(b"\x45" + int(record.trace_flags or 0).to_bytes(4, "little"))
    if record.trace_id:
        # trace_id = 9
        parts.append(b"\x4a\x10" + record.trace_id.to_bytes(16, "big"))
    if record.span_id:
        # span_id = 10
        parts.append(b"\x52\x08" + record.span_id.to_bytes(8, "big"))
    # event_name = 12
    parts.append(_text(b"\x62", record.event_name))
    return b"".join(parts)


def _text(tag: bytes, text: str | None) -> bytes:
    return sized(tag, utf8(text)) if text else b""


def _body(body: object) -> bytes:
    """The body as an ``AnyValue``; as a text where OTLP has no form for it, as anything may be logged."""
    try:
        return any_value(body)
    except (ValueError, RecursionError):
        return any_value(_printed(body))


def _printed(body: object) -> str:
    try:
        return str(body)
    except Exception as error:
        # Python writes no integer of thousands of digits, and a type of the program's may do anything.
        return f"<{type(body).__name__}: {error}>"

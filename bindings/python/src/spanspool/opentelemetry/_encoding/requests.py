"""Requests: one record with its resource and its scope, as an export request of its own.

The three messages ``Export…ServiceRequest`` have the same form, and so have those within them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from .attributes import Attributes, pairs
from .protobuf import sized, utf8, varint

# attributes: 1 of Resource, 3 of InstrumentationScope
_of_resources, _of_scopes = Attributes(b"\x0a"), Attributes(b"\x1a")


class _Record(Protocol):
    @property
    def resource(self) -> Resource | None: ...
    @property
    def instrumentation_scope(self) -> InstrumentationScope | None: ...


Record = TypeVar("Record", bound=_Record)

# What is kept, so that nothing grows without end.
_MOST_ORIGINS = 64
_MOST_HEADS = 256


class Requests(Generic[Record]):
    """Makes requests. It keeps the resources and scopes as it encoded them, as nearly all records have the same few."""

    def __init__(self, encode: Callable[[Record], bytes]) -> None:
        self._encode = encode
        # By the scope's identity.
        self._origins: dict[int, _Origin] = {}

    def request(self, record: Record) -> bytes:
        """The request with one record."""
        encoded, resource, scope = self._encode(record), record.resource, record.instrumentation_scope
        try:
            origin = self._origins[id(scope)]
            if origin.resource is resource:
                return origin.heads[len(encoded)] + encoded
        except KeyError:
            pass
        return self._origin(resource, scope).head(len(encoded)) + encoded

    def _origin(self, resource: Resource | None, scope: InstrumentationScope | None) -> _Origin:
        origin = self._origins.get(id(scope))
        if origin is None or origin.resource is not resource:
            if len(self._origins) >= _MOST_ORIGINS:
                self._origins.clear()
            origin = self._origins[id(scope)] = _Origin(resource, scope)
        return origin


class _Origin:
    """Where records come from: a resource and a scope."""

    def __init__(self, resource: Resource | None, scope: InstrumentationScope | None) -> None:
        # As long as an object is kept, no other has its identity.
        self.resource = resource
        self._scope = scope
        self._around = _resource(resource)
        self._before = _scope(scope)
        self.heads: dict[int, bytes] = {}
        """What stands before a record, by the record's length."""

    def head(self, length: int) -> bytes:
        """What stands before a record of a length."""
        # spans = 2 or its like, scope_spans = 2 or its like, resource_spans = 1 or its like
        scoped = self._before + b"\x12" + varint(length)
        inner = self._around + b"\x12" + varint(len(scoped) + length) + scoped
        if len(self.heads) >= _MOST_HEADS:
            self.heads.clear()
        head = self.heads[length] = b"\x0a" + varint(len(inner) + length) + inner
        return head


def _resource(resource: Resource | None) -> bytes:
    """The fields of ``ResourceSpans`` or its like before its records: resource = 1, schema_url = 3."""
    if resource is None:
        # As the SDK does with a record that has none.
        resource = Resource.create({})
    parts: list[bytes] = []
    _of_resources.write(parts, pairs(resource.attributes))
    return sized(b"\x0a", b"".join(parts)) + _schema_url(resource.schema_url)


def _scope(scope: InstrumentationScope | None) -> bytes:
    """The fields of ``ScopeSpans`` or its like before its records: scope = 1, schema_url = 3."""
    if scope is None:
        return b"\x0a\x00"
    # name = 1, version = 2
    parts = [sized(b"\x0a", utf8(scope.name)), sized(b"\x12", utf8(scope.version or ""))]
    _of_scopes.write(parts, pairs(scope.attributes))
    return sized(b"\x0a", b"".join(parts)) + _schema_url(scope.schema_url)


def _schema_url(url: str | None) -> bytes:
    return sized(b"\x1a", utf8(url)) if url else b""

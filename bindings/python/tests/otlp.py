"""OTLP: what a receiver makes of a request, by the classes that protobuf generated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_REQUESTS: dict[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}


def decode(path: str, body: bytes) -> list[Any]:
    """The records of a request to ``…/v1/traces`` or its like, each as a request with its resource and its scope."""
    return records(_REQUESTS[path.rpartition("/")[2]].FromString(body))


def records(request: Any) -> list[Any]:
    """The records of a request, each as one of its own, so that it does not matter how they were grouped."""
    alone = []
    for resource in _children(request):
        for scope in _children(resource):
            for record in _children(scope):
                one = type(request)()
                its_resource = _add(one, resource)
                _add(_add(its_resource, scope), record)
                alone.append(one)
    return alone


def record(request: Any) -> Any:
    """The one record of a request of `records`."""
    [resource] = _children(request)
    [scope] = _children(resource)
    [record] = _children(scope)
    return record


def spans(requests: Iterable[Any]) -> list[Any]:
    return [record(request) for request in requests]


def _field(message: Any) -> str:
    """The field that holds the messages of the next level."""
    names = [field.name for field in message.DESCRIPTOR.fields]
    [name] = [n for n in names if n.startswith(("resource_", "scope_")) or n in ("spans", "log_records", "metrics")]
    return str(name)


def _children(message: Any) -> Any:
    return getattr(message, _field(message))


def _add(parent: Any, child: Any) -> Any:
    """A copy of ``child`` in ``parent``, without the child's own children."""
    copy = _children(parent).add()
    copy.CopyFrom(child)
    if any(field.name in ("scope", "resource") for field in child.DESCRIPTOR.fields):
        copy.ClearField(_field(copy))
    return copy

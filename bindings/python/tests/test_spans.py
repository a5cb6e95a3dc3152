"""Spans as JSON: `key_and_json` writes what the SDK's ``export()`` says, whatever a span holds."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import Any

import pytest
from agents.tracing import (
    AgentSpanData,
    CustomSpanData,
    FunctionSpanData,
    GenerationSpanData,
    HandoffSpanData,
    ResponseSpanData,
    SpanData,
    TurnSpanData,
)
from agents.tracing.processors import default_processor
from agents.tracing.spans import NoOpSpan, SpanImpl

from spanspool import _spans
from spanspool._json import encode
from spanspool._spans import key_and_json


class Text(str):
    def __str__(self) -> str:
        return "another text"


class Said:
    def __str__(self) -> str:
        return 'said "so"'


class Level(IntEnum):
    HIGH = 3


CYCLE: list[Any] = []
CYCLE.append(CYCLE)

VALUES = [
    None, "", 'a "b" \\ \n\t\x00\x1f\x7f ü \u2028 \U0001f31e', "half \ud83d", Text("x"), Said(), b"bytes", object(),
    True, 0, 1.0, 1e300, float("nan"), 10**30, 10**5000, Level.HIGH, {}, {"a": {"b": [1, "ü", None]}},
    {1: 2, None: 3, float("inf"): 4}, {"agent_harness_id": "h", "n": 1}, [1, (2,), {3}], CYCLE,
]  # fmt: skip


def span(data: SpanData, kind: type[SpanImpl[Any]] = SpanImpl, **fields: Any) -> SpanImpl[Any]:
    made = kind("trace_1", "span_1", None, default_processor(), data, "sk-run")
    made._started_at, made._ended_at = "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:01+00:00"
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def function(**fields: object) -> FunctionSpanData:
    data = FunctionSpanData("look_up", '{"order": 1}', "shipped")
    for name, value in fields.items():
        setattr(data, name, value)
    return data


def sent(exported: dict[str, Any], previews: bool) -> bytes:
    """The item as the SDK sends it."""
    try:
        return json.dumps(exported, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return encode(exported, previews=previews)


def assert_same(one: SpanImpl[Any]) -> None:
    try:
        exported = one.export()
    except Exception as error:
        # What the SDK can't export is as much of an error here.
        with pytest.raises(type(error)):
            key_and_json(one, False)
        return
    assert exported
    for previews in (False, True):
        assert key_and_json(one, previews) == (one.tracing_api_key, sent(exported, previews))


def test_the_sdk_of_these_tests_is_the_one_that_is_known() -> None:
    # Otherwise all is right but slow: add the release if all other tests of this file pass with `_known` always true.
    assert _spans._span_export is SpanImpl.export
    assert _spans._function_export is FunctionSpanData.export


@pytest.mark.parametrize("field", ["name", "input", "output", "mcp_data", "metadata"])
def test_the_data_of_a_function_may_be_anything(field: str) -> None:
    for value in VALUES:
        assert_same(span(function(**{field: value})))


@pytest.mark.parametrize(
    "field", ["_span_id", "_trace_id", "_parent_id", "_started_at", "_ended_at", "_error", "_trace_metadata"]
)
def test_the_fields_of_a_span_may_be_anything(field: str) -> None:
    for value in VALUES:
        assert_same(span(function(), SpanImpl, **{field: value}))
        assert_same(span(CustomSpanData("custom", {}), SpanImpl, **{field: value}))


@pytest.mark.parametrize(
    "data",
    [
        AgentSpanData("helper", ["a"], ["b", "c"], "str"),
        AgentSpanData("helper", metadata={"agent_harness_id": "h", "n": 1}),
        TurnSpanData(1, "helper", {"input_tokens": 1}),
        TurnSpanData(1, "helper", metadata={}),
        GenerationSpanData([{"role": "user", "content": "ü"}], [], "gpt", {"temperature": 0.5}, {"x": {1, 2}}),
        ResponseSpanData(),
        HandoffSpanData("a", None),
        CustomSpanData("custom", {"nan": float("nan"), "n": 1}),
    ],
)
def test_each_kind_of_data_is_as_it_exports_itself(data: SpanData) -> None:
    assert_same(span(data))
    assert_same(span(data, _trace_metadata={"agent_harness_id": "of the trace", "user": "u"}))
    assert_same(span(data, _trace_metadata={"user": "u"}))


def test_a_subclass_is_asked_itself_and_once() -> None:
    class Renamed(SpanImpl[Any]):
        @property
        def span_id(self) -> str:
            return "another"

    class Redacted(FunctionSpanData):
        exports = 0

        def export(self) -> dict[str, Any]:
            self.exports += 1
            return {**super().export(), "output": {self.exports}, "n": self.exports}

    class Typed(FunctionSpanData):
        @property
        def type(self) -> str:
            return "tool"

    assert_same(span(function(), Renamed))
    assert_same(span(Typed("look_up", None, None)))
    data = Redacted("look_up", "", "secret")
    item = json.loads(key_and_json(span(data), False)[1])
    assert (item["span_data"]["n"], data.exports) == (1, 1) and "output" not in item["span_data"]


@pytest.mark.parametrize("kind", [SpanImpl, FunctionSpanData])
def test_a_patched_export_is_followed(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    export = kind.export
    monkeypatch.setattr(kind, "export", lambda self: {**export(self), "patched": True})
    one = span(function())
    assert_same(one)
    assert b'"patched":true' in key_and_json(one, False)[1]


def test_there_may_be_nothing_to_send() -> None:
    assert key_and_json(NoOpSpan(function()), False) == (None, b"")


@pytest.mark.parametrize("kind", [SpanImpl, FunctionSpanData])
def test_only_known_releases_are_not_asked(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _spans._known(kind) is kind.export
    with monkeypatch.context() as patched:
        patched.setattr(kind, "export", lambda self: None)
        assert _spans._known(kind) is None
    monkeypatch.setattr("agents.__version__", "0.24.1")
    assert _spans._known(kind) is None

"""Items as JSON: what cannot be said is left out, and never the item."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest

from spanspool._json import encode


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ({"n": 10**5000}, {}),
        ({"nan": float("nan"), "inf": [float("-inf"), 1]}, {"inf": [1]}),
        ({"half": "\ud83d"}, {"half": "?"}),
        ({None: 1, True: 2, 1.5: 3, (1,): 4, float("nan"): 5}, {"null": 1, "true": 2, "1.5": 3}),
        ((1, {2}, b"3"), [1]),
    ],
)
def test_what_has_no_form_in_json_is_left_out(value: object, left: object) -> None:
    assert json.loads(encode({"odd": value, "kept": "ü"})) == {"odd": left, "kept": "ü"}


def test_depth_costs_what_is_too_deep_and_no_more() -> None:
    # Deeper than Python's encoder goes, which the SDK gives up on.
    item = json.loads(encode({"deep": nested(100_000), "kept": 1}))
    assert item["kept"] == 1 and item["deep"]
    assert json.loads(encode({"deep": nested(100), "when": {1}})) == {"deep": nested(100)}


def test_any_mapping_will_do() -> None:
    assert encode(MappingProxyType({"a": 1})) == b'{"a":1}'


def test_openai_is_told_what_an_input_was() -> None:
    item = {"span_data": {"input": b"123", "output": {1, 2}, "nan": 1}}
    assert json.loads(encode(item)) == {"span_data": {"nan": 1}}
    data = json.loads(encode(item, previews=True))["span_data"]
    assert data["input"] == {"truncated": True, "original_type": "bytes", "preview": "<bytes bytes=3 truncated>"}
    assert data["output"]["preview"] == "<set len=2 truncated>"

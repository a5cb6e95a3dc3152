"""Fixtures: an ingest, and the SDK's tracing as it was before each test."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from agents import set_trace_processors, set_tracing_disabled
from ingest import Ingest

PROGRAMS = Path(__file__).parent / "programs"
EXAMPLES = Path(__file__).parents[3] / "examples" / "python"
sys.path.insert(0, str(PROGRAMS))

for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_AGENTS_DISABLE_TRACING"):
    os.environ.pop(name, None)


def needs(module: str) -> None:
    """Skips the tests of a file where a package is not installed. With CI=true that is an error."""
    if os.environ.get("CI") == "true":
        importlib.import_module(module)
    else:
        pytest.importorskip(module)


@pytest.fixture
def ingest() -> Iterator[Ingest]:
    with Ingest() as ingest:
        yield ingest


@pytest.fixture(autouse=True)
def tracing() -> Iterator[None]:
    yield
    set_trace_processors([])
    set_tracing_disabled(False)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"

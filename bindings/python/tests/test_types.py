"""The package, the example and these tests as type checker and linter see them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1]
EXAMPLES = PACKAGE.parents[1] / "examples" / "python"


def checked(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=PACKAGE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_types() -> None:
    # The example and the tests see the installed package, as a user's program does: py.typed is part of the wheel.
    checked("mypy", "--strict", "src")
    checked("mypy", "--strict", str(EXAMPLES), "tests")


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_style(command: list[str]) -> None:
    checked("ruff", *command, "--no-cache", ".", str(EXAMPLES))

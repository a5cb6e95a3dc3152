"""The example does what it shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from conftest import EXAMPLES
from ingest import Ingest


def test_agent_run_delivers_its_trace(ingest: Ingest, spool: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "agent_run.py"), str(spool), ingest.url()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout == "It is sunny in Zurich.\n"
    [trace, *spans] = ingest.accepted()
    assert trace["workflow_name"] == "weather"
    kinds = [span["span_data"]["type"] for span in spans]
    assert kinds.count("generation") == 2 and kinds.count("function") == 1 and "agent" in kinds

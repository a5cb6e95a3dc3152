"""Agent runs without end, taken by a spool and by the SDK's own exporter: forever.py SPOOL_DIR SPOOL_URL SDK_URL KEY

Every second run has the tracing key KEY.
"""

from __future__ import annotations

import sys

from agents import RunConfig, set_trace_processors
from agents.tracing.processors import BackendSpanExporter, BatchTraceProcessor
from recorder import Recorder
from runs import tools

from spanspool import SpoolTraceProcessor

spool_dir, spool_url, sdk_url, key = sys.argv[1:]
theirs = BatchTraceProcessor(BackendSpanExporter(api_key="sk-default", endpoint=sdk_url))
ours = SpoolTraceProcessor(spool_dir=spool_dir, endpoint=spool_url, api_key="sk-default")
set_trace_processors([ours, theirs, Recorder()])
while True:
    tools(RunConfig(tracing={"api_key": key}))
    tools(RunConfig())

"""A program that traces and comes to its end: exits.py SPOOL_DIR ENDPOINT"""

from __future__ import annotations

import sys

from agents import RunConfig, set_trace_processors
from recorder import Recorder
from runs import single

from spanspool import SpoolTraceProcessor

spool_dir, endpoint = sys.argv[1:]
# A request may take longer than the test has patience: only a deadline at exit ends the program in time.
processor = SpoolTraceProcessor(spool_dir=spool_dir, endpoint=endpoint, request_timeout=600)
set_trace_processors([processor, Recorder()])
single(RunConfig())

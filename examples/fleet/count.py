"""Counts what arrived: count.py TOLD ARRIVED

TOLD has the name of each span that a host finished, one a line. ARRIVED has the messages of the topic, one a line, each
an OTLP request in JSON. Exit status 1 if a span is missing, or there is none.
"""

from __future__ import annotations

import collections
import json
import sys

told_file, arrived_file = sys.argv[1:]
with open(told_file) as lines:
    told = {line.rstrip("\n") for line in lines}
arrived: collections.Counter[str] = collections.Counter()
with open(arrived_file) as lines:
    for line in lines:
        if not line.startswith("{"):
            continue
        for resource in json.loads(line)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                arrived.update(span["name"] for span in scope["spans"])
missing = told - arrived.keys()
twice = sum(1 for count in arrived.values() if count > 1)
untold = len(arrived.keys() - told)
print(f"{len(told)} spans finished, {len(told) - len(missing)} arrived, {len(missing)} missing")
print(f"{twice} arrived more than once; {untold} arrived whose host was killed before it said so")
sys.exit(bool(missing) or not told)

"""A program whose ingest refuses, with a log on standard error: logs.py SPOOL_DIR ENDPOINT HOW

HOW: exit, without a shutdown; fork, with a child that uses the client; daemon, with threads in calls at the end.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time

from spanspool import Client, ExportState

logging.basicConfig(level=logging.DEBUG, format="%(process)d %(levelname)s %(name)s %(message)s")
spool_dir, endpoint, how = sys.argv[1:]
client = Client(spool_dir, endpoint=endpoint, schedule_delay=0)


def until_held() -> None:
    client.enqueue({"id": os.getpid()})
    while client.stats().export_state != ExportState.HOLD:
        time.sleep(0.01)


def call_on() -> None:
    while True:
        client.stats()


until_held()
if how == "fork":
    for _ in range(3):
        child = os.fork()
        if child == 0:
            until_held()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
elif how == "daemon":
    for _ in range(4):
        threading.Thread(target=call_on, daemon=True).start()
    threading.Thread(target=client.flush, daemon=True).start()
print("end", os.getpid(), flush=True)

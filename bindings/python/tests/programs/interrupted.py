"""A call that waits on the main thread until a signal ends it: interrupted.py SPOOL_DIR ENDPOINT CALL

CALL: flush, shutdown, with, forever, a-handler.
"""

from __future__ import annotations

import math
import signal
import sys
import time
from contextlib import suppress

from spanspool import Client

spool_dir, endpoint, call = sys.argv[1:]
client = Client(spool_dir, endpoint=endpoint)
client.enqueue({"id": call})
interrupted = 0.0


def note(number: int, frame: object) -> None:
    global interrupted
    interrupted = time.monotonic()
    if call != "a-handler":
        raise KeyboardInterrupt
    # The wait goes on after the handler; this ends it.
    with suppress(TimeoutError):
        client.shutdown(0)


signal.signal(signal.SIGINT, note)
try:
    print("waiting", flush=True)
    if call == "flush":
        client.flush(1000)
    elif call == "shutdown":
        client.shutdown(math.inf)
    elif call == "with":
        with client:
            client.flush()
    else:
        client.flush()
except BaseException as error:
    name = type(error).__name__
else:
    name = "nothing"
print(name, time.monotonic() - interrupted, flush=True)
if call == "flush":
    # The client is as it was.
    client.enqueue({"id": "after"})
    assert client.stats().accepted == 2

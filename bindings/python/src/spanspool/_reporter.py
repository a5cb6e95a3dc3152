"""Reporter: what the counters of a client tell that a person should know, in the log ``spanspool``.

The library has a log function, but its threads must not call Python. At the interpreter's end Python stops such threads
in the middle of native code. A fork waits for them while it holds the GIL, for which they would wait. So the client
reads its counters in calls that the program makes anyway.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from ._stats import ExportState, Stats

logger = logging.getLogger("spanspool")

# The counters are read this often at most by calls that do not wait themselves.
INTERVAL = 1.0


class Reporter:
    """Logs each change once. For any number of threads, and for the children of a fork."""

    def __init__(self, spool_dir: str) -> None:
        self._spool_dir = spool_dir
        self.due = time.monotonic() + INTERVAL
        """When the counters should be read again, on the clock of `time.monotonic`."""
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._trouble: ExportState | None = None
        self._rejected = self._dropped = self._refused_parts = self._delivered = 0

    def look(self, read: Callable[[], Stats]) -> Stats:
        """Logs what changed since the last time, by the counters that ``read`` returns. Returns them.

        Never waits, and raises only what ``read`` raises.
        """
        self.due = time.monotonic() + INTERVAL
        if self._process != os.getpid():
            # A child of fork has a lane and counters of its own, and may have inherited the lock in a locked state.
            self._start()
        if not self._lock.acquire(blocking=False):
            return read()
        try:
            # Under the lock, so that no thread comes with older counters than another did.
            stats = read()
            lines = [*self._exporting(stats), *self._losses(stats)]
        finally:
            self._lock.release()
        for level, line in lines:
            try:
                logger.log(level, line)
            except Exception:
                # A call that stored its item must not fail because a filter or a handler did.
                continue
        return stats

    def _exporting(self, stats: Stats) -> list[tuple[int, str]]:
        state, has_delivered = stats.export_state, stats.delivered > self._delivered
        self._delivered = stats.delivered
        if state == ExportState.HOLD and self._trouble != ExportState.HOLD:
            self._trouble = ExportState.HOLD
            return [(logging.WARNING, f"the ingest {_answer(stats)}: {stats.pending} items wait in the spool")]
        if state == ExportState.BACKOFF and self._trouble is None:
            self._trouble = ExportState.BACKOFF
            text = f"the ingest {_answer(stats)}: {stats.pending} items wait in the spool and are tried again"
            return [(logging.WARNING, text)]
        # A client that is shut down is idle, too, and so is one that had to drop its items.
        is_well = has_delivered and state in (ExportState.IDLE, ExportState.SENDING)
        if is_well and self._trouble is not None:
            self._trouble = None
            return [(logging.INFO, "the ingest accepts items again")]
        return []

    def _losses(self, stats: Stats) -> list[tuple[int, str]]:
        lines = []
        if stats.rejected > self._rejected:
            command = f"spanspool rejected list --spool-dir {self._spool_dir}"
            lines.append((logging.ERROR, f"{stats.rejected} items are set aside: `{command}` says why"))
        dropped = stats.dropped_overflow + stats.dropped_expired + stats.dropped_corrupt
        if dropped > self._dropped:
            text = (
                f"{dropped - self._dropped} items were dropped; in all {stats.dropped_overflow} at a limit, "
                f"{stats.dropped_expired} for their age, {stats.dropped_corrupt} for damage"
            )
            lines.append((logging.ERROR, text))
        if stats.partially_rejected > self._refused_parts:
            refused = stats.partially_rejected - self._refused_parts
            lines.append((logging.ERROR, f"the ingest refused {refused} items of batches that it accepted"))
        self._rejected, self._dropped, self._refused_parts = stats.rejected, dropped, stats.partially_rejected
        return lines


def _answer(stats: Stats) -> str:
    status = stats.last_http_status
    return f"answers {status}" if status and not 200 <= status < 300 else "can't be reached"

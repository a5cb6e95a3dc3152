"""Stats: the counters of a client."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, fields
from enum import IntEnum


class ExportState(IntEnum):
    """What the exporter of a client is doing. The numbers are those of ``enum spanspool_export`` in the C header."""

    IDLE = 0
    """There is no batch to send."""
    SENDING = 1
    """A request is under way."""
    BACKOFF = 2
    """It waits before it tries again."""
    HOLD = 3
    """It waits for something outside to change (a key, a permission, an address, room on the disk, a file that stays
    missing or unreadable), and probes now and then."""


@dataclass(frozen=True)
class Stats:
    """The counters of a client.

    At all times, across restarts: ``accepted == delivered + pending + rejected + dropped_overflow +
    dropped_expired + dropped_corrupt``.
    """

    accepted: int
    """Items that `Client.enqueue` accepted."""
    delivered: int
    """Items that the ingest answered with a 2xx status."""
    rejected: int
    """Items in the rejected store."""
    dropped_overflow: int
    """Items dropped at a limit (``overflow="drop_oldest"``, ``max_rejected_bytes``)."""
    dropped_expired: int
    """Items dropped because they were older than ``max_age``."""
    dropped_corrupt: int
    """Items that could not be read from a damaged disk."""
    pending: int
    """Items that are still to be delivered."""
    pending_bytes: int
    """Bytes of the items that are still to be delivered."""
    disk_bytes: int
    """Bytes that the client's lane takes on disk."""
    oldest_pending_age: float
    """Age of the oldest pending item in seconds; 0 when there is none."""
    batches_sent: int
    """Requests that were answered with a 2xx status."""
    retries: int
    """Attempts that failed and are made again."""
    export_state: int
    """What the exporter is doing: one of `ExportState`, or the number that a newer library gave."""
    last_http_status: int
    """The last HTTP status; 0 when there was no answer yet."""
    lanes_adopted: int
    """Lanes of dead processes that this client took over."""
    partially_rejected: int
    """Spans, log records and data points that a receiver of OTLP refused inside an answer of success."""
    held_batches: int
    """Batches in the rejected store that wait for their key to be set: ``no_key:NAME`` and ``key_refused:NAME``."""


class RawStats(ctypes.Structure):
    """``struct spanspool_stats``, in the order of the C header."""

    # An older library leaves fields that it does not know at 0. A newer one leaves out what this structure lacks.
    _fields_ = [
        ("oldest_pending_age_ms" if field.name == "oldest_pending_age" else field.name, ctypes.c_uint64)
        for field in fields(Stats)
    ]

    def stats(self) -> Stats:
        """A copy, with the age in seconds and the state by its name."""
        values: dict[str, int] = {name: int(getattr(self, name)) for name, *_ in self._fields_}
        age = values.pop("oldest_pending_age_ms") / 1000
        state = values.pop("export_state")
        if state in ExportState._value2member_map_:
            state = ExportState(state)
        return Stats(oldest_pending_age=age, export_state=state, **values)

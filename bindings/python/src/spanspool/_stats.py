"""Stats: the counters of a client."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Stats:
    """The counters of a client's lane.

    At all times, across restarts: ``accepted == delivered + pending + rejected + dropped_overflow +
    dropped_expired + dropped_corrupt``.
    """

    accepted: int
    """Items taken."""
    delivered: int
    """Items the ingest answered 2xx for."""
    rejected: int
    """Items set aside in the rejected store."""
    dropped_overflow: int
    """Items dropped because a limit was reached (`overflow=drop_oldest`, `max_rejected_bytes`)."""
    dropped_expired: int
    """Items dropped because they were older than `max_age_s`."""
    dropped_corrupt: int
    """Items that could not be read back from a damaged disk."""
    pending: int
    """Items on their way."""
    pending_bytes: int
    """Bytes of JSON on their way."""
    disk_bytes: int
    """Bytes that the lane takes on disk."""
    oldest_pending_age_ms: int
    """Age of the oldest pending item; 0 when there is none."""
    batches_sent: int
    """Requests that were answered 2xx."""
    retries: int
    """Attempts that were put off for later."""
    export_state: int
    """What the exporter does: 0 idle, 1 sending, 2 backoff, 3 hold."""
    last_http_status: int
    """The last HTTP status; 0 when none was received yet."""
    lanes_adopted: int
    """Lanes of dead processes that were taken over."""


class RawStats(ctypes.Structure):
    """``struct spanspool_stats``, in the order of the C header."""

    # A library that is older than this package leaves what it does not know at 0, a newer one leaves out the rest.
    _fields_ = [(field.name, ctypes.c_uint64) for field in fields(Stats)]

    def stats(self) -> Stats:
        """A copy in Python's own numbers."""
        return Stats(*(int(getattr(self, field.name)) for field in fields(Stats)))

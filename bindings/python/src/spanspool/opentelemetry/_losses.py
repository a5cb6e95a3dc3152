"""Losses: records that could not be stored, in the log ``spanspool``."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

logger = logging.getLogger("spanspool")


class Losses:
    """One line for each kind of error, until a record is stored again; the others are counted.

    For any number of threads, and without a lock that a child of a fork could inherit. A line may come back to this
    plug as a log record to store. That ends by itself, as the next loss of the kind is only counted.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self.open: dict[type[Exception], Iterator[int]] = {}
        """The kinds of error since a record was stored, with what counts the records that each has cost."""

    def add(self, error: Exception) -> None:
        """A record was lost."""
        # One step for the interpreter, so that no two threads have the same number.
        if next(self.open.setdefault(type(error), itertools.count())) == 0:
            logger.error("a %s is lost, it could not be stored: %s", self._what, error)

    def close(self, why: str) -> None:
        """Tells how many were lost, and begins anew."""
        lost, self.open = self.open, {}
        count = sum(next(numbers) for numbers in lost.values())
        if count > 1:
            logger.error("%s: %d %ss were lost", why, count, self._what)

"""Logs: log records go into a spool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

from .._client import Client
from .._settings import Path, Settings
from ._encoding import Requests, encode_log_record
from ._plug import Plug

if TYPE_CHECKING:
    from typing_extensions import Unpack


class SpoolLogRecordProcessor(Plug[ReadWriteLogRecord], LogRecordProcessor):
    """Keeps each log record in a spool on disk: it is durable when ``logger.emit()`` returns.

    ``provider.add_log_record_processor(SpoolLogRecordProcessor("/var/lib/myapp/spool"))`` is all. All methods may be
    called from any thread, and after ``fork``.
    """

    def __init__(
        self, spool_dir: Path | None = None, *, client: Client | None = None, **settings: Unpack[Settings]
    ) -> None:
        """As for `SpoolSpanProcessor`, with ``signal`` as ``logs``."""
        super().__init__("logs", "log record", Requests(encode_log_record).request, spool_dir, client, settings)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Stores the record as it is now."""
        self._store(log_record)

    def shutdown(self) -> None:
        """Delivers for 5 seconds at most. What is left stays in the spool for the next process."""
        self._shut_down()


class SpoolLogExporter(Plug[ReadableLogRecord], LogRecordExporter):
    """Puts the log records that a ``BatchLogRecordProcessor`` exports into a spool on disk.

    A record is durable only once it is exported. `SpoolLogRecordProcessor` does not leave that gap.
    """

    def __init__(
        self, spool_dir: Path | None = None, *, client: Client | None = None, **settings: Unpack[Settings]
    ) -> None:
        """As for `SpoolSpanProcessor`, with ``signal`` as ``logs``."""
        super().__init__("logs", "log record", Requests(encode_log_record).request, spool_dir, client, settings)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Stores each record. ``FAILURE`` if one is lost; the others are durable all the same."""
        stored = [self._store(record) for record in batch]
        return LogRecordExportResult.SUCCESS if all(stored) else LogRecordExportResult.FAILURE

    def shutdown(self) -> None:
        """Delivers for 5 seconds at most. What is left stays in the spool for the next process."""
        self._shut_down()

"""Settings: the library's own, by their own names; README.md of the project says what each does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal, TypedDict

Path = str | os.PathLike[str]
# A whole number, or one with KiB, MiB or GiB behind it.
Bytes = int | str


class Settings(TypedDict, total=False):
    """What may be given beside ``spool_dir``. What is left out, or is None, has the library's default."""

    exporter: Literal["backend", "console", "none"] | None
    endpoint: str | None
    api_key: str | None
    organization: str | None
    project: str | None
    max_batch_size: int | None
    max_batch_bytes: Bytes | None
    max_queue_size: int | None
    max_spool_bytes: Bytes | None
    overflow: Literal["reject", "drop_oldest"] | None
    max_age_s: int | None
    schedule_delay_ms: int | None
    export_trigger_ratio: float | None
    max_retries: int | None
    base_delay_ms: int | None
    max_delay_ms: int | None
    jitter: float | None
    connect_timeout_ms: int | None
    request_timeout_ms: int | None
    max_in_flight: int | None
    request_compression: Literal["none", "gzip"] | None
    durability: Literal["process", "power"] | None
    sync_interval_ms: int | None
    enqueue_timeout_ms: int | None
    journal_bytes: Bytes | None
    max_item_bytes: Bytes | None
    validation: Literal["full", "none"] | None
    sanitize: Literal["auto", "always", "never"] | None
    adopt_interval_ms: int | None
    max_rejected_bytes: Bytes | None
    ca_file: Path | None
    allow_insecure: bool | None
    headers: Mapping[str, str] | None
    """Further headers of every request: the settings ``header.NAME``."""


def setting_texts(spool_dir: Path, settings: Mapping[str, object]) -> list[tuple[str, str]]:
    """Each setting as the library takes it: a name and a text."""
    texts = [("spool_dir", os.fspath(spool_dir))]
    for name, value in settings.items():
        if value is None:
            continue
        if name == "headers" and isinstance(value, Mapping):
            texts += [(f"header.{header}", str(text)) for header, text in value.items()]
        elif isinstance(value, bool):
            texts.append((name, "true" if value else "false"))
        elif isinstance(value, os.PathLike):
            texts.append((name, str(os.fspath(value))))
        else:
            texts.append((name, str(value)))
    return texts

"""Settings: those of the library, with durations in seconds."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Literal, TypedDict

from ._errors import SettingError

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
# A whole number, or a text such as "64 MiB".
Bytes = int | str
# A number of seconds.
Seconds = float


class Settings(TypedDict, total=False):
    """The keyword arguments of `Client`. What is left out, or is None, has the library's default.

    The names are those of the C library, without ``_ms`` and ``_s``: all durations are seconds here. They are rounded
    to milliseconds (``max_age`` to seconds), but never to 0.
    """

    exporter: Literal["backend", "otlp", "console", "none"] | None
    signal: Literal["traces", "logs", "metrics"] | None
    endpoint: str | None
    api_key: str | None
    organization: str | None
    project: str | None
    max_batch_size: int | None
    max_batch_bytes: Bytes | None
    max_queue_size: int | None
    max_spool_bytes: Bytes | None
    overflow: Literal["reject", "drop_oldest"] | None
    max_age: Seconds | None
    schedule_delay: Seconds | None
    export_trigger_ratio: float | None
    max_retries: int | None
    base_delay: Seconds | None
    max_delay: Seconds | None
    jitter: float | None
    connect_timeout: Seconds | None
    request_timeout: Seconds | None
    max_in_flight: int | None
    max_bytes_per_s: Bytes | None
    order: Literal["oldest_first", "newest_first"] | None
    backlog_share: float | None
    request_compression: Literal["none", "gzip"] | None
    durability: Literal["process", "power"] | None
    sync_interval: Seconds | None
    enqueue_timeout: Seconds | None
    journal_bytes: Bytes | None
    max_item_bytes: Bytes | None
    validation: Literal["full", "none"] | None
    sanitize: Literal["auto", "always", "never"] | None
    adopt: Literal["same", "any"] | None
    adopt_interval: Seconds | None
    max_rejected_bytes: Bytes | None
    tls_roots: Literal["builtin", "system"] | None
    ca_file: Path | None
    client_cert_file: Path | None
    client_key_file: Path | None
    allow_insecure: bool | None
    headers: Mapping[str, str] | None
    """Further headers of every request: the settings ``header.NAME``."""


# Each duration: its name in C, and how many of its units make a second.
DURATIONS = {
    "max_age": ("max_age_s", 1),
    **{
        name: (f"{name}_ms", 1000)
        for name in (
            "schedule_delay", "base_delay", "max_delay", "connect_timeout", "request_timeout", "sync_interval",
            "enqueue_timeout", "adopt_interval",
        )
    },
}  # fmt: skip
_IN_C = {in_c: name for name, (in_c, _) in DURATIONS.items()}
_PATHS = ("spool_dir", "ca_file", "client_cert_file", "client_key_file")


def default_spool_dir() -> str:
    """The folder of a client that is given none.

    It is ``$SPANSPOOL_DIR``, else ``$XDG_STATE_HOME/spanspool``, else ``~/.local/state/spanspool``.
    """
    if named := os.environ.get("SPANSPOOL_DIR"):
        return named
    state = os.environ.get("XDG_STATE_HOME", "")
    # The XDG specification has relative paths ignored.
    if not os.path.isabs(state):
        home = os.path.expanduser("~")
        if not os.path.isabs(home):
            raise SettingError("spool_dir is needed: this user has no home directory, and SPANSPOOL_DIR is not set")
        state = os.path.join(home, ".local", "state")
    return os.path.join(state, "spanspool")


def setting_texts(settings: Mapping[str, object]) -> list[tuple[str, str, str | bytes]]:
    """Each setting as a triple: its name in Python, its name in C, its value as a text or, for a path, as bytes."""
    texts: list[tuple[str, str, str | bytes]] = []
    # Which headers are allowed depends on the exporter, so they come last.
    for name, value in sorted(settings.items(), key=lambda setting: setting[0] == "headers"):
        if value is None:
            continue
        if name in _IN_C:
            raise SettingError(f"unknown setting '{name}', did you mean '{_IN_C[name]}', in seconds?")
        if name == "headers" and isinstance(value, Mapping):
            texts += [(f"header.{header}", f"header.{header}", str(text)) for header, text in value.items()]
        elif name in DURATIONS:
            in_c, per_second = DURATIONS[name]
            texts.append((name, in_c, str(_units(name, value, per_second))))
        elif name in _PATHS and isinstance(value, (str, bytes, os.PathLike)):
            # The bytes are those that open() would use for the same path.
            texts.append((name, name, os.fsencode(value)))
        elif isinstance(value, bool):
            texts.append((name, name, "true" if value else "false"))
        else:
            texts.append((name, name, str(value)))
    return texts


def _units(name: str, seconds: object, per_second: int) -> int:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not math.isfinite(seconds) or seconds < 0:
        raise SettingError(f"{name}={seconds!r}: it must be a number of seconds, 0 or more")
    whole = round(seconds * per_second)
    # 0 often means something else than "very short".
    return max(whole, 1) if seconds > 0 else 0

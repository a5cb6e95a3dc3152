"""The folder of a spool, as Python names files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spanspool import Client, Status, StorageError


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_a_folder_may_be_text_bytes_or_a_path(kind: type, tmp_path: Path) -> None:
    folder = tmp_path / "ü \U0001f31e"
    with Client(kind(str(folder)), exporter="none") as client:
        client.enqueue({"id": 1})
    assert list(folder.iterdir())


def test_a_path_need_not_be_utf8(tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff"
    for path in (odd, os.fsdecode(odd), Path(os.fsdecode(odd))):
        with Client(path, exporter="none") as client:
            client.enqueue({"id": 1})
    assert os.listdir(os.fsencode(tmp_path)) == [b"\xff"]
    pem, key = odd + b".pem", odd + b".key"
    with Client(tmp_path / "good", exporter="none", ca_file=pem, client_cert_file=pem, client_key_file=key) as client:
        client.enqueue({"id": 1})


def test_a_folder_that_can_not_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file/below") as caught:
        Client(tmp_path / "file" / "below", exporter="none")
    assert caught.value.status is Status.IO


def opened(environment: dict[str, str]) -> None:
    program = "import spanspool; spanspool.Client(exporter='none').enqueue({'id': 1})"
    names = ("SPANSPOOL_DIR", "XDG_STATE_HOME", "HOME")
    rest = {name: value for name, value in os.environ.items() if name not in names}
    subprocess.run([sys.executable, "-c", program], env={**rest, **environment}, check=True)


def test_a_client_without_arguments_has_a_folder(tmp_path: Path) -> None:
    home, state, named = tmp_path / "home", tmp_path / "state", tmp_path / "named"
    opened({"HOME": str(home)})
    assert list((home / ".local/state/spanspool").iterdir())
    opened({"HOME": str(home), "XDG_STATE_HOME": str(state)})
    assert list((state / "spanspool").iterdir())
    opened({"HOME": str(home), "XDG_STATE_HOME": str(state), "SPANSPOOL_DIR": str(named)})
    assert list(named.iterdir())
    opened({"HOME": str(tmp_path / "other"), "XDG_STATE_HOME": "relative"})
    assert list((tmp_path / "other/.local/state/spanspool").iterdir())

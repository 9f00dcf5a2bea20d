from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from autovibe.store import exchange as exchange_module
from autovibe.store.exchange import Remover, exchange


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def open_files() -> list[str]:
    found: list[str] = []
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists them
            found.append(str(fd.readlink()))
    return found


def test_two_names_change_places(tmp_path: Path, directory: int):
    (tmp_path / "one").write_bytes(b"1")
    (tmp_path / "other").write_bytes(b"2")
    assert exchange(directory, b"one", b"other")
    assert (tmp_path / "one").read_bytes() == b"2"
    assert (tmp_path / "other").read_bytes() == b"1"


def test_a_name_that_is_gone_is_not_exchanged(tmp_path: Path, directory: int):
    (tmp_path / "one").write_bytes(b"1")
    assert not exchange(directory, b"one", b"other")
    assert (tmp_path / "one").read_bytes() == b"1"


def test_more_files_than_can_be_held_are_removed(
    tmp_path: Path, directory: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exchange_module, "_MOST_HELD", 3)
    remover = Remover()
    for number in range(50):
        (tmp_path / f"{number}").write_bytes(b"x")
        remover.unlink(b"%d" % number, directory)
    (tmp_path / "link").symlink_to("nowhere")
    remover.unlink(b"link", directory)
    remover.close()
    remover.close()
    for thread in threading.enumerate():
        if thread.name == "free-files":
            thread.join()
    assert list(tmp_path.iterdir()) == []
    assert not [link for link in open_files() if link.startswith(f"{tmp_path}/")]

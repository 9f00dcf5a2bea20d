"""The first look at a tree sees what every later one sees."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from autovibe.store import StatCache, Store
from autovibe.store.first import FirstWalker, GrowingBuilder
from autovibe.store.packfile import sha256
from autovibe.store.walk import Report, TreeWalker


class Kept:
    """Objects in memory."""

    def __init__(self) -> None:
        self.objects: dict[bytes, bytes] = {}

    def put(self, digest: bytes, data: bytes) -> None:
        assert sha256(data) == digest
        self.objects[digest] = data


def walker(kind: type[TreeWalker], sink: Kept, report: Report) -> TreeWalker:
    return kind(
        "w", sink, report, previous={}, exclude=None, started_ns=0, own=(0, 0), progress=None
    )


def walk(kind: type[TreeWalker], top: Path) -> tuple[dict[bytes, bytes], Report, bytes]:
    """Return the objects, the report and the entry of the root."""
    sink, report = Kept(), Report()
    made = walker(kind, sink, report)
    builder = GrowingBuilder(sink, keep=False)
    if isinstance(made, FirstWalker):
        made.builder = builder
    fd = os.open(top, os.O_RDONLY)
    try:
        node = made.walk(fd)
    finally:
        os.close(fd)
    entry = builder.build(node)
    assert builder.records == {}
    return sink.objects, report, entry


def test_first_look_finds_what_the_careful_one_finds(tricky: Path):
    first, careful = walk(FirstWalker, tricky), walk(TreeWalker, tricky)
    assert first[0] == careful[0]
    assert first[2] == careful[2]
    assert first[1].read_bytes == careful[1].read_bytes
    assert first[1].read_files == careful[1].read_files
    assert sorted(first[1].special) == sorted(careful[1].special)


def test_directories_are_let_go_of_when_they_are_left(tmp_path: Path):
    for number in range(20):
        (tmp_path / f"d{number}" / "inner").mkdir(parents=True)
        (tmp_path / f"d{number}" / "inner" / "f").write_bytes(b"%d" % number)
    (tmp_path / "d3" / "one").write_bytes(b"linked")
    os.link(tmp_path / "d3" / "one", tmp_path / "d4" / "two")
    sink = Kept()
    made = walker(FirstWalker, sink, Report())
    assert isinstance(made, FirstWalker)
    made.builder = GrowingBuilder(sink, keep=False)
    fd = os.open(tmp_path, os.O_RDONLY)
    node = made.walk(fd)
    os.close(fd)
    assert sorted(node.dirs) == [b"d3", b"d4"]  # they wait for the name of their group
    assert len(node.record.dirs) == 18
    assert made.builder.file_count == 18 + 2  # those of d3/inner and d4/inner


def test_what_was_found_below_a_directory_that_then_fails_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tree = tmp_path / "tree"
    (tree / "bad" / "a").mkdir(parents=True)
    (tree / "bad" / "a" / "f").write_bytes(b"f")
    (tree / "bad" / "z").symlink_to("nowhere")
    (tree / "good").write_bytes(b"good")

    def fail(*_: object, **__: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "readlink", fail)
    cache = StatCache()
    taken = Store.open(tmp_path / "store").snapshot({"w": tree}, cache=cache)
    assert taken.unreadable == ("w/bad",)
    assert (taken.file_count, taken.total_bytes) == (1, 4)


def test_file_that_another_process_maps_is_flushed_before_it_is_read(tmp_path: Path):
    (tmp_path / "mapped").write_bytes(b"mapped")
    made = walker(FirstWalker, Kept(), Report())
    assert isinstance(made, FirstWalker)
    made._reread = frozenset({(tmp_path / "mapped").stat().st_ino})
    made._device = tmp_path.stat().st_dev
    fd = os.open(tmp_path / "mapped", os.O_RDONLY)
    assert made._is_unusual(fd, os.fstat(fd))
    os.close(fd)

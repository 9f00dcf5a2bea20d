"""Snapshots as tar archives: read by tar itself, brought back whole, hostile ones refused."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.store import Store, UnreadableArchiveError

_MIB = 1 << 20


class Pipe(io.RawIOBase):
    """A stream that can only be written, or only be read, from the beginning to the end."""

    def __init__(self, data: bytes = b"") -> None:
        self.buffer = io.BytesIO(data)

    def write(self, data) -> int:
        return self.buffer.write(data)

    def read(self, size: int = -1, /) -> bytes:
        return self.buffer.read(size)

    def seek(self, *_: object) -> int:
        raise io.UnsupportedOperation

    tell = seek


def export(store: Store, root: str, path: str = "") -> bytes:
    pipe = Pipe()
    store.export(root, pipe, path=path)
    return pipe.buffer.getvalue()


@pytest.fixture
def full(tricky: Path) -> Path:
    with (tricky / "sparse").open("wb") as file:
        file.seek(2 * _MIB)
        file.write(b"x" * 5000)
        file.seek(5 * _MIB)
        file.write(b"end")
        file.truncate(6 * _MIB)
    (tricky / "socket").unlink()
    return tricky


def test_exported_snapshot_comes_back_as_the_same_snapshot(
    store: Store, full: Path, tmp_path: Path
):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "notes").write_bytes(b"notes")
    os.link(tmp_path / "home" / "notes", tmp_path / "home" / "notes-too")
    root = store.snapshot({"w": full, "home": tmp_path / "home"}).root
    other = Store.open(tmp_path / "other", key=bytes(32))
    taken = other.import_(Pipe(export(store, root)))
    assert taken.root == root
    assert other.verify(root).ok
    assert taken.file_count == store.snapshot({"w": full, "home": tmp_path / "home"}).file_count


def test_part_of_a_snapshot_becomes_a_root_of_its_own(store: Store, full: Path, tmp_path: Path):
    root = store.snapshot({"w": full}).root
    archive = export(store, root, "w")
    other = Store.open(tmp_path / "other")
    taken = other.import_(io.BytesIO(gzip.compress(archive)), name="w")
    assert other.diff(None, taken.root, path="w") != []
    inner = {e.path: e for e in store.entries(root, "w")}
    assert {e.path: e for e in other.entries(taken.root, "w")} == inner
    one = other.import_(io.BytesIO(export(store, root, "w/plain.txt")))
    assert [e.path for e in other.entries(one.root)] == ["workspace", "workspace/plain.txt"]


@pytest.mark.skipif(
    b"GNU tar" not in subprocess.run(["tar", "--version"], capture_output=True, check=False).stdout,
    reason="the tar of this system is not that of GNU",
)
def test_tar_unpacks_an_export(store: Store, full: Path, tmp_path: Path, describe_tree):
    root = store.snapshot({"w": full}).root
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(
        ["tar", "-x", "--xattrs", "-p", "-C", str(out)],
        input=export(store, root, "w"),
        check=True,
        timeout=100,
    )
    assert describe_tree(out) == describe_tree(full)
    assert (out / "sparse").stat().st_blocks == (full / "sparse").stat().st_blocks


def test_sockets_and_unreadable_files_are_skipped_and_named(store: Store, tricky: Path):
    root = store.snapshot({"w": tricky}).root
    result = store.export(root, Pipe())
    assert [(item.path, item.why) for item in result.skipped] == [
        ("w/socket", "a tar archive holds no sockets")
    ]
    assert result.files == store.snapshot({"w": tricky}).file_count - 1


def archive(*members: tuple[str, bytes, dict[str, object]]) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content, changes in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in changes.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(content))
    out.seek(0)
    return out


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("../escape", {}),
        ("a/../../escape", {}),
        ("/etc/passwd", {}),
        ("link", {"type": tarfile.LNKTYPE, "linkname": "not-in-it"}),
        ("link", {"type": tarfile.SYMTYPE, "linkname": ""}),
        ("odd", {"type": b"Z"}),
        ("file/below", {}),
    ],
)
def test_hostile_members_are_refused_and_nothing_is_kept(
    store: Store, name: str, changes: dict[str, object]
):
    with pytest.raises(UnreadableArchiveError):
        store.import_(archive(("file", b"content", {}), (name, b"", changes)))
    assert store.stats().objects == 0
    assert list((store.path / "tmp").iterdir()) == []


def test_archive_that_is_cut_short_or_none_is_refused(store: Store, full: Path):
    root = store.snapshot({"w": full}).root
    whole = export(store, root)
    before = store.stats()
    for data in (whole[: len(whole) // 2], whole[:700], b"no archive at all" * 100, b""):
        with pytest.raises(UnreadableArchiveError, match="nothing of it was taken"):
            store.import_(io.BytesIO(data))
    assert store.stats() == before


def test_later_members_replace_earlier_ones_and_dots_mean_nothing(store: Store):
    taken = store.import_(
        archive(
            ("./", b"", {"type": tarfile.DIRTYPE, "mode": 0o750}),
            ("./a/b", b"first", {}),
            ("a//b", b"second", {}),
            ("a", b"", {"type": tarfile.DIRTYPE, "mode": 0o700}),
            ("c", b"", {"type": tarfile.LNKTYPE, "linkname": "./a/b"}),
            ("c", b"alone", {}),
        )
    )
    assert taken.file_count == 4
    found = {e.path: (e.mode, e.link) for e in store.entries(taken.root)}
    assert found == {
        "workspace": (0o750, ""),
        "workspace/a": (0o700, ""),
        "workspace/a/b": (0o644, ""),
        "workspace/c": (0o644, ""),
    }
    assert b"".join(store.read(taken.root, "workspace/a/b")) == b"second"
    assert b"".join(store.read(taken.root, "workspace/c")) == b"alone"


def test_name_of_the_root_must_be_plain(store: Store):
    with pytest.raises(InvalidArgumentError):
        store.import_(archive(), name="a/b")


def test_large_file_is_exported_and_imported_in_pieces(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "large").write_bytes(os.urandom(5 * _MIB + 3))
    root = store.snapshot({"w": tree}).root
    largest = 0

    class Counting(Pipe):
        def write(self, data) -> int:
            nonlocal largest
            largest = max(largest, len(data))
            return super().write(data)

    pipe = Counting()
    store.export(root, pipe)
    assert largest <= 2 * _MIB
    assert store.import_(Pipe(pipe.buffer.getvalue())).root == root

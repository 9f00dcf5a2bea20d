from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autovibe.store import Exclude, StatCache, Store
from autovibe.store.kept import DIRECTORY, KeptTree, snapshot_with_kept


class Later:
    """A clock that is far enough ahead for no file to have just changed."""

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(hours=1)

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
def later(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store", clock=Later())


def kept_file(store: Store) -> Path:
    (found,) = (store.path / DIRECTORY).iterdir()
    return found


def test_another_process_reads_only_what_has_changed(later: Store, tmp_path: Path, tricky: Path):
    first = snapshot_with_kept(later, {"w": tricky})
    assert first.read_bytes > 0
    again = snapshot_with_kept(Store.open(later.path, clock=Later()), {"w": tricky})
    assert (again.root, again.read_bytes, again.new_objects) == (first.root, 0, ())
    (tricky / "plain.txt").write_bytes(b"HELLO\n")
    os.utime(tricky / "plain.txt", ns=(1, 1_234_567_890_123_456_789))
    (tricky / "crlf.txt").unlink()
    (tricky / "new").mkdir()
    (tricky / "new" / "file").write_bytes(b"new\n")
    third = snapshot_with_kept(Store.open(later.path, clock=Later()), {"w": tricky})
    assert third.read_bytes == len(b"HELLO\n") + len(b"new\n")
    assert third.root == Store.open(tmp_path / "other").snapshot({"w": tricky}).root
    assert later.verify(third.root).ok


def test_what_was_changed_a_moment_ago_is_read_again(store: Store, tricky: Path):
    first = snapshot_with_kept(store, {"w": tricky})
    again = snapshot_with_kept(store, {"w": tricky})
    assert again.root == first.root
    assert again.read_bytes == first.read_bytes


def test_a_large_directory_is_brought_forward(later: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(600):
        (tree / f"f{number}").write_bytes(b"%d" % number)
    snapshot_with_kept(later, {"w": tree})
    (tree / "f7").write_bytes(b"seven")
    again = snapshot_with_kept(later, {"w": tree})
    assert again.read_bytes == len(b"seven")
    assert again.root == later.snapshot({"w": tree}).root


@pytest.mark.parametrize("harm", ["flipped", "cut", "empty", "other"])
def test_a_damaged_one_is_ignored(later: Store, tricky: Path, harm: str):
    first = snapshot_with_kept(later, {"w": tricky})
    file = kept_file(later)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(
        {"flipped": bytes(data), "cut": bytes(data[:-9]), "empty": b"", "other": b"x" * 99}[harm]
    )
    again = snapshot_with_kept(later, {"w": tricky})
    assert (again.root, again.read_bytes) == (first.root, first.read_bytes)
    assert snapshot_with_kept(later, {"w": tricky}).read_bytes == 0


def test_nothing_is_relied_on_that_a_prune_has_removed(later: Store, tricky: Path):
    first = snapshot_with_kept(later, {"w": tricky})
    later.prune(grace=timedelta(0))
    again = snapshot_with_kept(later, {"w": tricky})
    assert again.root == first.root
    assert later.verify(again.root).ok


def test_nothing_is_relied_on_that_a_store_from_a_backup_lacks(
    later: Store, tmp_path: Path, tricky: Path
):
    later.snapshot({"w": tmp_path / "tricky" / "hard"})
    first = snapshot_with_kept(later, {"w": tricky})
    for pack in (later.path / "packs").iterdir():
        if later.objects.locate(bytes.fromhex(first.root)).pack in pack.name:  # type: ignore[union-attr]
            pack.unlink()
    again = snapshot_with_kept(Store.open(later.path, clock=Later()), {"w": tricky})
    assert again.root == first.root
    assert Store.open(later.path).verify(again.root).ok


def test_other_roots_and_other_exclusions_have_their_own(later: Store, tricky: Path):
    snapshot_with_kept(later, {"w": tricky})
    less = Exclude(("*.log",))
    left_out = snapshot_with_kept(later, {"w": tricky}, exclude=less)
    assert left_out.root == later.snapshot({"w": tricky}, exclude=less).root
    assert left_out.read_bytes > 0
    assert snapshot_with_kept(later, {"x": tricky}).read_bytes > 0
    assert snapshot_with_kept(later, {"w": tricky}, exclude=less).read_bytes == 0
    assert len(list((later.path / DIRECTORY).iterdir())) == 3


def test_that_of_an_encrypted_store_tells_nothing(tmp_path: Path, tricky: Path):
    store = Store.open(tmp_path / "sealed", key=b"k" * 32, clock=Later())
    snapshot_with_kept(store, {"w": tricky})
    assert b"plain.txt" not in kept_file(store).read_bytes()
    assert snapshot_with_kept(store, {"w": tricky}).read_bytes == 0


def test_a_few_files_are_read_again_rather_than_noted(later: Store, tricky: Path):
    snapshot_with_kept(later, {"w": tricky})
    before = kept_file(later).stat().st_mtime_ns
    (tricky / "plain.txt").write_bytes(b"changed\n")
    snapshot_with_kept(later, {"w": tricky})
    assert kept_file(later).stat().st_mtime_ns == before
    (tricky / "big").write_bytes(bytes(3 << 20))
    snapshot_with_kept(later, {"w": tricky})
    assert kept_file(later).stat().st_mtime_ns != before
    assert snapshot_with_kept(later, {"w": tricky}).read_bytes == 0


def test_what_cannot_be_written_costs_time_only(later: Store, tricky: Path):
    (later.path / DIRECTORY).write_bytes(b"no directory")
    first = snapshot_with_kept(later, {"w": tricky})
    assert later.verify(first.root).ok
    assert KeptTree(later, {"w": tricky}, None).load().records(later.cache_key, "w") == {}
    assert isinstance(KeptTree(later, {"w": tricky}, None).load(), StatCache)

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.store import (
    CheckpointStore,
    NotAFileError,
    NotAStoreError,
    ObjectCorruptError,
    ObjectMissingError,
    Store,
    StoreNewerFormatError,
    StoreNotFoundError,
    StoreReadOnlyError,
    StoreWriteError,
)
from autovibe.store.squeeze import ALONE_BYTES


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def test_store_follows_its_protocol(store: Store):
    followed: CheckpointStore = store
    assert followed.stats().objects == 0


def test_store_of_a_newer_format_is_refused_and_untouched(store: Store):
    (store.path / "format").write_text("autovibe-store 4 some-id more\n")
    (store.path / "tmp" / "theirs").write_bytes(b"x")
    with pytest.raises(StoreNewerFormatError, match="has format 4, this autovibe knows 3"):
        Store.open(store.path)
    assert (store.path / "tmp" / "theirs").exists()


def test_missing_store_is_not_created_unless_asked(tmp_path: Path):
    with pytest.raises(StoreNotFoundError):
        Store.open(tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()


def test_directory_that_holds_something_else_is_no_store(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(NotAStoreError, match=r"thesis\.tex"):
        Store.open(tmp_path)
    assert names(tmp_path) == ["thesis.tex"]


def test_file_is_no_store(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(NotAStoreError):
        Store.open(tmp_path / "file")


def test_store_that_may_not_be_written_is_read_and_refuses_snapshots(
    store: Store, tricky: Path, monkeypatch: pytest.MonkeyPatch
):
    root = store.snapshot({"w": tricky}).root

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    (tricky / "plain.txt").write_bytes(b"new content\n")
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", refuse)
        with pytest.raises(StoreReadOnlyError, match="make it writable"):
            store.snapshot({"w": tricky})
        with pytest.raises(StoreReadOnlyError):
            store.write_ref("checkpoints/x", root)
        assert store.verify(root).ok
    assert names(store.path / "tmp") == []


def test_failing_disk_of_the_store_is_not_taken_for_an_unreadable_file(
    store: Store, tricky: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object, **__: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", fail)
        with pytest.raises(StoreWriteError, match="check the disk"):
            store.snapshot({"w": tricky})
    assert names(store.path / "tmp") == []
    assert store.snapshot({"w": tricky}).unreadable == ()


def test_store_is_private_to_its_user(store: Store, tricky: Path):
    store.snapshot({"w": tricky})
    for path in store.path.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert store.path.stat().st_mode & 0o077 == 0


def test_refs_are_written_read_listed_replaced_and_deleted(store: Store, tricky: Path):
    first = store.snapshot({"w": tricky}).root
    (tricky / "plain.txt").write_bytes(b"other")
    second = store.snapshot({"w": tricky}).root
    store.write_ref("checkpoints/b", first)
    store.write_ref("checkpoints/a", first)
    store.write_ref("other/deep/c", second)
    store.write_ref("checkpoints/a", second)
    assert list(store.refs()) == [
        ("checkpoints/a", second),
        ("checkpoints/b", first),
        ("other/deep/c", second),
    ]
    assert list(store.refs("checkpoints/")) == [("checkpoints/a", second), ("checkpoints/b", first)]
    store.delete_ref("checkpoints/a")
    store.delete_ref("checkpoints/a")
    assert store.read_ref("checkpoints/a") is None
    assert store.read_ref("other/deep") is None
    assert store.verify(second).ok


@pytest.mark.parametrize("name", ["plain", "../x/y", "a/../b", "a//b", "/a/b", "a/.b", "a/b\n", ""])
def test_ref_names_that_could_leave_their_place_are_refused(store: Store, tricky: Path, name: str):
    root = store.snapshot({"w": tricky}).root
    with pytest.raises(InvalidArgumentError):
        store.write_ref(name, root)
    with pytest.raises(InvalidArgumentError):
        store.read_ref(name)


def test_ref_to_a_snapshot_that_is_not_there_is_refused(store: Store):
    with pytest.raises(ObjectMissingError):
        store.write_ref("checkpoints/x", "0" * 64)
    with pytest.raises(ObjectMissingError):
        store.write_ref("checkpoints/x", "not a root")
    assert list(store.refs()) == []


def test_damaged_ref_is_an_error_and_not_a_missing_one(store: Store, tricky: Path):
    store.write_ref("checkpoints/x", store.snapshot({"w": tricky}).root)
    (store.path / "refs" / "checkpoints" / "x").write_bytes(b"\xff garbage")
    with pytest.raises(ObjectCorruptError):
        store.read_ref("checkpoints/x")


def test_reading_a_directory_is_refused(store: Store, tricky: Path):
    root = store.snapshot({"w": tricky}).root
    for path in ("w/ignored", "w/fifo", ""):
        with pytest.raises(NotAFileError):
            list(store.read(root, path))
    assert list(store.read(root, "w/dangling")) == [b"no/such/file"]


def test_large_file_is_read_in_pieces_and_shares_unchanged_chunks(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    data = bytearray(os.urandom(5 << 20))
    (tree / "large").write_bytes(data)
    first = store.snapshot({"w": tree})
    data[3_000_000] ^= 1
    (tree / "large").write_bytes(data)
    second = store.snapshot({"w": tree})
    # One chunk, its list, two trees.
    assert len(second.new_objects) == 4
    assert second.stored_bytes < (1 << 20) + 10_000
    pieces = list(store.read(second.root, "w/large"))
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) == 1 << 20
    assert first.root != second.root


def test_damage_is_found_by_verify_with_the_paths_it_affects(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "one").write_bytes(b"same content " * 100)
    (tree / "sub" / "two").write_bytes(b"same content " * 100)
    (tree / "other").write_bytes(b"whole" * ALONE_BYTES)  # in a block of its own
    taken = store.snapshot({"w": tree})
    blob = next(e.sha256 for e in store.entries(taken.root, "w") if e.path == "one")
    assert blob is not None
    at = store._objects.locate(bytes.fromhex(blob))
    assert at is not None
    pack = store.path / "packs" / f"{at.pack}.pack"
    data = bytearray(pack.read_bytes())
    data[at.offset + at.stored - 3] ^= 0x10
    pack.write_bytes(data)
    for chosen in (None, taken.new_objects):
        result = store.verify(taken.root, objects=chosen)
        assert not result.ok
        assert result.missing == ()
        assert [(d.object, d.paths) for d in result.corrupt] == [(blob, ("w/one", "w/sub/two"))]
        assert result.objects == len(taken.new_objects) - 1
    with pytest.raises(ObjectCorruptError):
        list(store.read(taken.root, "w/one"))
    assert store.verify(taken.root, objects=taken.new_objects[:0]).ok


def test_no_flipped_byte_anywhere_in_a_pack_gives_wrong_content(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a").write_bytes(b"some text, some text, some more text\n" * 3)
    (tree / "b").symlink_to("a")
    taken = store.snapshot({"w": tree})
    (pack,) = (store.path / "packs").glob("*.pack")
    good = pack.read_bytes()
    listed = [entry.path for entry in store.entries(taken.root)]
    noticed = 0
    for at in range(len(good)):
        pack.write_bytes(good[:at] + bytes([good[at] ^ 0x5A]) + good[at + 1 :])
        opened = Store.open(store.path)
        result = opened.verify(taken.root)
        noticed += not result.ok
        if result.ok:  # a byte of a record head, which the index makes unnecessary
            assert [entry.path for entry in opened.entries(taken.root)] == listed
            assert b"".join(opened.read(taken.root, "w/a")).startswith(b"some text")
    assert noticed > len(good) // 3


def test_missing_pack_is_found_with_its_paths(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "old").write_bytes(b"old")
    store.snapshot({"w": tree})
    (gone,) = (store.path / "packs").glob("*.pack")
    (tree / "new").write_bytes(b"new")
    taken = store.snapshot({"w": tree})
    gone.unlink()
    result = store.verify(taken.root)
    assert [damage.paths for damage in result.missing] == [("w/old",)]
    assert result.corrupt == ()


def test_damaged_directory_is_named(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "file").write_bytes(b"x")
    taken = store.snapshot({"w": tree})
    sub = next(t for t in map(bytes.fromhex, taken.new_objects) if b"file" in store._objects.get(t))
    at = store._objects.locate(sub)
    assert at is not None
    pack = store.path / "packs" / f"{at.pack}.pack"
    data = bytearray(pack.read_bytes())
    data[at.offset + 12] ^= 1
    pack.write_bytes(data)
    assert [damage.paths for damage in store.verify(taken.root).corrupt] == [("w/sub",)]


def test_stats_count_objects_packs_refs_and_sizes(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_bytes(b"a" * 100_000)
    taken = store.snapshot({"w": tree})
    store.write_ref("checkpoints/x", taken.root)
    stats = store.stats()
    assert (stats.objects, stats.packs, stats.refs) == (3, 1, 1)
    assert stats.raw_bytes > 100_000
    assert stats.stored_bytes == taken.stored_bytes
    assert stats.stored_bytes == sum(p.stat().st_size for p in (store.path / "packs").iterdir())


def run(*arguments: str | Path, stdin: str = "") -> tuple[int, list[dict[str, object]]]:
    done = subprocess.run(
        [sys.executable, "-m", "autovibe.store", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        input=stdin,
        timeout=100,
    )
    assert done.stderr == ""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_process_snapshots_verifies_and_restores_with_a_json_result(
    tmp_path: Path, tricky: Path, describe_tree
):
    path = tmp_path / "store"
    status, events = run(
        "--store", path, "snapshot", "--root", f"w={tricky}", "--ref", "checkpoints/x",
        "--exclude", "*.log", "--exclude-in", "w",
    )  # fmt: skip
    taken = events[-1]
    assert (status, taken["event"]) == (0, "result")
    assert taken["excluded"] == ["w/debug.log"]
    assert {"event": "read"} in events
    root = taken["root"]
    assert isinstance(root, str)
    assert Store.open(path).read_ref("checkpoints/x") == root
    status, events = run("--store", path, "verify", root)
    assert (status, events[-1]["ok"]) == (0, True)
    new_objects = taken["new_objects"]
    assert isinstance(new_objects, list)
    ids = "\n".join(map(str, new_objects[:3]))
    status, events = run("--store", path, "verify", root, "--objects-from", "-", stdin=ids)
    assert (status, events[-1]["objects"]) == (0, 3)
    status, events = run("--store", path, "restore", root, tmp_path / "out", "--path", "w")
    assert (status, events[-1]["skipped"]) == (0, [])
    (tricky / "debug.log").unlink()
    restored, original = describe_tree(tmp_path / "out"), describe_tree(tricky)
    assert restored.keys() == original.keys()


def test_process_reports_an_error_as_its_last_line(tmp_path: Path):
    status, events = run("--store", tmp_path / "none", "verify", "0" * 64)
    assert status == 1
    assert events[-1]["event"] == "error"
    assert events[-1]["reason"] == "STORE_NOT_FOUND"


def test_process_that_finds_damage_ends_with_a_result_and_status_1(
    tmp_path: Path, tricky: Path, damage
):
    store = Store.open(tmp_path / "store")
    taken = store.snapshot({"w": tricky})
    damage(store, 5)
    status, events = run("--store", store.path, "verify", taken.root)
    assert status == 1
    assert (events[-1]["event"], events[-1]["ok"]) == ("result", False)

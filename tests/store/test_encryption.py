"""Encryption at rest: without the key nothing stored can be read, guessed or exchanged."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from autovibe.kernel.clock import SystemClock
from autovibe.store import (
    ObjectCorruptError,
    ObjectMissingError,
    StatCache,
    Store,
    StoreKeyError,
    parse_key,
)
from autovibe.store.squeeze import ALONE_BYTES


class LaterClock(SystemClock):
    """Runs as the system's does, so many hours ahead of it."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead


KEY = random.Random(7).randbytes(32)
SECRET = b"a line that must not be found anywhere on the disk\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store", key=KEY)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "folder-with-a-name").mkdir(parents=True)
    (tree / "folder-with-a-name" / "secret-name.txt").write_bytes(SECRET * 40)
    (tree / "large").write_bytes(random.Random(1).randbytes(3 << 20))
    return tree


def everything(path: Path) -> bytes:
    """All bytes of the store, and all names."""
    return b"".join(
        bytes(file) + (file.read_bytes() if file.is_file() else b"")
        for file in sorted(path.rglob("*"))
    )


def test_encrypted_store_does_all_that_a_plain_one_does(
    store: Store, tricky: Path, tmp_path: Path, describe_tree
):
    cache = StatCache()
    taken = store.snapshot({"w": tricky}, cache=cache)
    store.write_ref("checkpoints/x", taken.root, note="a note")
    reopened = Store.open(store.path, key=KEY)
    assert reopened.read_ref("checkpoints/x") == taken.root
    assert reopened.verify(taken.root).ok
    assert reopened.verify(taken.root, objects=taken.new_objects).ok
    assert reopened.check().ok
    reopened.restore(taken.root, tmp_path / "out", path="w")
    assert describe_tree(tmp_path / "out") == describe_tree(tricky)
    assert reopened.snapshot({"w": tmp_path / "out"}).root == taken.root
    (tricky / "plain.txt").write_bytes(b"changed\n")
    again = store.snapshot({"w": tricky}, cache=cache)
    assert [change.path for change in store.diff(taken.root, again.root, path="w")] == ["plain.txt"]


def test_root_and_hashes_are_those_of_a_plain_store(store: Store, tree: Path, tmp_path: Path):
    plain = Store.open(tmp_path / "plain")
    assert plain.snapshot({"w": tree}).root == store.snapshot({"w": tree}).root


def test_neither_content_names_nor_hashes_are_on_the_disk(store: Store, tree: Path):
    taken = store.snapshot({"w": tree})
    store.write_ref("checkpoints/x", taken.root, note="told to nobody")
    raw = everything(store.path)
    for text in (SECRET[:20], b"secret-name", b"folder-with-a-name", b"told to nobody", KEY):
        assert text not in raw
    for digest in (taken.root, *taken.new_objects):
        assert bytes.fromhex(digest) not in raw
        assert digest.encode() not in raw


def test_two_stores_with_one_key_have_nothing_in_common(tree: Path, tmp_path: Path):
    stores = [Store.open(tmp_path / name, key=KEY) for name in ("one", "two")]
    known = []
    for store in stores:
        store.snapshot({"w": tree})
        known.append(set(store._objects._where))
    assert not known[0] & known[1]


@pytest.mark.parametrize("key", [bytes(32), random.Random(8).randbytes(32)])
def test_wrong_key_is_a_typed_error_and_nothing_is_touched(store: Store, tree: Path, key: bytes):
    store.snapshot({"w": tree})
    (store.path / "tmp" / "left").write_bytes(b"by a dead writer")
    with pytest.raises(StoreKeyError, match="not the key"):
        Store.open(store.path, key=key)
    with pytest.raises(StoreKeyError, match="give its key"):
        Store.open(store.path)
    assert (store.path / "tmp" / "left").exists()


def test_key_for_a_plain_store_is_refused(tmp_path: Path):
    Store.open(tmp_path / "plain")
    with pytest.raises(StoreKeyError, match="not encrypted"):
        Store.open(tmp_path / "plain", key=KEY)


def test_key_is_32_bytes_or_64_digits():
    assert parse_key(KEY) == parse_key(KEY.hex().encode() + b"\n") == KEY
    for bad in (b"", b"short", KEY + b"x", b"g" * 64):
        with pytest.raises(StoreKeyError, match="32 bytes"):
            parse_key(bad)


def test_ref_moved_to_another_name_does_not_open(store: Store, tree: Path):
    store.write_ref("checkpoints/a", store.snapshot({"w": tree}).root)
    refs = store.path / "refs" / "checkpoints"
    (refs / "b").write_bytes((refs / "a").read_bytes())
    with pytest.raises(ObjectCorruptError):
        store.read_ref("checkpoints/b")


def test_no_flipped_byte_goes_unnoticed(store: Store, tmp_path: Path):
    tree = tmp_path / "small"
    tree.mkdir()
    (tree / "a").write_bytes(SECRET)
    root = store.snapshot({"w": tree}).root
    (pack,) = (store.path / "packs").glob("*.pack")
    good = pack.read_bytes()
    spans = [(at.offset, at.offset + at.stored) for at in store._objects.locations()]
    for start, end in spans:
        for at in range(start, end, 7):
            pack.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            assert not store.verify(root).ok
    pack.write_bytes(good)
    assert store.verify(root).ok


def test_frame_put_in_the_place_of_another_does_not_open(store: Store, tmp_path: Path):
    tree = tmp_path / "small"
    tree.mkdir()
    (tree / "a").write_bytes(b"A" * ALONE_BYTES)
    (tree / "b").write_bytes(b"B" * ALONE_BYTES)
    root = store.snapshot({"w": tree}).root
    where = {
        e.path: store._objects.locate(bytes.fromhex(e.sha256 or ""))
        for e in store.entries(root, "w")
    }
    a, b = where["a"], where["b"]
    assert a is not None
    assert b is not None
    assert a.stored == b.stored
    pack = store.path / "packs" / f"{a.pack}.pack"
    data = bytearray(pack.read_bytes())
    data[a.offset : a.offset + a.stored], data[b.offset : b.offset + b.stored] = (
        data[b.offset : b.offset + b.stored],
        data[a.offset : a.offset + a.stored],
    )
    pack.write_bytes(data)
    with pytest.raises(ObjectCorruptError):
        b"".join(store.read(root, "w/a"))


def test_encrypted_store_is_pruned_and_its_pins_are_sealed(tmp_path: Path, tree: Path):
    clock = LaterClock()
    store = Store.open(tmp_path / "store", key=KEY, clock=clock)
    first = store.snapshot({"w": tree}).root
    store.write_ref("checkpoints/a", first)
    (tree / "large").write_bytes(b"small now")
    second = store.snapshot({"w": tree}).root
    store.write_ref("checkpoints/b", second)
    store.delete_ref("checkpoints/a")
    assert len(list((store.path / "pins").iterdir())) == 1
    assert bytes.fromhex(first) not in everything(store.path)
    assert Store.open(store.path, key=KEY).prune(grace=timedelta(0)).objects_removed == 0
    clock.ahead = timedelta(hours=2)
    assert Store.open(store.path, key=KEY, clock=clock).prune(grace=timedelta(0)).objects_removed
    reopened = Store.open(store.path, key=KEY)
    assert reopened.verify(second).ok
    assert not reopened.verify(first).ok
    assert reopened.check().ok


def test_repair_works_between_stores_of_different_keys(store: Store, tree: Path, tmp_path: Path):
    copy = Store.open(tmp_path / "copy", key=bytes(range(32)))
    root = store.snapshot({"w": tree}).root
    store.write_ref("checkpoints/a", root)
    assert copy.snapshot({"w": tree}).root == root
    (pack,) = (store.path / "packs").glob("*.pack")
    pack.unlink()
    broken = Store.open(store.path, key=KEY)
    with pytest.raises(ObjectMissingError):
        list(broken.entries(root))
    assert broken.check(repair=True, source=copy).ok
    assert Store.open(store.path, key=KEY).verify(root).ok


def test_killed_writer_of_an_encrypted_store_leaves_it_whole(store: Store, tree: Path):
    root = store.snapshot({"w": tree}).root
    (tree / "more").write_bytes(random.Random(3).randbytes(100_000))
    script = (
        "import sys; from pathlib import Path; from autovibe.store import Store;"
        "Store.open(Path(sys.argv[1]), key=bytes.fromhex(sys.argv[3])).snapshot({'w': sys.argv[2]})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(store.path), str(tree), KEY.hex()],
        env={**os.environ, "AUTOVIBE_FAULT": "pack_renamed"},
        check=False,
        timeout=100,
    )
    assert done.returncode == -9
    reopened = Store.open(store.path, key=KEY)
    assert reopened.verify(root).ok
    taken = reopened.snapshot({"w": tree})
    assert reopened.verify(taken.root).ok

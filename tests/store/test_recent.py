"""Blocks that are kept for their other objects: never instead of a look at the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from autovibe.store import Store
from autovibe.store.packfile import Location
from autovibe.store.recent import RecentBlocks


def place(number: int) -> Location:
    return Location("pack", number * 1000, 100, 10, start=0, size=100)


def test_block_from_the_disk_gives_each_object_once():
    recent = RecentBlocks()
    recent.keep(place(1), b"a", b"block", from_disk=True)
    assert recent.find(place(1), b"a", from_disk=True) is None
    assert recent.find(place(1), b"b", from_disk=True) == b"block"
    assert recent.find(place(1), b"b", from_disk=True) is None
    assert recent.find(place(1), b"b", from_disk=False) == b"block"


def test_block_that_may_come_from_the_cache_is_not_one_from_the_disk():
    recent = RecentBlocks()
    recent.keep(place(1), b"a", b"block", from_disk=False)
    assert recent.find(place(1), b"b", from_disk=True) is None


def test_the_block_used_longest_ago_is_forgotten():
    recent = RecentBlocks()
    for number in range(8):
        recent.keep(place(number), b"a", b"%d" % number, from_disk=False)
    recent.find(place(0), b"a", from_disk=False)
    recent.keep(place(8), b"a", b"8", from_disk=False)
    found = [recent.find(place(number), b"a", from_disk=False) for number in range(9)]
    assert found == [b"0", None, *(b"%d" % number for number in range(2, 9))]


@pytest.mark.parametrize("number", [0, 3, 7])
def test_damage_that_comes_after_a_verification_is_found_by_the_next(tmp_path: Path, number: int):
    tree = tmp_path / "tree"
    tree.mkdir()
    for index in range(8):
        (tree / f"f{index}").write_bytes(bytes([index]) * 3000)
    store = Store.open(tmp_path / "store")
    root = store.snapshot({"w": tree}).root
    assert store.verify(root).ok
    blob = next(e.sha256 for e in store.entries(root, "w") if e.path == f"f{number}") or ""
    at = store.objects.locate(bytes.fromhex(blob))
    assert at is not None
    pack = store.path / "packs" / f"{at.pack}.pack"
    data = bytearray(pack.read_bytes())
    data[at.offset : at.offset + at.stored] = bytes(at.stored)
    pack.write_bytes(data)
    assert not store.verify(root).ok
    assert not store.verify(root, objects=[blob]).ok

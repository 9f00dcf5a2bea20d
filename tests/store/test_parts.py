"""Large directories, which are stored in parts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autovibe.store import StatCache, Store, UnsafeTreeError
from autovibe.store.packfile import sha256
from autovibe.store.parts import LARGEST_WHOLE, Directory, Parts, put_again, put_directory
from autovibe.store.tree import (
    FILE,
    PARTS_MAGIC,
    TreeEntry,
    decode_directory,
    encode_entry,
    encode_tree,
    load_tree,
)


class Kept(dict[bytes, bytes]):
    """A sink that counts what it is given."""

    def put(self, digest: bytes, data: bytes) -> None:
        assert sha256(data) == digest
        self[digest] = data


def entry(name: bytes, size: int = 1) -> bytes:
    return encode_entry(TreeEntry(name, FILE, 0o644, 0, 0, 0, size, digest=sha256(name)))


def bring_forward(
    sink: Kept, entries: dict[bytes, bytes], before: Parts | None, touched: set[bytes]
) -> Directory:
    """Do what a snapshot does with a directory that it knows."""
    if before is not None and len(entries) > LARGEST_WHOLE:
        changes = {name: entries.get(name) for name in touched}
        return put_again(sink, before, changes, lambda names: [entries[name] for name in names])
    return put_directory(sink, entries)


names = st.sets(st.integers(0, 2000).map(lambda n: b"%d" % n), max_size=700)


@given(before=names, after=names, changed=names)
def test_a_directory_brought_forward_is_the_one_written_afresh(
    before: set[bytes], after: set[bytes], changed: set[bytes]
):
    old = {name: entry(name) for name in before}
    new = {name: entry(name, 2 if name in changed else 1) for name in after}
    sink = Kept()
    first = put_directory(sink, old)
    touched = (before ^ after) | (changed & after)
    forward = bring_forward(sink, new, first.parts, touched)
    assert forward == put_directory(Kept(), new)
    if new:
        read = decode_directory(sink[forward.digest], sink.__getitem__)
        assert [encode_entry(e) for e in read] == [new[name] for name in sorted(new)]


def fill(tree: Path, count: int = 3 * LARGEST_WHOLE) -> None:
    tree.mkdir()
    for number in range(count):
        (tree / f"f{number}").write_bytes(b"%d" % number)


def test_one_change_in_a_large_directory_adds_few_bytes(tmp_path: Path, describe_tree):
    tree, store = tmp_path / "tree", Store.open(tmp_path / "s")
    fill(tree)
    cache = StatCache()
    first = store.snapshot({"w": tree}, cache=cache)
    store.write_ref("a/1", first.root)
    (tree / "f7").write_bytes(b"other")
    (tree / "f8").unlink()
    (tree / "new").write_bytes(b"new")
    second = store.snapshot({"w": tree}, cache=cache)
    assert second.stored_bytes < first.stored_bytes / 4
    assert second.root == store.snapshot({"w": tree}).root
    store.write_ref("a/2", second.root)
    changes = {c.path: c.change for c in store.diff(first.root, second.root)}
    assert changes == {"w/f7": "modified", "w/f8": "deleted", "w/new": "added"}
    assert store.prune().objects_removed == 0
    assert store.check().ok
    store.restore(second.root, tmp_path / "out", path="w")
    assert describe_tree(tmp_path / "out") == describe_tree(tree)
    with (tmp_path / "x.tar").open("wb") as file:
        store.export(second.root, file)
    with (tmp_path / "x.tar").open("rb") as file:
        assert Store.open(tmp_path / "t").import_(file).root == second.root


def test_damaged_part_is_found_named_and_repaired(tmp_path: Path):
    tree, store = tmp_path / "tree", Store.open(tmp_path / "s")
    fill(tree)
    root = store.snapshot({"w": tree}).root
    store.write_ref("a/1", root)
    good = Store.open(tmp_path / "good")
    good.snapshot({"w": tree})
    store._objects.scan()
    top = load_tree(store._objects, bytes.fromhex(root))[0].digest
    part = store._objects.get(top)[len(PARTS_MAGIC) : len(PARTS_MAGIC) + 32]
    at = store._objects.locate(part)
    assert at is not None
    with (tmp_path / "s" / "packs" / f"{at.pack}.pack").open("r+b") as file:
        file.seek(at.offset + at.stored - 3)
        file.write(b"xxx")
    for found in (store.verify(root), store.verify(share=1.0)):
        assert not found.ok
        assert part.hex() in {damage.object for damage in found.corrupt}
    assert not store.check().ok
    assert store.check(repair=True, source=good).ok
    assert Store.open(tmp_path / "s").verify(root).ok


@pytest.mark.parametrize("order", [(1, 0), (0, 0), (0,) * 2 + (1,)])
def test_parts_out_of_order_are_refused(order: tuple[int, ...]):
    parts = [
        encode_tree([TreeEntry(b"a%d" % n, FILE, 0o644, 0, 0, 0, digest=bytes(32))])
        for n in range(2)
    ]
    kept = {sha256(part): part for part in parts}
    data = PARTS_MAGIC + b"".join(sha256(parts[n]) for n in order)
    with pytest.raises(UnsafeTreeError):
        decode_directory(data, kept.__getitem__)
    with pytest.raises(UnsafeTreeError):
        decode_directory(data[:-1], kept.__getitem__)
    with pytest.raises(UnsafeTreeError):
        decode_directory(PARTS_MAGIC, kept.__getitem__)

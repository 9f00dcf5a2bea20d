"""Checking a whole store, repairing it from another, and never giving out a wrong byte."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from autovibe.kernel.errors import AutovibeError, InvalidArgumentError
from autovibe.store import Store
from autovibe.store.squeeze import ALONE_BYTES


def fill(tree: Path, seed: int) -> None:
    rng = random.Random(seed)
    for number in range(8):
        path = tree / f"d{number % 3}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(rng.randrange(10, 4000)))
    (tree / "large").write_bytes(rng.randbytes(1 << 20) + rng.randbytes(5000))
    (tree / "d1" / "f4").write_bytes(rng.randbytes(ALONE_BYTES))  # its block is its own


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Store, Store, str]:
    """A store, a copy of it, and the snapshot in both."""
    tree = tmp_path / "tree"
    fill(tree, 1)
    store = Store.open(tmp_path / "store")
    root = store.snapshot({"w": tree}).root
    store.write_ref("checkpoints/x", root)
    shutil.copytree(store.path, tmp_path / "copy")
    return store, Store.open(tmp_path / "copy"), root


def pack_of(store: Store) -> Path:
    (pack,) = (store.path / "packs").glob("*.pack")
    return pack


def damage_object(store: Store, digest: str) -> None:
    at = store._objects.locate(bytes.fromhex(digest))
    assert at is not None
    pack = store.path / "packs" / f"{at.pack}.pack"
    data = bytearray(pack.read_bytes())
    data[at.offset + at.stored // 2] ^= 0xFF
    pack.write_bytes(data)


def test_whole_store_is_ok(pair: tuple[Store, Store, str]):
    store, _, _ = pair
    result = store.check()
    assert result.ok
    assert result.objects == store.stats().objects
    assert (result.missing, result.corrupt, result.damaged_refs) == ((), (), ())


def test_damaged_file_and_directory_are_named_and_repaired_from_a_copy(
    pair: tuple[Store, Store, str], describe_tree, tmp_path: Path
):
    store, copy, root = pair
    blob = next(e.sha256 for e in store.entries(root, "w") if e.path == "d1/f4") or ""
    for digest in (blob, root):
        damage_object(store, digest)
    found = Store.open(store.path).check()
    assert not found.ok
    assert found.repaired == ()
    assert {damage.object for damage in found.corrupt} == {root}  # the rest hides behind it
    fixed = store.check(repair=True, source=copy)
    assert fixed.ok
    assert {damage.object: damage.paths for damage in fixed.corrupt} == {
        root: ("/",),
        blob: ("w/d1/f4",),
    }
    assert set(fixed.repaired) == {root, blob}
    assert fixed.rewritten_packs == 1
    assert Store.open(store.path).check().ok
    store.restore(root, tmp_path / "out", path="w")
    assert describe_tree(tmp_path / "out") == describe_tree(tmp_path / "tree")


def test_lost_pack_is_brought_back_from_a_copy(pair: tuple[Store, Store, str]):
    store, copy, root = pair
    pack_of(store).unlink()
    reopened = Store.open(store.path)
    found = reopened.check()
    assert not found.ok
    assert [damage.object for damage in found.missing] == [root]
    assert reopened.check(repair=True, source=copy).ok
    assert Store.open(store.path).check().ok
    assert Store.open(store.path).verify(root).ok


def test_repair_without_a_source_keeps_what_it_cannot_mend(pair: tuple[Store, Store, str]):
    store, _, root = pair
    blob = next(e.sha256 for e in store.entries(root, "w") if e.path == "d1/f4") or ""
    damage_object(store, blob)
    before = pack_of(store).read_bytes()
    result = store.check(repair=True)
    assert not result.ok
    assert (result.repaired, result.rewritten_packs) == ((), 0)
    assert pack_of(store).read_bytes() == before


def test_source_that_is_damaged_in_the_same_place_repairs_nothing(pair: tuple[Store, Store, str]):
    store, copy, root = pair
    blob = next(e.sha256 for e in store.entries(root, "w") if e.path == "d1/f4") or ""
    damage_object(store, blob)
    damage_object(copy, blob)
    assert not store.check(repair=True, source=copy).ok
    assert not Store.open(store.path).check().ok


def test_damaged_object_that_nobody_needs_is_dropped(tmp_path: Path):
    tree = tmp_path / "tree"
    fill(tree, 1)
    store = Store.open(tmp_path / "store")
    unnamed = store.snapshot({"w": tree})
    (tree / "d0" / "f0").write_bytes(b"another content")
    store.write_ref("checkpoints/x", store.snapshot({"w": tree}).root)
    damage_object(store, unnamed.root)
    found = store.check()
    assert not found.ok
    assert (found.corrupt, found.missing) == ((), ())
    assert found.unused_corrupt == (unnamed.root,)
    assert store.check(repair=True).ok
    assert Store.open(store.path).check().ok


def test_damaged_index_is_written_anew(pair: tuple[Store, Store, str]):
    store, _, root = pair
    index = pack_of(store).with_suffix(".idx")
    index.write_bytes(index.read_bytes()[:-1] + b"x")
    reopened = Store.open(store.path)
    assert not reopened.check().ok
    assert reopened.check(repair=True).ok
    assert Store.open(store.path).stats().damaged_packs == ()
    assert Store.open(store.path).verify(root).ok


def test_damaged_ref_is_named(pair: tuple[Store, Store, str]):
    store, _, _ = pair
    (store.path / "refs" / "checkpoints" / "x").write_bytes(b"garbage")
    result = store.check()
    assert not result.ok
    assert result.damaged_refs == ("checkpoints/x",)


def test_copy_in_another_pack_serves_when_one_is_damaged(tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a").write_bytes(b"twice " * 500)
    store = Store.open(tmp_path / "store")
    taken = store.snapshot({"w": tree})
    with store._objects.writer() as writer:
        for digest in map(bytes.fromhex, taken.new_objects):
            writer.put(digest, store._objects.get(digest), again=True)
        writer.commit()
    for digest in taken.new_objects:
        damage_object(store, digest)
    assert store.verify(taken.root).ok
    assert b"".join(store.read(taken.root, "w/a")) == b"twice " * 500


def test_file_that_was_found_damaged_is_stored_again_by_the_next_snapshot(
    pair: tuple[Store, Store, str], tmp_path: Path
):
    store, _, root = pair
    blob = next(e.sha256 for e in store.entries(root, "w") if e.path == "d1/f4") or ""
    damage_object(store, blob)
    assert not store.verify(root).ok
    again = store.snapshot({"w": tmp_path / "tree"})
    assert again.new_objects == (blob,)
    assert store.verify(root).ok
    assert Store.open(store.path).verify(root).ok
    assert store.check(repair=True).ok
    assert Store.open(store.path).check().ok
    assert store.snapshot({"w": tmp_path / "tree"}).new_objects == ()


def test_share_of_everything_is_read_and_damage_in_it_found(pair: tuple[Store, Store, str]):
    store, _, root = pair
    known = store.stats().objects
    tenth = store.verify(share=0.1, seed=3)
    assert tenth.ok
    assert tenth.objects == -(-known // 10)
    assert store.verify(share=0.1, seed=3) == tenth
    blob = next(e.sha256 for e in store.entries(root, "w") if e.path == "d1/f4") or ""
    damage_object(store, blob)
    found = [seed for seed in range(30) if not store.verify(share=0.3, seed=seed).ok]
    assert 0 < len(found) < 30
    everything = store.verify()
    assert [(damage.object, damage.paths) for damage in everything.corrupt] == [
        (blob, ("w/d1/f4",))
    ]
    with pytest.raises(InvalidArgumentError):
        store.verify(share=0)
    with pytest.raises(InvalidArgumentError):
        store.verify(objects=[blob])


def _flip_and_restore(tmp_path: Path, describe_tree, seed: int, turns: int) -> None:
    """Flip bytes anywhere in the store: what comes out is right, or an error."""
    rng = random.Random(seed)
    tree = tmp_path / "tree"
    fill(tree, seed)
    pristine = tmp_path / "pristine"
    root = Store.open(pristine).snapshot({"w": tree}).root
    Store.open(pristine).write_ref("checkpoints/x", root)
    wanted = describe_tree(tree)
    refused = 0
    for turn in range(turns):
        store_path = tmp_path / f"store-{turn}"
        shutil.copytree(pristine, store_path)
        files = [f for f in sorted(store_path.rglob("*")) if f.is_file() and f.stat().st_size]
        for _ in range(rng.randrange(1, 4)):
            file = rng.choice(files)
            data = bytearray(file.read_bytes())
            data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
            file.write_bytes(data)
        out = tmp_path / f"out-{turn}"
        try:
            store = Store.open(store_path)
            named = store.read_ref("checkpoints/x")
            store.restore(named or root, out, path="w")
        except AutovibeError:
            refused += 1
        else:
            assert describe_tree(out) == wanted
        shutil.rmtree(store_path)
        shutil.rmtree(out, ignore_errors=True)
    assert refused > 0


def test_flipped_bytes_never_restore_wrong_content(tmp_path: Path, describe_tree):
    _flip_and_restore(tmp_path, describe_tree, seed=1, turns=25)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_many_flipped_bytes_never_restore_wrong_content(tmp_path: Path, describe_tree, seed: int):
    _flip_and_restore(tmp_path, describe_tree, seed=100 + seed, turns=250)

"""Pruning: what is needed stays, whoever writes meanwhile; the rest gives its space back."""

from __future__ import annotations

import errno
import os
import random
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from autovibe.kernel import faults
from autovibe.kernel.clock import SystemClock
from autovibe.store import (
    KeepRules,
    ObjectMissingError,
    StatCache,
    Store,
    StoreBusyError,
    StoreDamagedError,
    StoreFullError,
)
from autovibe.store.guard import Guard
from autovibe.store.squeeze import ALONE_BYTES

NO_GRACE = timedelta(0)


class LaterClock(SystemClock):
    """Runs as the system's does, so many hours ahead of it."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead


@pytest.fixture
def clock() -> LaterClock:
    return LaterClock()


@pytest.fixture
def store(tmp_path: Path, clock: LaterClock) -> Store:
    return Store.open(tmp_path / "store", clock=clock)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    fill(tmp_path / "tree", 1)
    return tmp_path / "tree"


def fill(tree: Path, seed: int, files: int = 6) -> None:
    rng = random.Random(seed)
    for number in range(files):
        (tree / "sub" / f"f{number}").write_bytes(rng.randbytes(30_000))


def commit(store: Store, tree: Path, name: str, seed: int) -> str:
    fill(tree, seed)
    root = store.snapshot({"w": tree}).root
    store.write_ref(name, root)
    return root


def test_what_a_deleted_ref_named_goes_and_gives_its_space_back(
    store: Store, tree: Path, clock: LaterClock
):
    old = commit(store, tree, "checkpoints/old", 1)
    new = commit(store, tree, "checkpoints/new", 2)
    store.delete_ref("checkpoints/old")
    clock.ahead = timedelta(hours=2)
    result = store.prune(grace=NO_GRACE)
    assert result.refs_kept == ("checkpoints/new",)
    assert result.objects_removed >= 6
    assert result.stored_after < result.stored_before / 1.8
    assert store.verify(new).ok
    assert not store.verify(old).ok
    reopened = Store.open(store.path)
    assert reopened.verify(new).ok
    assert reopened.check().ok
    assert reopened.stats().stored_bytes < 250_000


def test_deleted_ref_protects_its_snapshot_for_the_grace_time(
    store: Store, tree: Path, clock: LaterClock
):
    old = commit(store, tree, "checkpoints/old", 1)
    commit(store, tree, "checkpoints/new", 2)
    clock.ahead = timedelta(hours=5)
    store.delete_ref("checkpoints/old")
    clock.ahead = timedelta(days=1, hours=4)
    result = store.prune(grace=timedelta(days=1))
    assert (result.objects_removed, result.packs_removed) == (0, 0)
    assert result.held_bytes > 100_000
    store.write_ref("checkpoints/back", old)
    assert store.verify(old).ok
    store.delete_ref("checkpoints/back")
    clock.ahead = timedelta(days=3)
    assert store.prune(grace=timedelta(days=1)).objects_removed > 0
    assert list((store.path / "pins").iterdir()) == []


def test_snapshot_without_a_ref_yet_stays_for_an_hour_even_without_grace(
    store: Store, tree: Path, clock: LaterClock
):
    other = Store.open(store.path, clock=clock)
    root = other.snapshot({"w": tree}).root
    assert store.prune(grace=NO_GRACE).objects_removed == 0
    other.write_ref("checkpoints/late", root)
    assert store.verify(root).ok
    other.delete_ref("checkpoints/late")
    clock.ahead = timedelta(hours=2)
    assert store.prune(grace=NO_GRACE).objects_removed > 0


def test_ref_to_a_pruned_snapshot_is_refused(store: Store, tree: Path, clock: LaterClock):
    root = store.snapshot({"w": tree}).root
    clock.ahead = timedelta(hours=2)
    Store.open(store.path, clock=clock).prune(grace=NO_GRACE)
    with pytest.raises(ObjectMissingError, match="take it again"):
        store.write_ref("checkpoints/late", root)
    assert list(store.refs()) == []


def test_cache_vouches_for_nothing_that_was_pruned(store: Store, tree: Path, clock: LaterClock):
    cache = StatCache()
    clock.ahead = timedelta(seconds=5)
    root = store.snapshot({"w": tree}, cache=cache).root
    clock.ahead = timedelta(hours=2)
    assert Store.open(store.path, clock=clock).prune(grace=NO_GRACE).objects_removed > 0
    again = store.snapshot({"w": tree}, cache=cache)
    assert again.root == root
    assert again.read_bytes > 0
    assert Store.open(store.path).verify(root).ok


def test_cache_of_a_snapshot_that_is_still_whole_outlives_a_prune(
    store: Store, tree: Path, clock: LaterClock
):
    cache = StatCache()
    commit(store, tree, "checkpoints/old", 1)
    clock.ahead = timedelta(seconds=5)
    fill(tree, 2)
    store.write_ref("checkpoints/new", store.snapshot({"w": tree}, cache=cache).root)
    store.delete_ref("checkpoints/old")
    clock.ahead = timedelta(hours=2)
    epoch = store._guard.epoch()
    assert Store.open(store.path, clock=clock).prune(grace=NO_GRACE).objects_removed > 0
    assert store._guard.epoch() != epoch
    assert store.snapshot({"w": tree}, cache=cache).read_bytes == 0
    store.delete_ref("checkpoints/new")
    clock.ahead = timedelta(hours=5)
    assert Store.open(store.path, clock=clock).prune(grace=NO_GRACE).objects_removed > 0
    again = store.snapshot({"w": tree}, cache=cache)
    assert again.read_bytes == 180_000
    assert Store.open(store.path).verify(again.root).ok


def test_process_forked_during_a_snapshot_does_not_keep_its_lock(
    store: Store, tree: Path, clock: LaterClock
):
    commit(store, tree, "checkpoints/old", 1)
    store.delete_ref("checkpoints/old")
    clock.ahead = timedelta(hours=2)
    children: list[int] = []
    reading, writing = os.pipe()

    def fork_once() -> None:
        child = os.fork()
        if child == 0:
            os.close(writing)
            os.read(reading, 1)  # until the other end is closed
            os._exit(0)
        children.append(child)

    try:
        store.snapshot({"w": tree}, on_read=fork_once)
        assert store.prune(grace=NO_GRACE, wait_s=0).packs_removed == 0
    finally:
        os.close(writing)
        os.close(reading)
        for child in children:
            os.waitpid(child, 0)


def test_object_pruned_by_another_process_is_stored_again(
    store: Store, tree: Path, clock: LaterClock
):
    first = store.snapshot({"w": tree})
    clock.ahead = timedelta(hours=2)
    Store.open(store.path, clock=clock).prune(grace=NO_GRACE)
    again = store.snapshot({"w": tree})
    assert set(again.new_objects) == set(first.new_objects)
    assert store.verify(again.root).ok


def test_reader_finds_what_was_moved_to_another_pack(store: Store, tree: Path, clock: LaterClock):
    (tree / "kept").write_bytes(b"kept" * 100)
    commit(store, tree, "checkpoints/old", 1)
    new = commit(store, tree, "checkpoints/new", 2)
    reader = Store.open(store.path)
    assert reader.verify(new).ok
    store.delete_ref("checkpoints/old")
    clock.ahead = timedelta(hours=2)
    result = store.prune(grace=NO_GRACE)
    assert result.packs_written == 1
    assert b"".join(reader.read(new, "w/kept")) == b"kept" * 100
    assert reader.verify(new).ok


def test_dry_run_says_what_would_go_and_removes_nothing(
    store: Store, tree: Path, clock: LaterClock
):
    for number in range(4):
        commit(store, tree, f"checkpoints/{number}", number)
        clock.ahead += timedelta(minutes=1)
    clock.ahead += timedelta(hours=2)
    before = sorted(path.name for path in store.path.rglob("*"))
    planned = store.prune(KeepRules(last=1), grace=NO_GRACE, dry_run=True)
    assert sorted(path.name for path in store.path.rglob("*") if path.name != "maintenance") == [
        name for name in before if name != "maintenance"
    ]
    done = store.prune(KeepRules(last=1), grace=NO_GRACE)
    assert planned.refs_removed == done.refs_removed
    assert planned.refs_removed == tuple(f"checkpoints/{number}" for number in range(3))
    assert (planned.objects_removed, planned.packs_removed) == (
        done.objects_removed,
        done.packs_removed,
    )
    assert planned.stored_after == done.stored_after
    kept = store.prune(KeepRules(last=1), grace=timedelta(days=1), dry_run=True)
    assert kept.refs_removed == ()


def test_grace_holds_what_the_rules_have_just_dropped(store: Store, tree: Path):
    commit(store, tree, "checkpoints/1", 1)
    commit(store, tree, "checkpoints/2", 2)
    for dry_run in (True, False):
        result = store.prune(KeepRules(last=1), dry_run=dry_run)
        assert result.refs_removed == ("checkpoints/1",)
        assert result.objects_removed == 0
        assert result.held_bytes > 100_000


def test_many_small_packs_become_one(store: Store, tree: Path):
    roots = []
    for number in range(20):
        (tree / "one").write_bytes(f"{number}".encode())
        roots.append(store.snapshot({"w": tree}).root)
        store.write_ref(f"checkpoints/{number}", roots[-1])
    result = store.prune()
    assert (result.packs_removed, result.packs_written, result.objects_removed) == (20, 1, 0)
    assert store.stats().packs == 1
    assert all(store.verify(root).ok for root in roots)
    assert store.prune().packs_removed == 0


def test_pack_written_twice_is_kept_once(store: Store, tree: Path, tmp_path: Path):
    """Two writers at once may store the same objects."""
    ours, theirs = Store.open(store.path), Store.open(store.path)
    ours._objects.scan()
    theirs.snapshot({"w": tree}, progress=None)
    with ours._objects.writer() as writer:
        theirs._objects.scan()
        for digest in list(theirs._objects._where):
            writer.put(digest, theirs._objects.get(digest), again=True)
        writer.commit()
    root = theirs.snapshot({"w": tree}).root
    theirs.write_ref("checkpoints/x", root)
    assert Store.open(store.path).stats().packs == 2
    result = store.prune()
    assert result.stored_after < result.stored_before * 0.6
    assert store.stats().packs == 1
    assert store.verify(root).ok
    assert store.prune().packs_written == 0


def test_nothing_is_removed_when_a_directory_cannot_be_read(
    store: Store, tree: Path, clock: LaterClock
):
    commit(store, tree, "checkpoints/old", 1)
    taken = commit(store, tree, "checkpoints/new", 2)
    store.delete_ref("checkpoints/old")
    clock.ahead = timedelta(hours=2)
    at = store._objects.locate(bytes.fromhex(taken))
    assert at is not None
    pack = store.path / "packs" / f"{at.pack}.pack"
    data = bytearray(pack.read_bytes())
    data[at.offset + 5] ^= 1
    pack.write_bytes(data)
    before = sorted((store.path / "packs").iterdir())
    with pytest.raises(StoreDamagedError, match="repair it first"):
        store.prune(grace=NO_GRACE)
    assert sorted((store.path / "packs").iterdir()) == before


def test_damaged_pack_stays_for_a_repair(store: Store, tree: Path, clock: LaterClock):
    (tree / "kept").write_bytes(random.Random(3).randbytes(ALONE_BYTES))
    commit(store, tree, "checkpoints/old", 1)
    new = commit(store, tree, "checkpoints/new", 2)
    blob = next(e.sha256 for e in store.entries(new, "w") if e.path == "kept")
    at = store._objects.locate(bytes.fromhex(blob or ""))
    assert at is not None
    pack = store.path / "packs" / f"{at.pack}.pack"
    data = bytearray(pack.read_bytes())
    data[at.offset + 100] ^= 1
    pack.write_bytes(data)
    store.delete_ref("checkpoints/old")
    clock.ahead = timedelta(hours=2)
    assert store.prune(grace=NO_GRACE).kept_packs == (at.pack,)
    assert pack.exists()


def test_full_disk_is_relieved_by_a_prune(
    store: Store, tree: Path, clock: LaterClock, monkeypatch: pytest.MonkeyPatch
):
    commit(store, tree, "checkpoints/1", 1)
    (tree / "kept").write_bytes(b"in a pack of which most goes")
    commit(store, tree, "checkpoints/2", 2)
    new = commit(store, tree, "checkpoints/3", 3)
    clock.ahead = timedelta(hours=2)
    really_write, really_open = os.write, os.open

    def write(fd: int, data: bytes) -> int:
        if Path(f"/proc/self/fd/{fd}").readlink().name != "epoch":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return really_write(fd, data)

    def create(path, flags: int, *rest, **options) -> int:
        if flags & os.O_CREAT and not Path(path).exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return really_open(path, flags, *rest, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write)
        patched.setattr(os, "open", create)
        with pytest.raises(StoreFullError):
            store.snapshot({"w": tree.parent})
        result = store.prune(KeepRules(last=1), grace=NO_GRACE)
    assert result.refs_removed == ("checkpoints/1", "checkpoints/2")
    assert (result.packs_removed, result.packs_written, len(result.kept_packs)) == (1, 0, 1)
    assert result.stored_after < result.stored_before * 0.7
    assert store.check().ok
    again = store.prune(grace=NO_GRACE)
    assert (again.packs_removed, again.packs_written) == (1, 1)
    assert again.stored_after < result.stored_before * 0.4
    assert store.verify(new).ok


def test_prune_waits_for_a_snapshot_and_gives_up_in_time(store: Store, tree: Path, clock):
    commit(store, tree, "checkpoints/old", 1)
    store.delete_ref("checkpoints/old")
    clock.ahead = timedelta(hours=2)
    with Guard(store.path).adding(), pytest.raises(StoreBusyError, match="in use by others"):
        store.prune(grace=NO_GRACE, wait_s=0)
    with Guard(store.path).maintaining(), pytest.raises(StoreBusyError, match="being pruned"):
        store.prune(grace=NO_GRACE)
    assert store.prune(grace=NO_GRACE).objects_removed > 0


def test_snapshot_that_came_between_mark_and_removal_is_kept(
    store: Store, tree: Path, clock: LaterClock, monkeypatch: pytest.MonkeyPatch
):
    """The moment at which all depends on looking again under the lock."""
    old = commit(store, tree, "checkpoints/old", 1)
    store.delete_ref("checkpoints/old")
    clock.ahead = timedelta(hours=2)
    other = Store.open(store.path, clock=clock)
    roots: list[str] = []

    def come(point: str) -> None:
        if point == "packs_rewritten" and not roots:
            roots.append(other.snapshot({"w": tree}).root)

    monkeypatch.setattr(faults, "_hooks", [come])
    result = store.prune(grace=NO_GRACE)
    assert roots == [old]
    assert result.objects_removed == 0
    other.write_ref("checkpoints/again", old)
    assert Store.open(store.path).verify(old).ok

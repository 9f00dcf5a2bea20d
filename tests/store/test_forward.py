"""Bringing what is known of a tree forward: in place, only after success, only what has changed."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path

import pytest

from autovibe.store import StatCache, Store, parts
from autovibe.store.statcache import DirRecord, Known
from autovibe.store.tracking import InotifyTracker, TrackedTree, TrackingUnavailableError

WIDE = 2000


@pytest.fixture
def tree(tmp_path: Path, store: Store):
    top = tmp_path / "tree"
    for number in range(40):
        path = top / f"d{number % 4}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
    tracker = InotifyTracker()
    try:
        tracker.start({"w": top})
    except TrackingUnavailableError as error:
        pytest.skip(str(error))
    tracked = TrackedTree(store, {"w": top}, tracker, audit_every=0)
    tracked.snapshot()
    yield tracked
    tracked.close()


def records(tree: TrackedTree) -> dict[bytes, DirRecord]:
    return tree.cache._roots["w"]


def test_what_events_tell_of_is_not_read_again_because_it_is_young(tree: TrackedTree):
    file = tree.roots["w"] / "d1/f1"
    file.write_bytes(b"young")
    assert tree.snapshot().read_bytes == 5
    assert b"f1" in records(tree)[b"d1"].racy
    assert tree.snapshot().read_bytes == 0
    # Time stamps alone would not tell what has happened in the tick in which it was read.
    assert tree.snapshot(audit=True).read_bytes >= 5
    file.write_bytes(b"later")
    assert tree.snapshot().read_bytes == 5


def test_a_snapshot_that_fails_leaves_what_is_known_as_it_was(tree: TrackedTree):
    top = tree.roots["w"]
    tree.snapshot()
    before = copy.deepcopy(records(tree))
    (top / "d0/f0").write_bytes(b"changed")
    (top / "d1/f1").unlink()
    (top / "new").mkdir()
    (top / "new/file").write_bytes(b"new")
    (top / "d2").rename(top / "d9")

    def fail() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        tree.snapshot(on_read=fail)
    assert records(tree) == before
    assert tree.snapshot().root == tree.store.snapshot(tree.roots).root
    assert records(tree) != before


def test_half_of_a_step_forward_vouches_for_nothing(
    tree: TrackedTree, monkeypatch: pytest.MonkeyPatch
):
    top = tree.roots["w"]
    for name in ("d0/f0", "d1/f1", "d2/f2"):
        (top / name).write_bytes(b"changed")
    merge, count = DirRecord.merge, 0

    def interrupted(*args) -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        merge(*args)

    with monkeypatch.context() as patched:
        patched.setattr(DirRecord, "merge", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tree.snapshot()
    assert tree.cache._roots == {}
    assert tree.snapshot().root == tree.store.snapshot(tree.roots).root


def test_what_is_kept_forward_is_what_a_fresh_look_finds(tree: TrackedTree):
    top = tree.roots["w"]
    (top / "d0/f0").write_bytes(b"longer than it was")
    (top / "d1/f1").unlink()
    (top / "d1/f5").unlink()
    (top / "d1/f5").symlink_to("f9")
    (top / "d2/f2").unlink()
    (top / "d2/f2").hardlink_to(top / "d3/f3")
    (top / "d3/deep").mkdir()
    (top / "d3/deep/file").write_bytes(b"1")
    tree.snapshot()
    known = tree.cache._known["w"]
    fresh = StatCache()
    tree.store.snapshot(tree.roots, cache=fresh)
    found = fresh._roots["w"]
    assert known.records.keys() == found.keys()
    for path, record in found.items():
        ours = known.records[path]
        assert (ours.files, ours.dirs, ours.tree) == (record.files, record.dirs, record.tree)
        assert (ours.linked, ours.special) == (record.linked, record.special)
        assert ours.file_bytes == record.file_bytes
    again = Known(dict(found))
    assert (known.file_count, known.file_bytes) == (again.file_count, again.file_bytes)
    assert known.linked == again.linked


def test_a_change_in_a_wide_directory_encodes_a_part_of_it(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
):
    top = tmp_path / "wide"
    top.mkdir()
    for number in range(WIDE):
        (top / f"f{number}").write_bytes(b"")
    tracker = InotifyTracker()
    try:
        tracker.start({"w": top})
    except TrackingUnavailableError as error:
        pytest.skip(str(error))
    tracked = TrackedTree(store, {"w": top}, tracker, audit_every=0)
    tracked.snapshot()
    put, encoded = parts._put, 0

    def counted(sink: parts.Sink, entries: Iterable[bytes]) -> bytes:
        nonlocal encoded
        kept = list(entries)
        encoded += len(kept)
        return put(sink, kept)

    monkeypatch.setattr(parts, "_put", counted)
    for change in ((top / "f7").unlink, (top / "g").touch, lambda: (top / "f9").write_bytes(b"x")):
        change()
        encoded = 0
        root = tracked.snapshot().root
        assert 0 < encoded < WIDE // 4
    assert root == store.snapshot({"w": top}).root
    tracked.close()

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tracker_conformance import OPERATIONS, build

from autovibe.store import Exclude, StatCache, Store
from autovibe.store.tracking import (
    ChangeTracker,
    FanotifyTracker,
    InotifyTracker,
    TrackedTree,
    TrackingUnavailableError,
    WalkTracker,
    choose,
    directories,
    inotify,
    libc,
)

KINDS = (InotifyTracker, FanotifyTracker, WalkTracker)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "area/tree").mkdir(parents=True)
    return tmp_path / "area/tree"


@pytest.fixture(params=KINDS, ids=lambda kind: kind.detection)
def tracked(request, top: Path, store: Store):
    build(top)
    trees: list[TrackedTree] = []

    def make(**options) -> TrackedTree:
        trees.append(started(request.param(), top, store, **options))
        return trees[-1]

    yield make
    for tree in trees:
        tree.close()


def started(tracker: ChangeTracker, top: Path, store: Store, **options) -> TrackedTree:
    try:
        tracker.start({"w": top})
    except TrackingUnavailableError as error:
        pytest.skip(str(error))
    return TrackedTree(store, {"w": top}, tracker, **options)


def settle(tree: TrackedTree) -> None:
    """Take snapshots until nothing is young any more, so that only events lead to changes."""
    for _ in range(2):
        tree.snapshot()
    libc_sleep = ctypes.CDLL(None).usleep
    libc_sleep(25_000)
    tree.snapshot()


@pytest.mark.parametrize("name", OPERATIONS)
def test_tracked_snapshot_is_that_of_a_full_walk_after(name, tracked, top: Path, store: Store):
    tree = tracked()
    settle(tree)
    for _ in range(2):
        OPERATIONS[name](top) if _ == 0 else None
        taken = tree.snapshot()
        walked = store.snapshot({"w": top})
        assert [c.path for c in store.diff(taken.root, walked.root)] == []
        assert taken.root == walked.root
        assert (taken.file_count, taken.total_bytes) == (walked.file_count, walked.total_bytes)
        assert (taken.special, taken.torn) == (walked.special, walked.torn)


def test_changes_in_a_directory_that_was_moved_are_told_afterwards(tracked, top: Path, store):
    tree = tracked()
    settle(tree)
    (top / "dir").rename(top / "renamed")
    tree.snapshot()
    (top / "renamed/inner/leaf").write_bytes(b"changed under the new name")
    assert tree.snapshot().root == store.snapshot({"w": top}).root


def test_write_through_another_hard_link_changes_every_name(tracked, top: Path, store: Store):
    tree = tracked()
    os.link(top / "dir/file", top / "other/second")
    settle(tree)
    (top / "other/second").write_bytes(b"through the second name")
    taken = tree.snapshot()
    assert b"".join(store.read(taken.root, "w/dir/file")) == b"through the second name"
    assert taken.root == store.snapshot({"w": top}).root
    (top / "dir/file").unlink()
    assert tree.snapshot().root == store.snapshot({"w": top}).root


def test_write_through_a_descriptor_whose_name_is_gone_is_not_missed(
    tracked, top: Path, store: Store
):
    tree = tracked()
    settle(tree)
    with (top / "dir/file").open("r+b", buffering=0) as file:
        os.link(top / "dir/file", top / "other/alias")
        tree.snapshot()
        (top / "dir/file").unlink()
        settle(tree)
        file.write(b"PAINTED")
        taken = tree.snapshot()
        assert b"".join(store.read(taken.root, "w/other/alias")) == b"PAINTED"


def test_write_to_a_nameless_file_that_got_a_name_is_not_missed(tracked, top: Path, store: Store):
    tree = tracked()
    settle(tree)
    fd = os.open(top / "dir", os.O_TMPFILE | os.O_RDWR)
    try:
        os.write(fd, b"before")
        # Only with a directory descriptor does Python ask to follow the link.
        os.link(f"/proc/self/fd/{fd}", top / "other/named", src_dir_fd=fd, follow_symlinks=True)
        settle(tree)
        os.pwrite(fd, b"AFTERS", 0)
        taken = tree.snapshot()
    finally:
        os.close(fd)
    assert b"".join(store.read(taken.root, "w/other/named")) == b"AFTERS"


def test_tracked_restore_in_place_is_exact_and_what_comes_after_is_seen(
    tracked, top: Path, store: Store
):
    tree = tracked()
    settle(tree)
    base = tree.snapshot().root
    for turn in range(3):
        target = next(path for path in sorted(top.rglob("*")) if path.is_file())
        target.write_bytes(b"changed %d" % turn)
        (top / "made").mkdir()
        (top / "made" / "file").write_bytes(b"new")
        done = tree.restore(base, "w")
        assert done.saved_root is not None
        assert b"".join(store.read(done.saved_root, "w/made/file")) == b"new"
        assert store.snapshot({"w": top}).root == base
    assert tree.snapshot().root == base
    target.write_bytes(b"later")
    target.parent.chmod(0o750)
    assert tree.snapshot().root == store.snapshot({"w": top}).root != base


def test_unchanged_tree_gives_the_same_root_and_no_objects(tracked, store: Store):
    tree = tracked()
    settle(tree)
    first = tree.snapshot()
    second = tree.snapshot()
    assert second.root == first.root
    assert second.new_objects == ()
    assert second.read_bytes == 0


def test_patterns_left_out_stay_out_and_are_told(tracked, top: Path, store: Store):
    exclude = Exclude(("*.log", "out/"))
    tree = tracked(exclude=exclude)
    (top / "dir/a.log").write_bytes(b"a")
    settle(tree)
    (top / "dir/b.log").write_bytes(b"b")
    (top / "out/deep").mkdir(parents=True)
    (top / "out/deep/file").write_bytes(b"f")
    (top / "dir/kept").write_bytes(b"k")
    for _ in range(2):
        taken = tree.snapshot()
        walked = store.snapshot({"w": top}, exclude=exclude)
        assert taken.root == walked.root
        assert taken.excluded == walked.excluded == ("w/dir/a.log", "w/dir/b.log", "w/out")


def test_failed_snapshot_loses_no_change(tracked, top: Path, store: Store):
    tree = tracked()
    settle(tree)
    (top / "dir/file").write_bytes(b"must not be lost")

    def fail() -> None:
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        tree.snapshot(on_read=fail)
    taken = tree.snapshot()
    assert taken.root == store.snapshot({"w": top}).root


@pytest.mark.parametrize("kind", [InotifyTracker, FanotifyTracker])
def test_detection_is_recorded_and_the_first_snapshot_is_a_walk(kind, top: Path, store: Store):
    build(top)
    tree = started(kind(), top, store)
    assert tree.snapshot().detection == "walk"
    (top / "dir/file").write_bytes(b"x")
    assert tree.snapshot().detection == kind.detection
    tree.close()


@pytest.mark.parametrize(
    "kind", [InotifyTracker, pytest.param(FanotifyTracker, marks=pytest.mark.long)]
)
def test_lost_events_lead_to_a_full_walk_and_tracking_goes_on(kind, top: Path, store: Store):
    build(top)
    tree = started(kind(), top, store)
    settle(tree)
    limit = int(Path(f"/proc/sys/fs/{kind.detection}/max_queued_events").read_text("ascii"))
    for number in range(limit + 1):
        (top / f"dir/n{number}").symlink_to("x")
        (top / f"dir/n{number}").unlink()
    (top / "dir/inner/fresh").mkdir()
    taken = tree.snapshot()
    assert taken.root == store.snapshot({"w": top}).root
    assert taken.detection == "walk"
    (top / "dir/inner/fresh/file").write_bytes(b"watched again")
    again = tree.snapshot()
    assert again.root == store.snapshot({"w": top}).root
    assert again.detection == kind.detection
    tree.close()


def test_watch_limit_leads_to_walks_and_not_to_missed_files(
    top: Path, store: Store, monkeypatch: pytest.MonkeyPatch
):
    build(top)
    tree = started(InotifyTracker(), top, store)
    settle(tree)

    def refuse(*_: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(inotify.libc, "inotify_add_watch", refuse)
    (top / "dir/more").mkdir()
    (top / "dir/more/file").write_bytes(b"1")
    for content in (b"2", b"33"):
        (top / "dir/more/file").write_bytes(content)
        taken = tree.snapshot()
        assert taken.detection == "walk"
        assert taken.root == store.snapshot({"w": top}).root
    monkeypatch.undo()
    tree.snapshot()
    (top / "dir/more/file").write_bytes(b"444")
    taken = tree.snapshot()
    assert (taken.detection, taken.root) == ("inotify", store.snapshot({"w": top}).root)
    tree.close()


def test_choice_falls_back_to_the_walk_when_the_kernel_refuses(
    top: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: int) -> int:
        raise OSError(38, "Function not implemented")

    assert choose({"w": top}, "walk").detection == "walk"
    monkeypatch.setattr(libc, "inotify_init", refuse)
    monkeypatch.setattr(libc, "fanotify_init", refuse)
    assert choose({"w": top}).detection == "walk"


class Deaf(InotifyTracker):
    """Tells nothing of one name."""

    def _events(self):
        return (event for event in super()._events() if event.name != b"file")


def test_audit_finds_what_the_tracker_missed_and_switches_to_walks(top: Path, store: Store):
    build(top)
    heard: list[tuple[str, ...]] = []
    tree = started(Deaf(), top, store, audit_every=3, on_miss=heard.append)
    settle(tree)
    (top / "dir/file").write_bytes(b"nobody tells of this")
    roots = [tree.snapshot() for _ in range(4)]
    assert heard == [("w/dir/file",)]
    found = next(taken for taken in roots if taken.missed)
    assert b"".join(store.read(found.root, "w/dir/file")) == b"nobody tells of this"
    assert tree.detection == "walk"
    assert tree.snapshot().detection == "walk"
    tree.close()


@pytest.mark.parametrize("kind", [InotifyTracker, FanotifyTracker])
def test_audit_of_a_good_tracker_finds_nothing(kind, top: Path, store: Store):
    build(top)
    heard: list[tuple[str, ...]] = []
    tree = started(kind(), top, store, audit_every=1, on_miss=heard.append)
    settle(tree)
    for name in OPERATIONS:
        shutil.rmtree(top)
        top.mkdir()
        shutil.rmtree(top.parent / "outside", ignore_errors=True)
        tree.tracker.close()
        tree.tracker = kind()
        build(top)
        tree.tracker.start({"w": top})
        tree._pending = None
        settle(tree)
        OPERATIONS[name](top)
        taken = tree.snapshot()
        assert taken.detection in {kind.detection, "walk"}
        assert (name, heard) == (name, [])
    tree.close()


def test_directory_made_while_it_is_being_registered_is_watched(
    top: Path, store: Store, monkeypatch: pytest.MonkeyPatch
):
    build(top)
    tree = started(InotifyTracker(), top, store)
    settle(tree)
    real = directories.DirectoryTracker._watch

    def late(self, fd, path, device, depth):
        real(self, fd, path, device, depth)
        if path == b"w/dir/new":
            (top / "dir/new/later").mkdir(exist_ok=True)

    monkeypatch.setattr(directories.DirectoryTracker, "_watch", late)
    (top / "dir/new").mkdir()
    tree.snapshot()
    monkeypatch.undo()
    (top / "dir/new/later/file").write_bytes(b"1")
    assert tree.snapshot().root == store.snapshot({"w": top}).root
    tree.snapshot()
    (top / "dir/new/later/file").write_bytes(b"22")
    assert tree.snapshot().root == store.snapshot({"w": top}).root
    tree.close()


_UNPRIVILEGED = """
import os, sys
from pathlib import Path
from autovibe.store.tracking import FanotifyTracker, TrackingUnavailableError, choose
os.setgid(65534), os.setuid(65534)
try:
    FanotifyTracker().start({"w": Path(sys.argv[1])})
except TrackingUnavailableError as error:
    print(error.reason, choose({"w": Path(sys.argv[1])}).detection)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_unprivileged_user_gets_inotify(top: Path):
    build(top)
    for path in (top, *top.parents):
        if path.owner() == "root" and path.is_relative_to("/tmp") and path != Path("/tmp"):
            path.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", _UNPRIVILEGED, str(top)], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["TRACKING_UNAVAILABLE", "inotify"], done.stderr


def test_cache_of_another_exclusion_is_not_brought_forward(top: Path, store: Store):
    build(top)
    cache = StatCache()
    store.snapshot({"w": top}, cache=cache)
    store.snapshot({"w": top}, cache=cache)
    left_out = Exclude(("dir/",))
    taken = store.snapshot({"w": top}, cache=cache, exclude=left_out)
    assert taken.root == store.snapshot({"w": top}, exclude=left_out).root
    assert store.snapshot({"w": top}, cache=cache).root == store.snapshot({"w": top}).root

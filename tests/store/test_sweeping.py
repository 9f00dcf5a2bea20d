"""Looking at every entry of a large tree together with a second process."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autovibe.store import Store, sweeping
from autovibe.store.statcache import Known
from autovibe.store.sweeper import Sweeper
from autovibe.store.sweeping import SecondSweeper
from autovibe.store.tracking import TrackedTree, WalkTracker

BY_ALL = ("a/b/1", "a/2", "d/e/3", "d/4", "5")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    for name in BY_ALL:
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="ascii")
    return tmp_path / "tree"


@pytest.fixture(autouse=True)
def small_trees_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "LEAST_ENTRIES", 0)
    monkeypatch.setattr(sweeping.os, "sched_getaffinity", lambda _: {0, 1})


@pytest.fixture
def tree(top: Path, store: Store) -> Iterator[TrackedTree]:
    tracked = TrackedTree(store, {"w": top}, WalkTracker(), audit_every=0)
    tracked.snapshot()
    ctypes.CDLL(None).usleep(25_000)  # nothing is young any more: only a look tells of changes
    tracked.snapshot()
    tracked.snapshot()
    yield tracked
    tracked.close()


def known_of(tree: TrackedTree) -> Known:
    return tree.cache._known["w"]


def second_of(tree: TrackedTree) -> SecondSweeper:
    second = known_of(tree).second
    assert second is not None
    return second


def agrees(tree: TrackedTree) -> bool:
    """Say whether the next snapshot is that of a store which looks at everything itself."""
    return tree.snapshot().root == tree.store.snapshot(tree.roots).root


def test_both_processes_have_a_share(tree: TrackedTree):
    second = second_of(tree)
    assert second.tops in ({b"a"}, {b"d"})
    assert len(second._files) == 2


@pytest.mark.parametrize("name", ["a/b/1", "d/e/3", "5"])
def test_a_change_is_seen_in_whosever_share_it_is(name: str, tree: TrackedTree, top: Path):
    size = (top / name).stat().st_size
    (top / name).write_bytes(b"x" * size)
    taken = tree.snapshot()
    assert b"".join(tree.store.read(taken.root, f"w/{name}")) == b"x" * size
    assert taken.detection == "walk"
    (top / name).chmod(0o600)
    assert agrees(tree)
    second_of(tree)


def test_what_comes_goes_and_is_replaced_in_the_other_share_is_seen(tree: TrackedTree, top: Path):
    share = top / next(iter(second_of(tree).tops)).decode()
    (share / "new/deep").mkdir(parents=True)
    (share / "new/deep/file").write_bytes(b"1")
    assert agrees(tree)
    (share / "new/deep/file").write_bytes(b"2")
    assert agrees(tree)
    shutil.rmtree(share / "new")
    assert agrees(tree)
    inner = next(path for path in share.iterdir() if path.is_dir())
    inner.rename(top / "elsewhere")
    inner.symlink_to(top / "elsewhere")
    assert agrees(tree)
    shutil.rmtree(share)
    assert agrees(tree)
    share.mkdir()
    (share / "again").write_bytes(b"3")
    assert agrees(tree)
    (share / "again").write_bytes(b"4")
    assert agrees(tree)
    second_of(tree)


def test_a_link_in_place_of_a_shared_directory_is_not_followed(tree: TrackedTree, top: Path):
    share = top / next(iter(second_of(tree).tops)).decode()
    outside = top.parent / "outside"
    share.rename(outside)
    share.symlink_to(outside)
    assert agrees(tree)
    (outside / "secret").write_bytes(b"of the host")
    taken = tree.snapshot()
    paths = [entry.path for entry in tree.store.entries(taken.root)]
    assert not any("secret" in path for path in paths)


def test_without_the_other_process_everything_is_looked_at_here(tree: TrackedTree, top: Path):
    second = second_of(tree)
    second.process.kill()
    second.process.wait()
    for name in BY_ALL:
        (top / name).write_bytes(b"changed")
    assert agrees(tree)
    assert known_of(tree).second is None
    for name in BY_ALL:
        (top / name).write_bytes(b"altered")
    assert agrees(tree)


@pytest.mark.parametrize("wrong", ["number", "count", "path", "name", "nonsense"])
def test_a_wrong_answer_is_not_believed(
    wrong: str, tree: TrackedTree, top: Path, monkeypatch: pytest.MonkeyPatch
):
    second = second_of(tree)
    directory = next(iter(second._files))

    def lie(data: bytes) -> object:
        number, looked, lost, _, _ = Sweeper().sweep(0, second._number)
        looked = len(second._files) + sum(second._files.values())
        return {
            "number": (number - 1, looked, lost, [], []),
            "count": (number, looked - 1, lost, [], []),
            "path": (number, looked, lost, [b"nowhere"], []),
            "name": (number, looked, lost, [], [(directory, b"no file", True)]),
            "nonsense": (number,),
        }[wrong]

    for name in BY_ALL:
        (top / name).write_bytes(b"changed")
    with monkeypatch.context() as patched:
        patched.setattr(sweeping.marshal, "loads", lie)
        assert agrees(tree)
    assert known_of(tree).second is None


def test_a_process_that_does_not_answer_is_given_up(tree: TrackedTree, top: Path):
    second = second_of(tree)
    second.process.send_signal(signal.SIGSTOP)
    second._peer.settimeout(0.05)
    for name in BY_ALL:
        (top / name).write_bytes(b"changed")
    assert agrees(tree)
    assert second.process.returncode is not None


def test_it_ends_with_the_tree_and_with_what_is_known(tree: TrackedTree, top: Path):
    first = second_of(tree).process
    tree.cache.clear()
    assert first.returncode is not None
    tree.snapshot()
    tree.snapshot()
    process = second_of(tree).process
    assert process.poll() is None
    tree.close()
    assert process.returncode is not None
    (top / "5").write_bytes(b"changed")
    assert agrees(tree)


_PARENT = """
import os, signal, sys
from pathlib import Path
from autovibe.store import Store, sweeping
from autovibe.store.tracking import TrackedTree, WalkTracker
sweeping.LEAST_ENTRIES = 0
sweeping.os.sched_getaffinity = lambda _: {0, 1}
tree = TrackedTree(Store.open(Path(sys.argv[1])), {"w": Path(sys.argv[2])}, WalkTracker())
tree.snapshot()
tree.snapshot()
print(tree.cache._known["w"].second.process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_dies_with_a_process_that_was_killed(top: Path, tmp_path: Path):
    program = [sys.executable, "-c", _PARENT, str(tmp_path / "other"), str(top)]
    said = subprocess.run(program, capture_output=True, text=True, check=False)
    pid = int(said.stdout)
    assert said.returncode == -signal.SIGKILL
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
        except FileNotFoundError:
            return
        if state.split()[0] == "Z":  # ended; whoever adopted it has not asked yet
            return
        time.sleep(0.01)
    pytest.fail("it still runs")


def test_a_tree_that_cannot_be_halved_is_looked_at_alone(tmp_path: Path, store: Store):
    (tmp_path / "flat").mkdir()
    for number in range(10):
        (tmp_path / "flat" / str(number)).write_bytes(b"")
    tree = TrackedTree(store, {"w": tmp_path / "flat"}, WalkTracker(), audit_every=0)
    tree.snapshot()
    tree.snapshot()
    assert known_of(tree).second is None
    for directory in "abcdefgh":  # it has grown: there is something to share now
        (tmp_path / "flat" / directory).mkdir()
        (tmp_path / "flat" / directory / "file").write_bytes(b"")
        (tmp_path / "flat" / directory / "other").write_bytes(b"")
    tree.snapshot()
    tree.snapshot()
    second_of(tree)
    assert agrees(tree)
    tree.close()


def test_a_single_processor_is_not_shared(tree: TrackedTree, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert SecondSweeper.begin(known_of(tree).records) is None

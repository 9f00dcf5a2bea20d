"""Pruning against writers in other processes and threads, and killed at its worst moments."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from autovibe.kernel import faults
from autovibe.kernel.clock import SystemClock
from autovibe.store import Store

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


@pytest.mark.parametrize("seed", range(2))
def test_snapshots_taken_while_others_prune_are_whole(tmp_path: Path, seed: int):
    _writers_against_pruners(tmp_path, seed, turns=12)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 30))
def test_many_snapshots_taken_while_others_prune_are_whole(tmp_path: Path, seed: int):
    _writers_against_pruners(tmp_path, seed, turns=150)


_WRITER = """
import random, sys
from datetime import timedelta
from pathlib import Path
from autovibe.store import StatCache, Store
path, tree, name, seed, turns = sys.argv[1:]
tree, rng, cache = Path(tree), random.Random(name + seed), StatCache()
store = Store.open(Path(path))
kept = []
for turn in range(int(turns)):
    # Few contents, so that writers keep storing again what a prune is about to remove.
    for number in range(8):
        (tree / f"f{number}").write_bytes(bytes([rng.randrange(6)]) * 3000)
    taken = store.snapshot({"w": tree}, cache=cache if turn % 2 else None)
    store.write_ref(f"{name}/{turn}", taken.root)
    kept.append(turn)
    while len(kept) > 2:
        store.delete_ref(f"{name}/{kept.pop(0)}")
"""


def _writers_against_pruners(tmp_path: Path, seed: int, turns: int) -> None:
    store = Store.open(tmp_path / "store")
    writers = []
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        command = [sys.executable, "-c", _WRITER, str(store.path), str(tmp_path / name), name]
        writers.append(subprocess.Popen([*command, str(seed), str(turns)]))
    pruned = 0
    while any(writer.poll() is None for writer in writers):
        # Far ahead, so that no pin protects anything: only refs and the locks do. A snapshot may
        # then be refused its ref, which the writer would not survive; so its pins are honoured.
        pruned += store.prune(grace=NO_GRACE).objects_removed
        assert all(store.verify(root).ok for _, root in store.refs())
    assert [writer.wait() for writer in writers] == [0, 0]
    store.prune(grace=NO_GRACE)
    refs = list(Store.open(store.path).refs())
    assert len(refs) == 4
    assert all(store.verify(root).ok for _, root in refs)
    assert store.check().ok


_VICTIM = """
import os, signal, sys
from datetime import timedelta
from pathlib import Path
from autovibe.kernel import faults
from autovibe.kernel.clock import SystemClock
from autovibe.store import Store
path, wanted, left = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
class Later(SystemClock):
    def now(self):
        return super().now() + timedelta(hours=2)
def hook(point):
    global left
    if wanted in ("any", point):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
faults.on_point(hook)
Store.open(path, clock=Later()).prune(grace=timedelta(0))
"""


def _prepare(store: Store, tree: Path) -> str:
    """Leave packs to remove, to write anew and to keep."""
    (tree / "kept").write_bytes(b"kept in a pack of which most goes" * 10)
    commit(store, tree, "checkpoints/a", 1)
    commit(store, tree, "checkpoints/b", 2)
    root = commit(store, tree, "checkpoints/c", 3)
    store.delete_ref("checkpoints/a")
    store.delete_ref("checkpoints/b")
    return root


def _survives(path: Path, root: str, tree: Path) -> None:
    store = Store.open(path)
    assert list((path / "tmp").iterdir()) == []
    assert store.verify(root).ok
    assert store.check().ok
    later = LaterClock()
    later.ahead = timedelta(hours=2)
    Store.open(path, clock=later).prune(grace=NO_GRACE)
    assert Store.open(path).check().ok
    assert store.verify(root).ok
    assert store.snapshot({"w": tree}).root == root


@pytest.mark.parametrize("point", faults.PRUNE)
def test_prune_killed_at_a_named_point_loses_nothing(
    point: str, store: Store, tree: Path, run_python
):
    root = _prepare(store, tree)
    done = run_python(_VICTIM, store.path, point, "1")
    assert done.returncode == -signal.SIGKILL, done.stderr
    _survives(store.path, root, tree)


def test_prune_killed_between_two_packs_loses_nothing(store: Store, tree: Path, run_python):
    root = _prepare(store, tree)
    for _ in range(3):
        done = run_python(_VICTIM, store.path, "pack_removed", "2")
        assert done.returncode in {0, -signal.SIGKILL}, done.stderr
        _survives(store.path, root, tree)


def test_two_threads_prune_and_capture_in_one_process(store: Store, tree: Path, clock: LaterClock):
    commit(store, tree, "checkpoints/x", 1)
    clock.ahead = timedelta(hours=2)
    failed: list[BaseException] = []

    def capture() -> None:
        try:
            for number in range(10):
                root = store.snapshot({"w": tree}).root
                store.write_ref(f"t/{number}", root)
                store.delete_ref(f"t/{number}")
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failed.append(error)

    thread = threading.Thread(target=capture)
    thread.start()
    while thread.is_alive():
        store.prune(grace=NO_GRACE)
    thread.join()
    assert failed == []
    assert store.check().ok

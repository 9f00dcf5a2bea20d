"""Each call that can fail is made to fail in its turn: what is reported, and what is left."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from autovibe.kernel.clock import SystemClock
from autovibe.kernel.errors import AutovibeError
from autovibe.store import (
    ObjectCorruptError,
    Store,
    StoreFullError,
    StoreReadOnlyError,
    StoreWriteError,
    TargetUnwritableError,
)

WRITES = ("write", "fsync", "open", "rename", "unlink", "mkdir", "link", "ftruncate", "utime")
ERRORS = {
    errno.ENOSPC: StoreFullError,
    errno.EDQUOT: StoreFullError,
    errno.EIO: StoreWriteError,
    errno.EROFS: StoreReadOnlyError,
}


class LaterClock(SystemClock):
    def now(self) -> datetime:
        return super().now() + timedelta(hours=2)


class Saboteur:
    """Counts the changing calls below a directory, and lets the n-th one fail."""

    def __init__(self, below: Path, patch: pytest.MonkeyPatch) -> None:
        self.below = str(below)
        self.calls: list[str] = []
        self.fail_at = -1
        self.number = errno.EIO
        self.short = False
        for name in WRITES:
            patch.setattr(os, name, self._wrapped(name, getattr(os, name)))

    def arm(self, fail_at: int, number: int, *, short: bool = False) -> None:
        self.calls.clear()
        self.fail_at, self.number, self.short = fail_at, number, short

    def _wrapped(self, name: str, really: Callable) -> Callable:
        def call(target, *rest, **options):
            if not self._counts(name, target, rest, options):
                return really(target, *rest, **options)
            self.calls.append(name)
            if len(self.calls) - 1 != self.fail_at:
                return really(target, *rest, **options)
            if self.short and name == "write":
                return really(target, bytes(rest[0])[: max(1, len(rest[0]) // 2)])
            raise OSError(self.number, os.strerror(self.number), str(target))

        return call

    def _counts(self, name: str, target: object, rest: tuple, options: dict) -> bool:
        if name == "open" and not (rest and rest[0] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR)):
            return False
        directory = options.get("dir_fd", options.get("src_dir_fd"))
        if directory is not None:
            path = str(Path(f"/proc/self/fd/{directory}").readlink())
        elif isinstance(target, int):
            path = str(Path(f"/proc/self/fd/{target}").readlink())
        else:
            path = os.fsdecode(target)  # type: ignore[arg-type]
        return path.startswith(self.below)


def fill(tree: Path, seed: int) -> None:
    rng = random.Random(seed)
    for number in range(5):
        path = tree / f"d{number % 2}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(rng.randrange(100, 3000)))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    fill(tmp_path / "tree", 1)
    return tmp_path / "tree"


@pytest.fixture
def store(tmp_path: Path, tree: Path) -> Store:
    store = Store.open(tmp_path / "store", clock=LaterClock())
    for seed in (1, 2, 3):
        fill(tree, seed)
        store.write_ref(f"earlier/{seed}", store.snapshot({"w": tree}).root)
    return store


def whole(path: Path) -> None:
    store = Store.open(path)
    assert list((path / "tmp").iterdir()) == []
    assert store.check().ok
    assert all(store.verify(root).ok for _, root in store.refs())


def work(store: Store, tree: Path, seed: int) -> str:
    """Capture, name, forget and prune: every call with which the store changes its files."""
    fill(tree, seed)
    taken = store.snapshot({"w": tree})
    store.write_ref("new/1", taken.root)
    store.delete_ref("earlier/2")
    store.prune(grace=timedelta(0))
    return taken.root


def attempt(action: Callable[[], object]) -> AutovibeError | None:
    """Return the error with which an action ends; one of another kind is a defect."""
    try:
        action()
    except AutovibeError as error:
        return error
    return None


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
def test_every_failing_call_is_reported_with_its_path_and_loses_nothing(
    store: Store, tree: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    saboteur = Saboteur(store.path, monkeypatch)
    failed: set[str] = set()
    for turn in range(200):
        saboteur.arm(turn, number)
        if store.read_ref("earlier/2") is None:
            store.write_ref("earlier/2", next(root for _, root in store.refs()))
            saboteur.arm(turn, number)
        error = attempt(lambda seed=100 + turn: work(store, tree, seed))
        missed = len(saboteur.calls) <= turn
        if error is not None:
            assert isinstance(error, ERRORS[number]), (turn, saboteur.calls[turn], error)
            assert str(store.path) in error.message
            failed.add(saboteur.calls[turn])
        saboteur.arm(-1, 0)
        whole(store.path)
        if missed:
            break
    else:
        pytest.fail("the work never ended")
    assert {"write", "fsync", "open", "rename"} <= failed
    assert turn > 20


def test_short_writes_are_continued(store: Store, tree: Path, monkeypatch: pytest.MonkeyPatch):
    saboteur = Saboteur(store.path, monkeypatch)
    shortened = 0
    for turn in range(30):
        fill(tree, 200 + turn)
        saboteur.arm(turn, errno.EIO, short=True)
        roots: list[str] = []
        error = attempt(lambda into=roots: into.append(store.snapshot({"w": tree}).root))
        hit = saboteur.calls[turn : turn + 1]
        saboteur.arm(-1, 0)
        assert (error is not None) == (hit not in ([], ["write"]))
        assert all(Store.open(store.path).verify(root).ok for root in roots)
        shortened += hit == ["write"]
        if not hit:
            break
    assert shortened >= 2


def test_every_failing_call_of_a_restore_is_reported_and_cleans_up(
    store: Store, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, describe_tree
):
    root = store.read_ref("earlier/1") or ""
    out = tmp_path / "out"
    saboteur = Saboteur(out, monkeypatch)
    for turn in range(100):
        saboteur.arm(turn, errno.ENOSPC)
        error = attempt(lambda: store.restore(root, out, path="w"))
        saboteur.arm(-1, 0)
        if error is None:
            break
        assert isinstance(error, StoreFullError)
        assert str(out) in error.message
        assert not out.exists() or list(out.iterdir()) == []
    assert turn > 5
    assert len(describe_tree(out)) == 7
    (out / "d0").rename(out / "other")
    saboteur.arm(1, errno.EROFS)  # the first is the making of a directory that is there
    with pytest.raises(TargetUnwritableError, match="out"):
        store.restore(root, out, path="w", onto_same=True)


def test_read_error_in_a_pack_names_the_object_and_the_pack(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = store.read_ref("earlier/3") or ""

    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", fail)
        with pytest.raises(ObjectCorruptError, match=str(store.path)):
            store.restore(root, tmp_path / "out", path="w")
        result = store.verify(root)
        assert not result.ok
        assert result.corrupt[0].paths == ("/",)
    assert store.verify(root).ok


def test_read_error_in_the_tree_is_listed_and_everything_else_is_kept(
    store: Store, tree: Path, monkeypatch: pytest.MonkeyPatch
):
    really = os.read

    def fail(fd: int, size: int) -> bytes:
        if str(Path(f"/proc/self/fd/{fd}").readlink()).endswith("d1/f3"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return really(fd, size)

    with monkeypatch.context() as patched:
        patched.setattr(os, "read", fail)
        taken = store.snapshot({"w": tree})
    assert taken.unreadable == ("w/d1/f3",)
    entries = {e.path: e for e in store.entries(taken.root, "w")}
    assert not entries["d1/f3"].complete
    assert entries["d1/f1"].complete
    assert store.verify(taken.root).ok

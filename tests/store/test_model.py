"""The store against a plain-Python model of what it should hold."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from autovibe.kernel import faults
from autovibe.kernel.clock import SystemClock
from autovibe.store import KeepRules, Kind, StatCache, Store

# A file is (content, executable), a link its target, a directory None.
Model = dict[str, tuple[bytes, bool] | str | None]

_NAMES = st.sampled_from(["a", "b", "c", "é", "raw\udcff", "sp ace", "new\nline"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
_CONTENTS = st.one_of(
    st.binary(max_size=40),
    st.integers(0, 255).map(lambda byte: bytes([byte]) * ((1 << 20) + byte)),
)


class LaterClock(SystemClock):
    """What a prune runs with that is to see no pin as young."""

    def now(self) -> datetime:
        return super().now() + timedelta(hours=2)


def in_child(action, nth: int) -> None:
    """Run something in a process that is killed at the n-th fault point it comes to."""
    child = os.fork()
    if child == 0:
        left = nth

        def hook(_point: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        faults.on_point(hook)
        try:
            action()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def leaves(model: Model) -> Model:
    """Return what a diff shows: everything but directories that hold something."""
    full = {path.rpartition("/")[0] for path in model}
    return {path: node for path, node in model.items() if node is not None or path not in full}


class StoreMachine(RuleBasedStateMachine):
    taken = Bundle("taken")
    steps: ClassVar[int] = 0

    @initialize()
    def start(self) -> None:
        # In memory where there is such a place: a busy disk would take seconds to sync it all.
        place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.top = Path(tempfile.mkdtemp(prefix="autovibe-model-", dir=place))
        self.tree = self.top / "tree"
        self.tree.mkdir()
        self.model: Model = {}
        self.cache = StatCache()
        self.kept: dict[str, Model] = {}
        self.count = 0
        self.store = Store.open(self.top / "store")

    def teardown(self) -> None:
        shutil.rmtree(self.top)

    def _blocked(self, path: str) -> bool:
        """A parent of the path is no directory."""
        parts = path.split("/")
        parents = ["/".join(parts[:n]) for n in range(1, len(parts))]
        return any(self.model.get(parent, None) is not None for parent in parents)

    def _parents(self, path: str) -> None:
        parts = path.split("/")
        for n in range(1, len(parts)):
            self.model.setdefault("/".join(parts[:n]), None)
        (self.tree / path).parent.mkdir(parents=True, exist_ok=True)

    def _remove(self, path: str) -> None:
        real = self.tree / path
        if path in self.model:
            if self.model[path] is None:
                shutil.rmtree(real)
            else:
                real.unlink()
        self.model = {
            key: node
            for key, node in self.model.items()
            if key != path and not key.startswith(f"{path}/")
        }

    @rule(path=_PATHS, content=_CONTENTS, executable=st.booleans())
    def write(self, path: str, content: bytes, *, executable: bool) -> None:
        if self._blocked(path):
            return
        if not isinstance(self.model.get(path), tuple):
            self._remove(path)
        self._parents(path)
        (self.tree / path).write_bytes(content)
        (self.tree / path).chmod(0o755 if executable else 0o644)
        self.model[path] = (content, executable)

    @rule(path=_PATHS, points_to=_PATHS)
    def link(self, path: str, points_to: str) -> None:
        if self._blocked(path):
            return
        self._remove(path)
        self._parents(path)
        (self.tree / path).symlink_to(points_to)
        self.model[path] = points_to

    @rule(path=_PATHS)
    def make_dir(self, path: str) -> None:
        if self._blocked(path) or path in self.model:
            return
        self._parents(path)
        (self.tree / path).mkdir()
        self.model[path] = None

    @rule(path=_PATHS)
    def remove(self, path: str) -> None:
        if not self._blocked(path):
            self._remove(path)

    @rule(target=taken, cached=st.booleans())
    def snapshot(self, *, cached: bool):
        snapshot = self.store.snapshot({"w": self.tree}, cache=self.cache if cached else None)
        known = self.kept.get(snapshot.root)
        assert known is None or known == self.model
        self.kept[snapshot.root] = dict(self.model)
        self._name(snapshot.root)
        return multiple(snapshot.root)

    def _name(self, root: str) -> None:
        self.count += 1
        self.store.write_ref(f"checkpoints/{self.count}", root)

    def _alive(self, root: str) -> bool:
        """A snapshot counts as long as a ref names it."""
        return root in {named for _, named in self.store.refs()}

    @rule(last=st.integers(0, 3), dry_run=st.booleans())
    def prune(self, last: int, *, dry_run: bool) -> None:
        keep = KeepRules(last=last, prefix="checkpoints/") if last else None
        pruner = Store.open(self.store.path, clock=LaterClock())
        result = pruner.prune(keep, grace=timedelta(0), dry_run=dry_run)
        assert result.kept_packs == ()
        if last and not dry_run:
            assert len(list(self.store.refs("checkpoints/"))) <= last
        assert self.store.verify().ok

    @rule(nth=st.integers(1, 25))
    def crash_while_pruning(self, nth: int) -> None:
        store = Store.open(self.store.path, clock=LaterClock())
        keep = KeepRules(last=2, prefix="checkpoints/")
        in_child(lambda: store.prune(keep, grace=timedelta(0)), nth)
        self.store = Store.open(self.store.path, create=False)
        assert self.store.check(repair=True).ok

    @rule(nth=st.integers(1, 40))
    def crash_while_capturing(self, nth: int) -> None:
        store = Store.open(self.store.path)
        in_child(lambda: store.write_ref("x/y", store.snapshot({"w": self.tree}).root), nth)
        self.store = Store.open(self.store.path, create=False)
        assert self.store.check().ok
        crashed = self.store.read_ref("x/y")
        if crashed is not None:
            known = self.kept.setdefault(crashed, dict(self.model))
            assert self._model_of(crashed) == known
            self.store.delete_ref("x/y")

    @rule()
    def reopen(self) -> None:
        self.store = Store.open(self.top / "store", create=False)

    @rule(root=taken)
    def entries_are_those_of_the_model(self, root: str) -> None:
        if self._alive(root):
            assert self._model_of(root) == self.kept[root]
            assert self.store.verify(root).ok

    def _model_of(self, root: str) -> Model:
        found: Model = {}
        for entry in self.store.entries(root, "w"):
            if entry.kind is Kind.FILE:
                content = b"".join(self.store.read(root, f"w/{entry.path}"))
                found[entry.path] = (content, bool(entry.mode & 0o100))
            else:
                found[entry.path] = entry.target if entry.kind is Kind.SYMLINK else None
        return found

    @rule(root=taken)
    def restore_elsewhere(self, root: str) -> None:
        if not self._alive(root):
            return
        out = Path(tempfile.mkdtemp(dir=self.top))
        self.store.restore(root, out, path="w")
        assert self.store.snapshot({"w": out}).root == root

    @rule(root=taken, cached=st.booleans())
    def restore_in_place(self, root: str, *, cached: bool) -> None:
        if not self._alive(root):
            return
        cache = self.cache if cached else None
        result = self.store.restore(root, self.tree, path="w", onto_same=True, cache=cache)
        if result.saved_root is not None:
            self.kept[result.saved_root] = dict(self.model)
        self.model = dict(self.kept[root])
        assert self.store.snapshot({"w": self.tree}, cache=cache).root == root

    @rule(old=taken, new=taken)
    def diff_is_that_of_the_models(self, old: str, new: str) -> None:
        if not (self._alive(old) and self._alive(new)):
            return
        before, after = leaves(self.kept[old]), leaves(self.kept[new])
        all_before, all_after = self.kept[old], self.kept[new]
        wanted: dict[str, str] = {}
        for path in before.keys() | after.keys():
            if path in before and path in after:
                one, other = before[path], after[path]
                if type(one) is not type(other):
                    wanted[path] = "type"
                elif one != other:
                    same = isinstance(one, tuple) and one[0] == other[0]
                    wanted[path] = "mode" if same else "modified"
            elif path in before:
                # An empty directory that was filled is no deletion.
                if not (before[path] is None and path in all_after and all_after[path] is None):
                    wanted[path] = "deleted"
            elif not (after[path] is None and path in all_before and all_before[path] is None):
                wanted[path] = "added"
        assert {c.path: c.change for c in self.store.diff(old, new, path="w")} == wanted

    @invariant()
    def nothing_is_left_in_tmp(self) -> None:
        type(self).steps += 1  # asked after every step
        assert list((self.top / "store" / "tmp").iterdir()) == []


TestStoreMachine = StoreMachine.TestCase
_SETTINGS = settings(
    max_examples=12,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestStoreMachine.settings = _SETTINGS


@pytest.mark.long
def test_store_follows_the_model_for_ten_thousand_steps() -> None:
    StoreMachine.steps = 0
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(_SETTINGS, max_examples=300, stateful_step_count=50, derandomize=False),
    )
    print(f"{StoreMachine.steps:,} steps")
    assert StoreMachine.steps >= 10_000

"""Random work on a tree: what a tracker leads to must be what a full walk sees."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import shutil
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from autovibe.kernel.clock import SystemClock
from autovibe.store import Store, sweeping
from autovibe.store.tracking import (
    ChangeTracker,
    FanotifyTracker,
    InotifyTracker,
    TrackedTree,
    TrackingUnavailableError,
    WalkTracker,
)

# The two areas are on one file system, so that things can be moved and linked between them.
_INSIDE: Final = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(
    lambda parts: "/".join(["tree", *parts])
)
_PATHS: Final = st.one_of(_INSIDE, _INSIDE, _INSIDE, st.sampled_from(["out/a", "out/b", "out/a/b"]))
_SMALL: Final = st.binary(max_size=6)
# From this version on two changes never have the same time; then nothing has to be looked at only
# because it is young, and what events tell stands alone.
_EXACT_TIMES: Final = (6, 13)
_EXCHANGE: Final = 2


class LaterClock(SystemClock):
    """To a store with this clock no change is young."""

    def now(self) -> datetime:
        return super().now() + timedelta(minutes=1)


def times_are_exact() -> bool:
    return tuple(int(n) for n in platform.release().split("-")[0].split(".")[:2]) >= _EXACT_TIMES


def started(kind: type[ChangeTracker], roots: dict[str, Path]) -> ChangeTracker:
    """Start a tracker that can be started here; the kernel counts closed ones for a while."""
    while True:
        tracker = kind()
        with contextlib.suppress(TrackingUnavailableError):
            tracker.start(roots)
            return tracker
        time.sleep(0.05)


class TrackedMachine(RuleBasedStateMachine):
    tracker: type[ChangeTracker]

    @initialize()
    def start(self) -> None:
        # In memory where there is such a place: a busy disk would take seconds to sync it all.
        place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.top = Path(tempfile.mkdtemp(prefix="autovibe-tracked-", dir=place))
        for name in ("tree/a/b", "tree/b", "out/a"):
            (self.top / name).mkdir(parents=True)
        (self.top / "tree/a/c").write_bytes(b"1")
        (self.top / "tree/a/b/c").write_bytes(b"2")
        (self.top / "out/a/b").write_bytes(b"3")
        self.roots = {"w": self.top / "tree"}
        clock = LaterClock() if times_are_exact() else SystemClock()
        self.store = Store.open(self.top / "store", clock=clock)
        self.held: list[int] = []
        tracker = started(self.tracker, self.roots)
        self.tree = TrackedTree(self.store, self.roots, tracker, audit_every=0)
        self.tree.snapshot()

    def teardown(self) -> None:
        self.snapshot(audit=False)
        self.tree.close()
        for fd in self.held:
            os.close(fd)
        shutil.rmtree(self.top)

    @rule(path=_PATHS, content=_SMALL)
    def write(self, path: str, content: bytes) -> None:
        with contextlib.suppress(OSError):
            (self.top / path).write_bytes(content)

    @rule(path=_PATHS)
    def make_dirs(self, path: str) -> None:
        with contextlib.suppress(OSError):
            (self.top / path).mkdir(parents=True)

    @rule(path=_PATHS)
    def remove(self, path: str) -> None:
        real = self.top / path
        with contextlib.suppress(OSError):
            shutil.rmtree(real) if real.is_dir() and not real.is_symlink() else real.unlink()

    @rule(path=_PATHS, to=_PATHS)
    def move(self, path: str, to: str) -> None:
        with contextlib.suppress(OSError):
            (self.top / path).rename(self.top / to)

    @rule(path=_PATHS, to=_PATHS)
    def exchange(self, path: str, to: str) -> None:
        here = -100  # AT_FDCWD
        names = [os.fsencode(self.top / name) for name in (path, to)]
        ctypes.CDLL(None).renameat2(here, names[0], here, names[1], _EXCHANGE)

    @rule(path=_PATHS, to=_PATHS)
    def hard_link(self, path: str, to: str) -> None:
        with contextlib.suppress(OSError):
            os.link(self.top / path, self.top / to, follow_symlinks=False)

    @rule(path=_PATHS, to=_PATHS)
    def symlink(self, path: str, to: str) -> None:
        with contextlib.suppress(OSError):
            (self.top / path).symlink_to(self.top / to)

    @rule(path=_PATHS, mode=st.sampled_from([0o600, 0o755]))
    def chmod(self, path: str, mode: int) -> None:
        with contextlib.suppress(OSError):
            (self.top / path).chmod(mode | 0o700)

    @rule(path=_PATHS, at=st.integers(1, 9))
    def set_times(self, path: str, at: int) -> None:
        with contextlib.suppress(OSError):
            os.utime(self.top / path, ns=(at, at), follow_symlinks=False)

    @rule(path=_PATHS, value=_SMALL)
    def set_attribute(self, path: str, value: bytes) -> None:
        with contextlib.suppress(OSError):
            os.setxattr(self.top / path, "user.note", value, follow_symlinks=False)

    @rule(path=_PATHS)
    def open(self, path: str) -> None:
        with contextlib.suppress(OSError):
            self.held.append(os.open(self.top / path, os.O_RDWR | os.O_NOFOLLOW))

    @rule(path=_PATHS)
    def open_nameless(self, path: str) -> None:
        with contextlib.suppress(OSError):
            self.held.append(os.open(self.top / path, os.O_TMPFILE | os.O_RDWR))

    @rule(which=st.integers(0, 9), to=_PATHS)
    def name_what_is_open(self, which: int, to: str) -> None:
        if self.held:
            fd = self.held[which % len(self.held)]
            with contextlib.suppress(OSError):
                os.link(f"/proc/self/fd/{fd}", self.top / to, src_dir_fd=fd, follow_symlinks=True)

    @rule(which=st.integers(0, 9), content=_SMALL)
    def write_what_is_open(self, which: int, content: bytes) -> None:
        if self.held:
            os.pwrite(self.held[which % len(self.held)], content, 0)

    @rule(which=st.integers(0, 9))
    def close(self, which: int) -> None:
        if self.held:
            os.close(self.held.pop(which % len(self.held)))

    @rule(audit=st.sampled_from([False, False, False, True]))
    def snapshot(self, *, audit: bool) -> None:
        taken = self.tree.snapshot(audit=audit)
        walked = self.store.snapshot(self.roots)
        assert [c.path for c in self.store.diff(taken.root, walked.root)] == []
        assert taken.root == walked.root
        assert (taken.file_count, taken.total_bytes) == (walked.file_count, walked.total_bytes)
        assert taken.missed == ()


def run(kind: type[ChangeTracker], directory: Path, examples: int, steps: int) -> None:
    try:
        probe = kind()
        probe.start({"w": directory})
        probe.close()
    except TrackingUnavailableError as error:
        pytest.skip(str(error))
    machine = type(f"Tracked{kind.__name__}", (TrackedMachine,), {"tracker": kind})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


KINDS = pytest.mark.parametrize(
    "kind", [InotifyTracker, FanotifyTracker, WalkTracker], ids=lambda kind: kind.detection
)


@KINDS
def test_tracked_snapshots_are_those_of_full_walks(kind, tmp_path: Path):
    run(kind, tmp_path, examples=40, steps=30)


@pytest.fixture
def small_trees_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "LEAST_ENTRIES", 0)
    monkeypatch.setattr(sweeping.os, "sched_getaffinity", lambda _: {0, 1})


@pytest.mark.usefixtures("small_trees_count")
def test_walks_shared_with_a_second_process_are_full_walks(tmp_path: Path):
    run(WalkTracker, tmp_path, examples=6, steps=20)


@pytest.mark.long
@pytest.mark.usefixtures("small_trees_count")
def test_walks_shared_with_a_second_process_are_full_walks_for_long(tmp_path: Path):
    run(WalkTracker, tmp_path, examples=150, steps=50)


@pytest.mark.long
@KINDS
def test_tracked_snapshots_are_those_of_full_walks_for_long(kind, tmp_path: Path):
    run(kind, tmp_path, examples=200, steps=50)

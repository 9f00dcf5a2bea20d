"""Files that a process changes through a shared mapping, which no event and no time stamp tells."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autovibe.store import Snapshot, Store
from autovibe.store.tracking import (
    FanotifyTracker,
    InotifyTracker,
    TrackedTree,
    TrackingUnavailableError,
    WalkTracker,
    shared_writable_inodes,
)

NAMES = ("one", "dir/two", "dir/three")
SIZE = 3 * 4096
# Stores through mappings as it is told, and never calls msync.
_WRITER = """
import json, mmap, os, sys
held = {}
for line in sys.stdin:
    what, name, at, text = json.loads(line)
    if what == "map":
        with open(name, "r+b") as file:
            held[name] = mmap.mmap(file.fileno(), 0)
    elif what == "drop":
        held.pop(name).close()
    else:
        held[name][at : at + len(text)] = text.encode()
    print("done", flush=True)
"""


class Writer:
    """A process of its own that maps files of a tree."""

    def __init__(self, top: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _WRITER],
            cwd=top,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, what: str, name: str, at: int = 0, text: str = "") -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([what, name, at, text]) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    @property
    def mapped(self) -> frozenset[int]:
        return shared_writable_inodes([self.process.pid])

    def close(self) -> None:
        self.process.communicate(timeout=60)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    (top / "dir").mkdir(parents=True)
    for name in NAMES:
        (top / name).write_bytes(bytes(SIZE))
    os.link(top / "one", top / "dir/linked")
    return top


@pytest.fixture
def writer(top: Path) -> Iterator[Writer]:
    writer = Writer(top)
    yield writer
    writer.close()


@pytest.fixture(params=[InotifyTracker, FanotifyTracker, WalkTracker], ids=lambda k: k.detection)
def tree(request, top: Path, store: Store) -> Iterator[TrackedTree]:
    tracker = request.param()
    try:
        tracker.start({"w": top})
    except TrackingUnavailableError as error:
        pytest.skip(str(error))
    tree = TrackedTree(store, {"w": top}, tracker)
    yield tree
    tree.close()


def contents(store: Store, taken: Snapshot) -> dict[str, bytes]:
    return {name: b"".join(store.read(taken.root, f"w/{name}")) for name in (*NAMES, "dir/linked")}


def play(tree: TrackedTree, writer: Writer, store: Store, rounds: int, seed: int) -> None:
    """Store, map and let go at random; each snapshot must hold what was stored before it."""
    rng = random.Random(seed)
    wanted = {name: bytearray(SIZE) for name in NAMES}
    held: set[str] = set()
    for number in range(rounds):
        for _ in range(rng.randrange(1, 4)):
            name = rng.choice(NAMES)
            if name not in held:
                writer.tell("map", name)
                held.add(name)
            at, text = rng.randrange(SIZE - 8), f"{number:08}"
            writer.tell("store", name, at, text)
            wanted[name][at : at + 8] = text.encode()
        if rng.random() < 0.2:
            name = rng.choice(sorted(held))
            writer.tell("drop", name)
            held.remove(name)
        if rng.random() < 0.3:
            time.sleep(0.025)  # until nothing is so young that it is read anyway
        found = contents(store, tree.snapshot(mapped=writer.mapped))
        assert found == wanted | {"dir/linked": wanted["one"]}, number


def test_no_store_through_a_mapping_is_missed(tree: TrackedTree, writer: Writer, store: Store):
    play(tree, writer, store, 30, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 5))
def test_no_store_through_a_mapping_is_missed_in_300_rounds(
    tree: TrackedTree, writer: Writer, store: Store, seed: int
):
    play(tree, writer, store, 300, seed)


def test_store_to_a_page_that_is_dirty_already_is_not_missed(
    tree: TrackedTree, writer: Writer, store: Store
):
    """The page stays writable from its first store on, so that no later one is noticed."""
    writer.tell("map", "dir/two")
    for number in range(10):
        writer.tell("store", "dir/two", 0, f"{number:08}")
        time.sleep(0.025 if number < 2 else 0)
        taken = tree.snapshot(mapped=writer.mapped)
        assert contents(store, taken)["dir/two"][:8] == f"{number:08}".encode()


_PROTECTED = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
READ, WRITE, SHARED = 1, 2, 1
writable, readable = os.open("one", os.O_RDWR), os.open("dir/two", os.O_RDONLY)
at = libc.mmap(None, 4096, READ, SHARED, writable, 0)
libc.mmap(None, 4096, READ, SHARED, readable, 0)
libc.mmap(None, 4096, READ | WRITE, 2, writable, 0)
print("mapped", flush=True)
sys.stdin.read(1)
"""


def test_mappings_that_may_become_writable_count_and_others_do_not(top: Path):
    process = subprocess.Popen(
        [sys.executable, "-c", _PROTECTED], cwd=top, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    found = shared_writable_inodes([process.pid])
    process.communicate(b"x", timeout=60)
    assert (top / "one").stat().st_ino in found
    assert (top / "dir/two").stat().st_ino not in found
    assert shared_writable_inodes([process.pid]) == frozenset()

"""Measure what a file costs in trees of different sizes: it should stay the same.

    python benchmarks/run.py store_flat
    AUTOVIBE_BENCH_FLAT=1000,10000,100000,1000000

For each size: the first capture (`cpu_us`: the time of processors in it), ten changes by looking at
every entry, and ten changes by what the kernel tells. Files are small and lie a hundred in a
directory.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from _timing import ms, out, timed

from autovibe.store import NewRef, Store
from autovibe.store.tracking import TrackedTree, WalkTracker, choose

SEED: Final = 20261125
SIZES: Final = os.environ.get("AUTOVIBE_BENCH_FLAT", "1000,10000,100000").split(",")
IN_A_DIRECTORY: Final = 100
CHANGED: Final = 10
ROUNDS: Final = 7


def main() -> int:
    """Measure each size."""
    for size in map(int, SIZES):
        with tempfile.TemporaryDirectory(prefix="store-flat-") as scratch:
            measure(size, Path(scratch))
    return 0


def directory_of(tree: Path, at: int) -> str:
    """Return the directory of a file."""
    number = at // IN_A_DIRECTORY
    return f"{tree}/{number // IN_A_DIRECTORY}/{number % IN_A_DIRECTORY}"


def build(directory: str, files: range, rng: random.Random) -> None:
    """Make one directory; a million files leave no time for more than these calls."""
    os.makedirs(directory)  # noqa: PTH103 - as above
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    for at in files:
        out_fd = os.open(f"f{at}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=fd)
        os.write(out_fd, rng.randbytes(100).hex().encode() * 2)
        os.close(out_fd)
    os.close(fd)


def measure(size: int, top: Path) -> None:
    """Build a tree of one size and print its rows."""
    rng = random.Random(SEED)  # noqa: S311  # the same tree every time, not a secret
    tree = top / "tree"
    for number in range(0, size, IN_A_DIRECTORY):
        build(directory_of(tree, number), range(number, min(size, number + IN_A_DIRECTORY)), rng)
    roots = {"w": tree}
    store = Store.open(top / "store", journal=True)
    tracked = TrackedTree(store, roots, choose(roots), audit_every=0)
    walked = TrackedTree(store, roots, WalkTracker(), audit_every=0)
    begun = time.process_time()
    first = timed(tracked.snapshot)
    first_cpu = time.process_time() - begun
    for resident in (tracked, walked, walked):
        resident.snapshot()
    times: dict[str, list[float]] = {"tracked": [], "walk": []}
    for number in range(ROUNDS):
        for at in rng.sample(range(size), CHANGED):
            path = Path(directory_of(tree, at), f"f{at}")
            path.write_bytes(b"round %d %s" % (number, rng.randbytes(8).hex().encode()))
        times["tracked"].append(timed(lambda: tracked.snapshot(ref=NewRef("b/t"))))
        times["walk"].append(timed(lambda: walked.snapshot(ref=NewRef("b/w"))))
    if store.read_ref("b/t") != store.read_ref("b/w"):
        msg = "two snapshots of one tree differ"
        raise RuntimeError(msg)
    tracked.close()
    walk = statistics.median(times["walk"])
    tracked_ms = ms(statistics.median(times["tracked"]))
    cpu_us = round(first_cpu / size * 1e6, 2)
    out(f"store_flat_first_{size}", "us", round(first / size * 1e6, 2), runs=1, cpu_us=cpu_us)
    out(f"store_flat_walk_{size}", "us", round(walk / size * 1e6, 3), runs=ROUNDS)
    out(f"store_flat_tracked_{size}", "ms", tracked_ms, runs=ROUNDS)


if __name__ == "__main__":
    sys.exit(main())

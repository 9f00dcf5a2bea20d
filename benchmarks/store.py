"""Measure the checkpoint store against restic, borg and git on three real trees.

    python benchmarks/run.py store
    AUTOVIBE_BENCH_TREES=DIR AUTOVIBE_BENCH_STORE=source,node_modules,binaries

AUTOVIBE_BENCH_TREES is where the trees are kept (see _trees.py; the first run installs them);
AUTOVIBE_BENCH_STORE says which are measured, all three by default. restic and borg come from the
packages of the system. Everyone works on the same copy of a tree and takes turns: in each round the
same files change, and the one who begins changes, too. `sync` runs before each turn, so that nobody
pays for what another has left to be written.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from _peers import Borg, Git, Peer, Restic
from _trees import tree

from autovibe.store import StatCache, Store
from autovibe.store.tracking import TrackedTree, WalkTracker, choose

SEED: Final = 20261125
CHANGED: Final = 10
ROUNDS: Final = int(os.environ.get("AUTOVIBE_BENCH_ROUNDS", "40"))
PEER_ROUNDS: Final = 5
TREES: Final = os.environ.get("AUTOVIBE_BENCH_STORE", "source,node_modules,binaries").split(",")
_CHILD_MEMORY: Final = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
Action = Callable[[], object]


def main() -> int:
    """Measure each tree in a process of its own, so that memory is that of one tree."""
    if len(sys.argv) > 1:
        return measure(sys.argv[1])
    for name in TREES:
        subprocess.run([sys.executable, __file__, name], check=True)
    return 0


def measure(name: str) -> int:
    """Measure one tree."""
    original = tree(name)
    with tempfile.TemporaryDirectory(prefix="store-bench-", dir=original.parent) as scratch:
        top = Path(scratch)
        copy = top / "tree"
        subprocess.run(["cp", "-a", str(original), str(copy)], check=True)
        bench = Bench(name, top, copy)
        bench.first()
        if name != "binaries":
            bench.ten_changes()
        bench.restore()
        if name == "source":
            bench.in_place()
            bench.verify()
        if name != "node_modules":
            bench.sizes()
        bench.memory()
    return 0


class Bench:
    """One tree, our store and its peers."""

    def __init__(self, name: str, top: Path, copy: Path) -> None:
        self.name = name
        self.top = top
        self.copy = copy
        self.rng = random.Random(SEED)  # noqa: S311  # the same files every time, not a secret
        self.count = 0
        kinds = (Restic, Borg, Git) if name == "source" else (Restic,)
        if name == "node_modules":
            kinds = (Restic, Git)
        self.peers: dict[str, Peer] = {
            kind.name: kind(top / kind.name, copy) for kind in kinds if kind.found()
        }
        self.store = top / "store"
        self.root = ""

    def own(self, command: str, *arguments: str) -> None:
        """Run the store as a process of its own."""
        program = [sys.executable, "-m", "autovibe.store", f"--store={self.store}", command]
        subprocess.run([*program, *arguments], check=True, stdout=subprocess.DEVNULL)

    def first(self) -> None:
        """Capture the tree for the first time; every byte has been read before by all."""
        read_all(self.copy)
        times = {name: timed(peer.first) for name, peer in self.peers.items()}
        ours = []
        for _ in range(1 if self.name == "binaries" else 3):
            shutil.rmtree(self.store, ignore_errors=True)
            ours.append(timed(lambda: self.own("snapshot", f"--root=w={self.copy}", "--ref=b/1")))
        self.root = Store.open(self.store).read_ref("b/1") or ""
        files = Store.open(self.store).stats(snapshots=True).snapshot_files
        row = {"runs": len(ours), "files": files} | seconds(times)
        self.against("restic", f"store_first_{self.name}_vs_restic", min(ours), times, row)

    def against(
        self, peer: str, name: str, ours: float, times: dict[str, float], more: dict[str, object]
    ) -> None:
        """Print a row with one of the peers, when it is installed."""
        if peer not in times:
            print(f"{name} left out: {peer} is not installed", file=sys.stderr)
            return
        out(
            name,
            "s",
            round(ours, 4),
            peer=type(self.peers[peer]).title(),
            peer_value=round(times[peer], 4),
            **more,
        )

    def ten_changes(self) -> None:
        """Change ten files a round: tracked, walked, and as a process of its own."""
        store = Store.open(self.store)
        files = sorted(p for p in self.copy.rglob("*") if p.is_file() and not p.is_symlink())
        roots = {"w": self.copy}
        tracked = TrackedTree(store, roots, choose(roots), audit_every=0)
        walked = TrackedTree(store, roots, WalkTracker())
        for resident in (tracked, walked):
            resident.snapshot()
            resident.snapshot()
        turns: dict[str, Action] = {
            "tracked": lambda: store.write_ref("b/t", tracked.snapshot().root),
            "walk": lambda: store.write_ref("b/w", walked.snapshot().root),
        }
        rare: dict[str, Action] = {
            "process": lambda: self.own("snapshot", f"--root=w={self.copy}", "--ref=b/p"),
        }
        rare |= {name: peer.again for name, peer in self.peers.items()}
        times: dict[str, list[float]] = {name: [] for name in (*turns, *rare)}
        for number in range(ROUNDS):
            self.change(files)
            now = turns | rare if number % (ROUNDS // PEER_ROUNDS) == 0 else turns
            order = list(now.items())
            self.rng.shuffle(order)
            for name, action in order:
                times[name].append(timed(action))
        fresh = store.snapshot(roots)
        if {store.read_ref("b/t"), store.read_ref("b/w")} != {fresh.root}:
            msg = "a snapshot differs from the tree"
            raise RuntimeError(msg)
        tracked.close()
        self.tell_ten(times, tracked.detection)

    def tell_ten(self, times: dict[str, list[float]], detection: str) -> None:
        """Print the rows of ten changes."""
        middle = {name: statistics.median(values) for name, values in times.items()}
        tail = sorted(times["tracked"])[int(len(times["tracked"]) * 0.99)]
        suffix = "" if self.name == "source" else f"_{self.name}"
        out(
            f"store_ten_changes_tracked{suffix}_ms",
            "ms",
            ms(middle["tracked"]),
            runs=ROUNDS,
            p99=ms(tail),
            best=ms(min(times["tracked"])),
            detection=detection,
        )
        for name, ours, peer in (
            ("walk_vs_git", "walk", "git"),
            ("walk_vs_restic", "walk", "restic"),
            ("process_vs_git", "process", "git"),
        ):
            row = {"runs": len(times[ours])} | seconds(middle)
            self.against(peer, f"store_ten_changes_{name}{suffix}", middle[ours], middle, row)

    def change(self, files: Sequence[Path]) -> None:
        """Edit ten files as an agent would."""
        self.count += 1
        for path in self.rng.sample(files, CHANGED):
            with path.open("ab") as file:
                file.write(b"\n# round %d\n" % self.count)

    def restore(self) -> None:
        """Restore everything into new directories, which stay until all have had their turns."""
        if "restic" not in self.peers:
            return
        ours, theirs = [], []
        for number in range(1 if self.name == "binaries" else 2):
            into = [self.top / f"{who}-{number}" for who in ("ours", "theirs")]
            # Of a snapshot the contents of its one root, as restic restores those of the tree.
            ours.append(
                timed(lambda: self.own("restore", self.root, str(into[0]), "--path=w"))  # noqa: B023 - called at once
            )
            theirs.append(timed(lambda: self.peers["restic"].restore(into[1])))  # noqa: B023 - as above
        row = {"runs": len(ours)}
        name = f"store_restore_{self.name}_vs_restic"
        self.against("restic", name, min(ours), {"restic": min(theirs)}, row)
        for path in (*self.top.glob("ours-*"), *self.top.glob("theirs-*")):
            shutil.rmtree(path)

    def in_place(self) -> None:
        """Put ten changed files back to what they were, as undoing a step does."""
        store = Store.open(self.store)
        files = sorted(p for p in self.copy.rglob("*") if p.is_file() and not p.is_symlink())
        cache = StatCache()
        times: list[float] = []
        base = store.snapshot({"w": self.copy}, cache=cache).root
        store.write_ref("b/base", base)
        store.snapshot({"w": self.copy}, cache=cache)
        for _ in range(10):
            self.change(files)
            times.append(
                timed(lambda: store.restore(base, self.copy, path="w", onto_same=True, cache=cache))
            )
        if store.snapshot({"w": self.copy}).root != base:
            msg = "the tree is not what it was"
            raise RuntimeError(msg)
        out("store_restore_in_place_ms", "ms", ms(statistics.median(times)), runs=len(times))

    def verify(self) -> None:
        """Read back and hash everything."""
        if "restic" not in self.peers:
            return
        runs = [
            (timed(lambda: self.own("verify", self.root)), timed(self.peers["restic"].verify))
            for _ in range(3)
        ]
        ours, theirs = (min(times) for times in zip(*runs, strict=True))
        self.against("restic", "store_verify_vs_restic", ours, {"restic": theirs}, {"runs": 3})

    def sizes(self) -> None:
        """Compare what the disk holds after one capture of the same tree."""
        if "restic" not in self.peers:
            return
        fresh = self.top / "fresh-store"
        Store.open(fresh).snapshot({"w": self.copy})
        peer = Restic(self.top / "fresh-restic", self.copy)
        peer.first()
        ours = sum(path.stat().st_size for path in (fresh / "packs").iterdir())
        out(
            f"store_size_{self.name}_vs_restic",
            "MB",
            round(ours / 1e6, 2),
            peer=Restic.title(),
            peer_value=round(peer.size() / 1e6, 2),
            runs=1,
        )

    def memory(self) -> None:
        """Tell the largest memory of any of our processes: this one is resident, too."""
        kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        program = [
            sys.executable,
            "-c",
            _CHILD_MEMORY,
            sys.executable,
            "-m",
            "autovibe.store",
            f"--store={self.top / 'memory-store'}",
            "snapshot",
            f"--root=w={self.copy}",
        ]
        child = int(subprocess.run(program, check=True, capture_output=True, text=True).stdout)
        resident = resource.getrusage(kinds[0]).ru_maxrss
        suffix = "" if self.name == "node_modules" else f"_{self.name}"
        out(
            f"store_peak_memory{suffix}_mb",
            "MB",
            round(max(child, resident) / 1024, 1),
            runs=1,
            first_process_mb=round(child / 1024, 1),
            resident_mb=round(resident / 1024, 1),
        )


def timed(action: Action) -> float:
    """Return the seconds that an action takes, with a quiet disk before it."""
    os.sync()
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def read_all(top: Path) -> None:
    """Read every file once, so that nobody waits for the disk."""
    for path in top.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                while file.read(1 << 20):
                    pass


def seconds(times: dict[str, float]) -> dict[str, object]:
    """Name the times of all, for the row."""
    return {f"{name}_s": round(value, 4) for name, value in times.items()}


def ms(value: float) -> float:
    """Return milliseconds."""
    return round(value * 1000, 2)


def out(name: str, unit: str, ours: float, **more: object) -> None:
    """Print a row."""
    print(json.dumps({"name": name, "unit": unit, "ours": ours, **more}), flush=True)


if __name__ == "__main__":
    sys.exit(main())

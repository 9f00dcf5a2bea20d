"""Measure the checkpoint store against restic, borg and git on three real trees.

    python benchmarks/run.py store
    python benchmarks/store.py --tree source --operation first --operation restore

By default all trees and all operations; AUTOVIBE_BENCH_STORE=source,binaries chooses trees, too.
AUTOVIBE_BENCH_TREES is where the trees are kept (see _trees.py; the first run installs them).
restic and borg come from the packages of the system. Everyone works on the same copy of a tree and
takes turns: in each round the same files change, and the one who begins changes, too. `sync` runs
before each turn, so that nobody pays for what another has left to be written. Each way of ours has
a store of its own, so that none finds there what another has just stored.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Final

from _peers import Borg, Git, Peer, Restic
from _timing import (
    Action,
    archive,
    create_all,
    files_of,
    floor,
    ms,
    out,
    peak_kib,
    quiet,
    read_all,
    read_archive,
    run,
    seconds,
    timed,
)
from _trees import tree

from autovibe.store import NewRef, Store
from autovibe.store.tracking import TrackedTree, WalkTracker, choose

SEED: Final = 20261125
CHANGED: Final = 10
ROUNDS: Final = int(os.environ.get("AUTOVIBE_BENCH_ROUNDS", "40"))
PEER_ROUNDS: Final = 5
PEERS: Final[dict[str, tuple[type[Peer], ...]]] = {
    "source": (Restic, Borg, Git),
    "node_modules": (Restic, Git),
    "binaries": (Restic,),
}
# What is measured of each tree; `first` is what everything else begins with.
OPERATIONS: Final = {
    "source": ("first", "ten_changes", "restore", "in_place", "verify"),
    "node_modules": ("first", "ten_changes", "restore"),
    "binaries": ("first", "restore"),
}
RUNS: Final = {"source": 3, "node_modules": 2, "binaries": 1}
SOURCES: Final = Path(__file__).resolve().parent.parent / "src"


def main() -> int:
    """Measure each tree in a process of its own, so that memory is that of one tree."""
    chosen = os.environ.get("AUTOVIBE_BENCH_STORE", ",".join(PEERS)).split(",")
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tree", action="append", choices=PEERS)
    parser.add_argument("--operation", action="append", choices=OPERATIONS["source"])
    options = parser.parse_args()
    names: list[str] = options.tree or chosen
    if len(names) == 1:
        return measure(names[0], options.operation or OPERATIONS[names[0]])
    for name in names:
        wanted = [f"--operation={operation}" for operation in options.operation or ()]
        subprocess.run([sys.executable, __file__, f"--tree={name}", *wanted], check=True)
    return 0


def measure(name: str, operations: Sequence[str]) -> int:
    """Measure one tree."""
    original = tree(name)
    with tempfile.TemporaryDirectory(prefix="store-bench-", dir=original.parent) as scratch:
        top = Path(scratch)
        copy = original
        if name != "binaries":  # nothing changes there, and it is large
            copy = top / "tree"
            subprocess.run(["cp", "-a", str(original), str(copy)], check=True)
        bench = Bench(name, top, copy)
        bench.first(tell="first" in operations)
        for operation in OPERATIONS[name][1:]:
            if operation in operations:
                getattr(bench, operation)()
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
        self.peers: dict[str, Peer] = {}
        self.store = top / "store"
        self.root = ""
        self.first_kib = 0
        self.resident_kib = 0

    def own(self, command: str, *arguments: str) -> int:
        """Run the store as a process of its own; return its memory."""
        store = f"--store={self.store}"
        return run(sys.executable, "-m", "autovibe.store", store, command, *arguments)

    def first(self, *, tell: bool) -> None:
        """Capture the tree for the first time; every byte has been read before by all."""
        read_all(self.copy)
        runs = RUNS[self.name] if tell else 1
        times: dict[str, list[float]] = {"ours": [], "floor": []}
        for number in range(runs):
            turns: dict[str, Action] = {"ours": self.capture}
            if tell:
                turns["floor"] = lambda: archive(self.copy, self.top / "floor.tar.zst")
            for kind in PEERS[self.name]:
                if kind.found() and (kind is Restic or number == 0):
                    turns[kind.name] = self.fresh(kind, number).first
            order = list(turns.items())
            self.rng.shuffle(order)
            shutil.rmtree(self.store, ignore_errors=True)
            for who, action in order:
                times.setdefault(who, []).append(timed(action))
        opened = Store.open(self.store)
        self.root = opened.read_ref("b/1") or ""
        if not tell:
            return
        best = {who: min(found) for who, found in times.items()}
        ours, least = best.pop("ours"), best.pop("floor")
        files = opened.stats(snapshots=True).snapshot_files
        row = {"runs": runs, "files": files} | floor("tar | zstd -1", ours, least)
        name = f"store_first_{self.name}_vs_restic"
        self.against("restic", name, ours, best, row | seconds(best))
        self.sizes()

    def capture(self) -> None:
        """Capture the tree, in a process of its own."""
        arguments = (f"--root=w={self.copy}", "--ref=b/1")
        self.first_kib = max(self.first_kib, self.own("snapshot", *arguments))

    def fresh(self, kind: type[Peer], number: int) -> Peer:
        """Prepare a peer with an empty repository; the one it had before is removed."""
        old = self.peers.get(kind.name)
        if old is not None:
            shutil.rmtree(old.home)
        peer = self.peers[kind.name] = kind(self.top / f"{kind.name}-{number}", self.copy)
        return peer

    def sizes(self) -> None:
        """Compare what the disk holds after one capture of the same tree."""
        if "restic" not in self.peers:
            return
        peer = self.peers["restic"]
        ours = sum(path.stat().st_size for path in (self.store / "packs").iterdir())
        out(
            f"store_size_{self.name}_vs_restic",
            "MB",
            round(ours / 1e6, 2),
            peer=type(peer).title(),
            peer_value=round(peer.size() / 1e6, 2),
            runs=1,
        )

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
        """Change ten files a round: tracked, walked, and asked for by a process of its own."""
        files = files_of(self.copy)
        roots = {"w": self.copy}
        stores = {way: self.own_store(way) for way in ("tracked", "walk")}
        tracked = TrackedTree(stores["tracked"], roots, choose(roots), audit_every=0)
        walked = TrackedTree(stores["walk"], roots, WalkTracker(), audit_every=0)
        for resident in (tracked, walked):
            resident.snapshot()
            resident.snapshot()
        turns: dict[str, Action] = {
            "tracked": lambda: tracked.snapshot(ref=NewRef("b/t")),
            "walk": lambda: walked.snapshot(ref=NewRef("b/t")),
        }
        rare: dict[str, Action] = {"process": self.ask, "cold": self.cold}
        rare |= {"stat": lambda: quiet("du", "-s", str(self.copy))}
        rare |= {name: peer.again for name, peer in self.peers.items()}
        times: dict[str, list[float]] = {name: [] for name in (*turns, *rare)}
        with self.served():
            for number in range(ROUNDS):
                self.change(files)
                now = turns | rare if number % (ROUNDS // PEER_ROUNDS) == 0 else turns
                order = list(now.items())
                self.rng.shuffle(order)
                for name, action in order:
                    times[name].append(timed(action))
            self.ask()
        fresh = stores["walk"].snapshot(roots)
        named = {store.read_ref("b/t") for store in stores.values()}
        if named | {Store.open(self.top / "store-process").read_ref("b/t")} != {fresh.root}:
            msg = "a snapshot differs from the tree"
            raise RuntimeError(msg)
        tracked.close()
        walked.close()
        self.tell_ten(times, tracked.detection)
        shutil.rmtree(self.top / "store-walk")
        shutil.rmtree(self.top / "store-process")

    def own_store(self, way: str) -> Store:
        """Copy the store as it is after the first capture."""
        path = self.top / f"store-{way}"
        shutil.copytree(self.store, path)
        return Store.open(path, journal=True)

    @contextlib.contextmanager
    def served(self) -> Generator[None]:
        """Have a process watch the tree, as `autovibe store serve` does."""
        self.own_store("process")
        program = [sys.executable, "-m", "autovibe.store", f"--store={self.top / 'store-process'}"]
        command = [*program, "serve", f"--root=w={self.copy}"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        try:
            if '"ready"' not in server.stdout.readline():
                msg = "the server did not start"
                raise RuntimeError(msg)
            yield
        finally:
            # What wait4 tells counts the memory of this process, too: the two shared it at first.
            self.resident_kib = peak_kib(server.pid)
            server.kill()
            server.wait()
            server.stdout.close()

    def ask(self) -> None:
        """Take a snapshot as a process that asks another."""
        client = [sys.executable, "-S", "-m", "autovibe.cli.ask_store"]
        store = str(self.top / "store-process")
        quiet(*client, store, "b/t", f"w={self.copy}", path=str(SOURCES))

    def cold(self) -> None:
        """Take a snapshot as a process that asks nobody, and knows what an earlier one kept."""
        self.own("snapshot", f"--root=w={self.copy}", "--ref=b/cold")

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
            if ours == "walk":
                row |= floor("du -s", middle["walk"], middle["stat"])
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
        ours, theirs, floors = [], [], []
        wanted = [(p.relative_to(self.copy), p.stat().st_size) for p in files_of(self.copy)]
        for number in range(RUNS[self.name]):
            into = [self.top / f"{who}-{number}" for who in ("ours", "theirs", "floor")]
            # Of a snapshot the contents of its one root, as restic restores those of the tree.
            turns: list[tuple[list[float], Action]] = [
                (ours, lambda: self.own("restore", self.root, str(into[0]), "--path=w")),  # noqa: B023 - called at once
                (theirs, lambda: self.peers["restic"].restore(into[1])),  # noqa: B023 - as above
                (floors, lambda: create_all(into[2], wanted)),  # noqa: B023 - as above
            ]
            self.rng.shuffle(turns)
            for times, action in turns:
                times.append(timed(action))
        row = {"runs": len(ours)} | floor("one create per file", min(ours), min(floors))
        name = f"store_restore_{self.name}_vs_restic"
        self.against("restic", name, min(ours), {"restic": min(theirs)}, row)
        for who in ("ours", "theirs", "floor"):
            for path in self.top.glob(f"{who}-*"):
                shutil.rmtree(path)

    def in_place(self) -> None:
        """Put ten changed files back to what they were, as undoing a step does."""
        path = self.top / "store-tracked"
        store = Store.open(path, journal=True) if path.exists() else self.own_store("tracked")
        files = files_of(self.copy)
        roots = {"w": self.copy}
        resident = TrackedTree(store, roots, choose(roots), audit_every=0)
        times: list[float] = []
        base = resident.snapshot(ref=NewRef("b/base")).root
        resident.snapshot()
        for _ in range(20):
            self.change(files)
            times.append(timed(lambda: resident.restore(base, "w")))
            resident.snapshot()
        if store.snapshot(roots).root != base:
            msg = "the tree is not what it was"
            raise RuntimeError(msg)
        resident.close()
        out(
            "store_restore_in_place_ms",
            "ms",
            ms(statistics.median(times)),
            runs=len(times),
            best=ms(min(times)),
        )

    def verify(self) -> None:
        """Read back and hash everything."""
        if "restic" not in self.peers:
            return
        floor_file = self.top / "floor.tar.zst"
        archive(self.copy, floor_file)
        ours, theirs, floors = [], [], []
        for _ in range(RUNS[self.name]):
            ours.append(timed(lambda: self.own("verify", self.root)))
            theirs.append(timed(self.peers["restic"].verify))
            floors.append(timed(lambda: read_archive(floor_file)))
        row = {"runs": len(ours)} | floor("zstd -dc | sha256sum", min(ours), min(floors))
        self.against("restic", "store_verify_vs_restic", min(ours), {"restic": min(theirs)}, row)

    def memory(self) -> None:
        """Tell the largest memory of a first capture, and of the process that watched the tree."""
        child, resident = self.first_kib, self.resident_kib
        suffix = "" if self.name == "node_modules" else f"_{self.name}"
        out(
            f"store_peak_memory{suffix}_mb",
            "MB",
            round(max(child, resident) / 1024, 1),
            runs=1,
            first_process_mb=round(child / 1024, 1),
            resident_mb=round(resident / 1024, 1),
        )


if __name__ == "__main__":
    sys.exit(main())

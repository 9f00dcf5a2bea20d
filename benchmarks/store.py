"""Measure the checkpoint store against restic, borg and git on three real trees.

    python benchmarks/run.py store
    AUTOVIBE_BENCH_TREES=DIR AUTOVIBE_BENCH_STORE=source,node_modules,binaries

AUTOVIBE_BENCH_TREES is where the trees are kept (see _trees.py; the first run installs them);
AUTOVIBE_BENCH_STORE says which are measured, all three by default. restic and borg come from the
packages of the system. Everyone works on the same copy of a tree and takes turns: in each round the
same files change, and the one who begins changes, too. `sync` runs before each turn, so that nobody
pays for what another has left to be written. Each way of ours has a store of its own, so that none
finds there what another has just stored.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Final

from _peers import Borg, Git, Peer, Restic
from _trees import tree

from autovibe.store import NewRef, Store
from autovibe.store.tracking import TrackedTree, WalkTracker, choose

SEED: Final = 20261125
CHANGED: Final = 10
ROUNDS: Final = int(os.environ.get("AUTOVIBE_BENCH_ROUNDS", "40"))
PEER_ROUNDS: Final = 5
TREES: Final = os.environ.get("AUTOVIBE_BENCH_STORE", "source,node_modules,binaries").split(",")
SOURCES: Final = Path(__file__).resolve().parent.parent / "src"
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
        self.resident_kib = 0

    def own(self, command: str, *arguments: str) -> None:
        """Run the store as a process of its own."""
        program = [sys.executable, "-m", "autovibe.store", f"--store={self.store}", command]
        subprocess.run([*program, *arguments], check=True, stdout=subprocess.DEVNULL)

    def first(self) -> None:
        """Capture the tree for the first time; every byte has been read before by all."""
        read_all(self.copy)
        times = {name: timed(peer.first) for name, peer in self.peers.items()}
        ours, floors = [], []
        for _ in range(1 if self.name == "binaries" else 3):
            shutil.rmtree(self.store, ignore_errors=True)
            ours.append(timed(lambda: self.own("snapshot", f"--root=w={self.copy}", "--ref=b/1")))
            floors.append(timed(self.archive))
        opened = Store.open(self.store)
        self.root = opened.read_ref("b/1") or ""
        files = opened.stats(snapshots=True).snapshot_files
        row = {"runs": len(ours), "files": files} | floor("tar | zstd -1", min(ours), min(floors))
        name = f"store_first_{self.name}_vs_restic"
        self.against("restic", name, min(ours), times, row | seconds(times))

    def archive(self) -> None:
        """Do the least that a first capture takes: read and compress, without hash or index."""
        with (self.top / "floor.tar.zst").open("wb") as out:
            tar = subprocess.Popen(["tar", "c", "."], cwd=self.copy, stdout=subprocess.PIPE)
            subprocess.run(["zstd", "-q", "-1", "-T2"], stdin=tar.stdout, stdout=out, check=True)
            assert tar.stdout is not None
            tar.stdout.close()
            if tar.wait():
                msg = "tar failed"
                raise RuntimeError(msg)
            os.fsync(out.fileno())

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
            server.kill()
            _, status, usage = os.wait4(server.pid, 0)
            server.returncode = os.waitstatus_to_exitcode(status)
            server.stdout.close()
            self.resident_kib = usage.ru_maxrss

    def ask(self) -> None:
        """Take a snapshot as a process that asks another."""
        client = [sys.executable, "-S", "-m", "autovibe.cli.ask_store"]
        store = str(self.top / "store-process")
        quiet(*client, store, "b/t", f"w={self.copy}", path=str(SOURCES))

    def cold(self) -> None:
        """Take a snapshot as a process that knows nothing of the tree and asks nobody."""
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
        for number in range(1 if self.name == "binaries" else 3):
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
        store = Store.open(self.top / "store-tracked", journal=True)
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
        """Tell the largest memory of a first capture, and of the process that watched the tree."""
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
        resident = self.resident_kib
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


def quiet(*command: str, path: str | None = None) -> None:
    """Run a program and drop what it prints."""
    kept = os.environ if path is None else {**os.environ, "PYTHONPATH": path}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=kept)


def files_of(top: Path) -> list[Path]:
    """List all regular files, sorted."""
    return sorted(p for p in top.rglob("*") if p.is_file() and not p.is_symlink())


def create_all(top: Path, wanted: Sequence[tuple[Path, int]]) -> None:
    """Do the least that a restore takes: create each file, with as many bytes."""
    for directory in sorted({path.parent for path, _ in wanted}):
        (top / directory).mkdir(parents=True, exist_ok=True)
    zeros = bytes(1 << 20)
    for path, size in wanted:
        fd = os.open(top / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        while size > 0:
            size -= os.write(fd, zeros[:size])  # noqa: PLW2901 - what is left of it
        os.close(fd)


def floor(what: str, ours: float, least: float) -> dict[str, object]:
    """Say how far we are from what no program could do without."""
    return {"floor": what, "floor_s": round(least, 4), "times_floor": round(ours / least, 2)}


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

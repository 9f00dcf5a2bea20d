"""Measure one automatic checkpoint: 11,000 files of which ten have changed, against git.

Ours is what the runtime does for each in the store: a snapshot of workspace and home by a tree that
is watched, made durable together with its ref in the journal, the difference to the one before, and
a look at every new object. Freezing the machine and the row in the database come on top of it: see
`checkpoint_median_ms` of checkpoint_waiting.py, which measures whole runs. The peer is `git add -A`
and `git write-tree` on the same tree in a repository of its own. In every round the same ten files
change and both take their turn after a `sync`, the first one alternating.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from autovibe.store import NewRef, Store
from autovibe.store.tracking import TrackedTree, choose, shared_writable_inodes

FILES: Final = 11_000
DIRECTORIES: Final = 880
CHANGED: Final = 10
ROUNDS: Final = 30
SEED: Final = 20261122


def main() -> int:
    """Build the tree, run the rounds, print the row."""
    rng = random.Random(SEED)  # noqa: S311  # the same tree every time, not a secret
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch, "tree")
        paths = build(tree, rng)
        ours = Ours(Path(scratch, "store"), tree)
        git = Git(Path(scratch, "git"), tree)
        for peer in (ours, git):  # the first one reads everything and is not counted
            peer.checkpoint()
        print(f"tree of {len(paths)} files ready", file=sys.stderr)
        for round_number in range(ROUNDS):
            change(rng.sample(paths, CHANGED), round_number)
            turns = (ours, git) if round_number % 2 else (git, ours)
            for peer in turns:
                os.sync()  # nobody pays for what another has left to be written
                begun = time.perf_counter()
                peer.checkpoint()
                peer.times_ms.append((time.perf_counter() - begun) * 1000)
        check(ours)
        ours.tree.close()
        version = git.run("--version").split()[-1]
    row = {
        "name": "checkpoint_auto_ms",
        "unit": "ms",
        "ours": round(statistics.median(ours.times_ms), 2),
        "peer": f"git {version} add -A && write-tree",
        "peer_value": round(statistics.median(git.times_ms), 2),
        "runs": ROUNDS,
        "ours_min": round(min(ours.times_ms), 2),
        "ours_max": round(max(ours.times_ms), 2),
        "snapshot_median_ms": round(statistics.median(ours.snapshot_ms), 2),
        "detection": ours.tree.detection,
        "peer_min": round(min(git.times_ms), 2),
        "files": FILES,
        "changed": CHANGED,
    }
    print(json.dumps(row))
    return 0


class Ours:
    """The store, as the runtime uses it."""

    def __init__(self, store: Path, tree: Path) -> None:
        self.store = Store.open(store, journal=True)
        home = tree.parent / "home"
        home.mkdir()
        roots = {"workspace": tree, "home": home}
        self.tree = TrackedTree(self.store, roots, choose(roots))
        self.times_ms: list[float] = []
        self.snapshot_ms: list[float] = []
        self.root: str | None = None

    def checkpoint(self) -> None:
        """Take one snapshot, named durably; find out what has changed, and that it is whole."""
        begun = time.perf_counter()
        mapped = shared_writable_inodes([os.getpid()])
        ref = NewRef(f"checkpoints/{len(self.times_ms)}")
        taken = self.tree.snapshot(mapped=mapped, ref=ref)
        if self.root is not None:
            self.snapshot_ms.append((time.perf_counter() - begun) * 1000)
            self.store.diff(self.root, taken.root)
            if not self.store.verify(taken.root, objects=taken.new_objects).ok:
                msg = "a new object is damaged"
                raise RuntimeError(msg)
        self.root = taken.root


class Git:
    """A shadow repository of the same tree."""

    def __init__(self, directory: Path, tree: Path) -> None:
        nothing = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        own = {"GIT_DIR": str(directory), "GIT_WORK_TREE": str(tree)}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        self.environment = kept | nothing | own
        self.tree = tree
        self.times_ms: list[float] = []
        self.run("init", "--quiet")
        self.run("config", "gc.auto", "0")

    def checkpoint(self) -> None:
        """Stage everything and write the tree."""
        self.run("add", "-A")
        self.run("write-tree")

    def run(self, *arguments: str) -> str:
        """Run git on the tree and return what it printed."""
        return subprocess.run(
            ["git", *arguments],
            cwd=self.tree,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout


def build(tree: Path, rng: random.Random) -> list[Path]:
    """Write a tree of source-like files: text, most of them small, a few large."""
    words = [f"word{number}" for number in range(4000)]
    pool = " ".join(rng.choice(words) for _ in range(200_000))
    paths: list[Path] = []
    for number in range(FILES):
        home = number % DIRECTORIES
        path = tree / f"part{home % 40}" / f"module{home}" / f"file{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = min(int(rng.lognormvariate(7.9, 1.3)), len(pool) // 2)
        start = rng.randrange(len(pool) - size)
        path.write_text(f"# {number}\n{pool[start : start + size]}", encoding="utf-8")
        paths.append(path)
    return paths


def change(paths: list[Path], round_number: int) -> None:
    """Append a line to each file, as an edit would."""
    for path in paths:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"\n# round {round_number}\n")


def check(ours: Ours) -> None:
    """Compare the last snapshot with the tree, so that no wrong one is called fast.

    Raises:
        RuntimeError: a file of the tree is missing or has another content.
    """
    fresh = ours.store.snapshot(ours.tree.roots)
    if fresh.file_count != FILES or fresh.root != ours.root:
        msg = "the last checkpoint differs from the tree"
        raise RuntimeError(msg)


if __name__ == "__main__":
    sys.exit(main())

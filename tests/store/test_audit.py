"""The audit of every ref: which snapshots damage concerns, each object read once, in one thread."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from spoiling import spoil, spoil_object

from autovibe.store import Progress, Store
from autovibe.store.tree import load_tree


def put(tree: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def three(store: Store, tree: Path) -> dict[str, str]:
    """Name three snapshots: a file is in the first two, another in all."""
    roots: dict[str, str] = {}
    put(tree, {"d/common": b"in all of them", "d/old": b"in the first two", "x": b"1"})
    for name in ("a", "b", "c"):
        if name == "b":
            (tree / "x").write_bytes(b"2")
        if name == "c":
            (tree / "d" / "old").unlink()
        roots[name] = store.snapshot({"w": tree}).root
        store.write_ref(f"checkpoints/{name}", roots[name])
    return roots


def test_an_audit_names_the_snapshots_and_paths_that_damage_concerns_and_no_other(
    store: Store, tmp_path: Path
) -> None:
    roots = three(store, tmp_path / "tree")
    whole = store.audit()
    assert (whole.ok, whole.refs, whole.damaged, whole.unreadable) == (True, 3, (), ())
    assert whole.objects == store.stats().objects

    spoil(store, b"in the first two")
    found = Store.open(store.path).audit()
    assert not found.ok
    assert found.damaged_objects == 1
    assert [(one.name, one.root, one.count, one.paths) for one in found.damaged] == [
        ("checkpoints/a", roots["a"], 1, ("w/d/old",)),
        ("checkpoints/b", roots["b"], 1, ("w/d/old",)),
    ]


def test_a_lost_directory_stands_for_all_below_it_and_a_bad_ref_hides_no_other(
    store: Store, tmp_path: Path
) -> None:
    roots = three(store, tmp_path / "tree")
    (store.path / "refs" / "checkpoints" / "b").write_text("nonsense\n")
    (top,) = load_tree(store.objects, bytes.fromhex(roots["a"]))
    (directory,) = [e for e in load_tree(store.objects, top.digest) if e.name == b"d"]
    spoil_object(store, directory.digest)
    spoil_object(store, bytes.fromhex(roots["c"]))
    found = Store.open(store.path).audit()
    assert found.unreadable == ("checkpoints/b",)
    assert {one.name: one.paths for one in found.damaged} == {
        "checkpoints/a": ("w/d",),
        "checkpoints/c": ("",),
    }


def test_a_large_file_is_damaged_when_one_of_its_chunks_is(store: Store, tmp_path: Path) -> None:
    chunks = [bytes([number]) * (1 << 20) for number in range(3)]
    put(tmp_path / "tree", {"big": b"".join(chunks), "twin": b"".join(chunks[:2])})
    store.write_ref("checkpoints/a", store.snapshot({"w": tmp_path / "tree"}).root)
    spoil(store, chunks[2])
    (found,) = Store.open(store.path).audit().damaged
    assert found.paths == ("w/big",)


def test_an_audit_takes_one_thread(store: Store, tmp_path: Path) -> None:
    three(store, tmp_path / "tree")
    counted: list[str] = []

    def count(_: Progress) -> None:
        status = Path("/proc/self/status").read_text()
        counted.extend(line for line in status.splitlines() if line.startswith("Threads:"))

    before = Path("/proc/self/status").read_text()
    store.audit(progress=count)
    assert set(counted) == {line for line in before.splitlines() if line.startswith("Threads:")}


def test_audit_and_prune_run_as_a_process_of_their_own(store: Store, tmp_path: Path) -> None:
    three(store, tmp_path / "tree")
    store.delete_ref("checkpoints/a")

    def run(*arguments: str) -> tuple[int, dict[str, object]]:
        done = subprocess.run(
            [sys.executable, "-m", "autovibe.store", f"--store={store.path}", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    status, told = run("audit")
    assert (status, told["event"], told["refs"], told["ok"]) == (0, "result", 2, True)
    _, dry = run("prune", "--grace-s=0", "--dry-run")
    assert (dry["dry_run"], dry["refs_kept"]) == (True, 2)
    assert store.stats().objects == 12
    _, held = run("prune", "--grace-s=3600")
    assert (held["objects_removed"], held["dry_run"]) == (0, False)
    spoil(store, b"in the first two")
    status, told = run("audit")
    assert (status, [one["name"] for one in told["damaged"]]) == (1, ["checkpoints/b"])

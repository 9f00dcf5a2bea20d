from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autovibe.kernel.faults import STORE
from autovibe.store import Store
from autovibe.store.files import create_temporary, sweep

# Opens the store, captures, names the snapshot, restores it; kills itself at the n-th point reached
# whose name fits.
_VICTIM = """
import os, signal, sys
from pathlib import Path
from autovibe.kernel import faults
from autovibe.store import Store
store, tree, out, wanted, left = sys.argv[1:]
left = int(left)
def hook(point):
    global left
    if wanted in ("any", point):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
faults.on_point(hook)
opened = Store.open(Path(store))
taken = opened.snapshot({"w": Path(tree)})
opened.write_ref("checkpoints/new", taken.root)
opened.restore(taken.root, Path(out))
print(taken.root)
"""


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def _fill(tree: Path, seed: int) -> None:
    rng = random.Random(seed)
    for index in range(25):
        path = tree / f"d{rng.randrange(5)}" / f"f{index}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(rng.randrange(1, 200_000)))


def _survives(store_path: Path, tree: Path, earlier: str, describe_tree, tmp_path: Path) -> None:
    """Check what format 1 promises after any crash."""
    store = Store.open(store_path)
    assert list((store_path / "tmp").iterdir()) == []
    assert store.stats().damaged_packs == ()
    packs = sorted(path.name for path in (store_path / "packs").iterdir())
    assert [name for name in packs if name.endswith(".idx")] == [
        name.replace(".pack", ".idx") for name in packs if name.endswith(".pack")
    ]
    assert store.read_ref("checkpoints/earlier") == earlier
    assert store.verify(earlier).ok
    named = store.read_ref("checkpoints/new")
    if named is not None:
        assert store.verify(named).ok
    taken = store.snapshot({"w": tree})
    assert store.verify(taken.root).ok
    store.restore(taken.root, tmp_path / "after", path="w")
    assert describe_tree(tmp_path / "after") == describe_tree(tree)


@pytest.fixture
def earlier(tmp_path: Path) -> str:
    tree = tmp_path / "tree"
    _fill(tree, 1)
    store = Store.open(tmp_path / "store")
    root = store.snapshot({"w": tree}).root
    store.write_ref("checkpoints/earlier", root)
    _fill(tree, 2)
    return root


@pytest.mark.parametrize("point", STORE)
def test_kill_at_a_named_point_leaves_the_store_whole(
    point: str, earlier: str, tmp_path: Path, run_python, describe_tree
):
    store, tree = tmp_path / "store", tmp_path / "tree"
    done = run_python(_VICTIM, store, tree, tmp_path / "out", point, "1")
    assert done.returncode == -signal.SIGKILL, done.stderr
    _survives(store, tree, earlier, describe_tree, tmp_path)


@pytest.mark.parametrize("seed", range(6))
def test_kill_at_a_random_moment_leaves_the_store_whole(
    seed: int, earlier: str, tmp_path: Path, run_python, describe_tree
):
    nth = random.Random(seed).randrange(1, 60)
    store, tree = tmp_path / "store", tmp_path / "tree"
    done = run_python(_VICTIM, store, tree, tmp_path / "out", "any", str(nth))
    assert done.returncode == -signal.SIGKILL, done.stderr
    _survives(store, tree, earlier, describe_tree, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 300))
def test_two_hundred_kills_leave_the_store_whole(
    seed: int, earlier: str, tmp_path: Path, run_python, describe_tree
):
    nth = random.Random(seed).randrange(1, 60)
    store, tree = tmp_path / "store", tmp_path / "tree"
    done = run_python(_VICTIM, store, tree, tmp_path / "out", "any", str(nth))
    assert done.returncode == -signal.SIGKILL, done.stderr
    _survives(store, tree, earlier, describe_tree, tmp_path)


@pytest.mark.usefixtures("earlier")
def test_acknowledged_snapshot_is_there_for_the_next_process(tmp_path: Path, run_python):
    done = run_python(_VICTIM, tmp_path / "store", tmp_path / "tree", tmp_path / "o", "never", "1")
    assert done.returncode == 0, done.stderr
    store = Store.open(tmp_path / "store")
    assert store.read_ref("checkpoints/new") == done.stdout.strip()
    assert store.verify(done.stdout.strip()).ok


def test_index_without_pack_after_power_loss_is_ignored(earlier: str, tmp_path: Path):
    """Renames of one directory may reach the disk in any order."""
    path, tree = tmp_path / "store", tmp_path / "tree"
    store = Store.open(path)
    taken = store.snapshot({"w": tree})
    known = store._objects.locate(bytes.fromhex(taken.root))
    assert known is not None
    (path / "packs" / f"{known.pack}.pack").unlink()
    reopened = Store.open(path)
    assert reopened.verify(earlier).ok
    assert not reopened.verify(taken.root).ok
    assert reopened.stats().damaged_packs == (known.pack,)
    again = reopened.snapshot({"w": tree})
    assert again.root == taken.root
    assert Store.open(path).verify(taken.root).ok


def test_damaged_index_is_replaced_by_walking_the_pack(earlier: str, tmp_path: Path):
    for index in (tmp_path / "store" / "packs").glob("*.idx"):
        data = bytearray(index.read_bytes())
        data[40] ^= 0xFF
        index.write_bytes(data)
    store = Store.open(tmp_path / "store")
    assert store.verify(earlier).ok
    assert len(store.stats().damaged_packs) == 1


def test_everything_is_synced_before_what_relies_on_it_becomes_visible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tree = tmp_path / "tree"
    _fill(tree, 1)
    store = Store.open(tmp_path / "store")
    events: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def record_sync(fd: int) -> None:
        path = Path(f"/proc/self/fd/{fd}").readlink()
        events.append(f"sync {path.suffix or path.name}")
        fsync(fd)

    def record_rename(self: Path, target: Path) -> Path:
        events.append(f"rename {self.suffix}")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(Path, "rename", record_rename)
    taken = store.snapshot({"w": tree})
    store.write_ref("checkpoints/x", taken.root)
    assert events == [
        "sync .pack",
        "sync .idx",
        "rename .pack",
        "rename .idx",
        "sync packs",
        "sync refs",
        "sync .ref",
        "rename .ref",
        "sync checkpoints",
    ]


def test_names_of_packs_of_another_writer_are_synced_before_relying_on_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tree = tmp_path / "tree"
    _fill(tree, 1)
    store = Store.open(tmp_path / "store")
    Store.open(tmp_path / "store").snapshot({"w": tree})
    synced: list[str] = []
    fsync = os.fsync
    monkeypatch.setattr(
        os,
        "fsync",
        lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())) or fsync(fd),
    )
    assert store.snapshot({"w": tree}).new_objects == ()
    assert synced == [str(tmp_path / "store" / "packs")]
    store.snapshot({"w": tree})
    assert len(synced) == 1


def test_temporary_file_swept_before_its_lock_was_taken_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    flock = fcntl.flock
    swept: list[int] = []

    def sweep_first(fd: int, operation: int) -> None:
        if not swept:
            swept.append(1)
            assert sweep(tmp_path) == 1
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    file = create_temporary(tmp_path, ".pack")
    assert names(tmp_path) == [file.path.name]
    file.close()


def test_sweep_removes_files_of_the_dead_and_spares_those_of_the_living(tmp_path: Path):
    (tmp_path / "dead.pack").write_bytes(b"left by a killed writer")
    living = create_temporary(tmp_path, ".pack")
    assert sweep(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == [living.path.name]
    living.close()
    assert names(tmp_path) == []


def test_pack_that_lost_only_its_index_is_adopted_with_its_objects(earlier: str, tmp_path: Path):
    for index in (tmp_path / "store" / "packs").glob("*.idx"):
        index.unlink()
    store = Store.open(tmp_path / "store")
    assert store.verify(earlier).ok
    assert store.stats().packs == 1


def test_pack_of_a_living_writer_is_not_adopted(earlier: str, tmp_path: Path):
    (index,) = (tmp_path / "store" / "packs").glob("*.idx")
    index.unlink()
    with index.with_suffix(".pack").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert Store.open(tmp_path / "store").stats().packs == 0
    assert Store.open(tmp_path / "store").verify(earlier).ok


_LIMITED = """
import resource, sys
from pathlib import Path
from autovibe.kernel.errors import AutovibeError
from autovibe.store import Store
store = Store.open(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    store.snapshot({"w": Path(sys.argv[2])})
except AutovibeError as error:
    print(error.reason, error.message)
"""


def test_full_disk_is_reported_and_earlier_snapshots_stay_usable(
    earlier: str, tmp_path: Path, run_python, describe_tree
):
    store, tree = tmp_path / "store", tmp_path / "tree"
    (tree / "big").write_bytes(random.Random(3).randbytes(3 << 20))
    done = run_python(_LIMITED, store, tree)
    assert done.stdout.startswith("STORE_FULL No space is left"), done.stderr
    assert names(store / "tmp") == []
    _survives(store, tree, earlier, describe_tree, tmp_path)


_LIMITED_RESTORE = """
import resource, sys
from pathlib import Path
from autovibe.kernel.errors import AutovibeError
from autovibe.store import Store
store = Store.open(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    store.restore(sys.argv[2], Path(sys.argv[3]))
except AutovibeError as error:
    print(error.reason, error.message)
"""


def test_full_disk_while_restoring_is_reported_and_nothing_is_left(
    earlier: str, tmp_path: Path, run_python
):
    done = run_python(_LIMITED_RESTORE, tmp_path / "store", earlier, tmp_path / "out")
    assert done.stdout.startswith("STORE_FULL No space is left to restore"), done.stderr
    assert names(tmp_path / "out") == []


_WRITER = """
import sys
from pathlib import Path
from autovibe.store import Store
path, tree, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
store = Store.open(path)
for turn in range(8):
    (tree / f"{name}-{turn}").write_bytes(name.encode() * 1000 * turn)
    taken = store.snapshot({"w": tree})
    store.write_ref(f"checkpoints/{name}-{turn}", taken.root)
"""


def test_two_processes_write_at_once_and_every_snapshot_is_whole(tmp_path: Path):
    store_path = tmp_path / "store"
    reader = Store.open(store_path)
    writers = []
    for name in ("left", "right"):
        tree = tmp_path / name
        _fill(tree, 5)  # the same content in both: they race for the same objects
        command = [sys.executable, "-c", _WRITER, str(store_path), str(tree), name]
        writers.append(subprocess.Popen(command))
    assert [writer.wait(timeout=100) for writer in writers] == [0, 0]
    refs = list(reader.refs("checkpoints/"))
    assert len(refs) == 16
    assert all(reader.verify(root).ok for _, root in refs)


def test_two_processes_that_create_a_store_at_once_agree_on_it(tmp_path: Path):
    script = (
        "import sys; from pathlib import Path; from autovibe.store import Store;"
        "print(Store.open(Path(sys.argv[1])).store_id)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "store")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    ids = {process.communicate(timeout=100)[0].strip() for process in started}
    assert ids == {Store.open(tmp_path / "store").store_id}

"""Journals: small snapshots and refs by one synced write, and what becomes of them."""

from __future__ import annotations

import fcntl
import os
import random
import signal
from pathlib import Path

import pytest

from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.faults import JOURNAL
from autovibe.store import NewRef, Store, StoreFullError, StoreWriteError, journalfile
from autovibe.store.journalfile import BLOCK, FIRST, read_voids

KEY = b"k" * 32


@pytest.fixture(params=[None, KEY], ids=["plain", "encrypted"])
def key(request: pytest.FixtureRequest) -> bytes | None:
    return request.param


@pytest.fixture(autouse=True)
def _short_journals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill less of the disk with zeros."""
    monkeypatch.setattr(journalfile, "JOURNAL_BYTES", 1 << 19)
    monkeypatch.setattr("autovibe.store.journals.JOURNAL_BYTES", 1 << 19)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    fill(tmp_path / "tree", 1)
    return tmp_path / "tree"


def fill(tree: Path, seed: int) -> None:
    rng = random.Random(seed)
    for number in range(6):
        path = tree / f"d{number % 2}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(rng.randrange(100, 3000)))


def journals(store: Path) -> list[Path]:
    return sorted((store / "journals").glob("*.journal"))


def packs(store: Path) -> list[Path]:
    return sorted((store / "packs").glob("*.pack"))


def test_small_snapshot_and_its_ref_are_one_synced_write(
    tmp_path: Path, tree: Path, key: bytes | None, monkeypatch: pytest.MonkeyPatch
):
    store = Store.open(tmp_path / "s", key=key, journal=True)
    store.snapshot({"w": tree}, ref=NewRef("a/1"))
    fill(tree, 2)
    synced: list[str] = []
    for name in ("fsync", "fdatasync"):
        really = getattr(os, name)

        def record(fd: int, really=really) -> None:
            synced.append(Path(f"/proc/self/fd/{fd}").readlink().suffix)
            really(fd)

        monkeypatch.setattr(os, name, record)
    taken = store.snapshot({"w": tree}, ref=NewRef("a/2", ("0" * 64,), "second"))
    assert synced == [".journal"]
    assert packs(tmp_path / "s") == []
    ref = store.find_ref("a/2")
    assert ref is not None
    assert (ref.root, ref.parents, ref.note) == (taken.root, ("0" * 64,), "second")
    assert store.verify(taken.root).ok


def test_others_read_a_journal_that_is_being_written(
    tmp_path: Path, tree: Path, key: bytes | None, describe_tree
):
    ours = Store.open(tmp_path / "s", key=key, journal=True)
    theirs = Store.open(tmp_path / "s", key=key)
    for turn in range(3):
        fill(tree, turn)
        taken = ours.snapshot({"w": tree})
        ours.write_ref(f"a/{turn}", taken.root)
        assert theirs.read_ref(f"a/{turn}") == taken.root
        theirs.restore(taken.root, tmp_path / f"out{turn}", path="w")
        assert describe_tree(tmp_path / f"out{turn}") == describe_tree(tree)
    assert [ref.name for ref in theirs.list_refs()] == ["a/2", "a/1", "a/0"]
    assert theirs.check().ok
    again = theirs.snapshot({"w": tree})
    assert (again.root, again.new_objects) == (taken.root, ())


def test_what_is_not_acknowledged_is_nothing_to_others(tmp_path: Path, tree: Path, monkeypatch):
    ours = Store.open(tmp_path / "s", journal=True)
    ours.snapshot({"w": tree}, ref=NewRef("a/1"))
    theirs = Store.open(tmp_path / "s")
    seen: list[str | None] = []
    really = os.fdatasync

    def look(fd: int) -> None:
        seen.append(theirs.read_ref("a/2"))
        really(fd)

    monkeypatch.setattr(os, "fdatasync", look)
    fill(tree, 2)
    ours.snapshot({"w": tree}, ref=NewRef("a/2"))
    assert seen[0] is None
    assert theirs.read_ref("a/2") is not None


def test_closing_folds_the_journal_into_a_pack_and_files(
    tmp_path: Path, tree: Path, key: bytes | None
):
    store = Store.open(tmp_path / "s", key=key, journal=True)
    roots = []
    for turn in range(3):
        fill(tree, turn)
        roots.append(store.snapshot({"w": tree}, ref=NewRef(f"a/{turn}")).root)
    reader = Store.open(tmp_path / "s", key=key)
    assert reader.read_ref("a/2") == roots[2]
    store.close()
    assert list((tmp_path / "s" / "journals").iterdir()) == []
    assert len(packs(tmp_path / "s")) == 1
    assert (tmp_path / "s" / "refs" / "a" / "1").exists()
    for each in (store, reader, Store.open(tmp_path / "s", key=key)):
        assert [each.read_ref(f"a/{turn}") for turn in range(3)] == roots
        assert all(each.verify(root).ok for root in roots)
    fill(tree, 9)
    assert store.verify(store.snapshot({"w": tree}).root).ok


def test_the_next_one_who_opens_folds_the_journal_of_the_dead(
    tmp_path: Path, tree: Path, key: bytes | None
):
    store = Store.open(tmp_path / "s", key=key, journal=True)
    root = store.snapshot({"w": tree}, ref=NewRef("a/1")).root
    assert len(journals(tmp_path / "s")) == 1
    Store.open(tmp_path / "s", key=key)
    assert len(journals(tmp_path / "s")) == 1  # its writer lives
    del store
    opened = Store.open(tmp_path / "s", key=key)
    assert list((tmp_path / "s" / "journals").iterdir()) == []
    assert opened.read_ref("a/1") == root
    assert opened.verify(root).ok


def test_full_journal_is_followed_by_another_and_folded(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("autovibe.store.journals.JOURNAL_BYTES", FIRST + 16 * BLOCK)
    monkeypatch.setattr("autovibe.store.journals._HALF", FIRST + 8 * BLOCK)
    store = Store.open(tmp_path / "s", journal=True)
    roots = []
    for turn in range(12):
        fill(tree, turn)
        roots.append(store.snapshot({"w": tree}, ref=NewRef("a/same")).root)
        store.write_ref(f"a/{turn}", roots[-1])
    store._fold()
    assert len(journals(tmp_path / "s")) == 1
    assert len(packs(tmp_path / "s")) >= 2
    store.close()
    opened = Store.open(tmp_path / "s")
    assert [opened.read_ref(f"a/{turn}") for turn in range(12)] == roots
    assert opened.read_ref("a/same") == roots[-1]
    assert all(opened.verify(root).ok for root in roots)


def test_large_snapshot_goes_into_a_pack_at_once(tmp_path: Path, tree: Path):
    store = Store.open(tmp_path / "s", journal=True)
    (tree / "large").write_bytes(random.Random(1).randbytes(3 << 20))
    taken = store.snapshot({"w": tree}, ref=NewRef("a/1"))
    assert len(packs(tmp_path / "s")) == 1
    assert store.read_ref("a/1") == taken.root
    assert store.verify(taken.root).ok


_VICTIM = """
import os, random, signal, sys
from pathlib import Path
from autovibe.kernel import faults
from autovibe.store import NewRef, Store, journalfile, journals
journalfile.JOURNAL_BYTES = journals.JOURNAL_BYTES = 1 << 19
path, tree, wanted, left = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
def hook(point):
    global left
    if wanted in ("any", point):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
faults.on_point(hook)
store = Store.open(path, journal=True)
for turn in range(4):
    (tree / "d0" / "f0").write_bytes(random.Random(turn).randbytes(2000))
    root = store.snapshot({"w": tree}, ref=NewRef(f"new/{turn}")).root
    print(f"new/{turn}", root, flush=True)
    store.write_ref("new/moving", root)
    print("new/moving", root, flush=True)
    if turn == 1:
        print("deleting", flush=True)
        Store.open(path).delete_ref("new/0")
        print("new/0", flush=True)
        store.close()
"""


def _kill(tmp_path: Path, run_python, point: str, nth: int) -> None:
    store, tree = tmp_path / "s", tmp_path / "tree"
    fill(tree, 1)
    earlier = Store.open(store).snapshot({"w": tree}, ref=NewRef("earlier/1"))
    done = run_python(_VICTIM, store, tree, point, str(nth))
    assert done.returncode == -signal.SIGKILL, done.stderr
    told: dict[str, str] = {}
    for line in done.stdout.splitlines():
        name, _, root = line.partition(" ")
        told[name] = root
    opened = Store.open(store)
    assert list((store / "journals").iterdir()) == []
    assert list((store / "tmp").iterdir()) == []
    assert opened.read_ref("earlier/1") == earlier.root
    deleting = told.pop("deleting", None) is not None
    for name, root in told.items():
        found = opened.read_ref(name)
        if name == "new/moving" and found != root:  # killed before it could say so
            assert found == opened.read_ref(max(n for n in opened_names(opened) if n[-1] != "g"))
        elif name != "new/0" or not root or not deleting:
            assert (found or "") == root, (name, told)
    assert opened.check().ok
    assert all(opened.verify(root).ok for _, root in opened.refs())
    again = opened.snapshot({"w": tree})
    assert opened.verify(again.root).ok


def opened_names(store: Store) -> list[str]:
    return [name for name, _ in store.refs("new/")]


@pytest.mark.parametrize("point", JOURNAL)
def test_kill_at_each_point_of_a_journal_loses_nothing_acknowledged(
    point: str, tmp_path: Path, run_python
):
    _kill(tmp_path, run_python, point, 1)


@pytest.mark.long
@pytest.mark.parametrize("nth", range(1, 63))
def test_kill_at_any_moment_loses_nothing_acknowledged(nth: int, tmp_path: Path, run_python):
    _kill(tmp_path, run_python, "any", nth)


def test_power_failure_loses_what_was_last_said_of_a_journal_but_nothing_acknowledged(
    tmp_path: Path, tree: Path, key: bytes | None
):
    """The state of a journal is not synced, nor is anything else after its transaction."""
    store = Store.open(tmp_path / "s", key=key, journal=True)
    store.snapshot({"w": tree}, ref=NewRef("a/1"))
    fill(tree, 2)
    root = store.snapshot({"w": tree}, ref=NewRef("a/2")).root
    del store
    (journal,) = journals(tmp_path / "s")
    with journal.open("r+b") as file:
        file.seek(BLOCK)
        file.write(FIRST.to_bytes(8, "little"))
    opened = Store.open(tmp_path / "s", key=key)
    assert opened.read_ref("a/2") == root
    assert opened.verify(root).ok


def test_torn_transaction_counts_for_nothing_and_those_before_it_count(tmp_path: Path, tree: Path):
    store = Store.open(tmp_path / "s", journal=True)
    first = store.snapshot({"w": tree}, ref=NewRef("a/1")).root
    own = store._journals._own
    assert own is not None
    at = own.used
    fill(tree, 2)
    second = store.snapshot({"w": tree}, ref=NewRef("a/2")).root
    del store, own
    (journal,) = journals(tmp_path / "s")
    with journal.open("r+b") as file:
        file.seek(at + 100)
        file.write(b"torn")
    opened = Store.open(tmp_path / "s")
    assert opened.read_ref("a/1") == first
    assert opened.verify(first).ok
    assert opened.read_ref("a/2") is None
    assert not opened.verify(second).ok


def test_damage_in_the_middle_costs_only_the_object_it_hit(tmp_path: Path, tree: Path):
    store = Store.open(tmp_path / "s", journal=True)
    first = store.snapshot({"w": tree}, ref=NewRef("a/1"))
    fill(tree, 2)
    second = store.snapshot({"w": tree}, ref=NewRef("a/2"))
    at = store._objects.locate(bytes.fromhex(first.new_objects[0]))
    assert at is not None
    del store
    (journal,) = journals(tmp_path / "s")
    with journal.open("r+b") as file:
        file.seek(at.offset)
        file.write(b"rotten")
    opened = Store.open(tmp_path / "s")
    assert opened.read_ref("a/2") == second.root
    assert opened.verify(second.root).ok
    lost = opened.verify(first.root)
    assert {damage.object for damage in lost.missing} == {first.new_objects[0]}


def test_content_cannot_pass_for_a_transaction(tmp_path: Path, tree: Path):
    store = Store.open(tmp_path / "s", journal=True)
    store.snapshot({"w": tree}, ref=NewRef("a/1"))
    (journal,) = journals(tmp_path / "s")
    copy = journal.read_bytes()[FIRST : FIRST + 4 * BLOCK]
    forged = copy.replace(b"a/1", b"a/x")
    for shift in range(0, BLOCK, 64):
        (tree / "content").write_bytes(bytes(shift) + forged)
        store.snapshot({"w": tree})
    del store
    assert {name for name, _ in Store.open(tmp_path / "s").refs()} == {"a/1"}


def test_ref_that_another_process_deletes_or_replaces_does_not_come_back(
    tmp_path: Path, tree: Path, key: bytes | None
):
    ours = Store.open(tmp_path / "s", key=key, journal=True)
    first = ours.snapshot({"w": tree}, ref=NewRef("a/1")).root
    ours.write_ref("a/2", first)
    ours.write_ref("a/3", first)
    theirs = Store.open(tmp_path / "s", key=key)
    theirs.delete_ref("a/1")
    fill(tree, 2)
    second = theirs.snapshot({"w": tree}, ref=NewRef("a/2")).root
    journal = Store.open(tmp_path / "s", key=key, journal=True)
    journal.write_ref("a/3", second)
    for store in (ours, theirs, journal):
        assert dict(store.refs()) == {"a/2": second, "a/3": second}
    ours.write_ref("a/1", second)
    assert theirs.read_ref("a/1") == second
    del ours, journal, store
    opened = Store.open(tmp_path / "s", key=key)
    assert dict(opened.refs()) == {"a/1": second, "a/2": second, "a/3": second}
    assert list((tmp_path / "s" / "journals").iterdir()) == []


def test_half_a_note_on_a_void_ref_is_overwritten_by_the_next(tmp_path: Path, tree: Path):
    ours = Store.open(tmp_path / "s", journal=True)
    root = ours.snapshot({"w": tree}, ref=NewRef("a/1")).root
    ours.write_ref("a/2", root)
    voids = journals(tmp_path / "s")[0].with_suffix(".voids")
    voids.write_bytes(b"\x03\0half")
    theirs = Store.open(tmp_path / "s")
    theirs.delete_ref("a/1")
    assert list(read_voids(voids.read_bytes())[0]) == ["a/1"]
    del ours
    assert dict(Store.open(tmp_path / "s").refs()) == {"a/2": root}


@pytest.mark.parametrize("call", ["write", "fdatasync"])
def test_failed_write_is_reported_and_does_not_come_back(
    tmp_path: Path, tree: Path, call: str, monkeypatch: pytest.MonkeyPatch
):
    store = Store.open(tmp_path / "s", journal=True)
    first = store.snapshot({"w": tree}, ref=NewRef("a/1")).root
    fill(tree, 2)
    really, failed = getattr(os, call), []

    def fail(fd: int, *rest: object) -> object:
        if not failed and Path(f"/proc/self/fd/{fd}").readlink().suffix == ".journal":
            failed.append(fd)
            raise OSError(5, "Input/output error")
        return really(fd, *rest)

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(StoreWriteError):
        store.snapshot({"w": tree}, ref=NewRef("a/2"))
    assert failed
    taken = store.snapshot({"w": tree}, ref=NewRef("a/3"))
    for opened in (store, Store.open(tmp_path / "s")):
        assert dict(opened.refs()) == {"a/1": first, "a/3": taken.root}
        assert opened.verify(taken.root).ok
    del store, opened
    assert dict(Store.open(tmp_path / "s").refs()) == {"a/1": first, "a/3": taken.root}


def test_full_disk_while_folding_keeps_the_journal_and_all_that_is_in_it(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
):
    store = Store.open(tmp_path / "s", journal=True)
    root = store.snapshot({"w": tree}, ref=NewRef("a/1")).root
    really = os.open

    def full(path: str | Path, flags: int, *rest: int, **more: int) -> int:
        if str(path).endswith((".pack", ".ref")) and flags & os.O_CREAT:
            raise OSError(28, "No space left on device")
        return really(path, flags, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", full)
        with pytest.raises(StoreFullError):
            store.close()
        del store
        opened = Store.open(tmp_path / "s")
        assert opened.read_ref("a/1") == root
        assert opened.verify(root).ok
        assert len(journals(tmp_path / "s")) == 1
    opened = Store.open(tmp_path / "s")
    assert opened.read_ref("a/1") == root
    assert journals(tmp_path / "s") == []


def test_disk_with_little_room_gets_packs_and_files_of_refs_and_no_journal(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
):
    store = Store.open(tmp_path / "s", journal=True)
    disk = os.statvfs(tmp_path)
    blocks = [*disk[:4], (100 << 20) // disk.f_frsize, *disk[5:]]
    monkeypatch.setattr(os, "statvfs", lambda *_: os.statvfs_result(blocks))
    root = store.snapshot({"w": tree}, ref=NewRef("a/1")).root
    store.write_ref("a/2", root)
    assert journals(tmp_path / "s") == []
    for opened in (store, Store.open(tmp_path / "s")):
        assert dict(opened.refs()) == {"a/1": root, "a/2": root}
        assert opened.verify(root).ok


def test_journal_with_a_damaged_head_is_told_of_and_left_alone(tmp_path: Path, tree: Path):
    store = Store.open(tmp_path / "s", journal=True)
    store.snapshot({"w": tree}, ref=NewRef("a/1"))
    del store
    (journal,) = journals(tmp_path / "s")
    with journal.open("r+b") as file:
        file.write(b"damaged!")
    opened = Store.open(tmp_path / "s")
    assert opened.stats().damaged_packs == (journal.stem,)
    assert journal.exists()
    assert not opened.check().ok


def test_prune_keeps_what_stands_in_the_journals_of_others(tmp_path: Path, tree: Path):
    ours = Store.open(tmp_path / "s", journal=True)
    kept = ours.snapshot({"w": tree}, ref=NewRef("a/1")).root
    theirs = Store.open(tmp_path / "s", journal=True)
    fill(tree, 2)
    theirs.snapshot({"w": tree}, ref=NewRef("b/1"))
    theirs.delete_ref("b/1")
    theirs.prune()
    assert dict(theirs.refs()) == {"a/1": kept}
    assert ours.verify(kept).ok
    ours.close()
    assert Store.open(tmp_path / "s").verify(kept).ok


def test_reader_without_leave_to_write_reads_the_journal_of_the_dead(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
):
    store = Store.open(tmp_path / "s", journal=True)
    root = store.snapshot({"w": tree}, ref=NewRef("a/1")).root
    del store
    monkeypatch.setattr(os, "access", lambda *_: False)
    opened = Store.open(tmp_path / "s", create=False)
    assert opened.read_ref("a/1") == root
    assert opened.verify(root).ok
    assert len(journals(tmp_path / "s")) == 1


def test_journal_that_is_being_folded_is_waited_for(tmp_path: Path, tree: Path, run_python):
    store = Store.open(tmp_path / "s", journal=True)
    root = store.snapshot({"w": tree}, ref=NewRef("a/1")).root
    del store
    script = (
        "import sys; from pathlib import Path; from autovibe.store import Store;"
        "print(Store.open(Path(sys.argv[1])).read_ref('a/1'))"
    )
    with (tmp_path / "s" / "recovery").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pid = os.fork()
        if not pid:
            fcntl.flock(lock, fcntl.LOCK_UN)
            os._exit(0)
        os.waitpid(pid, 0)
    assert run_python(script, tmp_path / "s").stdout.strip() == root


def test_malformed_ref_is_refused_before_anything_is_read(tmp_path: Path, tree: Path):
    store = Store.open(tmp_path / "s", journal=True)
    with pytest.raises(AutovibeError):
        store.snapshot({"w": tree}, ref=NewRef("../x"))
    assert store.stats().objects == 0

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.store import (
    Exclude,
    Kind,
    PathNotFoundError,
    Progress,
    StatCache,
    Store,
)


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def content(store: Store, root: str, path: str) -> bytes:
    return b"".join(store.read(root, path))


def paths(store: Store, root: str) -> list[str]:
    return [entry.path for entry in store.entries(root, "w")]


@pytest.mark.req("S2-31")
def test_restored_tricky_tree_is_equal_and_gives_the_same_root(
    store: Store, tricky: Path, tmp_path: Path, describe_tree
):
    taken = store.snapshot({"w": tricky})
    result = store.restore(taken.root, tmp_path / "out", path="w")
    assert describe_tree(tmp_path / "out") == describe_tree(tricky)
    assert result.skipped == ()
    again = store.snapshot({"w": tmp_path / "out"})
    assert again.root == taken.root
    assert again.new_objects == ()
    assert again.stored_bytes == 0
    assert store.verify(taken.root).ok


def test_snapshot_reports_fifo_and_socket_without_reading_them(store: Store, tricky: Path):
    taken = store.snapshot({"w": tricky})
    assert taken.special == ("w/fifo", "w/socket")
    kinds = {entry.path: (entry.kind, entry.special) for entry in store.entries(taken.root, "w")}
    assert kinds["fifo"] == (Kind.SPECIAL, "fifo")
    assert kinds["socket"] == (Kind.SPECIAL, "socket")


def test_name_that_is_not_utf8_keeps_its_bytes(store: Store, tricky: Path):
    taken = store.snapshot({"w": tricky})
    name = os.fsdecode(b"not-utf8-\xff\xfe")
    assert content(store, taken.root, f"w/{name}") == b"raw name\n"


def test_entries_are_sorted_depth_first_with_hashes_targets_and_link_groups(
    store: Store, tricky: Path
):
    taken = store.snapshot({"w": tricky})
    listed = list(store.entries(taken.root, "w"))
    assert [e.path for e in listed] == sorted(
        (e.path for e in listed), key=lambda path: os.fsencode(path).split(b"/")
    )
    by_path = {entry.path: entry for entry in listed}
    hello = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    assert by_path["plain.txt"].sha256 == hello
    assert by_path["dangling"].target == "no/such/file"
    assert by_path["hard/two"].link == "a-third"
    assert by_path["half-inside"].link == ""
    assert by_path["script.sh"].mode == 0o755
    (single,) = store.entries(taken.root, "w/plain.txt")
    assert (single.path, single.sha256) == ("plain.txt", hello)


def test_roots_are_separate_and_equal_subtrees_are_stored_once(store: Store, tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "file").write_bytes(b"same")
        os.utime(tmp_path / name / "sub" / "file", ns=(0, 1))
        os.utime(tmp_path / name / "sub", ns=(0, 2))
    taken = store.snapshot({"workspace": tmp_path / "one", "home": tmp_path / "two"})
    assert [e.path for e in store.entries(taken.root)] == [
        "home",
        "home/sub",
        "home/sub/file",
        "workspace",
        "workspace/sub",
        "workspace/sub/file",
    ]
    # One blob, one tree for sub, one for both roots, one root tree.
    assert len(taken.new_objects) == 4
    assert (taken.file_count, taken.total_bytes) == (2, 8)


def test_missing_root_is_refused_and_nothing_is_left_behind(store: Store, tmp_path: Path):
    with pytest.raises(PathNotFoundError, match="give a readable directory"):
        store.snapshot({"w": tmp_path / "nothing"})
    assert list((store.path / "tmp").iterdir()) == []
    assert store.stats().packs == 0


@pytest.mark.parametrize("roots", [{}, {"..": Path()}, {"a/b": Path()}, {"": Path()}])
def test_root_names_that_are_no_plain_names_are_refused(store: Store, roots):
    with pytest.raises(InvalidArgumentError):
        store.snapshot(roots)


def test_on_read_is_called_once_before_anything_is_visible(store: Store, tricky: Path):
    seen: list[int] = []
    store.snapshot({"w": tricky}, on_read=lambda: seen.append(len(names(store.path / "packs"))))
    assert seen == [0]


def test_progress_that_raises_ends_the_snapshot_and_leaves_nothing(store: Store, tricky: Path):
    def cancel(at: Progress) -> None:
        raise KeyboardInterrupt(at.path)

    with pytest.raises(KeyboardInterrupt):
        store.snapshot({"w": tricky}, progress=cancel)
    assert list((store.path / "tmp").iterdir()) == []
    assert list((store.path / "packs").iterdir()) == []


def test_file_that_never_holds_still_is_listed_as_torn(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    busy = tree / "busy"
    busy.write_bytes(bytes(3 << 20))
    (tree / "calm").write_bytes(b"calm")
    count = 0

    def append(at: Progress) -> None:
        nonlocal count
        if at.path == "w/busy":
            count += 1
            with busy.open("ab") as file:
                file.write(b"more")

    taken = store.snapshot({"w": tree}, progress=append)
    assert taken.torn == ("w/busy",)
    flags = {entry.path: entry.complete for entry in store.entries(taken.root, "w")}
    assert flags == {"busy": False, "calm": True}
    assert store.verify(taken.root).ok
    # Three tries, each of at most the size the file had when it was opened.
    assert 9 <= count <= 12


def test_torn_file_that_shrank_and_grew_while_read_is_stored_readably(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    busy = tree / "busy"
    busy.write_bytes(os.urandom(3 << 20))
    sizes = [(1 << 20) + 100, 3 << 20]

    def shrink_then_grow(_: Progress) -> None:
        sizes.append(sizes.pop(0))
        os.truncate(busy, sizes[-1])

    taken = store.snapshot({"w": tree}, progress=shrink_then_grow)
    assert taken.torn == ("w/busy",)
    assert store.verify(taken.root).ok
    assert len(content(store, taken.root, "w/busy")) == (1 << 20) + 100


def test_file_that_changes_once_is_read_again_and_whole(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_bytes(b"first")
    calls: list[str] = []

    def change(at: Progress) -> None:
        if not calls:
            (tree / "file").write_bytes(b"second version")
        calls.append(at.path)

    taken = store.snapshot({"w": tree}, progress=change)
    assert taken.torn == ()
    assert content(store, taken.root, "w/file") == b"second version"


def test_directory_swapped_for_a_link_is_not_followed(store: Store, tmp_path: Path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_bytes(b"host secret")
    tree = tmp_path / "tree"
    for index in range(6):
        (tree / f"dir{index}").mkdir(parents=True)
        (tree / f"dir{index}" / "file").write_bytes(b"harmless %d" % index)
    swapped: list[str] = []

    def swap(at: Progress) -> None:
        if swapped:
            return
        for directory in tree.iterdir():
            if directory.name not in at.path:
                directory.rename(tmp_path / f"moved-{directory.name}")
                directory.symlink_to(secret)
                swapped.append(directory.name)

    taken = store.snapshot({"w": tree}, progress=swap)
    kinds = {e.path: e.kind for e in store.entries(taken.root, "w") if "/" not in e.path}
    assert len(swapped) == 5
    assert all(kinds[name] is Kind.SYMLINK for name in swapped)
    contents = [
        content(store, taken.root, f"w/{e.path}")
        for e in store.entries(taken.root, "w")
        if e.kind is Kind.FILE
    ]
    assert len(contents) == 1
    assert contents[0].startswith(b"harmless")


@pytest.mark.parametrize("turns", [60, pytest.param(1000, marks=pytest.mark.long)])
def test_swapping_in_a_loop_never_gets_a_host_file_into_the_store(
    store: Store, tmp_path: Path, turns: int
):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_bytes(b"host secret")
    tree = tmp_path / "tree"
    (tree / "dir").mkdir(parents=True)
    (tree / "dir" / "file").write_bytes(b"harmless")
    (tree / "plain").write_bytes(b"harmless")
    (tmp_path / "link").symlink_to(secret)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for name, link in (("dir", secret), ("plain", secret / "file")):
                (tree / name).rename(tmp_path / "aside")
                (tree / name).symlink_to(link)
                (tree / name).unlink()
                (tmp_path / "aside").rename(tree / name)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        taken = [store.snapshot({"w": tree}) for _ in range(turns)]
    finally:
        stop.set()
        thread.join()
    for snapshot in taken:
        for entry in store.entries(snapshot.root, "w"):
            if entry.kind is Kind.FILE and entry.sha256 is not None:
                assert content(store, snapshot.root, f"w/{entry.path}") == b"harmless"


def test_file_replaced_by_fifo_does_not_block_the_snapshot(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("a", "b"):
        (tree / name).write_bytes(name.encode())

    def replace(at: Progress) -> None:
        other = tree / ("b" if at.path == "w/a" else "a")
        if other.is_file():
            other.unlink()
            os.mkfifo(other)

    taken = store.snapshot({"w": tree}, progress=replace)
    assert sorted(e.kind.value for e in store.entries(taken.root, "w")) == ["file", "special"]


def test_excluded_paths_are_left_out_and_listed(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    for path in (".env", "src/.env", "src/a.py", "node_modules/x/y.js", "build/out", "src/build"):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(b"x")
    exclude = Exclude((".env", "node_modules/", "/build"), frozenset({"w"}))
    taken = store.snapshot({"w": tree, "home": tree}, exclude=exclude)
    assert taken.excluded == ("w/.env", "w/build", "w/node_modules", "w/src/.env")
    assert paths(store, taken.root) == ["src", "src/a.py", "src/build"]
    assert "node_modules/x/y.js" in [e.path for e in store.entries(taken.root, "home")]


def test_store_inside_the_captured_tree_is_left_out_and_listed(tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_bytes(b"x")
    store = Store.open(tree / ".autovibe" / "store")
    taken = [store.snapshot({"w": tree}) for _ in range(3)]
    assert [t.excluded for t in taken] == [("w/.autovibe/store",)] * 3
    assert paths(store, taken[2].root) == [".autovibe", ".autovibe/store", "file"]
    with pytest.raises(InvalidArgumentError, match="the checkpoint store itself"):
        store.snapshot({"w": store.path})


def test_nesting_beyond_the_limit_is_cut_off_and_listed(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_bytes(b"kept")
    here = os.open(tree, os.O_RDONLY)
    for _ in range(400):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    taken = store.snapshot({"w": tree})
    assert taken.excluded == ("w" + "/d" * 200,)
    assert content(store, taken.root, "w/file") == b"kept"
    store.restore(taken.root, tmp_path / "out", path="w")
    assert store.snapshot({"w": tmp_path / "out"}).file_count == 1


def test_unreadable_file_and_directory_are_listed_and_the_rest_is_kept(outside_tmp: Path):
    tree = outside_tmp / "tree"
    (tree / "closed").mkdir(parents=True)
    (tree / "closed" / "inner").write_bytes(b"x")
    (tree / "denied").write_bytes(b"x")
    (tree / "open").write_bytes(b"kept")
    (tree / "denied").chmod(0)
    (tree / "closed").chmod(0)
    with as_unprivileged(tree / "denied"):
        store = Store.open(outside_tmp / "store")
        taken = store.snapshot({"w": tree})
        assert taken.unreadable == ("w/closed", "w/denied")
        assert content(store, taken.root, "w/open") == b"kept"
        result = store.restore(taken.root, outside_tmp / "out", path="w")
        assert [item.path for item in result.skipped] == ["closed", "denied"]
    (tree / "closed").chmod(0o700)
    (outside_tmp / "out" / "closed").chmod(0o700)


@pytest.fixture
def outside_tmp():
    path = Path(tempfile.mkdtemp(prefix="autovibe-store-"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


@contextlib.contextmanager
def as_unprivileged(denied: Path):
    """Root reads everything; the kernel takes that away with the effective user."""
    if not os.access(denied, os.R_OK):
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


class SteppedClock:
    """A clock that stands where the test puts it."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def clocked(tmp_path: Path, clock: SteppedClock) -> Store:
    return Store.open(tmp_path / "store", clock=clock)


def test_unchanged_files_are_not_read_again(clocked: Store, clock: SteppedClock, tricky: Path):
    cache = StatCache()
    clock.time += timedelta(hours=1)
    first = clocked.snapshot({"w": tricky}, cache=cache)
    second = clocked.snapshot({"w": tricky}, cache=cache)
    assert first.read_bytes > 0
    assert second.read_bytes == 0
    assert second.root == first.root
    assert (second.file_count, second.total_bytes, second.special) == (
        first.file_count,
        first.total_bytes,
        first.special,
    )
    (tricky / ".hidden" / ".deep").write_bytes(b"changed, longer\n")
    third = clocked.snapshot({"w": tricky}, cache=cache)
    assert third.read_bytes == len(b"changed, longer\n")
    assert third.root == Store.open(clocked.path).snapshot({"w": tricky}).root


def test_file_written_within_a_tick_of_the_snapshot_is_read_again(
    clocked: Store, clock: SteppedClock, tmp_path: Path
):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_bytes(b"abc")
    clock.time = datetime.fromtimestamp((tree / "file").stat().st_ctime, UTC)
    cache = StatCache()
    clocked.snapshot({"w": tree}, cache=cache)
    racy = clocked.snapshot({"w": tree}, cache=cache)
    assert racy.read_bytes == 3
    clock.time += timedelta(hours=1)
    assert clocked.snapshot({"w": tree}, cache=cache).read_bytes == 3
    assert clocked.snapshot({"w": tree}, cache=cache).read_bytes == 0


def test_same_size_edit_with_its_mtime_put_back_is_seen(
    clocked: Store, clock: SteppedClock, tmp_path: Path
):
    tree = tmp_path / "tree"
    tree.mkdir()
    file = tree / "file"
    file.write_bytes(b"abc")
    before = file.stat()
    clock.time += timedelta(hours=1)
    cache = StatCache()
    clocked.snapshot({"w": tree}, cache=cache)
    while file.stat().st_ctime_ns == before.st_ctime_ns:
        file.write_bytes(b"xyz")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    taken = clocked.snapshot({"w": tree}, cache=cache)
    assert content(clocked, taken.root, "w/file") == b"xyz"


def test_cache_of_another_store_vouches_for_nothing(
    clocked: Store, clock: SteppedClock, tricky: Path, tmp_path: Path
):
    cache = StatCache()
    clock.time += timedelta(hours=1)
    first = clocked.snapshot({"w": tricky}, cache=cache)
    other = Store.open(tmp_path / "other", clock=clock)
    taken = other.snapshot({"w": tricky}, cache=cache)
    assert taken.root == first.root
    assert other.verify(taken.root).ok


def test_failed_snapshot_does_not_bring_the_cache_forward(
    clocked: Store, clock: SteppedClock, tricky: Path
):
    cache = StatCache()
    clock.time += timedelta(hours=1)

    def fail() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        clocked.snapshot({"w": tricky}, cache=cache, on_read=fail)
    taken = clocked.snapshot({"w": tricky}, cache=cache)
    assert clocked.verify(taken.root).ok


def test_link_group_is_renamed_in_a_directory_that_did_not_change_itself(
    clocked: Store, clock: SteppedClock, tmp_path: Path
):
    tree = tmp_path / "tree"
    for name in ("a", "b"):
        (tree / name).mkdir(parents=True)
    (tree / "a" / "one").write_bytes(b"linked")
    os.link(tree / "a" / "one", tree / "b" / "two")
    cache = StatCache()
    clock.time += timedelta(hours=1)
    clocked.snapshot({"w": tree}, cache=cache)
    (tree / "a").rename(tree / "z")
    taken = clocked.snapshot({"w": tree}, cache=cache)
    assert {e.link for e in clocked.entries(taken.root, "w") if e.kind is Kind.FILE} == {"b/two"}
    assert taken.root == clocked.snapshot({"w": tree}).root


def test_changes_of_every_kind_with_a_cache_give_the_root_of_a_fresh_walk(
    clocked: Store, clock: SteppedClock, tricky: Path
):
    cache = StatCache()
    clock.time += timedelta(hours=1)
    clocked.snapshot({"w": tricky}, cache=cache)
    steps = [
        (tricky / "plain.txt").unlink,
        lambda: (tricky / "empty-dir" / "inner" / "new").write_bytes(b"n"),
        (tricky / "hard" / "one").unlink,
        (tricky / "hard" / "two").unlink,
        lambda: os.link(tricky / "secret", tricky / "hard" / "again"),
        lambda: (tricky / "script.sh").chmod(0o644),
        lambda: (tricky / "ignored").rename(tricky / "renamed"),
        lambda: (tricky / "link").unlink() or (tricky / "link").mkdir(),
        (tricky / "fifo").unlink,
        lambda: os.utime(tricky / "nested", ns=(3, 3)),
    ]
    for step in steps:
        step()
        cached = clocked.snapshot({"w": tricky}, cache=cache)
        fresh = clocked.snapshot({"w": tricky})
        assert cached.root == fresh.root
        assert cached.file_count == fresh.file_count

from __future__ import annotations

import contextlib
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autovibe.store import (
    ObjectCorruptError,
    PathNotFoundError,
    Progress,
    StatCache,
    Store,
    TargetNotEmptyError,
    TargetUnwritableError,
    UnsafeTreeError,
)
from autovibe.store.packs import sha256
from autovibe.store.tracking import TrackedTree, choose
from autovibe.store.tree import DIR, FILE, SYMLINK, TreeEntry, encode_tree


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def store_tree(store: Store, entries: list[TreeEntry]) -> str:
    """Put a root tree with these entries below `w` into the store, as a damaged writer might."""
    blob = b"payload"
    with store._objects.writer() as writer:
        writer.put(sha256(blob), blob)
        inner = encode_tree(entries)
        writer.put(sha256(inner), inner)
        root = encode_tree([TreeEntry(b"w", DIR, 0o755, 0, 0, 0, digest=sha256(inner))])
        writer.put(sha256(root), root)
        writer.commit()
    return sha256(root).hex()


def file_entry(name: bytes, **changes) -> TreeEntry:
    entry = TreeEntry(name, FILE, 0o644, 0, 0, 0, size=7, digest=sha256(b"payload"))
    return entry._replace(**changes)


@pytest.mark.parametrize(
    "names",
    [
        [b".."],
        [b"."],
        [b""],
        [b"../escape"],
        [b"/etc/passwd"],
        [b"a\0b"],
        [b"same", b"same"],
        [b"b", b"a"],
    ],
)
def test_hostile_names_are_refused_and_nothing_is_written(
    store: Store, tmp_path: Path, names: list[bytes]
):
    root = store_tree(store, [file_entry(name) for name in names])
    with pytest.raises(UnsafeTreeError):
        store.restore(root, tmp_path / "out", path="w")
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(UnsafeTreeError):
        list(store.entries(root))
    with pytest.raises(UnsafeTreeError):
        store.diff(None, root)
    result = store.verify(root)
    assert not result.ok
    assert result.corrupt[0].paths == ("w",)


@pytest.mark.parametrize(
    "entry",
    [
        TreeEntry(b"link", SYMLINK, 0o777, 0, 0, 0, size=0, target=b""),
        TreeEntry(b"link", SYMLINK, 0o777, 0, 0, 0, size=3, target=b"a\0b"),
        file_entry(b"file", link=b"../../outside"),
        file_entry(b"file", mode=0o100644),
        file_entry(b"file", kind=ord("?")),
    ],
)
def test_values_that_no_snapshot_writes_are_refused(store: Store, entry: TreeEntry):
    root = store_tree(store, [entry])
    with pytest.raises(UnsafeTreeError):
        list(store.entries(root))


def test_tree_that_is_cut_short_is_refused(store: Store):
    whole = encode_tree([file_entry(b"file")])
    for length in range(len(whole) - 1, 16, -7):
        cut = whole[:length]
        with store._objects.writer() as writer:
            writer.put(sha256(cut), cut)
            writer.commit()
        with pytest.raises(UnsafeTreeError):
            list(store.entries(sha256(cut).hex()))


def test_link_group_to_a_path_outside_the_selection_writes_a_file(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "a").write_bytes(b"linked")
    os.link(tree / "a", tree / "sub" / "b")
    os.link(tree / "a", tree / "sub" / "c")
    taken = store.snapshot({"w": tree})
    store.restore(taken.root, tmp_path / "out", path="w/sub")
    assert (tmp_path / "out" / "b").read_bytes() == b"linked"
    assert (tmp_path / "out" / "b").samefile(tmp_path / "out" / "c")


def test_selected_file_is_put_under_its_own_name(store: Store, tricky: Path, tmp_path: Path):
    taken = store.snapshot({"w": tricky})
    store.restore(taken.root, tmp_path / "out", path="w/ignored/build.o")
    assert names(tmp_path / "out") == ["build.o"]
    assert (tmp_path / "out" / "build.o").read_bytes() == b"\0\1\2" * 1000
    store.restore(taken.root, tmp_path / "links", path="w/dangling")
    assert (tmp_path / "links" / "dangling").readlink() == Path("no/such/file")


def test_whole_snapshot_restores_every_root(store: Store, tricky: Path, tmp_path: Path):
    (tmp_path / "home").mkdir()
    taken = store.snapshot({"workspace": tricky, "home": tmp_path / "home"})
    store.restore(taken.root, tmp_path / "out")
    assert sorted(names(tmp_path / "out")) == ["home", "workspace"]
    roots = {name: tmp_path / "out" / name for name in ("home", "workspace")}
    assert store.snapshot(roots).root == taken.root


@pytest.mark.parametrize("path", ["nothing", "w/nothing", "w/plain.txt/below", "w/../w", "../w"])
def test_path_that_the_snapshot_lacks_is_refused(
    store: Store, tricky: Path, tmp_path: Path, path: str
):
    taken = store.snapshot({"w": tricky})
    with pytest.raises(PathNotFoundError):
        store.restore(taken.root, tmp_path / "out", path=path)
    assert not (tmp_path / "out").exists()


def test_target_that_is_not_empty_is_refused_and_untouched(
    store: Store, tricky: Path, tmp_path: Path
):
    taken = store.snapshot({"w": tricky})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_bytes(b"precious")
    with pytest.raises(TargetNotEmptyError, match="new directory"):
        store.restore(taken.root, tmp_path / "out", path="w")
    assert names(tmp_path / "out") == ["mine"]


def test_target_that_is_a_file_is_refused(store: Store, tricky: Path, tmp_path: Path):
    taken = store.snapshot({"w": tricky})
    (tmp_path / "out").write_bytes(b"a file")
    with pytest.raises(TargetUnwritableError):
        store.restore(taken.root, tmp_path / "out", path="w")
    assert (tmp_path / "out").read_bytes() == b"a file"


def test_setuid_and_setgid_are_dropped_unless_exact(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "tool").write_bytes(b"x")
    (tree / "tool").chmod(0o6755)
    taken = store.snapshot({"w": tree})
    store.restore(taken.root, tmp_path / "safe", path="w")
    assert stat.S_IMODE((tmp_path / "safe" / "tool").stat().st_mode) == 0o755
    store.restore(taken.root, tmp_path / "exact", path="w", exact=True)
    assert stat.S_IMODE((tmp_path / "exact" / "tool").stat().st_mode) == 0o6755
    assert store.snapshot({"w": tmp_path / "exact"}).root == taken.root


def test_foreign_owners_and_capabilities_are_dropped_unless_exact(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_bytes(b"x")
    try:
        os.chown(tree / "file", 4242, 4343)
    except PermissionError:
        pytest.skip("only root can give a file to somebody else")
    capability = bytes.fromhex("0000000200200000000000000000000000000000")  # cap_net_raw, v2
    os.setxattr(tree / "file", "security.capability", capability)
    taken = store.snapshot({"w": tree})
    store.restore(taken.root, tmp_path / "safe", path="w")
    safe = (tmp_path / "safe" / "file").stat()
    assert (safe.st_uid, safe.st_gid) == (os.geteuid(), os.getegid())
    assert "security.capability" not in os.listxattr(tmp_path / "safe" / "file")
    store.restore(taken.root, tmp_path / "exact", path="w", exact=True)
    exact = (tmp_path / "exact" / "file").stat()
    assert (exact.st_uid, exact.st_gid) == (4242, 4343)
    assert os.getxattr(tmp_path / "exact" / "file", "security.capability") == capability
    assert store.snapshot({"w": tmp_path / "exact"}).root == taken.root


def test_zero_runs_become_holes(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    with (tree / "sparse").open("wb") as file:
        file.write(b"begin")
        file.seek(8 << 20)
        file.write(b"end")
    os.truncate(tree / "sparse", 16 << 20)
    taken = store.snapshot({"w": tree})
    store.restore(taken.root, tmp_path / "out", path="w")
    restored = tmp_path / "out" / "sparse"
    assert restored.read_bytes() == (tree / "sparse").read_bytes()
    assert restored.stat().st_blocks * 512 < 1 << 20


def test_damaged_object_stops_the_restore_and_removes_what_was_written(
    store: Store, tmp_path: Path
):
    tree = tmp_path / "tree"
    tree.mkdir()
    for index in range(5):
        (tree / f"file{index}").write_bytes(os.urandom(5000))
    taken = store.snapshot({"w": tree})
    blob = next(e.sha256 for e in store.entries(taken.root, "w") if e.path == "file3")
    assert blob is not None
    at = store._objects.locate(bytes.fromhex(blob))
    assert at is not None
    pack = store.path / "packs" / f"{at.pack}.pack"
    data = bytearray(pack.read_bytes())
    data[at.offset + 2000] ^= 1
    pack.write_bytes(data)
    with pytest.raises(ObjectCorruptError):
        store.restore(taken.root, tmp_path / "out", path="w")
    assert list((tmp_path / "out").iterdir()) == []


def test_restore_in_place_touches_only_what_differs_and_keeps_what_it_replaced(
    store: Store, tricky: Path, describe_tree
):
    before = describe_tree(tricky)
    taken = store.snapshot({"w": tricky})
    untouched = (tricky / "crlf.txt").stat()
    (tricky / "plain.txt").write_bytes(b"changed\n")
    (tricky / "script.sh").chmod(0o600)
    (tricky / "extra" / "deep").mkdir(parents=True)
    (tricky / "extra" / "deep" / "precious").write_bytes(b"not in the snapshot")
    (tricky / "link").unlink()
    (tricky / "link").mkdir()
    (tricky / "link" / "inside").write_bytes(b"x")
    (tricky / "hard" / "two").unlink()
    (tricky / "hard" / "two").write_bytes(b"linked\n")
    (tricky / "ignored").rename(tricky / "moved")
    changed = describe_tree(tricky)
    result = store.restore(taken.root, tricky, path="w", onto_same=True)
    assert describe_tree(tricky) == before
    assert store.snapshot({"w": tricky}).root == taken.root
    assert (tricky / "crlf.txt").stat().st_ctime_ns == untouched.st_ctime_ns
    assert "extra" in result.deleted
    assert result.saved_root is not None
    assert result.saved_ref is not None
    assert store.read_ref(result.saved_ref) == result.saved_root
    store.restore(result.saved_root, tricky.parent / "saved", path="w")
    assert describe_tree(tricky.parent / "saved") == changed


def test_restore_of_one_file_in_place_leaves_the_others(store: Store, tricky: Path):
    taken = store.snapshot({"w": tricky})
    (tricky / "plain.txt").write_bytes(b"changed\n")
    (tricky / "debug.log").write_bytes(b"also changed\n")
    result = store.restore(taken.root, tricky, path="w/plain.txt", onto_same=True)
    assert (tricky / "plain.txt").read_bytes() == b"hello\n"
    assert (tricky / "debug.log").read_bytes() == b"also changed\n"
    assert result.saved_root is not None
    assert b"".join(store.read(result.saved_root, "plain.txt/plain.txt")) == b"changed\n"


def test_restore_in_place_refuses_a_target_that_cannot_be_saved(
    store: Store, tricky: Path, tmp_path: Path
):
    taken = store.snapshot({"w": tricky})
    deep = tmp_path / "target"
    deep.mkdir()
    here = os.open(deep, os.O_RDONLY)
    for _ in range(201):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    with pytest.raises(TargetNotEmptyError, match="cannot save"):
        store.restore(taken.root, deep, path="w", onto_same=True)
    assert names(deep) == ["d"]


def test_restore_through_a_directory_swapped_for_a_link_does_not_leave_the_target(
    store: Store, tmp_path: Path
):
    outside = tmp_path / "outside"
    outside.mkdir()
    tree = tmp_path / "tree"
    (tree / "z").mkdir(parents=True)
    (tree / "a").mkdir()
    (tree / "a" / "file").write_bytes(b"first")
    (tree / "z" / "file").write_bytes(b"second")
    taken = store.snapshot({"w": tree})
    out = tmp_path / "out"

    def plant(_: object) -> None:
        if not (out / "z").is_symlink():  # all directories are made before the first file
            (out / "z").rmdir()
            (out / "z").symlink_to(outside)

    with pytest.raises(TargetUnwritableError):
        store.restore(taken.root, out, path="w", progress=plant)
    assert list(outside.iterdir()) == []


def test_cache_filled_by_restore_spares_the_first_snapshot_all_reading(
    tmp_path: Path, tricky: Path
):
    class Later:
        def now(self) -> datetime:
            return datetime.now(UTC) + timedelta(hours=1)

        def monotonic(self) -> float:
            return 0.0

    store = Store.open(tmp_path / "store", clock=Later())
    taken = store.snapshot({"workspace": tricky})
    for path, name in (("", "all"), ("workspace", "one")):
        cache = StatCache()
        out = tmp_path / name
        store.restore(taken.root, out, path=path, cache=cache)
        live = out if path else out / "workspace"
        again = store.snapshot({"workspace": live}, cache=cache)
        assert again.read_bytes == 0
        assert again.root == taken.root
        (live / "plain.txt").write_bytes(b"different\n")
        changed = store.snapshot({"workspace": live}, cache=cache)
        assert changed.read_bytes == len(b"different\n")
        assert [c.path for c in store.diff(taken.root, changed.root, path="workspace")] == [
            "plain.txt"
        ]


def test_file_that_was_changed_before_the_restore_ended_is_not_vouched_for(
    tmp_path: Path, tricky: Path
):
    class Later:
        def now(self) -> datetime:
            return datetime.now(UTC) + timedelta(hours=1)

        def monotonic(self) -> float:
            return 0.0

    store = Store.open(tmp_path / "store", clock=Later())
    taken = store.snapshot({"w": tricky})
    out = tmp_path / "out"

    def meddle(at: Progress) -> None:
        if at.path == "crlf.txt":
            (out / "crlf.txt").write_bytes(b"A\r\nB\r\n")

    cache = StatCache()
    store.restore(taken.root, out, path="w", cache=cache, progress=meddle)
    again = store.snapshot({"w": out}, cache=cache)
    assert b"".join(store.read(again.root, "w/crlf.txt")) == b"A\r\nB\r\n"


def test_cache_knows_all_after_a_restore_in_place_but_what_that_wrote(tmp_path: Path, tricky: Path):
    class Later:
        def now(self) -> datetime:
            return datetime.now(UTC) + timedelta(hours=1)

        def monotonic(self) -> float:
            return 0.0

    store = Store.open(tmp_path / "store", clock=Later())
    cache = StatCache()
    taken = store.snapshot({"w": tricky}, cache=cache)
    (tricky / "plain.txt").write_bytes(b"changed\n")
    (tricky / "new").write_bytes(b"n")
    store.restore(taken.root, tricky, path="w", onto_same=True, cache=cache)
    again = store.snapshot({"w": tricky}, cache=cache)
    assert (again.root, again.read_bytes) == (taken.root, len(b"hello\n"))


def test_a_lost_name_of_a_link_group_comes_back_in_place(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / "b").mkdir()
    (tree / "a" / "x").write_bytes(b"linked")
    os.link(tree / "a" / "x", tree / "a" / "y")
    os.link(tree / "a" / "x", tree / "b" / "z")
    taken = store.snapshot({"w": tree})
    (tree / "b" / "z").unlink()  # nothing differs in `a`, where the first name is
    store.restore(taken.root, tree, path="w", onto_same=True)
    assert (tree / "b" / "z").stat().st_ino == (tree / "a" / "x").stat().st_ino
    assert store.snapshot({"w": tree}).root == taken.root


def test_a_lost_name_is_not_linked_to_a_file_that_changes_meanwhile(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / "b").mkdir()
    (tree / "a" / "x").write_bytes(b"linked")
    os.link(tree / "a" / "x", tree / "a" / "y")
    os.link(tree / "a" / "x", tree / "b" / "z")
    (tree / "b" / "first").write_bytes(b"old")
    taken = store.snapshot({"w": tree})
    (tree / "b" / "z").unlink()
    (tree / "b" / "first").write_bytes(b"newer")

    def meddle(at: Progress) -> None:
        if at.path == "b/first":
            (tree / "a" / "x").write_bytes(b"changed")

    store.restore(taken.root, tree, path="w", onto_same=True, progress=meddle)
    assert (tree / "a" / "x").read_bytes() == b"changed"
    assert (tree / "b" / "z").read_bytes() == b"linked"


def test_a_tracked_tree_is_restored_by_exchanging_files(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(300):
        (tree / f"f{number}").write_bytes(b"%d" % number)
    (tree / "gone").write_bytes(b"gone")
    roots = {"w": tree}
    with contextlib.closing(TrackedTree(store, roots, choose(roots), audit_every=0)) as tracked:
        taken = tracked.snapshot()
        for number in range(150):
            (tree / f"f{number}").write_bytes(b"changed")
        (tree / "gone").unlink()
        (tree / "new").write_bytes(b"new")
        held = (tree / "f7").open("rb")
        with held:
            tracked.restore(taken.root, "w")
            assert held.read() == b"changed"  # who has it open keeps what was there
        assert tracked.snapshot().root == taken.root
    assert store.snapshot(roots).root == taken.root
    assert len(list(tree.iterdir())) == 301

"""History, renames, forks, chosen paths, and restores into a tree that others are at work in."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.store import (
    NotAFileError,
    ObjectMissingError,
    PathNotFoundError,
    RefExistsError,
    Store,
    patch,
)
from autovibe.store import restore as restore_module


class SteppedClock:
    """A minute passes at each look."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 25, tzinfo=UTC)

    def now(self) -> datetime:
        self.time += timedelta(minutes=1)
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store", clock=SteppedClock())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"


def commit(store: Store, tree: Path, name: str, *parents: str, note: str = "", **files) -> str:
    for file, content in files.items():
        path = tree / file
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
    root = store.snapshot({"w": tree}).root
    store.write_ref(name, root, parents=parents, note=note)
    return root


def test_log_follows_a_path_through_its_parents(store: Store, tree: Path):
    one = commit(store, tree, "s/1", a=b"1", b=b"1", note="begin")
    two = commit(store, tree, "s/2", one, b=b"2")
    three = commit(store, tree, "s/3", two, a=b"3")
    four = commit(store, tree, "s/4", three, a=None)
    side = commit(store, tree, "side/1", two, a=b"side", b=b"side")
    found = [(e.refs, e.change, e.entry and e.entry.size) for e in store.log("w/a", start="s/4")]
    assert found == [
        (("s/4",), "deleted", None),
        (("s/3",), "modified", 1),
        (("s/1",), "added", 1),
    ]
    assert [e.root for e in store.log("w/b", start=side)] == [side, two, one]
    assert [e.root for e in store.log("w/a")] == [side, four, three, one]
    last = store.log("w/a")[-1]
    assert (last.note, last.parents, last.change) == ("begin", (), "added")
    assert [e.at_ns for e in store.log()] == sorted((e.at_ns for e in store.log()), reverse=True)
    assert store.log("w/none") == []
    assert [e.root for e in store.log("w/a", prefix="s/")] == [four, three, one]


def test_log_without_parents_compares_with_the_snapshot_before(store: Store, tree: Path):
    one = commit(store, tree, "s/1", a=b"1")
    commit(store, tree, "s/2", b=b"other file")
    three = commit(store, tree, "s/3", a=b"3")
    commit(store, tree, "elsewhere/1", a=b"x")
    assert [e.root for e in store.log("w/a", prefix="s/")] == [three, one]


def test_log_of_a_merge_tells_only_what_no_parent_had(store: Store, tree: Path):
    left = commit(store, tree, "s/left", a=b"left", b=b"0")
    right = commit(store, tree, "s/right", a=b"right")
    merge = commit(store, tree, "s/merge", left, right, a=b"left")
    assert merge not in [e.root for e in store.log("w/a", start=merge)]
    both = commit(store, tree, "s/both", left, right, a=b"neither")
    assert store.log("w/a", start=both)[0].root == both


def test_log_goes_on_where_a_parent_is_gone(store: Store, tree: Path):
    two = commit(store, tree, "s/2", "0" * 64, a=b"2")
    assert [(e.root, e.change) for e in store.log("w/a", start="s/2")] == [(two, "added")]


def test_fork_names_the_same_snapshot_and_copies_nothing(store: Store, tree: Path):
    root = commit(store, tree, "s/1", a=b"1")
    before = store.stats()
    assert store.fork("s/1", "mine/1", note="another way") == root
    assert store.stats().stored_bytes == before.stored_bytes
    forked = store.find_ref("mine/1")
    assert forked is not None
    assert (forked.root, forked.parents, forked.note) == (root, (root,), "another way")
    with pytest.raises(RefExistsError):
        store.fork(root, "mine/1")
    with pytest.raises(ObjectMissingError):
        store.fork("s/none", "mine/2")
    store.delete_ref("s/1")
    assert [e.refs for e in store.log("w/a", start="mine/1")] == [("mine/1",)]


def test_cat_takes_refs_roots_and_their_beginnings(store: Store, tree: Path):
    root = commit(store, tree, "s/1", a=b"content")
    for name in ("s/1", root, root[:8]):
        assert b"".join(store.cat(name, "w/a")) == b"content"
    for name in ("s/2", root[:7], "0" * 64, "no ref", "x" * 8):
        with pytest.raises(ObjectMissingError):
            b"".join(store.cat(name, "w/a"))
    with pytest.raises(PathNotFoundError):
        store.cat("s/1", "w/b").__next__()
    with pytest.raises(NotAFileError):
        store.cat("s/1", "w").__next__()


def test_damaged_or_overlong_notes_and_parents_are_refused(store: Store, tree: Path):
    root = commit(store, tree, "s/1", a=b"1")
    with pytest.raises(InvalidArgumentError):
        store.write_ref("s/2", root, note="x" * 5000)
    with pytest.raises(InvalidArgumentError):
        store.write_ref("s/2", root, parents=["s/1"])
    store.write_ref("s/2", root, note='line\nand "quote" \u00e9 \udcff')
    ref = store.find_ref("s/2")
    assert ref is not None
    assert ref.note == 'line\nand "quote" \u00e9 \udcff'


def text(*numbers: int) -> bytes:
    return b"".join(b"this is line number %d\n" % number for number in numbers)


def test_renames_are_found_by_content_and_by_likeness(store: Store, tree: Path):
    one = commit(
        store, tree, "s/1",
        same=b"moved as it is" * 9, like=text(*range(50)), gone=text(90), empty=b"", twice=text(1),
    )  # fmt: skip
    (tree / "dir").mkdir()
    (tree / "same").rename(tree / "dir" / "same")
    (tree / "twice").rename(tree / "another-name")
    two = commit(
        store, tree, "s/2",
        like=None, likely=text(*range(45), 7, 8), gone=None, new=text(70), empty=None, blank=b"",
    )  # fmt: skip
    plain = {(c.path, c.change) for c in store.diff(one, two, path="w")}
    assert ("same", "deleted") in plain
    found = store.diff(one, two, path="w", renames=True)
    renamed = {c.path: (c.old and c.old.path, c.similarity) for c in found if c.similarity}
    assert renamed == {
        "dir/same": ("same", 100),
        "another-name": ("twice", 100),
        "likely": ("like", 89),
    }
    assert {(c.path, c.change) for c in found if not c.similarity} == {
        ("gone", "deleted"),
        ("new", "added"),
        ("empty", "deleted"),
        ("blank", "added"),
    }


def test_patch_with_renames_is_applied_by_git(store: Store, tree: Path, tmp_path: Path):
    one = commit(store, tree, "s/1", same=b"as it is\n", like=text(*range(30)), binary=b"\0\1")
    work = tmp_path / "work"
    store.restore(one, work, path="w")
    (tree / "same").rename(tree / "with space")
    two = commit(store, tree, "s/2", like=None, likely=text(*range(29), 99), binary=b"\0\2")
    written = patch(store, one, two, path="w", renames=True, binary=True)
    assert "rename from like\nrename to likely\n" in written
    assert "similarity index 100%\nrename from same\nrename to with space\n" in written
    done = subprocess.run(
        ["git", "apply", "--verbose", "-"],
        input=written.encode("utf-8", "surrogateescape"),
        cwd=work,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path)},
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    names = {path.name: path.read_bytes() for path in work.iterdir()}
    assert names == {path.name: path.read_bytes() for path in tree.iterdir()}
    assert "Binary files a/binary and b/binary differ" in patch(store, one, two, path="w")


def test_only_chosen_paths_are_restored_in_place(store: Store, tricky: Path, describe_tree):
    taken = store.snapshot({"w": tricky})
    before = describe_tree(tricky)
    (tricky / "plain.txt").write_bytes(b"changed\n")
    (tricky / "crlf.txt").write_bytes(b"changed\n")
    (tricky / "ignored" / "build.o").unlink()
    (tricky / "ignored" / "made-since").write_bytes(b"kept")
    (tricky / "hard" / "two").unlink()
    (tricky / "link").unlink()
    result = store.restore(
        taken.root, tricky, path="w", paths=["plain.txt", "ignored/build.o", "link"], onto_same=True
    )
    assert result.deleted == ()
    now = describe_tree(tricky)
    for path in ("plain.txt", "ignored/build.o"):
        assert now[path] == before[path]
    assert now["link"][2] == Path("plain.txt")
    assert (tricky / "crlf.txt").read_bytes() == b"changed\n"
    assert (tricky / "ignored" / "made-since").read_bytes() == b"kept"
    assert not (tricky / "hard" / "two").exists()


def test_chosen_directory_is_restored_whole_with_its_link_groups(
    store: Store, tricky: Path, describe_tree
):
    taken = store.snapshot({"w": tricky})
    (tricky / "hard" / "one").unlink()
    (tricky / "hard" / "one").write_bytes(b"other")
    (tricky / "hard" / "made-since").write_bytes(b"goes")
    (tricky / "a-third").write_bytes(b"changed, and stays so")
    result = store.restore(taken.root, tricky, path="w", paths=["hard"], onto_same=True)
    assert result.deleted == ("hard/made-since",)
    assert (tricky / "hard" / "one").samefile(tricky / "hard" / "two")
    assert (tricky / "hard" / "one").read_bytes() == b"linked\n"
    assert (tricky / "a-third").read_bytes() == b"changed, and stays so"
    assert result.saved_root is not None
    assert b"".join(store.read(result.saved_root, "w/hard/made-since")) == b"goes"


def test_chosen_paths_are_written_into_an_empty_directory(
    store: Store, tricky: Path, tmp_path: Path
):
    taken = store.snapshot({"w": tricky})
    out = tmp_path / "out"
    store.restore(taken.root, out, path="w", paths=["ignored", "\u00fcn\u00efcode/\u540d\u524d"])
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*"))
    assert found == [
        "ignored",
        "ignored/build.o",
        "\u00fcn\u00efcode",
        "\u00fcn\u00efcode/\u540d\u524d",
    ]


@pytest.mark.parametrize(
    ("paths", "error"),
    [
        (["no-such"], PathNotFoundError),
        (["plain.txt/below"], PathNotFoundError),
        (["../outside"], InvalidArgumentError),
        ([""], InvalidArgumentError),
        ([], InvalidArgumentError),
    ],
)
def test_paths_that_cannot_be_chosen_are_refused_and_nothing_is_touched(
    store: Store, tricky: Path, describe_tree, paths: list[str], error: type[Exception]
):
    taken = store.snapshot({"w": tricky})
    (tricky / "plain.txt").write_bytes(b"mine")
    before = describe_tree(tricky)
    with pytest.raises(error):
        store.restore(taken.root, tricky, path="w", paths=paths, onto_same=True)
    assert describe_tree(tricky) == before
    with pytest.raises(InvalidArgumentError):
        store.restore(taken.root, tricky, path="w/plain.txt", paths=["x"], onto_same=True)


def test_what_is_made_or_changed_while_a_restore_runs_is_left_alone(
    store: Store, tree: Path, monkeypatch: pytest.MonkeyPatch
):
    (tree / "dir").mkdir()
    wanted = commit(store, tree, "s/1", keep=b"old", replaced=b"old", linked=b"x")
    os.link(tree / "linked", tree / "linked-2")
    wanted = store.snapshot({"w": tree}).root
    (tree / "linked-2").unlink()
    for name in ("removed", "dir/removed"):
        (tree / name).write_bytes(b"saved by the restore")
    for name in ("keep", "replaced", "linked"):
        (tree / name).write_bytes(b"newer")
    really = restore_module.TreeWriter._contents
    done: list[int] = []

    def work_meanwhile(self, fd, path, *rest) -> None:
        if not done:
            done.append(1)
            (tree / "removed").write_bytes(b"work of the last moment")
            (tree / "replaced").write_bytes(b"also of the last moment")
            (tree / "linked").write_bytes(b"of the last moment, too")
            (tree / "dir" / "unknown").write_bytes(b"made in the meantime")
            (tree / "linked-2").write_bytes(b"in the way")
        really(self, fd, path, *rest)

    monkeypatch.setattr(restore_module.TreeWriter, "_contents", work_meanwhile)
    result = store.restore(wanted, tree, path="w", onto_same=True)
    assert (tree / "removed").read_bytes() == b"work of the last moment"
    assert (tree / "replaced").read_bytes() == b"also of the last moment"
    assert (tree / "linked").read_bytes() == b"of the last moment, too"
    assert (tree / "dir" / "unknown").read_bytes() == b"made in the meantime"
    assert (tree / "linked-2").read_bytes() == b"in the way"
    assert (tree / "keep").read_bytes() == b"old"
    assert not (tree / "dir" / "removed").exists()
    assert {item.path for item in result.skipped} == {"removed", "replaced", "linked", "linked-2"}
    assert result.deleted == ("dir/removed",)
    assert not list(tree.rglob(".autovibe-*"))


def test_directory_with_something_unknown_in_it_stays(
    store: Store, tree: Path, monkeypatch: pytest.MonkeyPatch
):
    wanted = commit(store, tree, "s/1", a=b"1")
    (tree / "dir" / "sub").mkdir(parents=True)
    (tree / "dir" / "sub" / "known").write_bytes(b"saved")
    (tree / "dir" / "sub").chmod(0o500)
    really = restore_module.TreeWriter._remove

    def appear(self, fd, path, old) -> bool:
        if path == b"dir/sub/known":
            (tree / "dir" / "sub").chmod(0o700)
            (tree / "dir" / "sub" / "unknown").write_bytes(b"made in the meantime")
        return really(self, fd, path, old)

    monkeypatch.setattr(restore_module.TreeWriter, "_remove", appear)
    result = store.restore(wanted, tree, path="w", onto_same=True)
    assert (tree / "dir" / "sub" / "unknown").read_bytes() == b"made in the meantime"
    assert not (tree / "dir" / "sub" / "known").exists()
    assert {item.path for item in result.skipped} == {"dir", "dir/sub"}
    assert (tree / "dir" / "sub").stat().st_mode & 0o777 == 0o500


def test_stats_tell_how_much_is_shared_and_compressed(store: Store, tree: Path):
    commit(store, tree, "s/1", a=b"compressible " * 10_000)
    commit(store, tree, "s/2", b=b"compressible " * 10_000)
    store.fork("s/2", "mine/2")
    stats = store.stats(snapshots=True)
    assert (stats.snapshots, stats.snapshot_files, stats.snapshot_bytes) == (2, 3, 390_000)
    assert stats.dedup_ratio is not None
    assert 2.9 < stats.dedup_ratio < 3
    assert stats.compression_ratio > 20
    assert store.stats().dedup_ratio is None

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autovibe.store import PathNotFoundError, Store


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    for path in ("same/x", "edit", "gone", "run.sh", "kind", "a/b", "a.txt", "full/only"):
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(path.encode())
    (top / "hollow").mkdir()
    (top / "soft").symlink_to("edit")
    return top


def changes(store: Store, a: str | None, b: str, path: str = "w") -> list[tuple[str, str]]:
    return [(c.path, c.change) for c in store.diff(a, b, path=path)]


def test_diff_names_each_kind_of_change_once_sorted_by_path(store: Store, tree: Path):
    old = store.snapshot({"w": tree}).root
    (tree / "edit").write_bytes(b"edited")
    (tree / "gone").unlink()
    (tree / "run.sh").chmod(0o755)
    (tree / "kind").unlink()
    (tree / "kind").symlink_to("edit")
    (tree / "soft").unlink()
    (tree / "soft").symlink_to("elsewhere")
    (tree / "hollow").rmdir()
    (tree / "fresh" / "empty").mkdir(parents=True)
    (tree / "a" / "new").write_bytes(b"n")
    (tree / "full" / "only").unlink()
    os.utime(tree / "same" / "x")
    new = store.snapshot({"w": tree}).root
    assert changes(store, old, new) == [
        ("a/new", "added"),
        ("edit", "modified"),
        ("fresh/empty", "added"),
        ("full/only", "deleted"),
        ("gone", "deleted"),
        ("hollow", "deleted"),
        ("kind", "type"),
        ("run.sh", "mode"),
        ("soft", "modified"),
    ]
    by_path = {c.path: c for c in store.diff(old, new, path="w")}
    assert by_path["gone"].new is None
    assert by_path["edit"].old is not None
    assert by_path["run.sh"].new is not None
    assert by_path["run.sh"].new.mode == 0o755
    assert store.diff(new, new) == []


def test_diff_against_nothing_adds_everything(store: Store, tree: Path):
    root = store.snapshot({"w": tree}).root
    found = changes(store, None, root)
    assert ("hollow", "added") in found
    assert ("a/b", "added") in found
    assert len(found) == 10
    assert [path for path, _ in found] == sorted(path for path, _ in found)
    assert changes(store, None, root, "")[0] == ("w/a.txt", "added")


def test_file_that_became_a_directory_is_deleted_and_its_contents_added(store: Store, tree: Path):
    old = store.snapshot({"w": tree}).root
    (tree / "edit").unlink()
    (tree / "edit").mkdir()
    (tree / "edit" / "inner").write_bytes(b"i")
    (tree / "gone").unlink()
    (tree / "gone").mkdir()
    new = store.snapshot({"w": tree}).root
    assert changes(store, old, new) == [
        ("edit", "deleted"),
        ("edit/inner", "added"),
        ("gone", "type"),  # an empty directory stands for itself
    ]
    assert changes(store, new, old) == [
        ("edit", "added"),
        ("edit/inner", "deleted"),
        ("gone", "type"),
    ]


def test_diff_of_a_selected_file_bears_its_name(store: Store, tree: Path):
    old = store.snapshot({"w": tree}).root
    (tree / "edit").write_bytes(b"edited")
    new = store.snapshot({"w": tree}).root
    assert changes(store, old, new, "w/edit") == [("edit", "modified")]


def test_diff_opens_no_subtree_that_is_equal_on_both_sides(
    store: Store, tree: Path, monkeypatch: pytest.MonkeyPatch
):
    old = store.snapshot({"w": tree}).root
    (tree / "a" / "b").write_bytes(b"changed")
    new = store.snapshot({"w": tree}).root
    opened: list[bytes] = []
    get = store._objects.get
    monkeypatch.setattr(store._objects, "get", lambda digest: opened.append(digest) or get(digest))
    assert changes(store, old, new, "") == [("w/a/b", "modified")]
    # Both roots, once to find them and once to compare, and w and a on both sides.
    assert len(opened) == 8


def test_path_missing_from_one_side_was_added_or_deleted(store: Store, tree: Path):
    old = store.snapshot({"w": tree}).root
    (tree / "late").mkdir()
    (tree / "late" / "x").write_bytes(b"x")
    new = store.snapshot({"w": tree}).root
    assert changes(store, old, new, "w/late") == [("x", "added")]
    assert changes(store, new, old, "w/late") == [("x", "deleted")]
    with pytest.raises(PathNotFoundError):
        store.diff(old, new, path="w/never")

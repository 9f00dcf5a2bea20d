"""Copying a store for a backup while it is in use."""

from __future__ import annotations

from pathlib import Path

from autovibe.kernel.clock import SystemClock
from autovibe.runtime.backup import copy_store
from autovibe.store import NewRef, Store


def test_copy_of_a_store_in_use_holds_what_is_in_its_journal(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    store = Store.open(tmp_path / "s", journal=True)
    roots: list[str] = []
    for turn in range(3):
        (tree / "file").write_text(f"turn {turn}")
        roots.append(store.snapshot({"w": tree}, ref=NewRef(f"a/{turn}")).root)
        if turn == 1:
            store.close()  # what came before is in a pack, what comes after in a journal
    assert list((tmp_path / "s" / "journals").glob("*.journal"))
    copy_store(tmp_path / "s", tmp_path / "copy", SystemClock())
    copied = Store.open(tmp_path / "copy")
    assert [copied.read_ref(f"a/{turn}") for turn in range(3)] == roots
    assert all(copied.verify(root).ok for root in roots)
    (tree / "file").write_text("later")
    root = store.snapshot({"w": tree}, ref=NewRef("a/9")).root
    assert store.verify(root).ok

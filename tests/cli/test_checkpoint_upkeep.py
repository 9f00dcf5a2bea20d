"""Damage and space as a person sees them: on a home of its own, with commands alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from plane import write_files
from spoiling import spoil

from autovibe.db import open_database
from autovibe.db.upgrade import ensure_schema
from autovibe.store import Store
from autovibe.testing import factories

OLD = {"created_at": datetime.now(UTC) - timedelta(days=40)}


def autovibe(home: Path, *arguments: str) -> tuple[int, str]:
    """Run a command; return its exit status and what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "autovibe.cli.main", *arguments],
        env={"HOME": str(home), "AUTOVIBE_HOME": str(home / ".autovibe"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


async def settle_in(home: Path) -> list[str]:
    """Make a home with a line of three checkpoints, the middle one old and needed by nobody."""
    own = home / ".autovibe"
    own.mkdir(mode=0o700)
    store = Store.open(own / "store")
    database = open_database(f"sqlite:///{own / 'autovibe.db'}")
    await ensure_schema(database.engine)
    made: list[str] = []
    async with database.write() as tx:
        project = await factories.add_project(tx)
        parent = None
        for kind in ("genesis", "automatic", "final"):
            write_files(home / "tree", {"a.txt": f"{kind}\n", f"{kind}.txt": f"only {kind}\n"})
            root = store.snapshot({"workspace": home / "tree"}).root
            verified = {"verification_status": "verified", "verified_at": OLD["created_at"]}
            parent = await factories.add_checkpoint(
                tx, project.id, parent, manifest_root=root, checkpoint_type=kind, **OLD, **verified
            )
            store.write_ref(f"checkpoints/{parent.id}", root)
            made.append(str(parent.id))
    await database.close()
    return made


async def test_reading_the_store_ends_with_1_when_something_is_damaged_and_says_what_to_do(
    tmp_path: Path,
) -> None:
    _, middle, last = await settle_in(tmp_path)
    spoil(Store.open(tmp_path / ".autovibe" / "store"), b"only automatic\n")
    status, said = autovibe(tmp_path, "checkpoint", "verify", "--all")
    assert status == 1
    assert "Damaged: 2 checkpoints, 0 other references" in said
    assert "autovibe store check --repair --from" in said
    assert middle in said
    assert last in said


@pytest.mark.long
async def test_damage_is_shown_everywhere_and_gone_after_a_repair_from_a_copy(
    tmp_path: Path,
) -> None:
    first, middle, last = await settle_in(tmp_path)
    store = tmp_path / ".autovibe" / "store"
    shutil.copytree(store, tmp_path / "copy")
    spoil(Store.open(store), b"only automatic\n")
    assert autovibe(tmp_path, "db", "check")[0] == 0  # nobody has read it yet
    assert autovibe(tmp_path, "db", "maintain", "audit-store")[0] == 1

    listed = autovibe(tmp_path, "checkpoint", "list")[1].splitlines()
    shown = {line.split()[0]: "damaged" in line for line in listed[1:]}
    assert shown == {first[:8]: False, middle[:8]: True, last[:8]: True}
    status, said = autovibe(tmp_path, "checkpoint", "show", middle)
    assert (status, "workspace/automatic.txt cannot be read" in said) == (0, True)
    status, said = autovibe(tmp_path, "db", "check")
    assert (status, "damaged checkpoints: 2" in said) == (1, True)
    assert "damaged checkpoints: 2" in autovibe(tmp_path, "doctor")[1]
    status, said = autovibe(tmp_path, "checkpoint", "restore", middle, "--to", str(tmp_path / "x"))
    assert (status, "damaged" in said) == (1, True)

    assert (
        autovibe(tmp_path, "store", "check", "--repair", "--from", str(tmp_path / "copy"))[0] == 0
    )
    status, said = autovibe(tmp_path, "checkpoint", "verify", "--all")
    assert (status, "whole again: 2 checkpoints" in said) == (0, True), said
    assert autovibe(tmp_path, "db", "check")[0] == 0


@pytest.mark.long
async def test_pruning_thins_keeps_for_the_grace_time_and_puts_missing_references_back(
    tmp_path: Path,
) -> None:
    first, middle, last = await settle_in(tmp_path)
    store = Store.open(tmp_path / ".autovibe" / "store")
    before = store.stats()

    def pruned(*options: str) -> dict[str, Any]:
        status, said = autovibe(tmp_path, "checkpoint", "prune", *options, "--json")
        assert status == 0, said
        return {job["job"]: job for job in json.loads(said)["jobs"]}

    dry = pruned("--dry-run")
    assert dry["cleanup-checkpoints"]["affected_rows"] == 1
    assert set(store.ref_names()) == {f"checkpoints/{one}" for one in (first, middle, last)}
    store.delete_ref(f"checkpoints/{first}")
    status, said = autovibe(tmp_path, "db", "check")
    assert (status, "checkpoints without a reference in the store: 1" in said) == (1, True)

    done = pruned()
    assert done["cleanup-checkpoints"]["details"]["references_put_back"] == 1
    assert set(store.ref_names()) == {f"checkpoints/{one}" for one in (first, last)}
    assert done["prune-store"]["affected_rows"] == 0
    assert done["prune-store"]["details"]["held_bytes"] > 0
    assert Store.open(store.path).stats().objects == before.objects
    status, said = autovibe(tmp_path, "checkpoint", "restore", middle, "--to", str(tmp_path / "x"))
    assert (status, "removed to save space" in said) == (1, True)
    assert "pruned" in autovibe(tmp_path, "checkpoint", "list")[1]

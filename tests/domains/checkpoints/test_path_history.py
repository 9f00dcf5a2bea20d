"""Which checkpoints touched a path, and which machines run."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autovibe.db import Database
from autovibe.domains.checkpoints import repository
from autovibe.testing import factories

START = datetime(2026, 11, 20, tzinfo=UTC)


def manifest(*changed: str, deleted: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"files": [{"path": path, "size": "1"} for path in changed], "deleted": list(deleted)}


async def history(db: Database, project_id: uuid.UUID, path: str, **more: Any) -> list[Any]:
    async with db.read() as tx:
        return list(await repository.path_history(tx, project_id, path, **{"limit": 50} | more))


async def test_changes_and_the_deletion_of_a_path_are_found_newest_first(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        machine = await factories.add_machine(tx, project.id)
        root = await factories.add_checkpoint(
            tx, project.id, created_at=START, file_manifest=manifest("workspace/a", "workspace/b")
        )
        parent, made = root, [root]
        for number, content in enumerate(
            [
                manifest("workspace/a"),
                manifest("workspace/a/inside", "home/a"),
                manifest(deleted=("workspace/a",)),
                manifest('workspace/odd "name" ü'),
            ]
        ):
            parent = await factories.add_checkpoint(
                tx,
                project.id,
                parent,
                created_at=START + timedelta(minutes=number + 1),
                creating_machine_id=machine.id,
                file_manifest=content,
            )
            made.append(parent)
        stranger = await factories.add_project(tx)
        await factories.add_checkpoint(tx, stranger.id, file_manifest=manifest("workspace/a"))
    found = await history(db, project.id, "workspace/a")
    assert [one.checkpoint_id for one in found] == [made[3].id, made[1].id, made[0].id]
    assert [one.deleted for one in found] == [True, False, False]
    assert [one.machine_id for one in found] == [machine.id, machine.id, None]
    # The one before the first of a machine was made by another, so its cost counts from its start.
    assert [one.since for one in found] == [made[2].created_at, None, None]
    odd = await history(db, project.id, 'workspace/odd "name" ü')
    assert [one.checkpoint_id for one in odd] == [made[4].id]
    assert await history(db, project.id, "workspace/%") == []


async def test_pages_follow_each_other_without_gap_or_repeat(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        parent = None
        for _ in range(7):
            # Equal times: the id decides.
            parent = await factories.add_checkpoint(
                tx, project.id, parent, created_at=START, file_manifest=manifest("workspace/a")
            )
    whole = await history(db, project.id, "workspace/a")
    paged: list[Any] = []
    after = None
    while len(paged) < len(whole):
        page = await history(db, project.id, "workspace/a", after=after, limit=3)
        paged += page
        after = (page[-1].created_at, page[-1].checkpoint_id)
    assert paged == whole
    assert len(whole) == 7


@pytest.mark.req("S0-105")
async def test_the_dashboard_lists_running_machines_with_their_newest_checkpoint(
    db: Database,
) -> None:
    async with db.write() as tx:
        second = await factories.add_project(tx, name="second")
        first = await factories.add_project(tx, name="first")
        checkpoint = await factories.add_checkpoint(tx, first.id)
        rows = []
        for project, status, minutes, newest in (
            (first, "working", 2, checkpoint.id),
            (first, "active", 1, None),
            (second, "checkpointing", 0, None),
            (first, "terminated", 0, None),
            (first, "spawning", 0, None),
            (first, "error", 0, None),
        ):
            rows.append(
                await factories.add_machine(
                    tx,
                    project.id,
                    status=status,
                    spawned_at=START + timedelta(minutes=minutes),
                    last_checkpoint_id=newest,
                    current_progress=f"is {status}",
                )
            )
    async with db.read() as tx:
        found = await repository.running_machines(tx, limit=50)
        of_one = await repository.running_machines(tx, project_id=second.id, limit=50)
        last = found[0]
        rest = await repository.running_machines(
            tx, after=(last.project_name, last.spawned_at, last.machine_id), limit=50
        )
    assert [one.machine_id for one in found] == [rows[1].id, rows[0].id, rows[2].id]
    assert found[0].last_checkpoint_at is None
    assert (found[1].last_checkpoint_at, found[1].last_checkpoint_type) == (
        checkpoint.created_at,
        "genesis",
    )
    assert (found[1].project_name, found[1].current_progress) == ("first", "is working")
    assert [one.machine_id for one in of_one] == [rows[2].id]
    assert rest == found[1:]


@pytest.mark.req("S1-30")
async def test_the_latest_verified_checkpoint_is_the_newest_one_whose_files_are_there(
    db: Database,
) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        good = await factories.add_checkpoint(
            tx,
            project.id,
            created_at=START,
            verification_status="verified",
            verified_at=START,
        )
        later = START + timedelta(hours=1)
        pruned = await factories.add_checkpoint(
            tx,
            project.id,
            good,
            created_at=later,
            verification_status="verified",
            verified_at=later,
            pruned_at=later,
        )
        await factories.add_checkpoint(tx, project.id, pruned, created_at=later)
    async with db.read() as tx:
        found = await repository.latest_verified(tx, project.id)
        nothing = await repository.latest_verified(tx, uuid.uuid4())
    assert found is not None
    assert found.id == good.id
    assert nothing is None
